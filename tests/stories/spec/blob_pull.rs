//! end-2: `GET` and `HEAD` of `/v2/<name>/blobs/<digest>`.

use wharf_testkit::{Repository, Server, digest, image::Blob};

wharf_testkit::on_both_engines![
    get_gives_the_bytes_and_their_digest,
    head_gives_size_and_digest_without_a_body,
    an_empty_blob_can_be_pulled,
    a_large_blob_comes_back_whole,
    an_unknown_blob_is_404,
    a_blob_of_another_repository_is_404,
    an_unknown_repository_is_404,
    a_blob_can_be_asked_for_by_sha512,
    range_gives_a_part,
    range_from_the_end_gives_the_tail,
    range_past_the_end_stops_at_the_end,
    range_that_starts_past_the_end_is_416,
    range_of_another_unit_gives_the_whole,
    if_range_decides_whether_the_range_counts,
    if_none_match_with_the_digest_is_304,
    a_percent_encoded_digest_is_the_same_digest,
    pulls_over_http2,
];

async fn pushed(server: &Server, length: usize) -> (Repository, Blob) {
    let repository = server.anonymous().repository("kyo/my-image");
    let blob = Blob::random(1, length);
    repository.push_blob(&blob).await;
    (repository, blob)
}

/// "A GET request to an existing blob URL MUST provide the expected blob, with a response code that
/// MUST be `200 OK`." "MUST contain the digest of the uploaded blob in the header
/// `Docker-Content-Digest`."
async fn get_gives_the_bytes_and_their_digest(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    repository
        .get_blob(&blob.digest)
        .await
        .expect(200)
        .expect_header("docker-content-digest", &blob.digest)
        .expect_header("content-length", "1000")
        .expect_header("content-type", "application/octet-stream")
        .expect_header("accept-ranges", "bytes")
        .expect_header("etag", format!("\"{}\"", blob.digest))
        .expect_header("cache-control", "max-age=31536000")
        .expect_body(&blob.bytes);
}

/// "A HEAD request to an existing blob or manifest URL MUST return `200 OK`." "MUST contain the size
/// in bytes of the uploaded blob or manifest in the header `Content-Length`."
async fn head_gives_size_and_digest_without_a_body(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    repository
        .head_blob(&blob.digest)
        .await
        .expect(200)
        .expect_header("docker-content-digest", &blob.digest)
        .expect_header("content-length", "1000")
        .expect_header("accept-ranges", "bytes")
        .expect_body("");
}

async fn an_empty_blob_can_be_pulled(server: Server) {
    let (repository, blob) = pushed(&server, 0).await;
    repository
        .get_blob(&blob.digest)
        .await
        .expect(200)
        .expect_header("content-length", "0")
        .expect_body("");
    repository
        .head_blob(&blob.digest)
        .await
        .expect(200)
        .expect_header("content-length", "0");
}

/// Larger than any buffer on the way.
async fn a_large_blob_comes_back_whole(server: Server) {
    let (repository, blob) = pushed(&server, 9 * 1024 * 1024 + 17).await;
    repository.expect_blob(&blob).await;
    let (start, end) = (3_000_001, 8_999_999);
    repository
        .get_blob(&blob.digest)
        .header("Range", format!("bytes={start}-{end}"))
        .await
        .expect(206)
        .expect_body(&blob.bytes[start..=end]);
}

/// "If the blob is not found in the repository, the response code MUST be `404 Not Found`."
async fn an_unknown_blob_is_404(server: Server) {
    let (repository, _) = pushed(&server, 10).await;
    repository
        .get_blob(&digest::unknown(1))
        .await
        .expect_error(404, "BLOB_UNKNOWN");
    repository.head_blob(&digest::unknown(1)).await.expect(404);
}

/// A digest is no secret and no permission: what another repository holds is not found here.
async fn a_blob_of_another_repository_is_404(server: Server) {
    let (_, blob) = pushed(&server, 10).await;
    let other = server.anonymous().repository("kyo/other");
    other.push_blob(&Blob::random(2, 10)).await;
    other
        .get_blob(&blob.digest)
        .await
        .expect_error(404, "BLOB_UNKNOWN");
    other.head_blob(&blob.digest).await.expect(404);
}

/// "An attempt to pull a nonexistent repository MUST return response code `404 Not Found`."
async fn an_unknown_repository_is_404(server: Server) {
    server
        .anonymous()
        .repository("nobody")
        .get_blob(&digest::unknown(1))
        .await
        .expect(404);
}

