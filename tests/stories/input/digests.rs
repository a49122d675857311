//! Malformed digests, and bytes that do not have their digest.

use wharf_testkit::{Method, Server, digest, image::Blob};

wharf_testkit::on_both_engines![
    malformed_digests_are_refused_with_a_reason,
    a_digest_that_is_a_path_is_refused,
    a_mismatch_names_both_digests_and_stores_nothing,
    a_mismatch_by_sha512_stores_nothing,
    two_digests_in_one_query_are_not_mixed_up,
];

async fn malformed_digests_are_refused_with_a_reason(server: Server) {
    let client = server.anonymous();
    let hex = &digest::unknown(1)[7..];
    let upper = hex.to_uppercase();
    let cases = [
        (format!("sha256:{}", &hex[..45]), "45"),
        (format!("sha256:{hex}a"), "65"),
        ("sha256:".to_owned(), "64"),
        (format!("sha512:{hex}"), "128"),
        (format!("md5:{}", &hex[..32]), "md5"),
        (format!("sha1:{}", &hex[..40]), "sha1"),
        (format!("sha256:{}g", &hex[..63]), "g"),
        (format!("sha256:{upper}"), "lower"),
    ];
    for (digest, reason) in &cases {
        for (method, path) in [
            (Method::GET, format!("/v2/a/blobs/{digest}")),
            (Method::DELETE, format!("/v2/a/blobs/{digest}")),
            (Method::GET, format!("/v2/a/manifests/{digest}")),
            (Method::DELETE, format!("/v2/a/manifests/{digest}")),
            (Method::PUT, format!("/v2/a/manifests/{digest}")),
            (Method::GET, format!("/v2/a/referrers/{digest}")),
            (Method::POST, format!("/v2/a/blobs/uploads/?digest={digest}")),
        ] {
            client
                .request(method, &path)
                .await
                .expect_error(400, "DIGEST_INVALID")
                .expect_message(reason);
        }
        client
            .head(&format!("/v2/a/blobs/{digest}"))
            .await
            .expect(400)
            .expect_body("");
    }
}

async fn a_digest_that_is_a_path_is_refused(server: Server) {
    let hex = &digest::unknown(1)[7..];
    for digest in [
        format!("sha256:..%2f..%2f{}", &hex[..50]),
        format!("sha256:%2e%2e%2f{}", &hex[..61]),
        format!("..:{hex}"),
        format!("sha256:{}%00", &hex[..63]),
    ] {
        let mut raw = server.raw().await;
        raw.send(format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, 400, "{digest}: {}{}", answer.head, answer.text());
    }
}

/// "digest mismatch at PUT (400, session gone, nothing stored)"
async fn a_mismatch_names_both_digests_and_stores_nothing(server: Server) {
    let repository = server.anonymous().repository("a");
    let (blob, other) = (Blob::random(1, 100_000), Blob::random(2, 100_000));
    let location = repository.start_upload().await;
    repository
        .append(&location, blob.bytes.slice(..50_000))
        .await
        .expect(202);
    repository
        .finish(&location, &other.digest, blob.bytes.slice(50_000..))
        .await
        .expect_error(400, "DIGEST_INVALID")
        .expect_message(&blob.digest)
        .expect_message(&other.digest);
    repository
        .client()
        .get(&location)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    for digest in [&blob.digest, &other.digest] {
        repository.head_blob(digest).await.expect(404);
    }
    let uploads = server.tree().join("repositories/a/_uploads");
    assert_eq!(
        std::fs::read_dir(uploads).map_or(0, Iterator::count),
        0,
        "the session left something behind"
    );
    repository.push_blob(&other).await;
}

async fn a_mismatch_by_sha512_stores_nothing(server: Server) {
    let repository = server.anonymous().repository("a");
    let (blob, other) = (Blob::random(1, 1000), Blob::random(2, 1000));
    let location = repository.start_upload().await;
    repository
        .finish(&location, &other.sha512(), blob.bytes.clone())
        .await
        .expect_error(400, "DIGEST_INVALID")
        .expect_message(&blob.sha512());
    repository.head_blob(&other.sha512()).await.expect(404);
    repository.head_blob(&blob.digest).await.expect(404);
}

/// Of two digests either may count: the stored bytes have the digest under which they are found.
async fn two_digests_in_one_query_are_not_mixed_up(server: Server) {
    let repository = server.anonymous().repository("a");
    let (blob, other) = (Blob::random(1, 1000), Blob::random(2, 1000));
    let location = repository.start_upload().await;
    let target = format!("{location}?digest={}&digest={}", blob.digest, other.digest);
    let answer = repository.client().put(&target).body(blob.bytes.clone()).await;
    assert!(matches!(answer.status.as_u16(), 201 | 400), "{answer}");
    repository.head_blob(&other.digest).await.expect(404);
}
