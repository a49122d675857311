//! A user interface on another host, such as Joxit's, in a browser: preflights and what its pages may read.

use wharf_testkit::{Answer, Client, Method, ServerBuilder, suite::Suite};

use crate::{complaints, refuses_to_start, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[],
        [
            s2_04_the_headers_that_joxit_asks_for_make_its_interface_work,
            several_origins_among_the_headers_each_get_their_own,
            s2_04_a_preflight_needs_no_password_and_everything_else_does,
            http_cors_says_all_that_a_browser_wants_to_know,
            options_is_no_preflight_without_an_origin,
            cors_that_cannot_work_is_named,
        ]
    );
}

const UI: &str = "http://ui.example:8001";

/// The preflight of a browser before a DELETE with a password.
async fn preflight(client: &Client, origin: &str) -> Answer {
    client
        .request(Method::OPTIONS, "/v2/a/manifests/sha256:1")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "DELETE")
        .header("Access-Control-Request-Headers", "authorization")
        .await
}

/// The comma separated elements of a header, whatever lines they came in.
fn list(answer: &Answer, name: &str) -> Vec<String> {
    let values = answer.headers.get_all(name).iter();
    values
        .flat_map(|value| value.to_str().unwrap().split(','))
        .map(|element| element.trim().to_ascii_lowercase())
        .collect()
}

/// Checks by the rules of browsers that a page of `UI` may delete with a password, and read the digest.
async fn works(client: &Client) {
    let asked = preflight(client, UI).await;
    assert!(asked.status.is_success(), "{asked}");
    let asked = asked
        .expect_header("access-control-allow-origin", UI)
        .expect_header("access-control-allow-credentials", "true");
    assert!(
        list(&asked, "access-control-allow-methods").contains(&"delete".to_owned()),
        "{asked}"
    );
    for needed in ["authorization", "accept", "cache-control"] {
        assert!(
            list(&asked, "access-control-allow-headers").contains(&needed.to_owned()),
            "{asked}"
        );
    }
    for path in ["/v2/_catalog", "/v2/nothing/tags/list"] {
        let read = client.get(path).header("Origin", UI).await;
        let read = read
            .expect_header("access-control-allow-origin", UI)
            .expect_header("access-control-allow-credentials", "true");
        let exposed = list(&read, "access-control-expose-headers");
        assert!(exposed.contains(&"docker-content-digest".to_owned()), "{read}");
    }
}

async fn s2_04_the_headers_that_joxit_asks_for_make_its_interface_work(builder: ServerBuilder) {
    let server = builder
        .http("headers:")
        .http("  X-Content-Type-Options: [nosniff]")
        .http(format!("  Access-Control-Allow-Origin: ['{UI}']"))
        .http("  Access-Control-Allow-Methods: ['HEAD', 'GET', 'OPTIONS', 'DELETE']")
        .http("  Access-Control-Allow-Headers: ['Authorization', 'Accept', 'Cache-Control']")
        .http("  Access-Control-Max-Age: [1728000]")
        .http("  Access-Control-Allow-Credentials: [true]")
        .http("  Access-Control-Expose-Headers: ['Docker-Content-Digest']")
        .start();
    assert!(complaints(&server.log()).is_empty(), "{}", server.log());
    works(&server.anonymous()).await;
    works(&server.anonymous_http2()).await;
}

async fn s2_04_a_preflight_needs_no_password_and_everything_else_does(builder: ServerBuilder) {
    let origins = format!("  Access-Control-Allow-Origin: ['{UI}']");
    for lines in [
        vec![format!("cors: {{origins: ['{UI}'], credentials: true}}")],
        vec![
            "headers:".to_owned(),
            origins,
            "  Access-Control-Allow-Credentials: [true]".to_owned(),
        ],
    ] {
        let builder = builder.another().htpasswd("users");
        let builder = lines.into_iter().fold(builder, ServerBuilder::http);
        let server = builder.start();
        let client = server.anonymous();
        let asked = preflight(&client, UI).await.expect(204);
        asked.expect_header("access-control-allow-origin", UI);
        // The page must be able to see that a password is required.
        let refused = client.get("/v2/_catalog").header("Origin", UI).await;
        refused
            .expect_error(401, "UNAUTHORIZED")
            .expect_header("access-control-allow-origin", UI)
            .expect_header("access-control-allow-credentials", "true");
        let curious = client.request(Method::OPTIONS, "/v2/a/tags/list").await;
        curious.expect_error(401, "UNAUTHORIZED");
    }
}

