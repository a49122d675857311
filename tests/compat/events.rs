//! The same requests to wharf and to another registry, and the events of each: the bytes that are posted.

use std::collections::BTreeMap;

use tempfile::TempDir;
use wharf_testkit::{Content, digest::sha256, image, peer::Peer, suite::Suite, wire::Request};
use wharf_testkit::{Received, Receiver};

use crate::site::{ACCEPT, Kind};

pub(crate) fn add_to(suite: &mut Suite) {
    for kind in [Kind::Two, Kind::Three] {
        let test = format!("events_are_told_as_by_{}", kind.name());
        suite.test(&test, &kind.needs(), move || wharf_testkit::run(compare(kind)));
    }
}

/// A request, under a name that it has in its `User-Agent`, so that its events can be told from other events.
struct Row {
    name: &'static str,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<(String, Vec<u8>)>,
}

/// Rows in which wharf sends fewer events, each with its reason.
const SILENT: &[(&str, &str)] = &[
    (
        "blob: range beyond its end",
        "416 is a failure: nothing was pulled",
    ),
    (LAST, "tells that all that came before is told"),
];

const LAST: &str = "last";
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn row(name: &'static str, method: &'static str, path: impl Into<String>) -> Row {
    Row {
        name,
        method,
        path: path.into(),
        headers: vec![("Accept", ACCEPT.to_owned())],
        body: None,
    }
}

impl Row {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Row {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, media_type: &str, bytes: &[u8]) -> Row {
        self.body = Some((media_type.to_owned(), bytes.to_vec()));
        self
    }
}

fn rows() -> Vec<Row> {
    let (image, oci) = (
        Content::of(image::docker("events")),
        Content::of(image::oci("events")),
    );
    let index = Content::of(image::oci_index("events"));
    let mut rows = Vec::new();
    for content in [&image, &oci, &index] {
        for (digest, bytes) in &content.blobs {
            rows.push(
                row("blob: push", "POST", format!("app {digest}")).body("application/octet-stream", bytes),
            );
        }
        for manifest in &content.manifests {
            let path = format!("/v2/app/manifests/{}", manifest.digest);
            rows.push(
                row("manifest: push by digest", "PUT", path).body(&manifest.media_type, &manifest.bytes),
            );
        }
    }
    for (tag, content) in [
        ("image", &image),
        ("again", &image),
        ("oci", &oci),
        ("index", &index),
    ] {
        let (path, root) = (format!("/v2/app/manifests/{tag}"), content.root());
        rows.push(row("manifest: push by tag", "PUT", &*path).body(&root.media_type, &root.bytes));
        rows.push(row("manifest: pull by tag", "GET", &*path));
        rows.push(row("manifest: look by tag", "HEAD", path));
        rows.push(row(
            "manifest: pull by digest",
            "GET",
            format!("/v2/app/manifests/{}", root.digest),
        ));
    }
    let tag = "/v2/app/manifests/image";
    let root = &image.root().digest;
    rows.push(row("manifest: known", "GET", tag).header("If-None-Match", format!("\"{root}\"")));
    rows.push(row("manifest: unknown", "GET", "/v2/app/manifests/nothing"));
    let (layer, _) = image.blobs.first_key_value().expect("an image has blobs");
    let blob = format!("/v2/app/blobs/{layer}");
    rows.push(row("blob: pull", "GET", &*blob));
    rows.push(row("blob: look", "HEAD", &*blob));
    rows.push(row("blob: range", "GET", &*blob).header("Range", "bytes=1-2"));
    rows.push(row("blob: range beyond its end", "GET", &*blob).header("Range", "bytes=99999999-"));
    rows.push(row("blob: known", "GET", &*blob).header("If-None-Match", format!("\"{layer}\"")));
    rows.push(row("blob: unknown", "GET", format!("/v2/app/blobs/{EMPTY}")));
    rows.push(row("client behind a proxy", "GET", &*blob).header("X-Forwarded-For", "192.0.2.7"));
    let proxied = row("registry behind a proxy", "GET", &*blob).header("X-Forwarded-Host", "r.example");
    rows.push(proxied.header("X-Forwarded-Proto", "https"));
    rows.push(row("escapes <&>", "GET", &*blob));
    rows.push(row(
        "mount",
        "POST",
        format!("/v2/other/blobs/uploads/?mount={layer}&from=app"),
    ));
    rows.push(row(
        "mount of nothing",
        "POST",
        format!("/v2/other/blobs/uploads/?mount={EMPTY}&from=app"),
    ));
    rows.push(
        row("blob: push of none", "POST", format!("app {EMPTY}")).body("application/octet-stream", b""),
    );
    rows.push(row("tags", "GET", "/v2/app/tags/list"));
    rows.push(row("base", "GET", "/v2/"));
    rows.push(row(
        "manifest: delete",
        "DELETE",
        format!("/v2/app/manifests/{root}"),
    ));
    rows.push(row(
        "manifest: delete again",
        "DELETE",
        format!("/v2/app/manifests/{root}"),
    ));
    // Other images need it: without `force` wharf keeps it (decision D4); the others ignore it.
    let forced = format!("{blob}?force=true");
    rows.push(row("blob: delete", "DELETE", &*forced));
    rows.push(row("blob: delete again", "DELETE", &*forced));
    rows.push(
        row(LAST, "POST", format!("last {}", sha256(b"last"))).body("application/octet-stream", b"last"),
    );
    rows
}