/// What was pushed by SHA-512 is found by SHA-512, and the header names a digest of the bytes.
async fn a_blob_can_be_asked_for_by_sha512(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(3, 100);
    let location = repository.start_upload().await;
    repository
        .finish(&location, &blob.sha512(), blob.bytes.clone())
        .await
        .expect(201);
    let answer = repository
        .get_blob(&blob.sha512())
        .await
        .expect(200)
        .expect_body(&blob.bytes);
    let named = answer.header("docker-content-digest");
    assert_eq!(named, digest::same_algorithm(named, &blob.bytes), "{answer}");
    repository
        .head_blob(&blob.sha512())
        .await
        .expect(200)
        .expect_header("content-length", "100");
}

/// "A registry SHOULD support the `Range` request header in accordance with RFC 9110 (section 14)."
async fn range_gives_a_part(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    repository
        .get_blob(&blob.digest)
        .header("Range", "bytes=100-199")
        .await
        .expect(206)
        .expect_header("content-range", "bytes 100-199/1000")
        .expect_header("content-length", "100")
        .expect_header("docker-content-digest", &blob.digest)
        .expect_body(&blob.bytes[100..200]);
    repository
        .get_blob(&blob.digest)
        .header("Range", "bytes=999-")
        .await
        .expect(206)
        .expect_header("content-range", "bytes 999-999/1000")
        .expect_body(&blob.bytes[999..]);
    repository
        .get_blob(&blob.digest)
        .header("Range", "bytes=0-0")
        .await
        .expect(206)
        .expect_body(&blob.bytes[..1]);
}

async fn range_from_the_end_gives_the_tail(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    repository
        .get_blob(&blob.digest)
        .header("Range", "bytes=-300")
        .await
        .expect(206)
        .expect_header("content-range", "bytes 700-999/1000")
        .expect_body(&blob.bytes[700..]);
    // RFC 9110, 14.1.2: a suffix longer than the content means all of it.
    repository
        .get_blob(&blob.digest)
        .header("Range", "bytes=-5000")
        .await
        .expect(206)
        .expect_header("content-range", "bytes 0-999/1000")
        .expect_body(&blob.bytes);
}

async fn range_past_the_end_stops_at_the_end(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    repository
        .get_blob(&blob.digest)
        .header("Range", "bytes=990-5000")
        .await
        .expect(206)
        .expect_header("content-range", "bytes 990-999/1000")
        .expect_body(&blob.bytes[990..]);
}

/// RFC 9110, 15.5.17: the answer says how long the content is.
async fn range_that_starts_past_the_end_is_416(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    for range in ["bytes=1000-", "bytes=1000-1001", "bytes=-0"] {
        repository
            .get_blob(&blob.digest)
            .header("Range", range)
            .await
            .expect(416)
            .expect_header("content-range", "bytes */1000");
    }
}

/// RFC 9110, 14.2: a server ignores a `Range` whose unit it does not understand.
async fn range_of_another_unit_gives_the_whole(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    repository
        .get_blob(&blob.digest)
        .header("Range", "lines=1-2")
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}

/// RFC 9110, 13.1.5: with another validator than the current one, `Range` is ignored.
async fn if_range_decides_whether_the_range_counts(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    let request = || repository.get_blob(&blob.digest).header("Range", "bytes=0-9");
    request()
        .header("If-Range", format!("\"{}\"", blob.digest))
        .await
        .expect(206)
        .expect_body(&blob.bytes[..10]);
    request()
        .header("If-Range", "\"something else\"")
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}

/// RFC 9110, 13.1.2, and as registry:2 does, also for a digest without quotes.
async fn if_none_match_with_the_digest_is_304(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    for tag in [
        format!("\"{}\"", blob.digest),
        blob.digest.clone(),
        format!("\"x\", \"{}\"", blob.digest),
        "*".into(),
    ] {
        repository
            .get_blob(&blob.digest)
            .header("If-None-Match", &tag)
            .await
            .expect(304)
            .expect_body("");
        repository
            .head_blob(&blob.digest)
            .header("If-None-Match", &tag)
            .await
            .expect(304);
    }
    repository
        .get_blob(&blob.digest)
        .header("If-None-Match", "\"x\"")
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}

/// `:` may come as `%3A` (RFC 3986, 2.1).
async fn a_percent_encoded_digest_is_the_same_digest(server: Server) {
    let (repository, blob) = pushed(&server, 10).await;
    repository
        .get_blob(&blob.digest.replace(':', "%3A"))
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}

async fn pulls_over_http2(server: Server) {
    let (_, blob) = pushed(&server, 3_000_000).await;
    let repository = server.anonymous_http2().repository("kyo/my-image");
    repository.expect_blob(&blob).await;
}
