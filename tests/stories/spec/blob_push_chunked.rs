//! end-4c, end-5, end-6, end-13, end-14: a blob in pieces, its progress, and giving it up.

use wharf_testkit::{Bytes, Repository, Request, Server, ServerBuilder, digest, image::Blob};

wharf_testkit::on_both_engines![
    a_streamed_patch_is_appended,
    a_patch_without_a_range_is_appended,
    chunks_in_order_make_the_blob,
    chunks_in_the_other_dialect_make_the_blob,
    the_final_chunk_may_come_with_the_put,
    a_final_chunk_out_of_order_is_416,
    a_chunk_out_of_order_is_416_and_says_what_we_hold,
    a_first_chunk_that_does_not_begin_at_zero_is_416,
    a_chunk_shorter_than_its_range_is_refused,
    progress_can_be_asked_for,
    progress_of_an_unknown_session_is_404,
    a_session_belongs_to_its_repository,
    a_session_can_be_cancelled,
    a_cancelled_session_leaves_no_blob,
    a_minimum_chunk_length_is_not_exceeded_by_what_is_accepted,
    chunks_by_sha512_make_the_blob,
    an_unknown_digest_algorithm_is_refused,
    an_empty_patch_changes_nothing,
];

wharf_testkit::on_disk![crate::BINARY; a_session_goes_on_after_a_restart];

impl Chunked {
    async fn start(server: &Server) -> Self {
        let repository = server.anonymous().repository("kyo/my-image");
        let location = repository.start_upload().await;
        Self { repository, location }
    }

    fn chunk(&self, range: &str, bytes: &Bytes) -> Request {
        self.repository
            .append(&self.location, bytes.clone())
            .header("Content-Range", range)
    }
}

/// A chunked upload under way.
struct Chunked {
    repository: Repository,
    location: String,
}

async fn a_streamed_patch_is_appended(server: Server) {
    let Chunked { repository, location } = Chunked::start(&server).await;
    let blob = Blob::random(1, 1_000_000);
    let answer = repository
        .append(&location, "")
        .streamed(&blob.bytes, 9_999)
        .await
        .expect(202)
        .expect_header("range", "0-999999")
        .expect_header("content-length", "0");
    assert!(!answer.location().contains('?'), "{answer}");
    repository
        .finish(&answer.location(), &blob.digest, "")
        .await
        .expect(201);
    repository.expect_blob(&blob).await;
}

async fn a_patch_without_a_range_is_appended(server: Server) {
    let Chunked { repository, location } = Chunked::start(&server).await;
    let blob = Blob::random(1, 1000);
    repository
        .append(&location, blob.bytes.slice(..400))
        .await
        .expect(202)
        .expect_header("range", "0-399");
    repository
        .append(&location, blob.bytes.slice(400..))
        .await
        .expect(202)
        .expect_header("range", "0-999");
    repository.finish(&location, &blob.digest, "").await.expect(201);
    repository.expect_blob(&blob).await;
}

/// "The response for each successful chunk upload MUST be `202 Accepted`, and MUST have" `Location`
/// and `Range: 0-<end-of-range>`.
async fn chunks_in_order_make_the_blob(server: Server) {
    let mut upload = Chunked::start(&server).await;
    let blob = Blob::random(1, 1000);
    for (start, end) in [(0, 299), (300, 300), (301, 999)] {
        let answer = upload
            .chunk(&format!("{start}-{end}"), &blob.bytes.slice(start..=end))
            .await
            .expect(202)
            .expect_header("range", format!("0-{end}"));
        // "Each consecutive chunk upload SHOULD use the `<blob-push-location>` provided in the
        // response to the previous chunk upload."
        upload.location = answer.location();
    }
    let answer = upload
        .repository
        .finish(&upload.location, &blob.digest, "")
        .await
        .expect(201);
    assert_eq!(
        answer.location(),
        upload.repository.blob_path(&blob.digest),
        "{answer}"
    );
    upload.repository.expect_blob(&blob).await;
}

/// RFC 9110, 14.4, writes `bytes 0-9/*`; several clients do, although the specification does not.
async fn chunks_in_the_other_dialect_make_the_blob(server: Server) {
    let upload = Chunked::start(&server).await;
    let blob = Blob::random(1, 1000);
    upload
        .chunk("bytes 0-399/1000", &blob.bytes.slice(..400))
        .await
        .expect(202)
        .expect_header("range", "0-399");
    upload
        .chunk("bytes 400-999/*", &blob.bytes.slice(400..))
        .await
        .expect(202)
        .expect_header("range", "0-999");
    upload
        .repository
        .finish(&upload.location, &blob.digest, "")
        .await
        .expect(201);
    upload.repository.expect_blob(&blob).await;
}

/// "The final chunk MAY be uploaded using a `PATCH` request or it MAY be uploaded in the closing
/// `PUT` request."
async fn the_final_chunk_may_come_with_the_put(server: Server) {
    let upload = Chunked::start(&server).await;
    let blob = Blob::random(1, 1000);
    upload.chunk("0-599", &blob.bytes.slice(..600)).await.expect(202);
    upload
        .repository
        .finish(&upload.location, &blob.digest, blob.bytes.slice(600..))
        .header("Content-Range", "600-999")
        .await
        .expect(201);
    upload.repository.expect_blob(&blob).await;
}

