//! Pages of other sites: requests that a browser sends for them, and names that lead here by a trick.

use wharf_testkit::{Method, ServerBuilder};

use super::{Api, ExpectProblem as _, with_socket, with_users};

wharf_testkit::configured_on_both_engines![
    without_users_other_names_and_other_machines_are_refused,
    with_users_a_page_of_another_site_is_refused,
];

async fn without_users_other_names_and_other_machines_are_refused(builder: ServerBuilder) {
    let server = with_socket(builder).http("trustedproxies: [127.0.0.1]").start();
    let api = Api::new(server.anonymous(), "/api/v1").await;
    let port = server.address().port();
    for (host, status, kind) in [
        (format!("localhost:{port}"), 200, ""),
        (format!("127.0.0.1:{port}"), 200, ""),
        (format!("[::1]:{port}"), 200, ""),
        (format!("evil.example:{port}"), 403, "foreign-host"),
        ("localhost.evil.example".to_owned(), 403, "foreign-host"),
        ("10.1.2.3".to_owned(), 403, "foreign-host"),
    ] {
        let mut raw = server.raw().await;
        let request = format!("GET /api/v1/whoami HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw.send(request.as_bytes()).await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, status, "{host}");
        assert!(String::from_utf8_lossy(&answer.body).contains(kind), "{host}");
    }
    let through = [("x-forwarded-for", "203.0.113.7")];
    let answer = api.send(Method::GET, "/whoami", &through, None).await;
    answer.expect_problem(403, "not-this-machine");
    let named = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-for", "127.0.0.1"),
    ];
    let answer = api.send(Method::GET, "/whoami", &named, None).await;
    answer.expect_problem(403, "foreign-host");
    for header in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("origin", "null"),
    ] {
        let answer = api.send(Method::GET, "/whoami", &[header], None).await;
        answer.expect_problem(403, "cross-site");
    }
    // What registry:2 answers, it answers as before.
    server
        .anonymous()
        .get("/v2/")
        .header("origin", "https://evil.example")
        .await
        .expect(200);
}

async fn with_users_a_page_of_another_site_is_refused(builder: ServerBuilder) {
    let cors = "cors: {origins: ['https://ui.example']}";
    let server = with_users(builder).http(cors).start();
    let operator = Api::of_operator(&server).await;
    let alice = operator.with(server.anonymous().as_user("alice", "pw"));
    let own = format!("http://{}", server.address());
    for (header, status) in [
        (("origin", own.as_str()), 200),
        (("sec-fetch-site", "same-origin"), 200),
        (("sec-fetch-site", "none"), 200),
        (("sec-fetch-site", "same-site"), 403),
        (("sec-fetch-site", "cross-site"), 403),
        (("origin", "https://evil.example"), 403),
        (("origin", "https://ui.example"), 403),
        (("origin", "null"), 403),
    ] {
        let answer = alice.send(Method::GET, "/whoami", &[header], None).await;
        let answer = answer
            .expect(status)
            .expect_no_header("access-control-allow-origin");
        if status == 403 {
            answer.expect_problem(403, "cross-site");
        }
    }
    // Not a browser's word: a name of any kind may lead to a server whose users log in.
    let named = [("x-forwarded-host", "a.example")];
    alice.send(Method::GET, "/whoami", &named, None).await.expect(200);
    let foreign = [("origin", "null")];
    operator
        .send(Method::GET, "/whoami", &foreign, None)
        .await
        .expect(200);
}
