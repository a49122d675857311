//! Refusals of manifests that name the remedy: the key of the configuration, or what the client should change.

use wharf_testkit::{
    Server,
    image::{self, Manifest},
    json,
};

wharf_testkit::on_both_engines![
    a_foreign_layer_names_the_keys_that_allow_it,
    an_index_without_all_children_names_the_key_that_allows_it,
    a_tag_and_a_digest_are_one_too_many,
    a_compressed_manifest_is_told_to_come_as_json,
];

async fn a_foreign_layer_names_the_keys_that_allow_it(server: Server) {
    let repository = server.anonymous().repository("windows/app");
    for by_type in [true, false] {
        let mut image = image::docker(by_type);
        let layer = image.blobs.pop().unwrap();
        repository.push_blobs(&image).await;
        let mut value = image.manifest.json();
        if by_type {
            value["layers"][1]["mediaType"] =
                json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        }
        value["layers"][1]["urls"] = json!(["https://foreign.example/layer"]);
        let refused = repository
            .put_manifest("v1", &Manifest::new(image::DOCKER_MANIFEST, &value))
            .await;
        refused
            .expect_error(400, "MANIFEST_BLOB_UNKNOWN")
            .expect_message(&layer.digest)
            .expect_message("`validation.manifests.urls.allow`")
            .expect_message("`allow-nondistributable-artifacts`");
    }
}

async fn an_index_without_all_children_names_the_key_that_allows_it(server: Server) {
    let repository = server.anonymous().repository("app");
    let refused = repository.put_manifest("v1", &image::oci_index(1).manifest).await;
    refused
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN")
        .expect_message("push it before the manifest")
        .expect_message("`validation.manifests.indexes.platforms`");
}

async fn a_tag_and_a_digest_are_one_too_many(server: Server) {
    let repository = server.anonymous().repository("app");
    let image = image::oci(1);
    repository.push_image("1.0", &image).await;
    let both = format!("1.0@{}", image.manifest.digest);
    for answer in [
        repository.get_manifest(&both).await,
        repository.put_manifest(&both, &image.manifest).await,
        repository.delete_manifest(&both).await,
    ] {
        answer
            .expect_error(400, "DIGEST_INVALID")
            .expect_message("a tag and a digest were given")
            .expect_message("one is enough");
    }
}

async fn a_compressed_manifest_is_told_to_come_as_json(server: Server) {
    let repository = server.anonymous().repository("app");
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    // The first bytes of a gzip file (RFC 1952).
    let compressed = Manifest::from_bytes(image::OCI_MANIFEST, &b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..]);
    let put = || repository.put_manifest("v1", &compressed);
    for encoding in ["gzip", "GZIP", "zstd", "br"] {
        let refused = put().header("Content-Encoding", encoding).await;
        refused
            .expect_error(415, "UNSUPPORTED")
            .expect_message("`Content-Encoding: ")
            .expect_header("accept-encoding", "identity");
    }
    let refused = put().await.expect_error(400, "MANIFEST_INVALID");
    refused
        .expect_message("compressed by gzip")
        .expect_message("`Content-Encoding`");
    repository.get_manifest("v1").await.expect(404);
    let plain = repository
        .put_manifest("v1", &image.manifest)
        .header("Content-Encoding", "identity");
    plain.await.expect(201);
}
