//! Locations for clients, and refusals of a read-only registry: each row a configuration and a request, for both.

use tempfile::TempDir;
use wharf_testkit::suite::Suite;
use wharf_testkit::{RawAnswer, wire::Request};

use crate::site::{Kind, Site};

pub(crate) fn add_to(suite: &mut Suite) {
    for kind in [Kind::Two, Kind::Three] {
        let test = format!("clients_are_led_as_by_{}", kind.name());
        suite.test(&test, &kind.needs(), move || compare(kind));
    }
}

#[derive(Clone, Copy)]
struct Row {
    environment: &'static [(&'static str, &'static str)],
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// The answer of wharf, where it differs on purpose, and why.
    differs: Option<(&'static str, &'static str)>,
}

const START: &str = "/v2/a/blobs/uploads/";
const PREFIX: (&str, &str) = ("REGISTRY_HTTP_PREFIX", "/r/");
const RELATIVE: (&str, &str) = ("REGISTRY_HTTP_RELATIVEURLS", "true");
const READ_ONLY: (&str, &str) = ("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{\"enabled\": true}");
const HOST: (&str, &str) = ("REGISTRY_HTTP_HOST", "https://reg.example:5443");

const fn start(headers: &'static [(&'static str, &'static str)]) -> Row {
    Row {
        environment: &[],
        method: "POST",
        path: START,
        headers,
        differs: None,
    }
}

const fn with(
    environment: &'static [(&'static str, &'static str)],
    method: &'static str,
    path: &'static str,
) -> Row {
    Row {
        environment,
        method,
        path,
        headers: &[],
        differs: None,
    }
}

const fn but(row: Row, ours: &'static str, reason: &'static str) -> Row {
    Row {
        differs: Some((ours, reason)),
        ..row
    }
}

const ROWS: &[Row] = &[
    start(&[]),
    start(&[("X-Forwarded-Proto", "https")]),
    start(&[
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "reg.example:5443"),
    ]),
    but(
        start(&[
            ("X-Forwarded-Proto", "https, http"),
            ("X-Forwarded-Host", "reg.example, inner"),
        ]),
        "202 https://reg.example/v2/a/blobs/uploads/(an upload)",
        "of a chain of proxies, the first one was asked by the client",
    ),
    start(&[("Forwarded", "for=192.0.2.1; proto=https; host=reg.example")]),
    start(&[("Forwarded", "proto=https;host=\"reg.example:5443\"")]),
    start(&[
        ("Forwarded", "host=reg.example"),
        ("X-Forwarded-Host", "other.example"),
    ]),
    start(&[
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "reg.example"),
        ("X-Forwarded-Port", "5443"),
    ]),
    with(&[HOST], "POST", START),
    with(&[RELATIVE], "POST", START),
    with(&[PREFIX], "GET", "/"),
    with(&[PREFIX], "GET", "/r/v2/"),
    with(&[PREFIX], "GET", "/v2/"),
    with(&[PREFIX], "POST", "/r/v2/a/blobs/uploads/"),
    with(&[PREFIX, HOST], "POST", "/r/v2/a/blobs/uploads/"),
    but(
        with(&[PREFIX, RELATIVE], "POST", "/r/v2/a/blobs/uploads/"),
        "202 /r/v2/a/blobs/uploads/(an upload)",
        "without the prefix the client would be led to where nothing is",
    ),
    with(&[READ_ONLY], "GET", "/v2/_catalog"),
    with(&[READ_ONLY], "POST", START),
    with(&[READ_ONLY], "PUT", "/v2/a/manifests/1"),
    with(&[READ_ONLY], "DELETE", "/v2/a/manifests/1"),
    but(
        with(&[], "OPTIONS", "/v2/a/tags/list"),
        "200  GET HEAD",
        "whatever can be read has a head",
    ),
    with(&[], "OPTIONS", "/v2/a/manifests/1"),
];

fn compare(kind: Kind) {
    let mut problems = Vec::new();
    for row in ROWS {
        let (ours, theirs) = (answer(Kind::Wharf, row), answer(kind, row));
        let problem = match row.differs {
            None if ours == theirs => continue,
            None => "a difference that the table does not know",
            Some((meant, _)) if ours != meant => "not what was meant",
            Some(_) if ours == theirs => "no difference any more; take it out of the table",
            Some(_) => continue,
        };
        problems.push(format!(
            "{:?} {} {} {:?}: {problem}\n    wharf      {ours}\n    {} {theirs}",
            row.environment,
            row.method,
            row.path,
            row.headers,
            kind.name()
        ));
    }
    assert!(
        problems.is_empty(),
        "{} rows:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

fn answer(kind: Kind, row: &Row) -> String {
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let site = kind.serve_with(root.path(), row.environment);
    let request = row
        .headers
        .iter()
        .fold(Request::new(row.method, row.path), |request, (name, value)| {
            request.header(name, value)
        });
    summary(&site, &site.send(&request))
}

/// The status, `Location` and `Allow` of an answer.
fn summary(site: &Site, answer: &RawAnswer) -> String {
    let location = answer.header("Location").unwrap_or_default();
    let location = location.replace(site.authority(), "(the server)");
    let location = match location.split_once("/blobs/uploads/") {
        Some((repository, _)) => format!("{repository}/blobs/uploads/(an upload)"),
        None => location,
    };
    let mut allowed: Vec<&str> = answer
        .header("Allow")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .collect();
    allowed.sort_unstable();
    format!("{} {location} {}", answer.status, allowed.join(" "))
        .trim_end()
        .to_owned()
}
