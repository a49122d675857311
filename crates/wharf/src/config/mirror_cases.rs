//! Tests of `mirrors` and `proxy`: what they mean, and the problem of each mistake.

use std::time::Duration;

use wharf_client::upstream::{Lifetime, UpstreamLogin};
use wharf_mirror::{MirrorOptions, Place};
use wharf_registry::SparseNames;

use super::{Settings, parse};

fn read(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
    let text = format!("version: 0.1\nstorage: inmemory\n{text}\n");
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    parse(&text, variables)
}

fn mirrors(text: &str) -> Vec<MirrorOptions> {
    let settings = read(text, &[]).unwrap();
    assert_eq!(settings.warnings, Vec::<String>::new(), "{text}");
    settings.mirrors
}

#[test]
fn a_mirror_needs_a_prefix_and_a_url_alone() {
    let mirrors = mirrors("mirrors: [{prefix: docker.io, remoteurl: 'https://registry-1.docker.io/'}]");
    let [mirror] = &mirrors[..] else {
        panic!("{mirrors:?}")
    };
    assert_eq!(mirror.place, Place::Below("docker.io".parse().unwrap()));
    assert_eq!(mirror.upstream.url.as_str(), "https://registry-1.docker.io/");
    assert_eq!(mirror.upstream.login, UpstreamLogin::Anonymous);
    assert_eq!(mirror.upstream.timeout, Duration::from_secs(30));
    assert_eq!(mirror.namespaces, ["docker.io", "registry-1.docker.io"]);
    assert_eq!((mirror.fresh, mirror.stale), (Duration::from_secs(60), None));
    assert!(mirror.is_docker_hub && !mirror.is_offline && !mirror.keeps_gone);
}

#[test]
fn the_variables_of_registry_2_make_the_whole_registry_a_mirror() {
    let variables = [
        ("REGISTRY_PROXY_REMOTEURL", "https://registry-1.docker.io"),
        ("REGISTRY_PROXY_USERNAME", "ann"),
        ("REGISTRY_PROXY_PASSWORD", "p4ssw0rd-of-ann"),
        ("REGISTRY_PROXY_TTL", "0"),
    ];
    let settings = read("", &variables).unwrap();
    assert_eq!(settings.warnings, Vec::<String>::new());
    let mirror = &settings.mirrors[0];
    assert_eq!(mirror.place, Place::Whole);
    assert!(matches!(&mirror.upstream.login, UpstreamLogin::Given(login) if login.user == "ann"));
    assert_eq!(
        (mirror.fresh, mirror.stale, mirror.keeps_gone),
        (Duration::ZERO, None, true)
    );
    assert_eq!(mirror.namespaces, ["registry-1.docker.io", "docker.io"]);
    assert_eq!(settings.registry.sparse, SparseNames::all());
    assert!(!format!("{settings:?}").contains("p4ssw0rd"));
}

#[test]
fn without_a_url_the_registry_is_no_mirror() {
    for text in [
        "",
        "proxy:",
        "proxy: {}",
        "proxy: {remoteurl: ''}",
        "proxy: {remoteurl: , ttl: 168h}",
    ] {
        let settings = read(text, &[("REGISTRY_PROXY_REMOTEURL", "")]).unwrap();
        assert_eq!(settings.mirrors, [], "{text}");
        assert_eq!(settings.registry.sparse, SparseNames::none());
    }
    let warnings = read("proxy: {username: u}", &[]).unwrap().warnings;
    assert!(
        warnings[0].contains("`proxy.username` has no effect without `proxy.remoteurl`"),
        "{warnings:?}"
    );
}

