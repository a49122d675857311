//! Metrics: each counts what its name says.

use std::cell::Cell;

use wharf_testkit::{
    Server, eventually, image, run,
    tls::{Trust, Wanted},
};

use crate::{value, watched, watcher};

/// The page, once `line` has `expected`: a request is counted when its client has the answer already.
async fn page_with(server: &Server, line: &str, expected: f64) -> String {
    let watcher = watcher(server).await;
    let page = Cell::new(String::new());
    eventually(line, async || {
        let now = watcher.get("/metrics").await.expect(200).text();
        let is_there = value(&now, line) == Some(expected);
        page.set(now);
        is_there
    })
    .await;
    page.into_inner()
}

pub(crate) async fn requests_are_counted_by_handler_method_and_code(server: Server) {
    let repository = server.anonymous().repository("team/app");
    let image = image::oci(1);
    repository.push_image("1.0", &image).await;
    repository.get_manifest("1.0").await.expect(200);
    repository.get_manifest("nope").await.expect(404);
    server.anonymous().get("/v2/").await.expect(200);
    server.anonymous().get("/v2/_catalog").await.expect(200);
    server.anonymous().get("/v2/team/app/tags/list").await.expect(200);
    server.anonymous().get("/").await.expect(200);
    server.anonymous().get("/nowhere").await.expect(404);
    let bytes = repository
        .get_blob(&image.blobs[0].digest)
        .await
        .expect(200)
        .body
        .len();

    let page = page_with(
        &server,
        "registry_http_requests_total{code=\"200\",handler=\"blob\",method=\"get\"}",
        1.0,
    )
    .await;
    for (line, expected) in [
        (
            "registry_http_requests_total{code=\"200\",handler=\"manifest\",method=\"get\"}",
            1.0,
        ),
        (
            "registry_http_requests_total{code=\"404\",handler=\"manifest\",method=\"get\"}",
            1.0,
        ),
        (
            "registry_http_requests_total{code=\"201\",handler=\"manifest\",method=\"put\"}",
            1.0,
        ),
        (
            "registry_http_requests_total{code=\"200\",handler=\"base\",method=\"get\"}",
            1.0,
        ),
        (
            "registry_http_requests_total{code=\"200\",handler=\"catalog\",method=\"get\"}",
            1.0,
        ),
        (
            "registry_http_requests_total{code=\"200\",handler=\"tags\",method=\"get\"}",
            1.0,
        ),
        (
            "registry_http_request_duration_seconds_count{handler=\"manifest\",method=\"get\"}",
            2.0,
        ),
        ("registry_http_response_size_bytes_count{handler=\"blob\"}", 1.0),
    ] {
        assert_eq!(value(&page, line), Some(expected), "{line}\n{page}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a small layer")]
    let bytes = bytes as f64;
    assert_eq!(
        value(&page, "registry_http_response_size_bytes_sum{handler=\"blob\"}"),
        Some(bytes)
    );
    assert_eq!(
        value(&page, "wharf_blob_bytes_total{direction=\"out\"}"),
        Some(bytes)
    );
    assert!(
        value(&page, "wharf_blob_bytes_total{direction=\"in\"}").unwrap() >= bytes,
        "{page}"
    );
    assert!(
        value(&page, "registry_storage_cache_requests_total").unwrap() >= 2.0,
        "{page}"
    );
    assert_eq!(
        page.matches("registry_http_requests_total{code=\"404\"").count(),
        1,
        "what is no route counts for no handler\n{page}"
    );
    let action = format!("driver=\"{}\"", driver(&server));
    for name in ["GetContent", "Stat", "PutContent"] {
        let line = format!("registry_storage_action_seconds_count{{action=\"{name}\",{action}}}");
        assert!(value(&page, &line).unwrap_or_default() >= 1.0, "{line}\n{page}");
    }
}

fn driver(server: &Server) -> &'static str {
    match server.engine() {
        wharf_testkit::Engine::Filesystem => "filesystem",
        wharf_testkit::Engine::Inmemory => "inmemory",
    }
}

mod both {
    use super::*;

    #[test]
    fn filesystem() {
        run(async { requests_are_counted_by_handler_method_and_code(watched().start()).await });
    }

    #[test]
    fn inmemory() {
        run(async { requests_are_counted_by_handler_method_and_code(watched().inmemory().start()).await });
    }
}

#[test]
fn nothing_stays_in_flight() {
    run(async {
        let server = watched().start();
        // A client that leaves in the middle of its upload.
        let repository = server.anonymous().repository("a");
        let started = server
            .anonymous()
            .post(&repository.uploads_path())
            .await
            .expect(202);
        let mut left = server.raw().await;
        let head = format!(
            "PATCH {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc",
            started.location()
        );
        left.send(head.as_bytes()).await;
        page_with(&server, "wharf_uploads_in_progress", 1.0).await;
        drop(left);
        let page = page_with(&server, "wharf_uploads_in_progress", 0.0).await;
        assert_eq!(
            value(&page, "wharf_blob_bytes_total{direction=\"in\"}"),
            Some(3.0)
        );
        let page = page_with(
            &server,
            "registry_http_in_flight_requests{handler=\"blob_upload_chunk\"}",
            0.0,
        )
        .await;
        assert!(value(&page, "wharf_connections_total").unwrap() >= 2.0, "{page}");
    });
}

