//! Tests that every key has its documented effect, or a message with the reason why it has none.

use std::{ffi::OsString, path::PathBuf};

use super::{
    Found, Settings, Source,
    keys::{Default, KeyInfo, Status},
    kind::Kind,
    load::{Loaded, interpret},
    report::Report,
    show::Examined,
    table::{self, Schema, schema},
};

/// Keys whose effect shows only together with others, or with certain values: the key, the others, its value.
const SPECIAL: &[(&str, &str, &str)] = &[
    (
        "storage.filesystem.rootdirectory",
        "storage: {filesystem: {}}",
        "/e",
    ),
    (
        "storage.s3.accesskey",
        "storage: {s3: {secretkey: s}}",
        "k, secretkey: s",
    ),
    (
        "storage.s3.secretkey",
        "storage: {s3: {accesskey: k}}",
        "s, accesskey: k",
    ),
    (
        "storage.s3.sessiontoken",
        "storage: {s3: {accesskey: k, secretkey: s}}",
        "t7, accesskey: k, secretkey: s",
    ),
    (
        "storage.s3.keyid",
        "storage: {s3: {encrypt: true}}",
        "k, encrypt: true",
    ),
    (
        "auth.token.realm",
        "auth: {token: {service: s, issuer: i, rootcertbundle: b}}",
        "r7, service: s, issuer: i, rootcertbundle: b",
    ),
    (
        "auth.token.service",
        "auth: {token: {realm: r, issuer: i, rootcertbundle: b}}",
        "s7, realm: r, issuer: i, rootcertbundle: b",
    ),
    (
        "auth.token.issuer",
        "auth: {token: {realm: r, service: s, rootcertbundle: b}}",
        "i7, realm: r, service: s, rootcertbundle: b",
    ),
    (
        "auth.token.rootcertbundle",
        "auth: {token: {realm: r, service: s, issuer: i}}",
        "b7, realm: r, service: s, issuer: i",
    ),
    (
        "auth.token",
        "",
        "{realm: r, service: s, issuer: i, rootcertbundle: b}",
    ),
    (
        "auth.token.jwks",
        "auth: {token: {realm: r, service: s, issuer: i, rootcertbundle: b}}",
        "j, realm: r, service: s, issuer: i, rootcertbundle: b",
    ),
    (
        "auth.token.signingalgorithms",
        "auth: {token: {realm: r, service: s, issuer: i, rootcertbundle: b}}",
        "[RS256], realm: r, service: s, issuer: i, rootcertbundle: b",
    ),
    (
        "auth.token.autoredirect",
        "auth: {token: {realm: r, service: s, issuer: i, rootcertbundle: b}}",
        "true, realm: r, service: s, issuer: i, rootcertbundle: b",
    ),
    (
        "auth.token.autoredirectpath",
        "auth: {token: {autoredirect: true, realm: r, service: s, issuer: i, rootcertbundle: b}}",
        "/x, autoredirect: true, realm: r, service: s, issuer: i, rootcertbundle: b",
    ),
    (
        "access.proxyheader.user",
        "auth: {htpasswd: {path: p}}",
        "X-Remote-User, proxies: 10.0.0.1",
    ),
    (
        "access.proxyheader.groups",
        "auth: {htpasswd: {path: p}}",
        "X-Remote-Groups, user: X-Remote-User, proxies: 10.0.0.1",
    ),
    (
        "access.proxyheader.proxies",
        "auth: {htpasswd: {path: p}}",
        "10.0.0.2, user: X-Remote-User",
    ),
    ("storage.s3.chunksize", "", "5242880"),
    ("storage.gcs.chunksize", "", "10485760"),
    (
        "storage.gcs.credentials",
        "",
        "{client_email: e, private_key: k, private_key_id: i}",
    ),
    ("storage.azure.serviceurl", "", "http://h"),
    (
        "storage.azure.connectionstring",
        "",
        "AccountName=x;AccountKey=eA==",
    ),
    (
        "storage.azure.credentials.clientid",
        "storage: {azure: {credentials: {type: client_secret, tenantid: t, secret: s}}}",
        "i, type: client_secret, tenantid: t, secret: s",
    ),
    (
        "storage.azure.credentials.tenantid",
        "storage: {azure: {credentials: {type: client_secret, clientid: i, secret: s}}}",
        "t, type: client_secret, clientid: i, secret: s",
    ),
    (
        "storage.azure.credentials.secret",
        "storage: {azure: {credentials: {type: client_secret, clientid: i, tenantid: t}}}",
        "s, type: client_secret, clientid: i, tenantid: t",
    ),
    ("storage.s3.multipartcopychunksize", "", "5242880"),
    (
        "middleware.storage[].name",
        "",
        "redirect, options: {baseurl: 'http://a'}",
    ),
    (
        "middleware.storage[].disabled",
        REDIRECT,
        "true, name: redirect, options: {baseurl: 'http://a'}",
    ),
    (
        "middleware.storage[].options.baseurl",
        REDIRECT,
        "'http://b'}, name: redirect, other: {",
    ),
    (
        "middleware.storage[].options.scheme",
        REDIRECT,
        "https}, name: rewrite, other: {",
    ),
    (
        "middleware.storage[].options.host",
        REDIRECT,
        "h:7}, name: rewrite, other: {",
    ),
    (
        "middleware.storage[].options.trimpathprefix",
        REDIRECT,
        "/b}, name: rewrite, other: {",
    ),
    (
        "middleware.storage[].options.privatekey",
        CLOUDFRONT,
        "p2, baseurl: b, keypairid: k}, name: cloudfront, other: {",
    ),
    (
        "middleware.storage[].options.keypairid",
        CLOUDFRONT,
        "k2, baseurl: b, privatekey: p}, name: cloudfront, other: {",
    ),
    (
        "middleware.storage[].options.duration",
        CLOUDFRONT,
        "7h, baseurl: b, keypairid: k, privatekey: p}, name: cloudfront, other: {",
    ),
    ("activity.size", "", "7MiB"),
    ("ui.session.idle", "", "7h"),
    ("ui.session.age", "", "8d"),
    ("trash.pressure", "", "7%"),
    ("collect.foreignwriters", "", "ignore"),
    ("scrub.rate", "", "7MiB"),
    ("retention.apply", RULE, "true, rules: [{keep: 1}]"),
    ("retention.schedule", RULE, "7h, rules: [{keep: 1}]"),
    ("retention.protect", "", "[t7]"),
    ("retention.maxdelete", "", "7%"),
    ("retention.rules[].repositories", RULE, "[t7], keep: 1"),
    ("retention.rules[].kinds", RULE, "[chart], keep: 1"),
    ("retention.rules[].tags", RULE, "[t7], keep: 1"),
    ("retention.rules[].nottags", RULE, "[t7], keep: 1"),
    ("retention.rules[].keep", RULE, "7"),
    ("retention.rules[].olderthan", RULE, "7d, keep: 1"),
    ("retention.rules[].notpulled", RULE, "7d, keep: 1"),
    ("retention.rules[].untagged", RULE, "7d, keep: 1"),
    ("http.h2c.enabled", "", "false"),
    ("access.tokens.enabled", "auth: {htpasswd: {path: p}}", "true"),
    ("access.tokens.issuer", TOKENS, "i7, enabled: true"),
    ("access.tokens.service", TOKENS, "s7, enabled: true"),
    ("access.tokens.expiry", TOKENS, "7m, enabled: true"),
    ("access.tokens.refreshexpiry", TOKENS, "7d, enabled: true"),
    ("access.tokens.rotation", TOKENS, "7d, enabled: true"),
    ("auth.htpasswd.path", "", "p"),
    ("access.rules", "auth: {htpasswd: {path: p}}", "r"),
    ("access.admins", "auth: {htpasswd: {path: p}}", "[a]"),
    ("access.anonymous", "auth: {htpasswd: {path: p}}", "[a]"),
    ("auth.htpasswd.realm", "auth: {htpasswd: {path: p}}", "r"),
    ("http.addr", "", "127.0.0.1:7"),
    ("http.debug.addr", "", "127.0.0.1:7"),
    ("http.net", "http: {addr: /s}", "unix"),
    ("http.socketmode", "http: {net: unix, addr: /s}", "'0600'"),
    ("http.socketgroup", "http: {net: unix, addr: /s}", "staff"),
    ("log.accesslog.exclude.networks", "", "[10.0.0.0/8]"),
    ("http.host", "", "https://r.example"),
    ("http.trustedproxies", "", "[10.0.0.0/8]"),
    ("http.cors.origins", "", "['https://ui.example']"),
    (
        "http.cors.credentials",
        "http: {cors: {origins: ['https://ui.example']}}",
        "true",
    ),
    ("http.tls.certificate", "http: {tls: {key: k}}", "c"),
    ("http.tls.key", "http: {tls: {certificate: c}}", "k"),
    ("http.tls.clientcas", TLS, "[a]"),
    (
        "http.tls.clientauth",
        "http: {tls: {certificate: c, key: k, clientcas: [a]}}",
        "request-client-cert",
    ),
    ("http.tls.minimumtls", TLS, "tls1.3"),
    (
        "http.tls.ciphersuites",
        TLS,
        "[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]",
    ),
    ("http.debug.prometheus.enabled", DEBUG, "true"),
    (
        "http.debug.prometheus.path",
        "http: {debug: {addr: ':1', prometheus: {enabled: true}}}",
        "/m",
    ),
    (
        "health.storagedriver.interval",
        "health: {storagedriver: {enabled: true}}",
        "7h",
    ),
    (
        "health.storagedriver.threshold",
        "health: {storagedriver: {enabled: true}}",
        "7",
    ),
    ("health.file[].interval", "", "7h, file: f"),
    ("health.http[].uri", "", "'http://h/'"),
    ("health.http[].headers", "", "{X: [v]}, uri: 'http://h/'"),
    ("health.http[].statuscode", "", "204, uri: 'http://h/'"),
    ("health.http[].timeout", "", "7h, uri: 'http://h/'"),
    ("health.http[].interval", "", "7h, uri: 'http://h/'"),
    ("health.http[].threshold", "", "7, uri: 'http://h/'"),
    ("health.tcp[].addr", "", "'h:1'"),
    ("health.tcp[].timeout", "", "7h, addr: 'h:1'"),
    ("health.tcp[].interval", "", "7h, addr: 'h:1'"),
    ("health.tcp[].threshold", "", "7, addr: 'h:1'"),
    ("validation.enabled", "validation: {disabled: true}", "true"),
    ("validation.manifests.indexes.platforms", "", "none"),
    (
        "validation.manifests.indexes.platformlist[].architecture",
        "validation: {manifests: {indexes: {platforms: list}}}",
        "amd64, os: linux",
    ),
    (
        "validation.manifests.indexes.platformlist[].os",
        "validation: {manifests: {indexes: {platforms: list}}}",
        "linux, architecture: amd64",
    ),
    ("notifications.endpoints[].name", ENDPOINT, "t7, url: 'http://a/'"),
    (
        "notifications.endpoints[].disabled",
        ENDPOINT,
        "true, url: 'http://a/'",
    ),
    ("notifications.endpoints[].url", ENDPOINT, "http://b/"),
    (
        "notifications.endpoints[].headers",
        ENDPOINT,
        "{X-T7: [v]}, url: 'http://a/'",
    ),
    (
        "notifications.endpoints[].timeout",
        ENDPOINT,
        "7h, url: 'http://a/'",
    ),
    (
        "notifications.endpoints[].threshold",
        ENDPOINT,
        "7, url: 'http://a/'",
    ),
    (
        "notifications.endpoints[].backoff",
        ENDPOINT,
        "7h, url: 'http://a/'",
    ),
    (
        "notifications.endpoints[].maxbackoff",
        ENDPOINT,
        "7h, url: 'http://a/'",
    ),
    (
        "notifications.endpoints[].format",
        ENDPOINT,
        "v2, url: 'http://a/'",
    ),
    (
        "notifications.endpoints[].queue.events",
        ENDPOINT,
        "7}, url: 'http://a/', ignore: {",
    ),
    (
        "notifications.endpoints[].queue.bytes",
        ENDPOINT,
        "7}, url: 'http://a/', ignore: {",
    ),
    (
        "notifications.endpoints[].ignoredmediatypes",
        ENDPOINT,
        "[t7], url: 'http://a/'",
    ),
    (
        "notifications.endpoints[].ignore.mediatypes",
        ENDPOINT,
        "[t7]}, url: 'http://a/', queue: {",
    ),
    (
        "notifications.endpoints[].ignore.actions",
        ENDPOINT,
        "[pull]}, url: 'http://a/', queue: {",
    ),
    ("mirrors[].prefix", MIRROR, "q, remoteurl: 'https://u.test'"),
    ("mirrors[].remoteurl", MIRROR, "'https://v.test', prefix: p"),
    (
        "mirrors[].namespaces",
        MIRROR,
        "[n.test], prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].hosts",
        MIRROR,
        "[hub.test], prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].username",
        MIRROR,
        "u, password: p, prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].password",
        "mirrors: [{username: u, password: p, prefix: p, remoteurl: 'https://u.test'}]",
        "q, username: u, prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].exec.command",
        MIRROR,
        "c}, prefix: p, remoteurl: 'https://u.test', other: {",
    ),
    (
        "mirrors[].exec.lifetime",
        "mirrors: [{exec: {command: c}, prefix: p, remoteurl: 'https://u.test'}]",
        "7h, command: c}, prefix: p, remoteurl: 'https://u.test', other: {",
    ),
    (
        "mirrors[].dockerconfig",
        MIRROR,
        "/d, prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].authorities",
        MIRROR,
        "[/a.pem], prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].certificate",
        "mirrors: [{certificate: c, key: k, prefix: p, remoteurl: 'https://u.test'}]",
        "d, key: k, prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].key",
        "mirrors: [{certificate: c, key: k, prefix: p, remoteurl: 'https://u.test'}]",
        "l, certificate: c, prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].insecure",
        MIRROR,
        "true, prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].httpproxy",
        MIRROR,
        "'http://proxy:3128', prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].realms",
        MIRROR,
        "[auth.test], prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].allow",
        MIRROR,
        "['library/*'], prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].deny",
        MIRROR,
        "['library/*'], prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].fresh",
        MIRROR,
        "7h, prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].stale",
        MIRROR,
        "7h, prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].timeout",
        MIRROR,
        "7h, prefix: p, remoteurl: 'https://u.test'",
    ),
    (
        "mirrors[].offline",
        MIRROR,
        "true, prefix: p, remoteurl: 'https://u.test'",
    ),
    ("proxy.remoteurl", "", "'https://u.test'"),
    (
        "proxy.username",
        PROXY,
        "u, password: p, remoteurl: 'https://u.test'",
    ),
    (
        "proxy.password",
        "proxy: {username: u, password: p, remoteurl: 'https://u.test'}",
        "q, username: u, remoteurl: 'https://u.test'",
    ),
    (
        "proxy.exec.command",
        PROXY,
        "c}, remoteurl: 'https://u.test', other: {",
    ),
    ("proxy.realms", PROXY, "[auth.test], remoteurl: 'https://u.test'"),
    (
        "proxy.exec.lifetime",
        "proxy: {exec: {command: c}, remoteurl: 'https://u.test'}",
        "7h, command: c}, remoteurl: 'https://u.test', other: {",
    ),
];

