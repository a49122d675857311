//! The answers to clients: challenges, refusals, and no effect before a request is allowed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use wharf_testkit::suite::Suite;
use wharf_testkit::{Bytes, Method, Server, Value, basic, eventually, json};

use crate::scene::{WHARF, builder_with, entry, mentions, says, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            every_route_needs_credentials_except_liveness,
            s1_22_a_refusal_teaches,
            what_was_missing_is_listed,
            a_realm_cannot_end_its_header,
            nothing_is_read_before_it_is_allowed,
            names_go_to_the_logs_and_passwords_do_not,
            two_authorization_headers_are_refused,
            a_flood_of_guesses_is_bounded_and_disturbs_nobody_known,
            a_user_pushes_pulls_and_deletes,
            http2_is_no_way_round,
        ]
    );
}

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

async fn every_route_needs_credentials_except_liveness() {
    let server = builder_with(entry("alice", "pw")).start();
    let anonymous = server.anonymous();
    anonymous.get("/").await.expect(200);
    let paths = [
        "/v2",
        "/v2/",
        "/v2/_catalog",
        "/v2/a/tags/list",
        "/v2/a/manifests/latest",
        &format!("/v2/a/manifests/{DIGEST}"),
        &format!("/v2/a/blobs/{DIGEST}"),
        "/v2/a/blobs/uploads/",
        "/v2/a/blobs/uploads/0b7a2c0e-1d52-4a4f-8d6c-7f0b0c3b2a11",
        &format!("/v2/a/referrers/{DIGEST}"),
        "/v2/%61/tags/list",
        "/v2/a%2fb/tags/list",
        "//v2/a/tags/list",
        "/v2//a/tags/list",
        "/v2/a/../b/tags/list",
        "/V2/",
        "/v2/a/tags/list/",
        "/v2/_catalog/",
        "/v2/x/_catalog",
    ];
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ];
    for path in paths {
        for method in &methods {
            let status = anonymous.request(method.clone(), path).await.status.as_u16();
            // An unknown path is answered without credentials, and an unclean one sent to the clean one, as by registry:2.
            assert!(
                matches!(status, 301 | 401 | 400 | 404),
                "{method} {path}: {status}"
            );
            let wrong = anonymous
                .clone()
                .as_user("alice", "no")
                .request(method.clone(), path)
                .await;
            assert_eq!(
                wrong.status.as_u16(),
                status,
                "{method} {path} with a wrong password"
            );
        }
    }
    for path in &paths[..9] {
        for method in &methods {
            anonymous.request(method.clone(), path).await.expect(401);
        }
    }
}

async fn s1_22_a_refusal_teaches() {
    let server = builder_with(entry("alice", "pw")).start();
    let anonymous = server.anonymous();
    let ask = |value: Option<&str>| {
        let request = anonymous.get("/v2/_catalog");
        match value {
            Some(value) => request.header("authorization", value),
            None => request,
        }
    };
    let said = |answer: wharf_testkit::Answer| {
        answer
            .expect_error(401, "UNAUTHORIZED")
            .expect_header("www-authenticate", "Basic realm=\"Registry Realm\"")
            .expect_header("docker-distribution-api-version", "registry/2.0")
            .messages()
    };
    assert!(said(ask(None).await).contains("`-u NAME` for curl"));
    let wrong = said(ask(Some(&basic("alice", "no"))).await);
    assert!(wrong.contains("the user name or password is wrong"), "{wrong}");
    let unknown = said(ask(Some(&basic("eve", "no"))).await);
    assert_eq!(unknown, wrong, "nobody learns which names there are");
    assert!(said(ask(Some("Bearer abc")).await).contains("not a token"));
    for (value, expected) in [
        ("", "does not begin with `Basic`"),
        ("Digest abc", "does not begin with `Basic`"),
        ("Basic !!!", "not base64"),
        ("Basic YWxpY2U=", "no `:`"),
    ] {
        let said = said(ask(Some(value)).await);
        assert!(said.contains(expected), "{value}: {said}");
    }
    ask(Some(&basic("alice", "pw"))).await.expect(200);
}

