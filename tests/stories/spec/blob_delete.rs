//! end-10: `DELETE /v2/<name>/blobs/<digest>`.

use wharf_testkit::{Server, ServerBuilder, digest, image::Blob};

wharf_testkit::on_both_engines![
    a_deleted_blob_is_gone,
    deleting_an_unknown_blob_is_404,
    deleting_a_blob_leaves_other_repositories_alone,
    a_deleted_blob_can_be_pushed_again,
    deleting_a_malformed_digest_is_400,
];

wharf_testkit::configured_on_both_engines![delete_can_be_switched_off];

/// "Upon success, the registry MUST respond with code `202 Accepted`."
async fn a_deleted_blob_is_gone(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 100);
    repository.push_blob(&blob).await;
    repository
        .client()
        .delete(&repository.blob_path(&blob.digest))
        .await
        .expect(202);
    repository
        .get_blob(&blob.digest)
        .await
        .expect_error(404, "BLOB_UNKNOWN");
    repository.head_blob(&blob.digest).await.expect(404);
}

/// "If the blob is not found, a `404 Not Found` code MUST be returned."
async fn deleting_an_unknown_blob_is_404(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 100);
    repository
        .client()
        .delete(&repository.blob_path(&digest::unknown(1)))
        .await
        .expect(404);
    repository.push_blob(&blob).await;
    let path = repository.blob_path(&digest::unknown(1));
    repository
        .client()
        .delete(&path)
        .await
        .expect_error(404, "BLOB_UNKNOWN");
    let path = repository.blob_path(&blob.digest);
    repository.client().delete(&path).await.expect(202);
    repository
        .client()
        .delete(&path)
        .await
        .expect_error(404, "BLOB_UNKNOWN");
}

async fn deleting_a_blob_leaves_other_repositories_alone(server: Server) {
    let client = server.anonymous();
    let (one, other) = (client.repository("one"), client.repository("other"));
    let blob = Blob::random(1, 100);
    one.push_blob(&blob).await;
    other.push_blob(&blob).await;
    client.delete(&one.blob_path(&blob.digest)).await.expect(202);
    one.head_blob(&blob.digest).await.expect(404);
    other.expect_blob(&blob).await;
}

async fn a_deleted_blob_can_be_pushed_again(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 100);
    for _ in 0..2 {
        repository.push_blob(&blob).await;
        repository.expect_blob(&blob).await;
        repository
            .client()
            .delete(&repository.blob_path(&blob.digest))
            .await
            .expect(202);
    }
}

async fn deleting_a_malformed_digest_is_400(server: Server) {
    server
        .anonymous()
        .delete("/v2/a/blobs/sha256:abc")
        .await
        .expect_error(400, "DIGEST_INVALID");
}

/// "If blob deletion is disabled, the registry MUST respond with either a `400 Bad Request` or a
/// `405 Method Not Allowed`."
async fn delete_can_be_switched_off(builder: ServerBuilder) {
    let server = builder.storage("delete: {enabled: false}").start();
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 100);
    repository.push_blob(&blob).await;
    repository
        .client()
        .delete(&repository.blob_path(&blob.digest))
        .await
        .expect_error(405, "UNSUPPORTED");
    repository.expect_blob(&blob).await;
}