/// Keys of an endpoint are tested together with a URL, which every endpoint needs.
const ENDPOINT: &str = "notifications: {endpoints: [{url: 'http://a/'}]}";

/// Keys of a mirror are tested together with a prefix and a URL, which every mirror needs.
const MIRROR: &str = "mirrors: [{prefix: p, remoteurl: 'https://u.test'}]";

/// Keys of the mirror that the whole registry is are tested together with its URL.
const PROXY: &str = "proxy: {remoteurl: 'https://u.test'}";

const RULE: &str = "retention: {rules: [{keep: 1}]}";

/// Keys of a server in front of the store are tested in place of this one.
const REDIRECT: &str = "middleware: {storage: [{name: redirect, options: {baseurl: 'http://a'}}]}";

const CLOUDFRONT: &str =
    "middleware: {storage: [{name: cloudfront, options: {baseurl: b, keypairid: k, privatekey: p}}]}";

/// Keys of the token server are tested together with users.
const TOKENS: &str = "auth: {htpasswd: {path: p}}\naccess: {tokens: {enabled: true}}";

/// Keys of the debug server are tested together with an address.
const DEBUG: &str = "http: {debug: {addr: ':1'}}";

const TLS: &str = "http: {tls: {certificate: c, key: k}}";

/// Keys that have an effect only through the keys below them, or that name the default.
const NO_EFFECT_ALONE: &[&str] = &[
    "version",
    "storage",
    "storage.filesystem",
    "storage.inmemory",
    "storage.s3",
    "storage.gcs",
    "storage.azure",
    "auth",
    "auth.none",
    "auth.htpasswd",
    "auth.token",
    "retention.rules",
    "mirrors",
    "validation.manifests.indexes.platformlist",
    "middleware.storage",
    "middleware.storage[].options.ipfilteredby",
    "notifications.events",
    "notifications.endpoints",
    "health.file",
    "health.http",
    "health.tcp",
];

