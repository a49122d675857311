//! Keys of registry:2 and registry:3 that are read and checked here, and whose feature is not in wharf, or not yet.

use super::{
    Storage,
    keys::{Default, Key, Kind, Since},
    raw::Section,
};

const NO_BUCKETS: &str = "is not supported yet; use `storage.filesystem`, or stay with registry:2 for now";

/// The first key of all.
pub(super) const ROOT: &[Key] = &[Key::works(
    "version",
    Kind::Text,
    Default::Value("\"0.1\""),
    "The version of the format, which is 0.1; a file must have it",
)];

/// Stores that are no file system.
pub(super) const STORAGE: &[Key] = &[
    Key::refused("storage.s3", Kind::Named, NO_BUCKETS),
    Key::alias("storage.s3aws", "storage.s3"),
    Key::below("storage.s3.accesskey", Kind::Secret),
    Key::below("storage.s3.secretkey", Kind::Secret),
    Key::below("storage.s3.region", Kind::Text),
    Key::below("storage.s3.regionendpoint", Kind::Text),
    Key::below("storage.s3.forcepathstyle", Kind::Boolean),
    Key::below("storage.s3.accelerate", Kind::Boolean),
    Key::below("storage.s3.bucket", Kind::Text),
    Key::below("storage.s3.encrypt", Kind::Boolean),
    Key::below("storage.s3.keyid", Kind::Text),
    Key::below("storage.s3.secure", Kind::Boolean),
    Key::below("storage.s3.skipverify", Kind::Boolean),
    Key::below("storage.s3.v4auth", Kind::Boolean),
    Key::below("storage.s3.chunksize", Kind::Number),
    Key::below("storage.s3.multipartcopychunksize", Kind::Number),
    Key::below("storage.s3.multipartcopymaxconcurrency", Kind::Number),
    Key::below("storage.s3.multipartcopythresholdsize", Kind::Number),
    Key::below("storage.s3.rootdirectory", Kind::Text),
    Key::below("storage.s3.storageclass", Kind::Text),
    Key::below("storage.s3.objectacl", Kind::Text),
    Key::below("storage.s3.useragent", Kind::Text),
    Key::below("storage.s3.usedualstack", Kind::Boolean).since(Since::From3("3.0")),
    Key::below("storage.s3.usefipsendpoint", Kind::Boolean).since(Since::From3("3.1")),
    Key::below("storage.s3.loglevel", Kind::Text).since(Since::From3("3.0")),
    Key::below("storage.s3.redirectendpoint", Kind::Text).since(Since::From3("3.2")),
    Key::refused("storage.azure", Kind::Named, NO_BUCKETS),
    Key::below("storage.azure.accountname", Kind::Text),
    Key::below("storage.azure.accountkey", Kind::Secret),
    Key::below("storage.azure.container", Kind::Text),
    Key::below(
        "storage.azure.credentials.type",
        Kind::Word(&["client_secret", "shared_key", "default_credentials"]),
    ),
    Key::below("storage.azure.credentials.clientid", Kind::Text),
    Key::below("storage.azure.credentials.tenantid", Kind::Text),
    Key::below("storage.azure.credentials.secret", Kind::Secret),
    Key::below("storage.azure.connectionstring", Kind::Secret),
    Key::below("storage.azure.realm", Kind::Text),
    Key::below("storage.azure.rootdirectory", Kind::Text),
    Key::below("storage.azure.serviceurl", Kind::Text),
    Key::below("storage.azure.max_retries", Kind::Number),
    Key::below("storage.azure.retry_delay", Kind::Duration),
    Key::below("storage.azure.skipverify", Kind::Boolean).since(Since::From3("3.0")),
    Key::refused("storage.gcs", Kind::Named, NO_BUCKETS),
    Key::below("storage.gcs.bucket", Kind::Text),
    Key::below("storage.gcs.keyfile", Kind::Text),
    Key::below("storage.gcs.credentials", Kind::Any),
    Key::below("storage.gcs.rootdirectory", Kind::Text),
    Key::below("storage.gcs.chunksize", Kind::Number),
    Key::below("storage.gcs.maxconcurrency", Kind::Number),
    Key::below("storage.gcs.useragent", Kind::Text),
    Key::refused("storage.oss", Kind::Any, NOT_IN_3).since(Since::Only2),
    Key::refused("storage.swift", Kind::Any, NOT_IN_3).since(Since::Only2),
    Key::refused("storage.rados", Kind::Any, NOT_IN_3).since(Since::Only2),
];

const NOT_IN_3: &str = "is not supported; registry:3 dropped it as well. Copy the data to a file system";