#[test]
fn a_time_to_live_is_told_to_have_no_effect() {
    let ttl = |ttl: &str| {
        let text = format!("proxy: {{remoteurl: 'https://u.test', ttl: {ttl}, cachewritetimeout: 5m}}");
        read(&text, &[]).unwrap().warnings
    };
    assert_eq!(ttl("0"), Vec::<String>::new());
    let warnings = ttl("168h");
    assert!(
        warnings[0].contains("`proxy.ttl` has no effect: content stays until it is deleted (`wharf repo rm`"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 1);
}

#[test]
fn each_mirror_has_the_namespaces_that_can_only_be_its_own() {
    let names = |text: &str| {
        let mirrors = mirrors(&format!("mirrors: [{text}]")).into_iter();
        mirrors
            .map(|mirror| mirror.namespaces.join(" "))
            .collect::<Vec<_>>()
    };
    let two_of_one_host =
        "{prefix: a, remoteurl: 'https://u.test:8443/a'}, {prefix: b, remoteurl: 'https://u.test:8443/b/'}";
    assert_eq!(names(two_of_one_host), ["a", "b"]);
    let one_chosen = "{prefix: a, remoteurl: 'https://u.test', namespaces: [b, U.test]}, {prefix: b, remoteurl: 'https://u.test'}";
    assert_eq!(names(one_chosen), ["b u.test", ""]);
    let crossed =
        "{prefix: quay.io, remoteurl: 'https://copy.test'}, {prefix: q, remoteurl: 'https://quay.io'}";
    assert_eq!(names(crossed), ["quay.io copy.test", "q"]);
    assert_eq!(
        names("{prefix: a, remoteurl: 'https://u.test', namespaces: []}"),
        [""]
    );
    assert_eq!(
        names("{prefix: a/b, remoteurl: 'http://u.test:5000'}"),
        ["u.test:5000"]
    );
}

#[test]
fn credentials_come_from_one_place() {
    let login = |keys: &str| {
        mirrors(&format!(
            "mirrors: [{{prefix: p, remoteurl: 'https://u.test', {keys}}}]"
        ))[0]
            .upstream
            .login
            .clone()
    };
    let lifetime = |keys: &str| match login(&format!("exec: {{command: c{keys}}}")) {
        UpstreamLogin::Helper { lifetime, .. } => lifetime,
        login => panic!("{login:?}"),
    };
    assert_eq!(lifetime(""), Lifetime::Once);
    assert_eq!(lifetime(", lifetime: 0"), Lifetime::Each);
    assert_eq!(
        lifetime(", lifetime: 1h"),
        Lifetime::For(Duration::from_secs(3600))
    );
    assert!(matches!(login("dockerconfig: /d"), UpstreamLogin::Stored(_)));
}

/// What follows `mirrors: [{…}]`, and a part of the problem that names it.
const PROBLEMS: &[(&str, &str)] = &[
    (
        "",
        "`mirrors[0].prefix` is missing; it is what stands before the names",
    ),
    (
        "",
        "`mirrors[0].remoteurl` is missing; it is the URL of the registry to mirror",
    ),
    (
        "prefix: Docker.io",
        "`mirrors[0].prefix` must begin names of repositories, and `Docker.io` cannot",
    ),
    ("prefix: 'localhost:5000'", "`mirrors[0].prefix` must begin names"),
    (
        "remoteurl: registry-1.docker.io",
        "`mirrors[0].remoteurl` must be a URL with `https://` or `http://`",
    ),
    (
        "remoteurl: 'ftp://u.test'",
        "`mirrors[0].remoteurl` must be a URL with",
    ),
    (
        "remoteurl: 'ann:hidden@u.test'",
        "`mirrors[0].remoteurl` must be a URL with",
    ),
    (
        "remoteurl: 'https://ann:hidden@u.test'",
        "`mirrors[0].remoteurl` has credentials in its URL",
    ),
    (
        "remoteurl: 'https://u.test/v2/'",
        "`mirrors[0].remoteurl` ends with `/v2`, which every request adds; write `https://u.test`",
    ),
    (
        "remoteurl: 'https://u.test/?token=hidden'",
        "`mirrors[0].remoteurl` has a `?` or a `#`",
    ),
    (
        "remoteurl: 'https://docker.io'",
        "`mirrors[0].remoteurl` is a web site of Docker Hub",
    ),
    (
        "remoteurl: 'http://localhost:5000'",
        "`mirrors[0].remoteurl` is the address of this server itself",
    ),
    (
        "remoteurl: 'http://127.0.0.1:5000/'",
        "`mirrors[0].remoteurl` is the address of this server itself",
    ),
    (
        "remoteurl: 'https://own.test'",
        "`mirrors[0].remoteurl` is the address of this server itself",
    ),
    (
        "hosts: [own.test]",
        "`mirrors[0].hosts` has `own.test`, the name of this server in `http.host`",
    ),
    (
        "hosts: ['http://hub.test']",
        "`mirrors[0].hosts` must have names of hosts",
    ),
    (
        "hosts: ['hub.test:5000']",
        "`mirrors[0].hosts` has `hub.test:5000` with a port",
    ),
    (
        "namespaces: [a/b]",
        "`mirrors[0].namespaces` must have names of hosts",
    ),
    (
        "realms: ['https://ann:hidden@auth.test']",
        "`mirrors[0].realms` must have names of hosts",
    ),
    (
        "username: u, password: hidden, exec: {command: c}",
        "`mirrors[0].username` and `exec` both say",
    ),
    (
        "username: u, password: hidden, dockerconfig: /d",
        "`mirrors[0].dockerconfig` and `username` or `exec` both say",
    ),
    ("username: u", "`mirrors[0].password` is missing"),
    ("password: hidden", "`mirrors[0].username` is missing"),
    ("exec: {lifetime: 1h}", "`mirrors[0].exec.command` is missing"),
    ("certificate: c", "`mirrors[0].key` is missing"),
    ("key: c", "`mirrors[0].certificate` is missing"),
    (
        "httpproxy: 'ann:hidden@proxy'",
        "`mirrors[0].httpproxy` must be the URL of a proxy",
    ),
    (
        "allow: ['a**']",
        "`mirrors[0].allow` has the pattern `a**`, which cannot be used",
    ),
    ("allow: ['${account}/**']", "does not depend on the account"),
    (
        "deny: ['re:(']",
        "`mirrors[0].deny` has the pattern `re:(`, which cannot be used",
    ),
    (
        "deny: [Library/*]",
        "`mirrors[0].deny` has the pattern `Library/*`",
    ),
    (
        "fresh: 2h, stale: 1h",
        "`mirrors[0].stale` is shorter than `fresh`",
    ),
    ("fresh: -1s", "`mirrors[0].fresh` must be a duration"),
    ("stale: soon", "`mirrors[0].stale` must be a duration"),
];

/// Whole configurations, and a part of their problem.
const TOGETHER: &[(&str, &str)] = &[
    (
        "mirrors: [{prefix: a, remoteurl: 'https://u.test'}, {prefix: a, remoteurl: 'https://v.test'}]",
        "`mirrors[1].prefix` is `a` like that of `mirrors[0]`",
    ),
    (
        "mirrors: [{prefix: a/b, remoteurl: 'https://u.test'}, {prefix: a, remoteurl: 'https://v.test'}]",
        "`mirrors[0].prefix` is `a/b`, which lies below `a`, the prefix of `mirrors[1]`",
    ),
    (
        "mirrors: [{prefix: a, remoteurl: 'https://u.test', hosts: [h]}, {prefix: b, remoteurl: 'https://v.test', hosts: [H]}]",
        "`mirrors[1].hosts` has `h`, and so has `mirrors[0]`",
    ),
    (
        "mirrors: [{prefix: a, remoteurl: 'https://u.test', namespaces: [h]}, {prefix: b, remoteurl: 'https://v.test', namespaces: [h]}]",
        "`mirrors[1].namespaces` has `h`, and so has `mirrors[0]`",
    ),
    (
        "mirrors: [{prefix: a, remoteurl: 'https://u.test'}]\nproxy: {remoteurl: 'https://v.test'}",
        "`proxy.remoteurl` and `mirrors` exclude each other",
    ),
    (
        "proxy: {remoteurl: 'https://u.test', username: u, password: p, exec: {command: c}}",
        "`proxy.username` and `exec` both say",
    ),
    (
        "proxy: {remoteurl: u.test}",
        "`proxy.remoteurl` must be a URL with `https://` or `http://`",
    ),
];

#[test]
fn each_mistake_is_named_with_its_remedy_and_no_secret() {
    let said = |text: &str| read(text, &[]).unwrap_err().to_string();
    for (keys, expected) in PROBLEMS {
        let error = said(&format!(
            "http: {{host: 'https://own.test'}}\nmirrors: [{{{keys}}}]"
        ));
        assert!(error.contains(expected), "{keys}: {error}");
        assert!(!error.contains("hidden"), "{keys}: {error}");
    }
    for (text, expected) in TOGETHER {
        let error = said(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn all_problems_of_a_mirror_are_told_at_once() {
    let text = "mirrors: [{prefix: A, remoteurl: 'https://u:p@u.test/v2', username: u, key: k, allow: ['a**'], fresh: 2h, stale: 1h}]";
    let error = read(text, &[]).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 8, "{error}");
}

#[test]
fn a_mirror_needs_a_store_that_it_may_write_to() {
    let read_only = [("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")];
    let mirror =
        |offline: bool| format!("mirrors: [{{prefix: a, remoteurl: 'https://u.test', offline: {offline}}}]");
    for (text, key) in [
        (
            "proxy: {remoteurl: 'https://u.test'}".to_owned(),
            "`proxy.remoteurl` needs a store",
        ),
        (mirror(false), "`mirrors` needs a store"),
    ] {
        let error = read(&text, &read_only).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    read(&mirror(true), &read_only).unwrap();
}

#[test]
fn credentials_in_clear_text_are_told() {
    let warnings = |url: &str| {
        let text = format!("proxy: {{remoteurl: '{url}', username: u, password: p}}");
        read(&text, &[]).unwrap().warnings
    };
    assert!(warnings("http://u.test:5000")[0].contains("cross the network in clear text"));
    assert_eq!(warnings("http://localhost:5001"), Vec::<String>::new());
    assert_eq!(warnings("https://u.test"), Vec::<String>::new());
}
