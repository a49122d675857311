//! Error codes, their statuses, and the form of their bodies.

use wharf_testkit::{Answer, Server, StatusCode, digest};

wharf_testkit::on_both_engines![
    every_error_has_the_form_of_the_specification,
    a_wrong_method_is_405_and_names_the_right_ones,
    an_unknown_route_is_404,
    head_answers_errors_without_a_body,
    errors_end_in_a_newline_and_are_json,
];

const CODES: [&str; 16] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
    // Of the Docker Registry HTTP API V2.
    "PAGINATION_NUMBER_INVALID",
    "RANGE_INVALID",
];

async fn all_kinds(server: &Server) -> Vec<Answer> {
    let client = server.anonymous();
    let unknown = digest::unknown(1);
    vec![
        client.get(&format!("/v2/a/blobs/{unknown}")).await,
        client.get("/v2/a/blobs/sha256:x").await,
        client.get("/v2/a/manifests/latest").await,
        client.get(&format!("/v2/a/manifests/{unknown}")).await,
        client
            .put("/v2/a/manifests/latest")
            .header("Content-Type", "application/json")
            .body("{")
            .await,
        client.get("/v2/a/tags/list").await,
        client.get("/v2/_catalog?n=x").await,
        client.get("/v2/a/blobs/uploads/0").await,
        client.get("/v2/A/tags/list").await,
        client.delete("/v2/_catalog").await,
    ]
}

/// "If the response body is in JSON format, it MUST have the following format". "The `code` field
/// MUST be a unique identifier, containing only uppercase alphabetic characters and underscores."
async fn every_error_has_the_form_of_the_specification(server: Server) {
    for answer in all_kinds(&server).await {
        assert!(answer.status.is_client_error(), "{answer}");
        for error in answer.errors() {
            let code = error["code"].as_str().unwrap_or_else(|| panic!("{answer}"));
            assert!(
                CODES.contains(&code),
                "`{code}` is not a code of the specification\n{answer}"
            );
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty()),
                "{answer}"
            );
        }
    }
}

async fn a_wrong_method_is_405_and_names_the_right_ones(server: Server) {
    let client = server.anonymous();
    let cases = [
        ("/v2/a/tags/list", "POST"),
        ("/v2/a/tags/list", "DELETE"),
        ("/v2/_catalog", "PUT"),
        ("/v2/a/blobs/uploads/", "PATCH"),
        ("/v2/a/manifests/latest", "PATCH"),
        ("/v2/a/manifests/latest", "POST"),
        (&format!("/v2/a/blobs/{}", digest::unknown(1)), "PUT"),
        (&format!("/v2/a/referrers/{}", digest::unknown(1)), "DELETE"),
        ("/v2/", "DELETE"),
    ];
    for (path, method) in cases {
        let answer = client
            .request(method.parse().unwrap(), path)
            .await
            .expect_error(405, "UNSUPPORTED");
        let allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        assert!(!allowed.is_empty() && !allowed.contains(&method), "{answer}");
    }
}

async fn an_unknown_route_is_404(server: Server) {
    let client = server.anonymous();
    for path in [
        "/v1/",
        "/v2/a",
        "/v2/a/nonsense",
        "/v2/a/manifests/",
        "/v2/a/blobs/",
        "/nothing",
        "/v2//tags/list",
    ] {
        let status = client.get(path).await.status;
        assert!(
            matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST),
            "{path}: {status}"
        );
    }
}

/// RFC 9110, 9.3.2.
async fn head_answers_errors_without_a_body(server: Server) {
    let client = server.anonymous();
    client
        .head(&format!("/v2/a/blobs/{}", digest::unknown(1)))
        .await
        .expect(404)
        .expect_body("");
    client
        .head("/v2/a/manifests/latest")
        .await
        .expect(404)
        .expect_body("");
    client
        .head("/v2/a/blobs/sha256:x")
        .await
        .expect(400)
        .expect_body("");
}

async fn errors_end_in_a_newline_and_are_json(server: Server) {
    for answer in all_kinds(&server).await {
        assert!(answer.text().ends_with("}\n"), "{answer}");
        answer.expect_header("content-type", "application/json; charset=utf-8");
    }
}