/// A store, which every configuration needs; from the environment, so that the file has only the tested key.
const STORE: &[(&str, &str)] = &[("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/d")];

/// A bucket, for the keys that have an effect on one only.
const BUCKET: &[(&str, &str)] = &[
    ("REGISTRY_STORAGE_S3_BUCKET", "b"),
    ("REGISTRY_STORAGE_S3_REGION", "r"),
];

/// A bucket whose region may be named, and need not be.
const UNNAMED_REGION: &[(&str, &str)] = &[
    ("REGISTRY_STORAGE_S3_BUCKET", "b"),
    ("REGISTRY_STORAGE_S3_REGIONENDPOINT", "https://s3.example"),
];

/// A bucket of Google.
const GOOGLE: &[(&str, &str)] = &[("REGISTRY_STORAGE_GCS_BUCKET", "b")];

/// A container of Azure.
const AZURE: &[(&str, &str)] = &[
    ("REGISTRY_STORAGE_AZURE_ACCOUNTKEY", "k"),
    ("REGISTRY_STORAGE_AZURE_ACCOUNTNAME", "a"),
    ("REGISTRY_STORAGE_AZURE_CONTAINER", "c"),
];

/// A container in an account that is not named.
const NAMELESS: &[(&str, &str)] = &[
    ("REGISTRY_STORAGE_AZURE_ACCOUNTKEY", "k"),
    ("REGISTRY_STORAGE_AZURE_CONTAINER", "c"),
];

