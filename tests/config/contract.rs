//! Every key of registry:2's and registry:3's `config.yml`, written down once more from their sources: wharf knows it,
//! and it works, or a message says why not. None of them is ignored silently.

use crate::look::Site;

/// The effect of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The configuration is good, and shows the key with its line.
    Works,
    /// The configuration is good, and a warning names the key or the section that it is in.
    Warned,
    /// The configuration is not good, and a problem names the key or the section.
    Refused,
}

use Fate::{Refused, Warned, Works};

/// A key alone, as YAML of one line, and the length of its name.
const KEYS: &[(&str, &str, Fate)] = &[
    ("loglevel: debug", "log.level", Warned),
    ("log: {level: WARN}", "log.level", Works),
    ("log: {formatter: json}", "log.formatter", Works),
    (
        "log: {accesslog: {disabled: true}}",
        "log.accesslog.disabled",
        Works,
    ),
    ("log: {reportcaller: true}", "log.reportcaller", Works),
    (
        "log: {hooks: [{type: mail, disabled: true, levels: [panic], options: {smtp: {addr: a, username: u, password: p, insecure: true}, from: f, to: [t]}}]}",
        "log.hooks",
        Warned,
    ),
    (
        "storage: {filesystem: {maxthreads: 100}}",
        "storage.filesystem.maxthreads",
        Works,
    ),
    (
        "storage: {s3: {accesskey: a, secretkey: s, region: r, regionendpoint: e, forcepathstyle: true, accelerate: false, bucket: b, encrypt: true, keyid: k, secure: true, skipverify: false, v4auth: true, chunksize: 5242880, multipartcopychunksize: 33554432, multipartcopymaxconcurrency: 100, multipartcopythresholdsize: 33554432, rootdirectory: /, storageclass: STANDARD, objectacl: private, useragent: u, usedualstack: false, usefipsendpoint: false, loglevel: 'off', redirectendpoint: r}}",
        "storage.s3.bucket",
        Works,
    ),
    ("storage: {s3aws: {bucket: b, region: r}}", "storage.s3", Warned),
    (
        "storage: {azure: {accountname: a, accountkey: k, container: c, credentials: {type: shared_key}, realm: r, rootdirectory: /, serviceurl: 'https://u', max_retries: 5, retry_delay: 100ms, skipverify: false}}",
        "storage.azure.container",
        Works,
    ),
    (
        "storage: {azure: {accountname: a, container: c, credentials: {type: client_secret, clientid: i, tenantid: t, secret: s}}}",
        "storage.azure.credentials.secret",
        Works,
    ),
    (
        "storage: {azure: {accountname: b, container: c, connectionstring: 'AccountName=a;AccountKey=a2V5'}}",
        "storage.azure.accountname",
        Warned,
    ),
    (
        "storage: {gcs: {bucket: b, credentials: {type: service_account, client_email: e, private_key: k, private_key_id: i}, rootdirectory: /, chunksize: 16777216, maxconcurrency: 50, useragent: u}}",
        "storage.gcs.bucket",
        Works,
    ),
    (
        "storage: {gcs: {bucket: b, keyfile: k}}",
        "storage.gcs.keyfile",
        Works,
    ),
    ("storage: {oss: {bucket: b}}", "storage.oss", Refused),
    ("storage: {swift: {container: c}}", "storage.swift", Refused),
    ("storage: {rados: {poolname: p}}", "storage.rados", Refused),
    (
        "storage: {delete: {enabled: true}}",
        "storage.delete.enabled",
        Works,
    ),
    (
        "storage: {redirect: {disable: true}}",
        "storage.redirect.disable",
        Works,
    ),
    ("storage: {redirect: {}}", "", Works),
    (
        "storage: {cache: {blobdescriptor: inmemory, blobdescriptorsize: 10000}}",
        "storage.cache.blobdescriptor",
        Works,
    ),
    (
        "storage: {cache: {blobdescriptor: redis}}",
        "storage.cache.blobdescriptor",
        Works,
    ),
    (
        "storage: {cache: {layerinfo: inmemory}}",
        "storage.cache.blobdescriptor",
        Warned,
    ),
    (
        "storage: {tag: {concurrencylimit: 5}}",
        "storage.tag.concurrencylimit",
        Works,
    ),
    (
        "storage: {maintenance: {uploadpurging: {enabled: true, age: 168h, interval: 24h, dryrun: false}}}",
        "storage.maintenance.uploadpurging.age",
        Works,
    ),
    (
        "storage: {maintenance: {uploadpurging: {enabled: false}}}",
        "storage.maintenance.uploadpurging.enabled",
        Works,
    ),
    ("storage: {maintenance: {uploadpurging: {}}}", "", Works),
    (
        "storage: {maintenance: {readonly: {enabled: true}}}",
        "storage.maintenance.readonly.enabled",
        Works,
    ),
    ("auth: none", "auth.none", Works),
    (
        "auth: {htpasswd: {realm: r, path: p}}",
        "auth.htpasswd.path",
        Works,
    ),
    ("auth: {silly: {realm: r, service: s}}", "auth.silly", Refused),
    (
        "auth: {token: {realm: r, service: s, issuer: i, rootcertbundle: b, jwks: j, autoredirect: true, autoredirectpath: /p, signingalgorithms: [RS256]}}",
        "auth.token.autoredirectpath",
        Works,
    ),
    (
        "middleware: {registry: [{name: n, disabled: true, options: {a: b}}]}",
        "middleware.registry",
        Refused,
    ),
    (
        "middleware: {repository: [{name: n}]}",
        "middleware.repository",
        Refused,
    ),
    (
        "middleware: {storage: [{name: cloudfront, options: {baseurl: b, privatekey: p, keypairid: k, duration: 20m, ipfilteredby: none, awsregion: r, updatefrequency: 12h, updatefrenquency: 12h, iprangesurl: u}}]}",
        "middleware.storage[0].name",
        Warned,
    ),
    (
        "middleware: {storage: [{name: rewrite, options: {scheme: http, host: h, trimpathprefix: t}}]}",
        "middleware.storage[0].options.scheme",
        Works,
    ),
    ("http: {net: tcp}", "http.net", Works),
    ("http: {host: 'https://r.example'}", "http.host", Works),
    ("http: {prefix: /r/}", "http.prefix", Works),
    ("http: {secret: s}", "http.secret", Works),
    ("http: {relativeurls: true}", "http.relativeurls", Works),
    ("http: {draintimeout: 60s}", "http.draintimeout", Works),
    (
        "http: {tls: {certificate: c, key: k, clientcas: [a], clientauth: verify-client-cert-if-given, minimumtls: tls1.3}}",
        "http.tls.clientauth",
        Works,
    ),
    (
        "http: {tls: {certificate: c, key: k, ciphersuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}}",
        "http.tls.ciphersuites",
        Works,
    ),
    (
        "http: {tls: {letsencrypt: {cachefile: c, email: e, hosts: [h], directoryurl: d}}}",
        "http.tls.letsencrypt",
        Refused,
    ),
    ("http: {headers: {X-A: [b, c]}}", "http.headers", Works),
    ("http: {http2: {disabled: true}}", "http.http2.disabled", Works),
    ("http: {h2c: {enabled: true}}", "http.h2c.enabled", Works),
    (
        "redis: {addr: 'r:6379', password: p, db: 0, dialtimeout: 10ms, readtimeout: 10ms, writetimeout: 10ms, pool: {maxidle: 16, maxactive: 64, idletimeout: 300s}}",
        "redis",
        Warned,
    ),
    (
        "redis: {addrs: ['r:6379'], clientname: c, protocol: 3, username: u, sentinelusername: u, sentinelpassword: p, maxretries: 1, minretrybackoff: 1s, maxretrybackoff: 1s, contexttimeoutenabled: true, poolfifo: true, poolsize: 1, pooltimeout: 1s, minidleconns: 1, maxidleconns: 1, maxactiveconns: 1, connmaxidletime: 1s, connmaxlifetime: 1s, maxredirects: 1, readonly: true, routebylatency: true, routerandomly: true, mastername: m, disableidentity: true, identitysuffix: s, unstableresp3: true, tls: {certificate: c, key: k, rootcas: [a]}}",
        "redis",
        Warned,
    ),
    ("catalog: {maxentries: 50}", "catalog.maxentries", Works),
    ("tags: {maxtags: 50}", "tags.maxtags", Works),
    (
        "proxy: {remoteurl: 'https://r.example', username: u, password: p, ttl: 0, cachewritetimeout: 5m}",
        "proxy.remoteurl",
        Works,
    ),
    (
        "proxy: {remoteurl: 'https://r.example', exec: {command: c, lifetime: 1h}}",
        "proxy.exec.lifetime",
        Works,
    ),
    (
        "proxy: {remoteurl: 'https://r.example', ttl: 168h}",
        "proxy.ttl",
        Warned,
    ),
    ("validation: {disabled: true}", "validation.disabled", Works),
    ("validation: {enabled: true}", "validation.enabled", Works),
    (
        "validation: {manifests: {urls: {allow: ['^https?://']}}}",
        "validation.manifests.urls.allow",
        Works,
    ),
    (
        "validation: {manifests: {urls: {deny: ['^https?://']}}}",
        "validation.manifests.urls.deny",
        Works,
    ),
    (
        "validation: {manifests: {indexes: {platforms: none}}}",
        "validation.manifests.indexes.platforms",
        Works,
    ),
    (
        "validation: {manifests: {indexes: {platforms: list, platformlist: [{architecture: amd64, os: linux}]}}}",
        "validation.manifests.indexes.platformlist",
        Works,
    ),
    (
        "policy: {repository: {classes: [image]}}",
        "policy.repository.classes",
        Warned,
    ),
    (
        "reporting: {bugsnag: {apikey: k, releasestage: s, endpoint: e}, newrelic: {licensekey: k, name: n, verbose: true}}",
        "reporting",
        Warned,
    ),
    (
        "compatibility: {schema1: {signingkeyfile: k, enabled: true}}",
        "compatibility",
        Warned,
    ),
];