#[test]
fn the_process_is_among_them() {
    run(async {
        let server = watched().start();
        let page = watcher(&server).await.get("/metrics").await.expect(200).text();
        assert!(
            value(&page, "process_resident_memory_bytes").unwrap() > 1e6,
            "{page}"
        );
        assert!(value(&page, "process_open_fds").unwrap() > 3.0, "{page}");
        assert!(
            value(&page, "process_start_time_seconds").unwrap() > 1e9,
            "{page}"
        );
        let said = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"))
            .arg("--version")
            .output()
            .unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        // `wharf 0.1.0 (commit 0123456789ab, release x86_64-unknown-linux-gnu)`
        let (version, rest) = said
            .strip_prefix("wharf ")
            .unwrap()
            .split_once(" (commit ")
            .unwrap();
        let (commit, build) = rest
            .trim_end()
            .strip_suffix(')')
            .unwrap()
            .split_once(", ")
            .unwrap();
        let name = format!("wharf_build_info{{build=\"{build}\",commit=\"{commit}\",version=\"{version}\"}}");
        assert_eq!(value(&page, &name), Some(1.0), "{page}");
        let log = server.log();
        assert!(
            log.contains(&format!("{version} (commit {commit}, {build}) listening on ")),
            "{log}"
        );
        assert!(log.contains(&format!("commit={commit}")), "{log}");
    });
}

/// One of `$2y$04$…` is quick to check; the password is `pw`.
const ALICE: &str = "alice:$2y$04$KQlVPV7oebzne.IOGT3eAONmm5hGHB1wtnxLDUdOMyabu50rBKuzq\n";

#[test]
fn damaged_users_and_rules_show_until_they_are_mended() {
    const RULES: &str = "rules: [{accounts: alice, repositories: a, allow: pull}]\n";

    let builder = watched().inmemory().htpasswd("htpasswd");
    builder.write("htpasswd", ALICE);
    builder.write("rules.yml", RULES);
    let rules = builder.path("rules.yml").display().to_string();
    let server = builder.config(format!("access: {{rules: '{rules}'}}")).start();
    run(async {
        let alice = server.anonymous().as_user("alice", "pw");
        let check = async |users: f64, rules: f64, problems: f64| {
            alice.get("/v2/").await.expect(200);
            let page = page_with(&server, "wharf_access_file_ok{file=\"users\"}", users).await;
            assert_eq!(
                value(&page, "wharf_access_file_ok{file=\"rules\"}"),
                Some(rules),
                "{page}"
            );
            let line = "wharf_access_file_problems{file=\"rules\"}";
            assert_eq!(value(&page, line), Some(problems), "{page}");
        };
        check(1.0, 1.0, 0.0).await;
        server.write("rules.yml", "rules: [");
        check(1.0, 0.0, 1.0).await;
        server.write("htpasswd", "garbage");
        server.write("rules.yml", RULES.replace("s: a,", "s: A,"));
        // The rule is used, and fits nothing.
        check(0.0, 1.0, 1.0).await;
        server.write("htpasswd", ALICE);
        server.write("rules.yml", RULES);
        check(1.0, 1.0, 0.0).await;
    });
}

#[test]
fn a_damaged_certificate_shows_until_it_is_mended() {
    const OK: &str = "wharf_access_file_ok{file=\"certificates\"}";
    const PROBLEMS: &str = "wharf_access_file_problems{file=\"certificates\"}";

    let identity = Wanted::localhost().self_signed();
    let server = watched().inmemory().tls(&identity).start();
    run(async {
        let trust = Trust::in_certificate(&identity.certificate);
        let page = page_with(&server, OK, 1.0).await;
        assert_eq!(value(&page, PROBLEMS), Some(0.0), "{page}");
        server.write("tls.crt", "oops");
        let watcher = watcher(&server).await;
        eventually("the damage shows", async || {
            trust.shake_hands(server.address()).await.unwrap();
            value(&watcher.get("/metrics").await.expect(200).text(), OK) == Some(0.0)
        })
        .await;
        server.write("tls.crt", &identity.certificate);
        // The next handshake notices it, unless its look at the files takes too long.
        eventually("the damage is gone", async || {
            trust.shake_hands(server.address()).await.unwrap();
            value(&watcher.get("/metrics").await.expect(200).text(), OK) == Some(1.0)
        })
        .await;
        let page = watcher.get("/metrics").await.expect(200).text();
        assert_eq!(value(&page, PROBLEMS), Some(0.0), "{page}");
    });
}