/// The variables for the test of a key; they must not override the key itself.
fn store(key: &KeyInfo) -> &'static [(&'static str, &'static str)] {
    match key.path {
        path if path.starts_with("storage.filesystem") => &[],
        "storage.s3" => BUCKET,
        "storage.gcs.bucket" => &[],
        "storage.azure.container" => &AZURE[..2],
        "storage.azure.accountkey" => &AZURE[1..],
        "storage.azure.accountname" => NAMELESS,
        path if path.starts_with("storage.gcs") => GOOGLE,
        path if path.starts_with("storage.azure") => AZURE,
        "storage.s3.bucket" => &BUCKET[1..],
        "storage.s3.region" => UNNAMED_REGION,
        path if path.starts_with("storage.s3.") || path.starts_with("storage.redirect.") => BUCKET,
        path if path.starts_with("middleware.storage[].") => BUCKET,
        _ => STORE,
    }
}

fn loaded(file: &str, variables: &[(&str, &str)]) -> Loaded {
    let source = PathBuf::from("config.yml");
    let report = Report::new(Some(&source));
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    interpret(
        Some(Source {
            path: source,
            found: Found::Argument,
        }),
        Some(&format!("version: 0.1\n{file}")),
        variables,
        report,
    )
}

/// `a.b[].c` and a value as a line of YAML.
fn line(path: &str, value: &str) -> String {
    match path.split_once('.') {
        None => entry(path, value),
        Some((first, rest)) => entry(first, &format!("{{{}}}", line(rest, value))),
    }
}

