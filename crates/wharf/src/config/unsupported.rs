//! Keys of registry:2 and registry:3 for features that wharf does not have, or does not need: the reason for each, and
//! the names below it.

use super::{
    keys::{
        KeyInfo, Since,
        Since::{Both, From3, Only2},
        Status::{Accepted, AsAbove, Refused, Warned},
    },
    kind::Kind,
};

const NOT_IN_3: &str = "is not supported; registry:3 dropped it as well. Copy the data to a file system";
const NO_SILLY: &str = "lets in every client that sends any `Authorization` header; use `auth.htpasswd`, or `auth: none` to let every client in";
const NO_LETSENCRYPT: &str = "is not supported yet; let a proxy or certbot get the certificate, and name its files in `http.tls.certificate` and `http.tls.key`: they are read again when they change";
const NO_HOOKS: &str = "has no effect: wharf sends no mail; let the log collector send it";
const NO_MIDDLEWARE: &str = "is not supported: such middleware is code that is compiled into a registry, and registry:2 and registry:3 have none; \
     remove the key. Addresses of blobs are changed by `middleware.storage`";
const NO_REDIS: &str =
    "is not used: the cache is in memory, and each use of it is compared with the store; remove the key";
const NO_CLASSES: &str = "has no effect: a token that allows an action allows it for every class of repository; let the token server decide";
const NO_REPORTING: &str = "has no effect: nothing is sent to third parties; registry:3 dropped it as well";
const NO_SCHEMA_1: &str =
    "has no effect: schema 1 is read, and never written or signed; registry:3 dropped it as well";
const OWN_CACHE: &str = "the cache is bounded, needs no setting, and is compared with the store at every use";

/// Stores that are refused.
pub(super) const STORES: [KeyInfo; 3] = [
    KeyInfo::new("storage.oss", Kind::Any, Refused(NOT_IN_3)).since(Only2),
    KeyInfo::new("storage.swift", Kind::Any, Refused(NOT_IN_3)).since(Only2),
    KeyInfo::new("storage.rados", Kind::Any, Refused(NOT_IN_3)).since(Only2),
];

/// Authentication methods that are refused.
pub(super) const LOGINS: [KeyInfo; 1] = [KeyInfo::new("auth.silly", Kind::Named, Refused(NO_SILLY))];

/// Other features that wharf does not have, and keys that it does not need.
const FEATURES: &[KeyInfo] = &[
    KeyInfo::new("http.tls.letsencrypt", Kind::Section, Refused(NO_LETSENCRYPT)),
    KeyInfo::new("log.hooks", Kind::List, Warned(NO_HOOKS)),
    KeyInfo::new("middleware.registry", Kind::List, Refused(NO_MIDDLEWARE)),
    KeyInfo::new("middleware.repository", Kind::List, Refused(NO_MIDDLEWARE)),
    KeyInfo::new("redis", Kind::Section, Warned(NO_REDIS)),
    KeyInfo::new("policy.repository.classes", Kind::Texts, Warned(NO_CLASSES)),
    KeyInfo::new("reporting", Kind::Any, Warned(NO_REPORTING)).since(Only2),
    KeyInfo::new("compatibility", Kind::Section, Warned(NO_SCHEMA_1)).since(Only2),
    KeyInfo::new(
        "storage.cache.blobdescriptor",
        Kind::Word(&["inmemory", "redis"]),
        Accepted(OWN_CACHE),
    ),
    KeyInfo::new(
        "storage.cache.blobdescriptorsize",
        Kind::Number,
        Accepted(OWN_CACHE),
    )
    .since(From3("3.0")),
    KeyInfo::new(
        "storage.filesystem.maxthreads",
        Kind::Number,
        Accepted("threads are bounded without it"),
    ),
    KeyInfo::new(
        "storage.tag.concurrencylimit",
        Kind::Number,
        Accepted("reads are bounded without it"),
    )
    .since(From3("3.0")),
    KeyInfo::new(
        "health.file[].threshold",
        Kind::Number,
        Accepted("a file that exists fails the check at once"),
    ),
    KeyInfo::new(
        "http.secret",
        Kind::Secret,
        Accepted("`Location` headers have no state that would need a signature"),
    ),
];

