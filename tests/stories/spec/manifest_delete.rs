//! end-9: `DELETE /v2/<name>/manifests/<tag-or-digest>`.

use wharf_testkit::{Server, ServerBuilder, digest, image, store};

wharf_testkit::on_both_engines![
    deleting_a_tag_leaves_its_siblings_alone,
    deleting_a_tag_leaves_the_manifest_alone,
    deleting_an_unknown_tag_is_404,
    deleting_a_manifest_removes_all_its_tags,
    deleting_a_manifest_by_sha512_works,
    deleting_an_unknown_manifest_is_404,
    deleting_in_an_unknown_repository_is_404,
    deleting_a_manifest_leaves_other_repositories_alone,
    deleting_a_manifest_leaves_its_blobs,
    a_deleted_manifest_can_be_pushed_again,
    a_deleted_tag_can_be_pushed_again,
    an_index_can_be_deleted_before_its_children,
    head_tells_that_it_is_gone,
];

wharf_testkit::configured_on_both_engines![delete_can_be_switched_off];

/// "Upon success, the registry MUST respond with a `202 Accepted` code." "Once deleted, a `GET` to
/// `/v2/<name>/manifests/<tag>` will return a 404."
async fn deleting_a_tag_leaves_its_siblings_alone(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("one", &image).await;
    repository.push_manifest("two", &image.manifest).await;
    repository.delete_manifest("one").await.expect(202);
    repository
        .get_manifest("one")
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    repository.pull_image("two", &image).await;
    assert_eq!(repository.tags().await, ["two"]);
}

async fn deleting_a_tag_leaves_the_manifest_alone(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("one", &image).await;
    repository.delete_manifest("one").await.expect(202);
    repository.pull_image(&image.manifest.digest, &image).await;
}

async fn deleting_an_unknown_tag_is_404(server: Server) {
    let repository = server.anonymous().repository("a");
    repository.push_image("one", &image::oci(1)).await;
    repository
        .delete_manifest("two")
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    repository.delete_manifest("one").await.expect(202);
    repository
        .delete_manifest("one")
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
}

/// "Once deleted, a `GET` to `/v2/<name>/manifests/<digest>` and any tag pointing to that digest
/// will return a 404."
async fn deleting_a_manifest_removes_all_its_tags(server: Server) {
    let repository = server.anonymous().repository("a");
    let (gone, stays) = (image::oci(1), image::oci(2));
    repository.push_image("one", &gone).await;
    repository.push_manifest("two", &gone.manifest).await;
    repository.push_image("three", &stays).await;
    repository
        .delete_manifest(&gone.manifest.digest)
        .await
        .expect(202);
    for reference in ["one", "two", &gone.manifest.digest] {
        repository
            .get_manifest(reference)
            .await
            .expect_error(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(repository.tags().await, ["three"]);
    repository.pull_image("three", &stays).await;
}

async fn deleting_a_manifest_by_sha512_works(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let sha512 = image.manifest.sha512();
    repository
        .put_manifest(&sha512, &image.manifest)
        .await
        .expect(201);
    repository.delete_manifest(&sha512).await.expect(202);
    repository.get_manifest(&sha512).await.expect(404);
}

async fn deleting_an_unknown_manifest_is_404(server: Server) {
    let repository = server.anonymous().repository("a");
    repository.push_image("one", &image::oci(1)).await;
    repository
        .delete_manifest(&digest::unknown(1))
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
}

/// "If the repository does not exist, the response MUST return `404 Not Found`."
async fn deleting_in_an_unknown_repository_is_404(server: Server) {
    let nobody = server.anonymous().repository("nobody");
    nobody.delete_manifest(&digest::unknown(1)).await.expect(404);
    nobody.delete_manifest("latest").await.expect(404);
}

async fn deleting_a_manifest_leaves_other_repositories_alone(server: Server) {
    let client = server.anonymous();
    let image = image::oci(1);
    for name in ["one", "one/two"] {
        client.repository(name).push_image("v1", &image).await;
    }
    client
        .repository("one")
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(202);
    client.repository("one/two").pull_image("v1", &image).await;
}

async fn deleting_a_manifest_leaves_its_blobs(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(202);
    repository.expect_blob(&image.blobs[1]).await;
}

async fn a_deleted_manifest_can_be_pushed_again(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    for _ in 0..3 {
        repository.push_image("v1", &image).await;
        repository.pull_image("v1", &image).await;
        repository
            .delete_manifest(&image.manifest.digest)
            .await
            .expect(202);
        repository.get_manifest("v1").await.expect(404);
    }
}

async fn a_deleted_tag_can_be_pushed_again(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    for _ in 0..3 {
        repository.push_image("v1", &image).await;
        repository.pull_image("v1", &image).await;
        repository.delete_manifest("v1").await.expect(202);
        repository.get_manifest("v1").await.expect(404);
    }
}

async fn an_index_can_be_deleted_before_its_children(server: Server) {
    let repository = server.anonymous().repository("a");
    let index = image::oci_index(1);
    repository.push_index("v1", &index).await;
    repository
        .delete_manifest(&index.manifest.digest)
        .await
        .expect(202);
    for image in &index.images {
        repository.pull_image(&image.manifest.digest, image).await;
    }
    let child = &index.images[0].manifest.digest;
    repository.delete_manifest(child).await.expect(202);
    repository.get_manifest(child).await.expect(404);
}

async fn head_tells_that_it_is_gone(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    repository.head_manifest("v1").await.expect(200);
    repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(202);
    repository.head_manifest("v1").await.expect(404);
    repository.head_manifest(&image.manifest.digest).await.expect(404);
}

/// "If manifest deletion is disabled, the registry MUST respond with either a `400 Bad Request` or
/// a `405 Method Not Allowed`", and so for tags.
async fn delete_can_be_switched_off(builder: ServerBuilder) {
    let server = builder
        .storage("delete: {enabled: false}")
        .rules(store::Rules::default())
        .start();
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    repository
        .delete_manifest("v1")
        .await
        .expect_error(405, "UNSUPPORTED");
    repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect_error(405, "UNSUPPORTED");
    repository.pull_image("v1", &image).await;
}