/// "If the final chunk is uploaded out of order, the registry MUST respond with a `416 Requested
/// Range Not Satisfiable` code."
async fn a_final_chunk_out_of_order_is_416(server: Server) {
    let upload = Chunked::start(&server).await;
    let blob = Blob::random(1, 1000);
    upload.chunk("0-599", &blob.bytes.slice(..600)).await.expect(202);
    let put = |range: &str| {
        upload
            .repository
            .finish(&upload.location, &blob.digest, blob.bytes.slice(600..))
            .header("Content-Range", range.to_owned())
    };
    put("700-1099").await.expect(416);
    put("599-998").await.expect(416);
    put("600-999").await.expect(201);
}

/// "If a chunk is uploaded out of order, the registry MUST respond with a `416 Requested Range Not
/// Satisfiable` code." The session goes on where it was.
async fn a_chunk_out_of_order_is_416_and_says_what_we_hold(server: Server) {
    let upload = Chunked::start(&server).await;
    let blob = Blob::random(1, 1000);
    upload.chunk("0-399", &blob.bytes.slice(..400)).await.expect(202);
    let answer = upload
        .chunk("500-999", &blob.bytes.slice(500..))
        .await
        .expect_error(416, "RANGE_INVALID")
        .expect_header("range", "0-399");
    assert_eq!(answer.location(), upload.location, "{answer}");
    upload
        .chunk("400-999", &blob.bytes.slice(400..))
        .await
        .expect(202)
        .expect_header("range", "0-999");
    upload
        .repository
        .finish(&upload.location, &blob.digest, "")
        .await
        .expect(201);
    upload.repository.expect_blob(&blob).await;
}

/// "The first chunk's range MUST begin with `0`."
async fn a_first_chunk_that_does_not_begin_at_zero_is_416(server: Server) {
    let upload = Chunked::start(&server).await;
    upload
        .chunk("1-10", &Bytes::from_static(b"0123456789"))
        .await
        .expect_error(416, "RANGE_INVALID");
}

/// The `Content-Range` and the body must tell the same.
async fn a_chunk_shorter_than_its_range_is_refused(server: Server) {
    let upload = Chunked::start(&server).await;
    upload
        .chunk("0-99", &Bytes::from_static(b"0123456789"))
        .await
        .expect_error(400, "SIZE_INVALID");
    upload
        .chunk("0-3", &Bytes::from_static(b"0123456789"))
        .await
        .expect_error(400, "SIZE_INVALID");
    upload
        .chunk("9-3", &Bytes::from_static(b"0123456789"))
        .await
        .expect(416);
    let blob = Blob::new("", "0123456789");
    upload
        .chunk("0-9", &blob.bytes)
        .await
        .expect(202)
        .expect_header("range", "0-9");
    upload
        .repository
        .finish(&upload.location, &blob.digest, "")
        .await
        .expect(201);
}

/// end-13: "The response to an active upload `<blob-push-location>` MUST be a `204 No Content`
/// response code, and MUST have" `Location` and `Range`.
async fn progress_can_be_asked_for(server: Server) {
    let upload = Chunked::start(&server).await;
    let client = upload.repository.client();
    let answer = client
        .get(&upload.location)
        .await
        .expect(204)
        .expect_header("range", "0-0");
    assert_eq!(answer.location(), upload.location, "{answer}");
    upload
        .chunk("0-9", &Bytes::from_static(b"0123456789"))
        .await
        .expect(202);
    let answer = client
        .get(&upload.location)
        .await
        .expect(204)
        .expect_header("range", "0-9");
    assert_eq!(answer.location(), upload.location, "{answer}");
    assert!(
        upload.location.ends_with(answer.header("docker-upload-uuid")),
        "{answer}"
    );
    client
        .head(&upload.location)
        .await
        .expect(204)
        .expect_header("range", "0-9");
}