async fn what_was_missing_is_listed() {
    let server = builder_with(entry("alice", "pw")).start();
    let detail = async |method: Method, path: &str| {
        let answer = server.anonymous().request(method, path).await.expect(401);
        let detail = answer.errors()[0].get("detail").cloned();
        detail.unwrap_or_else(|| panic!("there is a detail, if only null\n{answer}"))
    };
    let right = |kind: &str, name: &str, action: &str| json!({"Type": kind, "Class": "", "Name": name, "Action": action});
    assert_eq!(detail(Method::GET, "/v2/").await, Value::Null);
    assert_eq!(
        detail(Method::GET, "/v2/_catalog").await,
        json!([right("registry", "catalog", "*")])
    );
    assert_eq!(
        detail(Method::GET, "/v2/a/b/tags/list").await,
        json!([right("repository", "a/b", "pull")])
    );
    assert_eq!(
        detail(
            Method::POST,
            &format!("/v2/a/blobs/uploads/?mount={DIGEST}&from=b/c")
        )
        .await,
        json!([
            right("repository", "a", "pull"),
            right("repository", "a", "push"),
            right("repository", "b/c", "pull")
        ])
    );
    assert_eq!(
        detail(Method::DELETE, "/v2/a/manifests/1").await,
        json!([right("repository", "a", "delete")])
    );
}