async fn compare(kind: Kind) {
    let ours = told_by(Kind::Wharf, if kind == Kind::Two { "v1" } else { "v2" }).await;
    let theirs = told_by(kind, "v1").await;
    let mut problems = Vec::new();
    for (name, theirs) in &theirs {
        let ours = ours.get(name).cloned().unwrap_or_default();
        match SILENT.iter().find(|(silent, _)| silent == name) {
            Some((silent, _)) if *silent == LAST => {}
            Some((_, reason)) if !ours.is_empty() => {
                problems.push(format!("{name}: told, although {reason}"));
            }
            Some(_) => {}
            None if ours == *theirs => {}
            None => problems.push(format!(
                "{name}:\n  wharf:\n{}\n  {}:\n{}",
                ours.join("\n"),
                kind.name(),
                theirs.join("\n")
            )),
        }
    }
    for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
        problems.push(format!("{name}: only wharf tells of it"));
    }
    assert!(theirs.len() > 15, "the other registry told of something");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The posted bytes by row, normalised; within a row sorted, for 2.8 removes tags in any order.
async fn told_by(kind: Kind, format: &str) -> BTreeMap<String, Vec<String>> {
    let receiver = Receiver::start();
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let notifications = format!(
        "{{events: {{includereferences: true}}, endpoints: [{{name: a, url: '{}', format: {format}}}]}}",
        receiver.url()
    );
    let program = kind.program();
    let directory = root.path().to_owned();
    let sending = tokio::task::spawn_blocking(move || {
        let peer = Peer::start_with(program, &directory, &[("REGISTRY_NOTIFICATIONS", &notifications)]);
        for row in rows() {
            send(&peer, &row);
        }
        peer
    });
    let peer = sending.await.expect("the requests are sent");
    let authority = peer.authority().to_owned();
    wharf_testkit::eventually("the last event was told", || {
        let is_told = receiver
            .received()
            .iter()
            .any(|received| name_of(received) == LAST);
        async move { is_told }
    })
    .await;
    drop(peer);
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for received in receiver.received() {
        told.entry(name_of(&received))
            .or_default()
            .push(normal(&received, &authority));
    }
    told.values_mut().for_each(|events| events.sort());
    told
}

fn name_of(received: &Received) -> String {
    received.event()["request"]["useragent"]
        .as_str()
        .expect("a text")
        .to_owned()
}

fn send(peer: &Peer, row: &Row) {
    let request = |method: &str, path: &str| {
        let request = Request::new(method, path).header("User-Agent", row.name);
        row.headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value))
    };
    let sent = |request: Request| {
        request
            .send(peer.authority())
            .unwrap_or_else(|error| panic!("{}: {error}", row.name))
    };
    match (&row.body, row.method) {
        // A whole push of a blob: where to, and its digest.
        (Some((media_type, bytes)), "POST") => {
            let (name, digest) = row.path.split_once(' ').expect("a name and a digest");
            let started = sent(request("POST", &format!("/v2/{name}/blobs/uploads/")));
            let location = started.header("Location").expect("an upload has a location");
            let separator = if location.contains('?') { '&' } else { '?' };
            let finish = request("PUT", &format!("{location}{separator}digest={digest}"));
            sent(finish.header("Content-Type", media_type).body(bytes.clone()));
        }
        (Some((media_type, bytes)), method) => {
            sent(
                request(method, &row.path)
                    .header("Content-Type", media_type)
                    .body(bytes.clone()),
            );
        }
        (None, method) => {
            // Of a 416, 2.8 announces a body that it does not send; no check reads it.
            if let Err(error) = request(method, &row.path).send(peer.authority()) {
                assert!(
                    row.name.starts_with("blob: range beyond"),
                    "{}: {error}",
                    row.name
                );
            }
        }
    }
}

/// The posted bytes, without the parts that always differ between two registries.
fn normal(received: &Received, authority: &str) -> String {
    let event = received.event();
    let mut text = String::from_utf8(received.body.to_vec()).expect("JSON is UTF-8");
    let mut replace = |value: &serde_json::Value, by: &str| {
        let value = value.as_str().expect("a text");
        text = text.replace(&format!("\"{value}\""), &format!("\"{by}\""));
    };
    for (value, by) in [
        (&event["id"], "(an id)"),
        (&event["request"]["id"], "(the id of the request)"),
        (&event["source"]["instanceID"], "(the id of the process)"),
        (&event["timestamp"], "(a time)"),
    ] {
        replace(value, by);
    }
    let source = event["source"]["addr"].as_str().expect("a text");
    let (host, _port) = source.rsplit_once(':').expect("a port");
    replace(&event["source"]["addr"], &format!("{host}:(port)"));
    let from = event["request"]["addr"].as_str().expect("a text");
    if let Some((address, _port)) = from.rsplit_once(':') {
        replace(&event["request"]["addr"], &format!("{address}:(port)"));
    }
    let content_type = received.header("Content-Type").unwrap_or_default();
    format!("{content_type}\n{}", text.replace(authority, "(registry)"))
}