fn entry(name: &str, value: &str) -> String {
    match name.strip_suffix("[]") {
        Some(name) => format!("{name}: [{value}]"),
        None => format!("{name}: {value}"),
    }
}

/// A value of the right type that is not the default.
fn sample(key: &KeyInfo) -> String {
    match key.kind {
        Kind::Boolean if key.default == Default::Value("true") => "false".to_owned(),
        Kind::Boolean => "true".to_owned(),
        Kind::Number => "7".to_owned(),
        Kind::Duration => "7h".to_owned(),
        Kind::Word(words) => words.last().copied().unwrap_or_default().to_owned(),
        Kind::Texts => "[t7]".to_owned(),
        Kind::Headers { .. } => "{X-T7: [v]}".to_owned(),
        Kind::Fields { .. } => "{t7: v}".to_owned(),
        Kind::List => "[]".to_owned(),
        Kind::Section | Kind::Named | Kind::Choice => "{}".to_owned(),
        Kind::Text | Kind::Secret | Kind::Any => "t7".to_owned(),
    }
}

fn said(loaded: &Loaded) -> (String, String) {
    let report = &loaded.report;
    (
        report.lines(&report.problems).join("\n"),
        report.lines(&report.warnings).join("\n"),
    )
}

/// The key that has the status of `key`: itself, or a section above it.
fn deciding(key: &KeyInfo) -> (String, Status) {
    let path = key.path.replace("[]", "");
    let mut decided = (path.clone(), key.status);
    let mut here: &Schema = schema();
    for name in path.split('.') {
        here = here
            .child(name)
            .or_else(|| here.element()?.child(name))
            .expect("a key of the table");
        if here.path == key.path {
            break;
        }
        if key.status == Status::AsAbove && here.key.is_some_and(|above| above.status != Status::AsAbove) {
            decided = (here.path.clone(), here.status());
        }
    }
    decided
}