const NO_HOOKS: &str = "has no effect: no mail is sent; let what collects the log do that";

const NO_MIDDLEWARE: &str = "is not supported yet; without it clients would get other addresses, or other rights, than were configured";

const NO_REDIS: &str =
    "is not used: there is nothing to share, every answer of the cache is compared with the store; it can go";

/// What is not of a section with a module of its own.
pub(super) const KEYS: &[Key] = &[
    Key::warned("log.hooks", Kind::List, NO_HOOKS),
    Key::below("log.hooks[].disabled", Kind::Boolean),
    Key::below("log.hooks[].type", Kind::Text),
    Key::below("log.hooks[].levels", Kind::Texts),
    Key::below("log.hooks[].options", Kind::Section).variable("MAILOPTIONS"),
    Key::below("log.hooks[].options.smtp.addr", Kind::Text),
    Key::below("log.hooks[].options.smtp.username", Kind::Text),
    Key::below("log.hooks[].options.smtp.password", Kind::Secret),
    Key::below("log.hooks[].options.smtp.insecure", Kind::Boolean),
    Key::below("log.hooks[].options.from", Kind::Text),
    Key::below("log.hooks[].options.to", Kind::Texts),
    Key::refused("middleware.registry", Kind::List, NO_MIDDLEWARE),
    Key::below("middleware.registry[].name", Kind::Text),
    Key::below("middleware.registry[].disabled", Kind::Boolean),
    Key::below("middleware.registry[].options", Kind::Any),
    Key::refused("middleware.repository", Kind::List, NO_MIDDLEWARE),
    Key::below("middleware.repository[].name", Kind::Text),
    Key::below("middleware.repository[].disabled", Kind::Boolean),
    Key::below("middleware.repository[].options", Kind::Any),
    Key::refused("middleware.storage", Kind::List, NO_MIDDLEWARE),
    Key::below("middleware.storage[].name", Kind::Text),
    Key::below("middleware.storage[].disabled", Kind::Boolean),
    Key::below("middleware.storage[].options.baseurl", Kind::Text),
    Key::below("middleware.storage[].options.privatekey", Kind::Text),
    Key::below("middleware.storage[].options.keypairid", Kind::Text),
    Key::below("middleware.storage[].options.duration", Kind::Duration),
    Key::below(
        "middleware.storage[].options.ipfilteredby",
        Kind::Word(&["none", "aws", "awsregion"]),
    ),
    Key::below("middleware.storage[].options.awsregion", Kind::Any),
    Key::below("middleware.storage[].options.updatefrequency", Kind::Duration),
    Key::below("middleware.storage[].options.updatefrenquency", Kind::Duration),
    Key::below("middleware.storage[].options.iprangesurl", Kind::Text),
    Key::below("middleware.storage[].options.scheme", Kind::Text).since(Since::From3("3.0")),
    Key::below("middleware.storage[].options.host", Kind::Text).since(Since::From3("3.0")),
    Key::below("middleware.storage[].options.trimpathprefix", Kind::Text).since(Since::From3("3.0")),
    Key::warned("redis", Kind::Section, NO_REDIS),
    Key::below("redis.addr", Kind::Text).since(Since::Only2),
    Key::below("redis.password", Kind::Secret),
    Key::below("redis.db", Kind::Number),
    Key::below("redis.dialtimeout", Kind::Duration),
    Key::below("redis.readtimeout", Kind::Duration),
    Key::below("redis.writetimeout", Kind::Duration),
    Key::below("redis.pool.maxidle", Kind::Number).since(Since::Only2),
    Key::below("redis.pool.maxactive", Kind::Number).since(Since::Only2),
    Key::below("redis.pool.idletimeout", Kind::Duration).since(Since::Only2),
    Key::below("redis.addrs", Kind::Texts).since(Since::From3("3.0")),
    Key::below("redis.clientname", Kind::Text).since(Since::From3("3.0")),
    Key::below("redis.protocol", Kind::Number).since(Since::From3("3.0")),
    Key::below("redis.username", Kind::Text).since(Since::From3("3.0")),
    Key::below("redis.sentinelusername", Kind::Text).since(Since::From3("3.0")),
    Key::below("redis.sentinelpassword", Kind::Secret).since(Since::From3("3.0")),
    Key::below("redis.maxretries", Kind::Number).since(Since::From3("3.0")),
    Key::below("redis.minretrybackoff", Kind::Duration).since(Since::From3("3.0")),
    Key::below("redis.maxretrybackoff", Kind::Duration).since(Since::From3("3.0")),
    Key::below("redis.contexttimeoutenabled", Kind::Boolean).since(Since::From3("3.0")),
    Key::below("redis.poolfifo", Kind::Boolean).since(Since::From3("3.0")),
    Key::below("redis.poolsize", Kind::Number).since(Since::From3("3.0")),
    Key::below("redis.pooltimeout", Kind::Duration).since(Since::From3("3.0")),
    Key::below("redis.minidleconns", Kind::Number).since(Since::From3("3.0")),
    Key::below("redis.maxidleconns", Kind::Number).since(Since::From3("3.0")),
    Key::below("redis.maxactiveconns", Kind::Number).since(Since::From3("3.0")),
    Key::below("redis.connmaxidletime", Kind::Duration).since(Since::From3("3.0")),
    Key::below("redis.connmaxlifetime", Kind::Duration).since(Since::From3("3.0")),
    Key::below("redis.maxredirects", Kind::Number).since(Since::From3("3.0")),
    Key::below("redis.readonly", Kind::Boolean).since(Since::From3("3.0")),
    Key::below("redis.routebylatency", Kind::Boolean).since(Since::From3("3.0")),
    Key::below("redis.routerandomly", Kind::Boolean).since(Since::From3("3.0")),
    Key::below("redis.mastername", Kind::Text).since(Since::From3("3.0")),
    Key::below("redis.disableidentity", Kind::Boolean).since(Since::From3("3.0")),
    Key::below("redis.identitysuffix", Kind::Text).since(Since::From3("3.0")),
    Key::below("redis.unstableresp3", Kind::Boolean).since(Since::From3("3.0")),
    Key::below("redis.tls.enabled", Kind::Boolean).since(Since::Only2),
    Key::below("redis.tls.certificate", Kind::Text).since(Since::From3("3.0")),
    Key::below("redis.tls.key", Kind::Text).since(Since::From3("3.0")),
    Key::below("redis.tls.rootcas", Kind::Texts).since(Since::From3("3.0")),
    Key::warned(
        "policy.repository.classes",
        Kind::Texts,
        "has no effect: classes come with the tokens of `auth.token`, and no others are asked for them",
    ),
    Key::warned(
        "reporting",
        Kind::Any,
        "has no effect: nothing is sent to third parties; registry:3 dropped it as well",
    )
    .since(Since::Only2),
    Key::warned(
        "compatibility",
        Kind::Section,
        "has no effect: schema 1 is read, and never written or signed; registry:3 dropped it as well",
    )
    .since(Since::Only2),
    Key::below("compatibility.schema1.signingkeyfile", Kind::Text)
        .since(Since::Only2)
        .variable("TRUSTKEY"),
    Key::below("compatibility.schema1.enabled", Kind::Boolean).since(Since::Only2),
];