async fn a_realm_cannot_end_its_header() {
    let realm = r#"auth: {htpasswd: {realm: "My \"Realm\"\r\nX-Evil: 1 é", path: htpasswd}}"#;
    let builder = Server::builder(WHARF).inmemory().config(realm);
    std::fs::write(builder.directory().join("htpasswd"), entry("alice", "pw")).unwrap();
    let server = builder.start();
    let mut raw = server.raw().await;
    raw.send("GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = raw.answer().await.expect(401);
    assert!(
        answer
            .head
            .contains("\r\nWww-Authenticate: Basic realm=\"My \\\"Realm\\\"\\r\\nX-Evil: 1 é\"\r\n"),
        "{}",
        answer.head
    );
}

/// A client that waits for `100 Continue` never gets one, and one that sends gets its answer first.
async fn nothing_is_read_before_it_is_allowed() {
    let server = builder_with(entry("alice", "pw")).start();
    let start = server
        .anonymous()
        .as_user("alice", "pw")
        .post("/v2/a/blobs/uploads/")
        .await
        .expect(202);
    let upload = start.location();
    for credentials in [
        String::new(),
        format!("Authorization: {}\r\n", basic("alice", "no")),
    ] {
        let mut raw = server.raw().await;
        raw.send(format!(
            "PATCH {upload} HTTP/1.1\r\nHost: x\r\n{credentials}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        ))
        .await;
        let closed = raw.closed().await;
        let text = String::from_utf8_lossy(&closed);
        assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
    }
    server
        .anonymous()
        .patch(&upload)
        .streamed(&Bytes::from(vec![0; 1 << 20]), 1 << 16)
        .await
        .expect(401);
    let alice = server.anonymous().as_user("alice", "pw");
    let status = alice.get(&upload).await.expect(204);
    assert_eq!(status.header("range"), "0-0", "nothing was stored");
    alice.delete(&upload).await.expect(204);
}

async fn names_go_to_the_logs_and_passwords_do_not() {
    let server = builder_with(entry("alice w", "s3cretpw") + &entry("bob", "s3cretpw")).start();
    let anonymous = server.anonymous();
    anonymous
        .clone()
        .as_user("alice w", "s3cretpw")
        .get("/v2/_catalog?n=11")
        .await
        .expect(200);
    anonymous
        .clone()
        .as_user("bob", "s3cretpw")
        .get("/v2/a/tags/list?n=12")
        .await
        .expect(404);
    anonymous
        .clone()
        .as_user("bob", "gu3ss")
        .get("/v2/_catalog?n=13")
        .await
        .expect(401);
    // A user typed the password in the field of the name.
    anonymous
        .clone()
        .as_user("s3cretpw", "")
        .get("/v2/_catalog?n=14")
        .await
        .expect(401);
    anonymous.get("/v2/_catalog?n=15").await.expect(401);
    eventually("the access log is written", || async {
        mentions(&server, "n=15 HTTP/1.1\" 401") == 1
    })
    .await;
    says(&server, "login with a wrong password", 1).await;
    says(&server, "login with a name that is not in the password file", 1).await;
    let log = server.log();
    let line = |what: &str| log.lines().find(|line| line.contains(what)).expect(&log);
    assert!(
        line("n=11").contains("127.0.0.1 - alice\\x20w ["),
        "{}",
        line("n=11")
    );
    assert!(
        line("n=12").contains("127.0.0.1 - bob ["),
        "also when there is nothing: {}",
        line("n=12")
    );
    assert!(
        line("n=13").contains("127.0.0.1 - - ["),
        "a guess is nobody's: {}",
        line("n=13")
    );
    assert!(
        line("wrong password").contains("auth.user.name=bob"),
        "{}",
        line("wrong password")
    );
    let encoded = basic("bob", "s3cretpw");
    for secret in [
        "s3cretpw",
        "gu3ss",
        "Basic ",
        encoded.trim_start_matches("Basic "),
    ] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

async fn two_authorization_headers_are_refused() {
    let server = builder_with(entry("alice", "pw")).start();
    let (right, wrong) = (basic("alice", "pw"), basic("alice", "no"));
    for (first, second) in [(&right, &wrong), (&wrong, &right), (&right, &right)] {
        let mut raw = server.raw().await;
        raw.send(format!(
            "GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: {first}\r\nAuthorization: {second}\r\n\r\n"
        ))
        .await;
        let answer = raw.answer().await.expect(401);
        assert!(
            answer.text().contains("more than one `Authorization` header"),
            "{}",
            answer.text()
        );
    }
}

/// Guesses cost bounded work, and known credentials are served meanwhile.
async fn a_flood_of_guesses_is_bounded_and_disturbs_nobody_known() {
    // At this cost a check takes a good part of a second: the queue stays full for as long as this takes.
    let server = builder_with(entry("alice", "pw")).start();
    let alice = server.anonymous().as_user("alice", "pw");
    alice.get("/v2/").await.expect(200);
    let slow = wharf_testkit::tool::Bench::new().run(WHARF, &["htpasswd", "-nbC", "13", "bob", "pw"]);
    let file = server.directory().join("htpasswd");
    let text = std::fs::read_to_string(&file).unwrap() + &slow;
    std::fs::write(&file, text).unwrap();
    alice.get("/v2/").await.expect(200);
    let guesses: Vec<_> = (0..150)
        .map(|number| {
            let eve = server.anonymous().as_user("bob", &format!("guess{number}"));
            tokio::spawn(async move { eve.get("/v2/").try_send().await })
        })
        .collect();
    // Each with a password of its own: the same one again would wait with the first.
    let refused = Mutex::new(None);
    let attempt = AtomicUsize::new(0);
    eventually("the queue is full", || async {
        let number = attempt.fetch_add(1, Ordering::Relaxed);
        let busy = server.anonymous().as_user("bob", &format!("another{number}"));
        let answer = timeout(Duration::from_millis(100), busy.get("/v2/").try_send()).await;
        *refused.lock().unwrap() = answer.ok().and_then(Result::ok);
        refused.lock().unwrap().is_some()
    })
    .await;
    let refused = refused.into_inner().unwrap().unwrap();
    refused
        .expect_error(429, "TOOMANYREQUESTS")
        .expect_header("retry-after", "1");
    for _ in 0..50 {
        alice.get("/v2/").await.expect(200);
    }
    for guess in guesses {
        // Waiting requests do not delay a known user.
        guess.abort();
    }
}

async fn a_user_pushes_pulls_and_deletes() {
    let server = Server::builder(WHARF).htpasswd("htpasswd");
    std::fs::write(server.directory().join("htpasswd"), entry("alice", "pw")).unwrap();
    let server = server.start();
    let alice = server.anonymous().as_user("alice", "pw");
    let image = wharf_testkit::image::oci(1);
    let repository = alice.repository("kyo/app");
    repository.push_image("1.0", &image).await;
    server
        .anonymous()
        .get("/v2/kyo/app/manifests/1.0")
        .await
        .expect(401);
    alice.get("/v2/kyo/app/manifests/1.0").await.expect(200);
    alice.delete("/v2/kyo/app/manifests/1.0").await.expect(202);
    alice.get("/v2/kyo/app/manifests/1.0").await.expect(404);
}

async fn http2_is_no_way_round() {
    let server = builder_with(entry("alice", "pw")).start();
    let client = server.anonymous_http2();
    client
        .get("/v2/")
        .await
        .expect(401)
        .expect_header("www-authenticate", "Basic realm=\"Registry Realm\"");
    client
        .clone()
        .as_user("alice", "no")
        .get("/v2/_catalog")
        .await
        .expect(401);
    client
        .as_user("alice", "pw")
        .get("/v2/_catalog")
        .await
        .expect(200);
}