async fn several_origins_among_the_headers_each_get_their_own(builder: ServerBuilder) {
    let server = builder
        .http("headers:")
        .http(format!(
            "  Access-Control-Allow-Origin: ['http://other.example', '{UI}']"
        ))
        .http("  Access-Control-Allow-Methods: ['GET', 'DELETE']")
        .http("  Access-Control-Allow-Headers: ['Authorization', 'Accept', 'Cache-Control']")
        .http("  Access-Control-Allow-Credentials: [true]")
        .http("  Access-Control-Expose-Headers: ['Docker-Content-Digest']")
        .start();
    let client = server.anonymous();
    works(&client).await;
    preflight(&client, "http://other.example")
        .await
        .expect_header("access-control-allow-origin", "http://other.example")
        .expect_header("vary", "Origin");
    preflight(&client, "http://evil.example")
        .await
        .expect_no_header("access-control-allow-origin");
}

async fn http_cors_says_all_that_a_browser_wants_to_know(builder: ServerBuilder) {
    let server = builder
        .http(format!(
            "cors: {{origins: ['{UI}/', 'https://b.example'], credentials: true}}"
        ))
        .start();
    let client = server.anonymous();
    works(&client).await;
    for origin in [
        "http://evil.example",
        "null",
        "http://ui.example",
        "https://ui.example:8001",
    ] {
        for answer in [
            preflight(&client, origin).await.expect(204),
            client.get("/v2/").header("Origin", origin).await.expect(200),
        ] {
            answer
                .expect_header("vary", "Origin")
                .expect_no_header("access-control-allow-origin")
                .expect_no_header("access-control-allow-credentials");
        }
    }
    let plain = client.get("/v2/").await.expect(200);
    plain
        .expect_header("vary", "Origin")
        .expect_no_header("access-control-allow-origin");
}

async fn options_is_no_preflight_without_an_origin(builder: ServerBuilder) {
    let with = builder.another().http("cors: {origins: ['*']}").start();
    let without = builder.start();
    for server in [&with, &without] {
        let answer = server
            .anonymous()
            .request(Method::OPTIONS, "/v2/a/tags/list")
            .await;
        answer
            .expect(200)
            .expect_header("allow", "GET, HEAD")
            .expect_body("");
    }
    preflight(&with.anonymous(), UI)
        .await
        .expect(204)
        .expect_header("access-control-allow-origin", "*");
    // The configuration names no other origin: this is a request like any other.
    preflight(&without.anonymous(), UI)
        .await
        .expect_error(400, "DIGEST_INVALID")
        .expect_no_header("access-control-allow-origin");
}

async fn cors_that_cannot_work_is_named(builder: ServerBuilder) {
    for (line, expected) in [
        ("cors: {origins: [ui.example]}", "`ui.example` is not an origin"),
        ("cors: {origins: ['http://a/b']}", "`http://a/b` is not an origin"),
        (
            "cors: {origins: ['*'], credentials: true}",
            "`http.cors.credentials` cannot be true for `*`",
        ),
    ] {
        refuses_to_start(&builder.another().http(line), expected);
    }
    let twice = builder
        .another()
        .http("headers: {Access-Control-Allow-Origin: ['http://a']}")
        .http("cors: {origins: ['http://a']}");
    refuses_to_start(&twice, "have the same meaning");
    let star = builder
        .http("headers: {Access-Control-Allow-Origin: ['*'], Access-Control-Allow-Credentials: [true]}")
        .start();
    assert!(
        star.log()
            .contains("allows credentials for the origin `*`, which browsers refuse")
    );
}