async fn progress_of_an_unknown_session_is_404(server: Server) {
    let client = server.anonymous();
    let location = "/v2/a/blobs/uploads/8a0fd9a5-5a8e-4f1c-9d6b-0a4b8c1d2e3f";
    client
        .get(location)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client
        .patch(location)
        .body("x")
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client
        .delete(location)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    let put = format!("{location}?digest={}", digest::unknown(1));
    client
        .put(&put)
        .body("x")
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

async fn a_session_belongs_to_its_repository(server: Server) {
    let upload = Chunked::start(&server).await;
    let elsewhere = upload.location.replace("kyo/my-image", "kyo/other");
    let client = upload.repository.client();
    client
        .get(&elsewhere)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client
        .patch(&elsewhere)
        .body("x")
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client
        .delete(&elsewhere)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.get(&upload.location).await.expect(204);
}

/// end-14: "If successful, the response SHOULD be a `204 No Content` response code."
async fn a_session_can_be_cancelled(server: Server) {
    let upload = Chunked::start(&server).await;
    let client = upload.repository.client();
    upload
        .chunk("0-9", &Bytes::from_static(b"0123456789"))
        .await
        .expect(202);
    client.delete(&upload.location).await.expect(204);
    client
        .get(&upload.location)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client
        .delete(&upload.location)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

/// I6: nothing of it stays, neither as a blob nor, on a disk, as a file.
async fn a_cancelled_session_leaves_no_blob(server: Server) {
    let upload = Chunked::start(&server).await;
    let blob = Blob::random(1, 100_000);
    upload.chunk("0-99999", &blob.bytes).await.expect(202);
    upload
        .repository
        .client()
        .delete(&upload.location)
        .await
        .expect(204);
    upload.repository.head_blob(&blob.digest).await.expect(404);
    let directory = server.tree().join("repositories/kyo/my-image/_uploads");
    let left = std::fs::read_dir(directory).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the cancelled upload left something behind");
}

/// "If the registry has a minimum chunk size, the `POST` response SHOULD include"
/// `OCI-Chunk-Min-Length`; so without that header, or at that length, a chunk must be taken.
async fn a_minimum_chunk_length_is_not_exceeded_by_what_is_accepted(server: Server) {
    let repository = server.anonymous().repository("a");
    let answer = repository
        .client()
        .post(&repository.uploads_path())
        .await
        .expect(202);
    let minimum: usize = answer
        .headers
        .get("oci-chunk-min-length")
        .map_or(1, |v| v.to_str().unwrap().parse().unwrap());
    let blob = Blob::random(1, minimum + 1);
    let (first, last) = (blob.bytes.slice(..minimum), blob.bytes.slice(minimum..));
    let range = format!("0-{}", minimum - 1);
    repository
        .append(&answer.location(), first)
        .header("Content-Range", &range)
        .await
        .expect(202);
    repository
        .finish(&answer.location(), &blob.digest, last)
        .await
        .expect(201);
    repository.expect_blob(&blob).await;
}

/// end-4c: "When pushing a blob with a digest algorithm other than `sha256`, the post request
/// SHOULD include the `digest-algorithm` parameter". It works with and without it.
async fn chunks_by_sha512_make_the_blob(server: Server) {
    let repository = server.anonymous().repository("a");
    for (seed, query) in [(1, "?digest-algorithm=sha512"), (2, "")] {
        let blob = Blob::random(seed, 1000);
        let start = format!("{}{query}", repository.uploads_path());
        let location = repository.client().post(&start).await.expect(202).location();
        repository
            .append(&location, blob.bytes.slice(..500))
            .header("Content-Range", "0-499")
            .await
            .expect(202);
        repository
            .append(&location, blob.bytes.slice(500..))
            .header("Content-Range", "500-999")
            .await
            .expect(202);
        repository.finish(&location, &blob.sha512(), "").await.expect(201);
        repository
            .get_blob(&blob.sha512())
            .await
            .expect(200)
            .expect_body(&blob.bytes);
    }
}

/// "if the client provided digest is invalid or uses an unsupported algorithm, the registry SHOULD
/// respond with a response code `400 Bad Request`."
async fn an_unknown_digest_algorithm_is_refused(server: Server) {
    let client = server.anonymous();
    client
        .post("/v2/a/blobs/uploads/?digest-algorithm=md5")
        .await
        .expect_error(400, "DIGEST_INVALID");
}

async fn an_empty_patch_changes_nothing(server: Server) {
    let Chunked { repository, location } = Chunked::start(&server).await;
    repository
        .append(&location, "")
        .await
        .expect(202)
        .expect_header("range", "0-0");
    repository
        .append(&location, "0123456789")
        .await
        .expect(202)
        .expect_header("range", "0-9");
    repository
        .append(&location, "")
        .await
        .expect(202)
        .expect_header("range", "0-9");
    repository
        .finish(&location, &Blob::new("", "0123456789").digest, "")
        .await
        .expect(201);
}

/// Nothing that matters for an upload lies in the memory of the process.
async fn a_session_goes_on_after_a_restart(builder: ServerBuilder) {
    let mut server = builder.start();
    let blob = Blob::random(1, 3_000_000);
    let Chunked { repository, location } = Chunked::start(&server).await;
    repository
        .append(&location, blob.bytes.slice(..1_000_000))
        .await
        .expect(202);

    server.restart();
    let repository = server.anonymous().repository(&repository.name);
    repository
        .client()
        .get(&location)
        .await
        .expect(204)
        .expect_header("range", "0-999999");
    repository
        .append(&location, blob.bytes.slice(1_000_000..2_000_000))
        .header("Content-Range", "1000000-1999999")
        .await
        .expect(202);

    server.restart();
    let repository = server.anonymous().repository(&repository.name);
    repository
        .finish(&location, &blob.digest, blob.bytes.slice(2_000_000..))
        .await
        .expect(201);
    repository.expect_blob(&blob).await;
}