#[test]
fn every_key_has_its_effect_or_its_sentence() {
    for key in table::all() {
        let special = SPECIAL.iter().find(|(path, ..)| *path == key.path);
        let (beside, value) = special.map_or(("", sample(key)), |(_, beside, value)| {
            (*beside, (*value).to_owned())
        });
        let file = format!("{beside}\n{}\n", line(key.path, &value));
        let found = loaded(&file, store(key));
        let (problems, warnings) = said(&found);
        let context = format!("{file}{problems}\n{warnings}");
        let named = format!("`{}` ", key.path.replace("[]", "[0]"));
        assert!(
            !format!("{problems}{warnings}").contains(&format!("{named}is not a key")),
            "{context}"
        );
        match deciding(key) {
            (_, Status::Works) if NO_EFFECT_ALONE.contains(&key.path) => {}
            (_, Status::Works) => {
                assert!(problems.is_empty(), "{context}");
                let shown = Examined::of(loaded(&file, store(key))).yaml(true);
                let last = key.path.rsplit(['.', ']']).next().unwrap_or_default();
                let is_shown = |line: &str| line.contains(last) && line.contains("# config.yml:");
                assert!(shown.lines().any(is_shown), "{context}\n{shown}");
                let without = loaded(&format!("{beside}\n"), store(key)).into_settings();
                let with = found.into_settings().expect("there are no problems");
                assert!(
                    without.is_err() || !means_the_same(without.expect("it is"), &with),
                    "no effect: {context}"
                );
            }
            (_, Status::Accepted(_)) => {
                assert!(!format!("{problems}{warnings}").contains(&named), "{context}");
            }
            (above, Status::Warned(why)) if !matches!(key.kind, Kind::List | Kind::Section) => {
                assert!(warnings.contains(&format!("`{above}` {why}")), "{context}");
                assert!(!problems.contains("config.yml"), "{context}");
            }
            (above, Status::Refused(why)) if !matches!(key.kind, Kind::List | Kind::Section) => {
                assert!(problems.contains(&format!("`{above}` {why}")), "{context}");
            }
            (_, Status::Alias(of)) => {
                assert!(warnings.contains(&format!("another name of `{of}`")), "{context}");
            }
            (_, Status::Warned(_) | Status::Refused(_) | Status::AsAbove) => {}
        }
    }
}

fn means_the_same(mut one: Settings, other: &Settings) -> bool {
    one.warnings.clone_from(&other.warnings);
    one == *other
}

#[test]
fn every_key_refuses_what_it_cannot_be_and_says_where() {
    for key in table::all().filter(|key| key.kind != Kind::Any) {
        let file = format!("# a comment\n{}\n", line(key.path, "[[x]]"));
        let (problems, _) = said(&loaded(&file, store(key)));
        let path = key.path.replace("[]", "[0]");
        let begin = match key.kind {
            Kind::List => format!("config.yml:3: `{path}[0]` must have keys below it, not a list"),
            _ => format!("config.yml:3: `{path}` must "),
        };
        assert!(problems.contains(&begin), "{file}: {problems}");
    }
}

#[test]
fn every_key_can_be_set_in_the_environment() {
    for key in table::all() {
        if matches!(key.kind, Kind::List | Kind::Section) || matches!(key.status, Status::Alias(_)) {
            continue;
        }
        let name = format!(
            "REGISTRY_{}",
            key.path
                .replace("[]", ".0")
                .replace('.', "_")
                .to_ascii_uppercase()
        );
        let found = loaded("", &[(&name, &sample(key))]);
        let (problems, warnings) = said(&found);
        assert!(!warnings.contains("names no key"), "{name}: {warnings}");
        let last = key.path.rsplit(['.', ']']).next().unwrap_or_default();
        let shown = Examined::of(found).yaml(true);
        let is_shown = |line: &str| line.contains(last) && line.contains(&format!("# ${name}"));
        assert!(
            shown.lines().any(is_shown) || matches!(key.kind, Kind::Named | Kind::Choice),
            "{name}: {problems}\n{shown}"
        );
    }
}