/// Sections that are known and never ignored silently; other tests check their effect.
const KNOWN: &[&str] = &[
    "log: {fields: {service: registry, environment: e}}",
    "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true, path: /metrics}}}",
    "notifications: {events: {includereferences: true}, endpoints: [{name: n, disabled: false, url: 'http://127.0.0.1:1', headers: {Authorization: [Bearer x]}, timeout: 1s, threshold: 10, backoff: 1s, ignoredmediatypes: [a], ignore: {mediatypes: [b], actions: [pull]}}]}",
    "health: {storagedriver: {enabled: true, interval: 10s, threshold: 3}, file: [{file: f, interval: 10s, threshold: 1}], http: [{uri: 'http://127.0.0.1:1', headers: {A: [b]}, statuscode: 200, timeout: 1s, interval: 10s, threshold: 1}], tcp: [{addr: '127.0.0.1:1', timeout: 1s, interval: 10s, threshold: 1}]}",
];

/// A store for those that bring none, said where the file is free.
const STORE: &[(&str, &str)] = &[("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "data")];

#[test]
fn every_key_of_registry_2_and_3_works_or_says_why_not() {
    for (line, path, fate) in KEYS {
        let site = Site::new(&format!("version: 0.1\n{line}\n"));
        let is_bucket = ["storage.s3", "storage.gcs", "storage.azure"]
            .iter()
            .any(|bucket| path.starts_with(bucket));
        let brings_a_store = line.starts_with("storage") && (*fate == Refused || is_bucket);
        let variables = if brings_a_store { &[] } else { STORE };
        let checked = site.run(&["config", "check", "--no-files", "config.yml"], variables);
        let said = &checked.out;
        assert!(!said.contains("is not a key"), "{line}\n{said}");
        let named = format!("config.yml:2: `{path}` ");
        let (problem, warning) = (format!("problem: {named}"), format!("warning: {named}"));
        match fate {
            Works => {
                checked.good().has("0 problems, 0 warnings");
                let shown = site.run(&["config", "show", "config.yml", "--origin"], variables);
                let last = path.rsplit('.').next().unwrap();
                let is_shown =
                    |line: &str| line.contains(last) && (last.is_empty() || line.contains("# config.yml:2"));
                assert!(shown.good().out.lines().any(is_shown), "{line}\n{}", shown.out);
            }
            Warned => {
                checked.good();
                let is_alias = said.contains(&format!("is another name of `{path}`"));
                assert!(is_alias || said.contains(&warning), "{line}\n{said}");
            }
            Refused => assert!(!checked.is_good && said.contains(&problem), "{line}\n{said}"),
        }
    }
    for line in KNOWN {
        let site = Site::new(&format!("version: 0.1\n{line}\n"));
        let said = site.run(&["config", "check", "config.yml"], STORE).out;
        assert!(
            !said.contains("is not a key") && !said.contains(" must "),
            "{line}\n{said}"
        );
        let shown = site.run(&["config", "show", "config.yml", "--origin"], STORE).out;
        assert!(shown.contains("# config.yml:2"), "{line}\n{shown}");
    }
}