/// Names below these features, by their type, which is checked, and the registries that know them.
const PARTS: &[(Kind, Since, &str)] = &[
    (
        Kind::Boolean,
        Both,
        "log.hooks[].disabled log.hooks[].options.smtp.insecure
         middleware.registry[].disabled middleware.repository[].disabled",
    ),
    (Kind::Number, Both, "redis.db"),
    (
        Kind::Text,
        Both,
        "log.hooks[].type log.hooks[].options.smtp.addr
         log.hooks[].options.smtp.username log.hooks[].options.from middleware.registry[].name
         middleware.repository[].name auth.silly.realm auth.silly.service http.tls.letsencrypt.cachefile
         http.tls.letsencrypt.email",
    ),
    (
        Kind::Secret,
        Both,
        "log.hooks[].options.smtp.password redis.password",
    ),
    (
        Kind::Duration,
        Both,
        "redis.dialtimeout redis.readtimeout redis.writetimeout",
    ),
    (
        Kind::Any,
        Both,
        "middleware.registry[].options middleware.repository[].options",
    ),
    (
        Kind::Texts,
        Both,
        "log.hooks[].levels log.hooks[].options.to http.tls.letsencrypt.hosts",
    ),
    (Kind::Section, Both, "log.hooks[].options"),
    (
        Kind::Text,
        Only2,
        "redis.addr compatibility.schema1.signingkeyfile",
    ),
    (Kind::Number, Only2, "redis.pool.maxidle redis.pool.maxactive"),
    (Kind::Duration, Only2, "redis.pool.idletimeout"),
    (
        Kind::Boolean,
        Only2,
        "redis.tls.enabled compatibility.schema1.enabled",
    ),
    (
        Kind::Boolean,
        From3("3.0"),
        "redis.contexttimeoutenabled redis.poolfifo
         redis.readonly redis.routebylatency redis.routerandomly redis.disableidentity
         redis.unstableresp3",
    ),
    (
        Kind::Text,
        From3("3.0"),
        "redis.clientname redis.username
         redis.sentinelusername redis.mastername redis.identitysuffix redis.tls.certificate redis.tls.key
         http.tls.letsencrypt.directoryurl",
    ),
    (Kind::Texts, From3("3.0"), "redis.addrs redis.tls.rootcas"),
    (
        Kind::Number,
        From3("3.0"),
        "redis.protocol redis.maxretries redis.poolsize redis.minidleconns redis.maxidleconns
         redis.maxactiveconns redis.maxredirects",
    ),
    (Kind::Secret, From3("3.0"), "redis.sentinelpassword"),
    (
        Kind::Duration,
        From3("3.0"),
        "redis.minretrybackoff redis.maxretrybackoff redis.pooltimeout redis.connmaxidletime
         redis.connmaxlifetime",
    ),
];

/// Names of keys in environment variables, where registry:2 has other names there.
const VARIABLES: [(&str, &str); 2] = [
    ("log.hooks[].options", "MAILOPTIONS"),
    ("compatibility.schema1.signingkeyfile", "TRUSTKEY"),
];

/// All keys of this file.
pub(super) fn keys() -> impl Iterator<Item = KeyInfo> {
    let parts = PARTS.iter().flat_map(|&(kind, since, names)| {
        names.split_whitespace().map(move |path| {
            let variable = VARIABLES.iter().find(|(part, _)| *part == path);
            KeyInfo {
                variable: variable.map(|(_, variable)| *variable),
                ..KeyInfo::new(path, kind, AsAbove).since(since)
            }
        })
    });
    let features = STORES.iter().chain(&LOGINS).chain(FEATURES);
    features.copied().chain(parts)
}
