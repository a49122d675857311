//! Health checks: how they fail, and that one failed check takes the whole API down.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
};

use wharf_testkit::{
    Client, Server, eventually, json, run,
    tls::{Authority, Wanted},
};

use crate::{builder, watched, watcher};

/// As registry:2 answers, word for word.
const UNHEALTHY: &str = "health check failed: please see /debug/health";

async fn until_health_is(watcher: &Client, status: u16) {
    eventually("health changes", async || {
        watcher.get("/debug/health").await.status.as_u16() == status
    })
    .await;
}

async fn assert_down(server: &Server) {
    for path in ["/", "/v2/", "/v2/a/tags/list", "/nowhere"] {
        let answer = server
            .anonymous()
            .get(path)
            .await
            .expect_error(503, "UNAVAILABLE");
        let expected = json!({"errors": [{
            "code": "UNAVAILABLE", "message": "service unavailable", "detail": UNHEALTHY,
        }]});
        assert_eq!(answer.json(), expected, "{path}");
    }
    server.anonymous().post("/v2/a/blobs/uploads/").await.expect(503);
}

#[test]
fn c1_8_a_file_takes_everything_down_until_it_is_gone() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let down = directory.path().join("down");
        let line = format!(
            "health: {{file: [{{file: '{}', interval: 10ms}}]}}",
            down.display()
        );
        let server = watched().config(line).start();
        let watcher = watcher(&server).await;
        server.anonymous().get("/").await.expect(200);

        std::fs::write(&down, "").unwrap();
        until_health_is(&watcher, 503).await;
        let failing = watcher.get("/debug/health").await.json();
        let why = failing[down.display().to_string()].as_str().unwrap_or_default();
        assert!(why.starts_with("file exists"), "{failing}");
        assert_down(&server).await;
        let page = watcher.get("/metrics").await.text();
        let line = format!("wharf_health_check_failing{{check=\"{}\"}} 1", down.display());
        assert!(page.contains(&line), "{page}");

        std::fs::remove_file(&down).unwrap();
        until_health_is(&watcher, 200).await;
        server.anonymous().get("/v2/").await.expect(200);
        server.says("is well again").await;
        let said = server.log();
        assert_eq!(
            said.matches("a health check fails").count(),
            1,
            "once, not for each request:\n{said}"
        );
    });
}

#[test]
fn c1_8_a_store_that_is_gone_takes_everything_down() {
    run(async {
        let server = watched()
            .config("health: {storagedriver: {enabled: true, interval: 10ms, threshold: 2}}")
            .unchecked()
            .start();
        let watcher = watcher(&server).await;
        watcher.get("/debug/health").await.expect(200);
        let elsewhere = server.root().with_extension("moved");
        std::fs::rename(server.root(), &elsewhere).unwrap();
        until_health_is(&watcher, 503).await;
        let failing = watcher.get("/debug/health").await.json();
        let why = failing["storagedriver_filesystem"].as_str().unwrap_or_default();
        assert!(why.contains("the store cannot be used"), "{failing}");
        assert_down(&server).await;
        std::fs::rename(&elsewhere, server.root()).unwrap();
        until_health_is(&watcher, 200).await;
    });
}

#[test]
fn c1_2_health_tcp_fails_when_nobody_listens() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = watched()
            .config(format!(
                "health: {{tcp: [{{addr: '{address}', interval: 10ms}}]}}"
            ))
            .start();
        let watcher = watcher(&server).await;
        watcher.get("/debug/health").await.expect(200);
        drop(listener);
        until_health_is(&watcher, 503).await;
        let failing = watcher.get("/debug/health").await.json();
        let why = failing[address.to_string()].as_str().unwrap_or_default();
        assert!(why.starts_with("connection to `127.0.0.1:"), "{failing}");
        assert_down(&server).await;
    });
}