/// Names of stores that are refused.
pub(super) const STORES: [&str; 6] = ["s3", "azure", "gcs", "oss", "swift", "rados"];

/// What registry:2 checks of a store that we do not have yet: its owner fixes it once, not twice.
pub(super) fn store(storage: &Section<'_>, name: &str) -> Storage {
    let store = storage.section(name);
    let required: &[&str] = match name {
        "s3" | "gcs" => &["bucket"],
        "azure" => &["container"],
        _ => &[],
    };
    for key in required {
        if store.string(key).is_none_or(|text| text.is_empty()) {
            store.problem(key, "is missing");
        }
    }
    if name == "s3" {
        s3(&store);
    }
    // What is wrong has been said; no other store is missed.
    Storage::InMemory
}

fn s3(s3: &Section<'_>) {
    const MIB: i64 = 1 << 20;
    const GIB: i64 = 1 << 30;

    if s3.string("region").is_none() && s3.string("regionendpoint").is_none() {
        s3.problem("region", "is missing; name the region, or a `regionendpoint`");
    }
    if s3.has("accesskey") != s3.has("secretkey") {
        s3.problem_here("must have both `accesskey` and `secretkey`, or none of them");
    }
    let in_range = |key: &str, low: i64, words: &str| {
        if s3
            .number(key)
            .is_some_and(|number| !(low..=5 * GIB).contains(&number))
        {
            s3.problem(key, words);
        }
    };
    in_range(
        "chunksize",
        5 * MIB,
        "must be between 5242880 (5 MiB) and 5368709120 (5 GiB)",
    );
    in_range(
        "multipartcopychunksize",
        5 * MIB,
        "must be between 5242880 (5 MiB) and 5368709120 (5 GiB)",
    );
    in_range(
        "multipartcopythresholdsize",
        0,
        "must be between 0 and 5368709120 (5 GiB)",
    );
    if s3.string("keyid").is_some() && s3.boolean("encrypt") != Some(true) {
        s3.warning("keyid", "has no effect without `encrypt: true`");
    }
}
