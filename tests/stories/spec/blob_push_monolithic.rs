//! end-4a, end-4b, end-6: a blob in one piece.

use wharf_testkit::{Server, digest, image::Blob};

wharf_testkit::on_both_engines![
    post_gives_a_session,
    each_post_gives_another_session,
    post_then_put_stores_the_blob,
    a_session_ends_with_its_put,
    put_by_sha512_stores_the_blob,
    put_of_a_streamed_body_stores_the_blob,
    single_post_stores_the_blob,
    single_post_by_sha512_stores_the_blob,
    single_post_with_another_digest_is_refused,
    an_empty_blob_can_be_pushed,
    pushing_the_same_blob_again_succeeds,
    put_with_another_digest_is_refused_and_ends_the_session,
    put_without_a_digest_is_refused,
    put_with_a_malformed_digest_is_refused,
    post_without_the_final_slash_is_a_session_too,
    pushes_over_http2,
];

/// "Upon success, the response MUST have a code of `202 Accepted`, and MUST include" `Location`.
/// No query string that a client could lose: the location is a path and nothing else.
async fn post_gives_a_session(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let answer = repository
        .client()
        .post(&repository.uploads_path())
        .await
        .expect(202);
    let location = answer.location();
    assert!(
        location.starts_with("/v2/kyo/my-image/blobs/uploads/"),
        "{answer}"
    );
    assert!(!location.contains('?'), "the location has a query\n{answer}");
    assert!(
        location.ends_with(answer.header("docker-upload-uuid")),
        "{answer}"
    );
    answer
        .expect_header("range", "0-0")
        .expect_header("content-length", "0");
}

/// "The `<blob-push-location>` MUST contain a UUID representing a unique session ID"
async fn each_post_gives_another_session(server: Server) {
    let repository = server.anonymous().repository("a");
    assert_ne!(repository.start_upload().await, repository.start_upload().await);
}

/// "Upon successful completion of the request, the response MUST have code `201 Created` and MUST
/// have" a `Location`, "a pullable blob URL".
async fn post_then_put_stores_the_blob(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let blob = Blob::random(1, 2_500_000);
    let location = repository.start_upload().await;
    let answer = repository
        .finish(&location, &blob.digest, blob.bytes.clone())
        .await
        .expect(201)
        .expect_header("docker-content-digest", &blob.digest)
        .expect_header("content-length", "0");
    assert_eq!(answer.location(), repository.blob_path(&blob.digest), "{answer}");
    repository
        .client()
        .get(&answer.location())
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}

async fn a_session_ends_with_its_put(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 10);
    let location = repository.start_upload().await;
    repository
        .finish(&location, &blob.digest, blob.bytes.clone())
        .await
        .expect(201);
    repository
        .client()
        .get(&location)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    repository
        .append(&location, blob.bytes)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

async fn put_by_sha512_stores_the_blob(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 100_000);
    let location = repository.start_upload().await;
    let answer = repository
        .finish(&location, &blob.sha512(), blob.bytes.clone())
        .await
        .expect(201);
    repository
        .client()
        .get(&answer.location())
        .await
        .expect(200)
        .expect_body(&blob.bytes);
    repository
        .get_blob(&blob.sha512())
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}

/// RFC 9112, 7.1: a body need not announce its length.
async fn put_of_a_streamed_body_stores_the_blob(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 300_000);
    let location = repository.start_upload().await;
    repository
        .finish(&location, &blob.digest, "")
        .streamed(&blob.bytes, 7_000)
        .await
        .expect(201);
    repository.expect_blob(&blob).await;
}

/// end-4b: "Successful completion of the request MUST return a `201 Created` and MUST include"
/// `Location`.
async fn single_post_stores_the_blob(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 100_000);
    let answer = repository
        .client()
        .post(&format!("{}?digest={}", repository.uploads_path(), blob.digest))
        .header("Content-Type", "application/octet-stream")
        .body(blob.bytes.clone())
        .await
        .expect(201)
        .expect_header("docker-content-digest", &blob.digest);
    assert_eq!(answer.location(), repository.blob_path(&blob.digest), "{answer}");
    repository.expect_blob(&blob).await;
}

async fn single_post_by_sha512_stores_the_blob(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 1000);
    let target = format!("{}?digest={}", repository.uploads_path(), blob.sha512());
    let answer = repository
        .client()
        .post(&target)
        .body(blob.bytes.clone())
        .await
        .expect(201);
    repository
        .client()
        .get(&answer.location())
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}

/// "Likewise, the `<digest>` MUST match the blob's digest."
async fn single_post_with_another_digest_is_refused(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 1000);
    let target = format!("{}?digest={}", repository.uploads_path(), digest::unknown(1));
    repository
        .client()
        .post(&target)
        .body(blob.bytes.clone())
        .await
        .expect_error(400, "DIGEST_INVALID");
    repository.head_blob(&blob.digest).await.expect(404);
    repository.head_blob(&digest::unknown(1)).await.expect(404);
}

async fn an_empty_blob_can_be_pushed(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 0);
    repository.push_blob(&blob).await;
    let target = format!("{}?digest={}", repository.uploads_path(), blob.digest);
    repository.client().post(&target).await.expect(201);
    repository
        .get_blob(&blob.digest)
        .await
        .expect(200)
        .expect_body("");
}

async fn pushing_the_same_blob_again_succeeds(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 1000);
    repository.push_blob(&blob).await;
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}

/// "if the client provided digest is invalid or uses an unsupported algorithm, the registry SHOULD
/// respond with a response code `400 Bad Request`." Nothing of the session is left.
async fn put_with_another_digest_is_refused_and_ends_the_session(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 1000);
    let location = repository.start_upload().await;
    repository
        .finish(&location, &digest::unknown(1), blob.bytes.clone())
        .await
        .expect_error(400, "DIGEST_INVALID")
        .expect_message(&digest::unknown(1))
        .expect_message(&blob.digest);
    repository
        .client()
        .get(&location)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    repository.head_blob(&blob.digest).await.expect(404);
    repository.head_blob(&digest::unknown(1)).await.expect(404);
}

async fn put_without_a_digest_is_refused(server: Server) {
    let repository = server.anonymous().repository("a");
    let location = repository.start_upload().await;
    repository
        .client()
        .put(&location)
        .body("bytes")
        .await
        .expect_error(400, "DIGEST_INVALID");
}

async fn put_with_a_malformed_digest_is_refused(server: Server) {
    let repository = server.anonymous().repository("a");
    let location = repository.start_upload().await;
    for bad in [
        "sha256:abc",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha256",
        "",
        "latest",
    ] {
        repository
            .finish(&location, bad, "bytes")
            .await
            .expect_error(400, "DIGEST_INVALID");
    }
    let blob = Blob::random(1, 5);
    // A slip in the query is not worth the whole upload: the session goes on.
    repository
        .finish(&location, &blob.digest, blob.bytes)
        .await
        .expect(201);
}

async fn post_without_the_final_slash_is_a_session_too(server: Server) {
    server.anonymous().post("/v2/a/blobs/uploads").await.expect(202);
}

async fn pushes_over_http2(server: Server) {
    let repository = server.anonymous_http2().repository("a");
    let blob = Blob::random(1, 3_000_000);
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}