/// Answers every request with a status that can be changed, if it has the right header.
fn downstream() -> (SocketAddr, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(204));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::clone(&status);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let is_right =
                head.starts_with("head /up?key=hunter2 ") && head.contains("authorization: bearer hunter2");
            let status = if is_right { shared.load(Relaxed) } else { 401 };
            // The probe goes on after a client disconnects.
            write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").ok();
        }
    });
    (address, status)
}

#[test]
fn c1_2_health_http_asks_with_headers_for_a_status() {
    run(async {
        let (address, status) = downstream();
        let line = format!(
            "health: {{http: [{{uri: 'http://{address}/up?key=hunter2', headers: {{Authorization: [Bearer hunter2]}}, \
             statuscode: 204, timeout: 20s, interval: 10ms, threshold: 2}}]}}"
        );
        let server = watched().config(line).config("log: {level: debug}").start();
        let watcher = watcher(&server).await;
        watcher.get("/debug/health").await.expect(200);
        status.store(500, Relaxed);
        until_health_is(&watcher, 503).await;
        let failing = watcher.get("/debug/health").await.text();
        assert!(
            failing.contains("unexpected status: 500 where 204 is expected"),
            "{failing}"
        );
        assert!(failing.contains("/up?key=REDACTED"), "{failing}");
        assert_down(&server).await;
        status.store(204, Relaxed);
        until_health_is(&watcher, 200).await;
        let workers = watcher.get("/debug/workers").await.text();
        let metrics = watcher.get("/metrics").await.text();
        assert!(metrics.contains("/up?key=REDACTED"), "{metrics}");
        for shown in [server.log(), failing, workers, metrics] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    });
}

#[test]
fn c1_2_health_http_asks_over_tls_whom_it_trusts() {
    run(async {
        let authority = Authority::new("Company");
        let trusted = builder().tls(&Wanted::localhost().signed_by(&authority)).start();
        let stranger = builder().tls(&Wanted::localhost().self_signed()).start();
        for (asked, status) in [(&trusted, 200), (&stranger, 503)] {
            let line = format!(
                "health: {{http: [{{uri: 'https://localhost:{}/', timeout: 20s, interval: 10ms}}]}}",
                asked.address().port()
            );
            let builder = watched().config(line).environment("SSL_CERT_FILE", "ca.pem");
            builder.write("ca.pem", authority.certificate());
            let server = builder.start();
            let watcher = watcher(&server).await;
            until_health_is(&watcher, status).await;
            if status == 503 {
                let failing = watcher.get("/debug/health").await.text();
                assert!(
                    failing.contains("TLS failed: invalid peer certificate"),
                    "{failing}"
                );
            }
        }
    });
}

#[test]
fn without_checks_all_is_well() {
    run(async {
        let server = watched().start();
        let watcher = watcher(&server).await;
        watcher.get("/debug/health").await.expect(200).expect_body("{}");
        server.anonymous().get("/").await.expect(200).expect_body("");
    });
}

#[test]
fn checks_that_cannot_work_are_refused_with_a_reason() {
    for (line, why) in [
        ("file: [{interval: 1s}]", "`health.file[0].file` is missing"),
        (
            "tcp: [{addr: localhost}]",
            "`health.tcp[0].addr` must be `host:port`",
        ),
        ("http: [{uri: 'ftp://localhost/'}]", "must be a URL"),
        (
            "http: [{uri: 'http://u:hunter2@localhost/'}]",
            "must not have a password",
        ),
        ("http: [{uri: 'localhost'}]", "must be a URL"),
        (
            "http: [{uri: 'http://localhost/', statuscode: 9999}]",
            "must be an HTTP status",
        ),
        ("file: [{file: /a}, {file: /a}]", "is there twice"),
        (
            "storagedriver: {enabled: true, threshold: -1}",
            "must be a number from 0",
        ),
    ] {
        let (status, said) = builder()
            .config(format!("health: {{{line}}}"))
            .unchecked()
            .output();
        assert!(!status.success() && said.contains(why), "{line}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
