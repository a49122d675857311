//! end-1: `GET /v2/`.

use wharf_testkit::{Server, json};

wharf_testkit::on_both_engines![
    answers_that_it_speaks_the_protocol,
    answers_without_the_final_slash,
    answers_head,
    answers_over_http2,
];

/// "If the response is `200 OK`, then the registry implements this specification."
async fn answers_that_it_speaks_the_protocol(server: Server) {
    let answer = server.anonymous().get("/v2/").await.expect(200);
    assert_eq!(answer.json(), json!({}), "{answer}");
    answer
        .expect_header("docker-distribution-api-version", "registry/2.0")
        .expect_header("content-type", "application/json; charset=utf-8");
}

/// registry:2 redirects `/v2` to `/v2/`; a client that does not follow must be served as well.
async fn answers_without_the_final_slash(server: Server) {
    server.anonymous().get("/v2").await.expect(200);
}

async fn answers_head(server: Server) {
    server
        .anonymous()
        .head("/v2/")
        .await
        .expect(200)
        .expect_header("docker-distribution-api-version", "registry/2.0")
        .expect_body("");
}

async fn answers_over_http2(server: Server) {
    server.anonymous_http2().get("/v2/").await.expect(200);
}
