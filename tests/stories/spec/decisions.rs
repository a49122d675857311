//! Decisions that go beyond the specification, each with the mistake of an older registry behind it.

use wharf_testkit::{Server, ServerBuilder, digest, image, store};

wharf_testkit::on_both_engines![
    deleting_a_config_digest_is_refused_and_names_the_manifest,
    deleting_a_layer_digest_is_refused_and_names_the_manifest,
    a_child_of_a_tagged_index_is_protected,
    a_child_of_a_deleted_index_is_not_protected,
    a_blob_of_a_tagged_image_is_protected,
    a_blob_of_a_child_of_a_tagged_index_is_protected,
    a_blob_that_only_untagged_images_name_is_not_protected,
    a_truncated_digest_is_explained,
    delete_works_without_configuration_on_loopback,
];

wharf_testkit::configured_on_both_engines![
    force_overrides_the_protection_of_a_child,
    force_overrides_the_protection_of_a_blob,
];

wharf_testkit::on_disk![
    a_repository_removed_behind_our_back_is_gone_at_once,
    a_tag_moved_behind_our_back_shows_at_once,
    stored_schema_1_manifests_stay_readable,
    links_with_a_final_newline_are_read,
    a_tree_of_registry_2_is_served_as_it_is,
    pushing_a_damaged_blob_again_heals_it,
];

/// Finding 1: registry:2 answers 202 and corrupts the image.
async fn deleting_a_config_digest_is_refused_and_names_the_manifest(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::docker(1);
    repository.push_image("latest", &image).await;
    repository
        .delete_manifest(&image.blobs[0].digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN")
        .expect_message(&image.manifest.digest)
        .expect_message("config");
    repository.pull_image("latest", &image).await;
}

async fn deleting_a_layer_digest_is_refused_and_names_the_manifest(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("latest", &image).await;
    repository
        .delete_manifest(&image.blobs[2].digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN")
        .expect_message(&image.manifest.digest)
        .expect_message("layer");
    repository.pull_image("latest", &image).await;
}

/// D4: what a tagged index needs cannot be deleted by accident; the text names the index.
async fn a_child_of_a_tagged_index_is_protected(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let index = image::oci_index(1);
    repository.push_index("latest", &index).await;
    for image in &index.images {
        let answer = repository.delete_manifest(&image.manifest.digest).await;
        assert!(answer.status.is_client_error(), "{answer}");
        answer
            .expect_message("kyo/my-image:latest")
            .expect_message("force=true");
        repository.pull_image(&image.manifest.digest, image).await;
    }
}

async fn a_child_of_a_deleted_index_is_not_protected(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let index = image::oci_index(1);
    repository.push_index("latest", &index).await;
    repository
        .delete_manifest(&index.manifest.digest)
        .await
        .expect(202);
    repository
        .delete_manifest(&index.images[0].manifest.digest)
        .await
        .expect(202);
}

async fn force_overrides_the_protection_of_a_child(builder: ServerBuilder) {
    let server = builder
        .rules(store::Rules {
            dangling_references: true,
        })
        .start();
    let repository = server.anonymous().repository("kyo/my-image");
    let index = image::oci_index(1);
    repository.push_index("latest", &index).await;
    let child = &index.images[0].manifest.digest;
    repository
        .delete_manifest(&format!("{child}?force=true"))
        .await
        .expect(202);
    repository.get_manifest(child).await.expect(404);
    repository.get_manifest("latest").await.expect(200);
}

/// D4: a client that pushes the image again would ask for the manifest only, and leave the image broken.
async fn a_blob_of_a_tagged_image_is_protected(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("latest", &image).await;
    for blob in &image.blobs {
        repository
            .client()
            .delete(&repository.blob_path(&blob.digest))
            .await
            .expect_error(409, "DENIED")
            .expect_message("kyo/my-image:latest")
            .expect_message("force=true");
    }
    repository.pull_image("latest", &image).await;
    // Another repository does not need it.
    let other = server.anonymous().repository("kyo/another");
    other.push_blob(&image.blobs[1]).await;
    let path = other.blob_path(&image.blobs[1].digest);
    other.client().delete(&path).await.expect(202);
    repository.pull_image("latest", &image).await;
}

async fn a_blob_of_a_child_of_a_tagged_index_is_protected(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let index = image::oci_index(1);
    repository.push_index("latest", &index).await;
    let blob = &index.images[0].blobs[1];
    repository
        .client()
        .delete(&repository.blob_path(&blob.digest))
        .await
        .expect_error(409, "DENIED")
        .expect_message("kyo/my-image:latest");
    repository
        .pull_image(&index.images[0].manifest.digest, &index.images[0])
        .await;
}

/// The order of the conformance suite: tags, manifests, blobs.
async fn a_blob_that_only_untagged_images_name_is_not_protected(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("latest", &image).await;
    repository.delete_manifest("latest").await.expect(202);
    repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(202);
    for blob in &image.blobs {
        let path = repository.blob_path(&blob.digest);
        repository.client().delete(&path).await.expect(202);
        repository.client().get(&path).await.expect(404);
    }
}

async fn force_overrides_the_protection_of_a_blob(builder: ServerBuilder) {
    let server = builder
        .rules(store::Rules {
            dangling_references: true,
        })
        .start();
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("latest", &image).await;
    let path = repository.blob_path(&image.blobs[1].digest);
    for other in ["?force=1", "?force=", "?other=true"] {
        repository
            .client()
            .delete(&format!("{path}{other}"))
            .await
            .expect(409);
    }
    repository
        .client()
        .delete(&format!("{path}?force=true"))
        .await
        .expect(202);
    repository.client().get(&path).await.expect(404);
    repository.get_manifest("latest").await.expect(200);
}

/// S0-17: the digest of the note was cut off.
async fn a_truncated_digest_is_explained(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    repository.push_image("latest", &image::oci(1)).await;
    let cut = &digest::unknown(1)[..7 + 45];
    repository
        .delete_manifest(cut)
        .await
        .expect_error(400, "DIGEST_INVALID")
        .expect_message("64")
        .expect_message("45");
}

/// D1: deleting is on where only this machine can reach the server.
async fn delete_works_without_configuration_on_loopback(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    repository.push_image("latest", &image::oci(1)).await;
    repository.delete_manifest("latest").await.expect(202);
}

/// S2, S4-26: operators remove repositories with `rm -rf`. The answers are right at once.
async fn a_repository_removed_behind_our_back_is_gone_at_once(builder: ServerBuilder) {
    let server = builder.start();
    let client = server.anonymous();
    let (goes, stays) = (client.repository("goes"), client.repository("stays"));
    let image = image::oci(1);
    goes.push_image("latest", &image).await;
    stays.push_image("latest", &image).await;
    goes.pull_image("latest", &image).await;
    assert_eq!(goes.tags().await, ["latest"]);
    std::fs::remove_dir_all(server.tree().join("repositories/goes")).unwrap();

    goes.get_manifest("latest").await.expect(404);
    goes.get_manifest(&image.manifest.digest).await.expect(404);
    goes.get_blob(&image.blobs[0].digest).await.expect(404);
    client
        .get("/v2/goes/tags/list")
        .await
        .expect_error(404, "NAME_UNKNOWN");
    let answer = client
        .get("/v2/_catalog")
        .await
        .expect(200)
        .expect_body("{\"repositories\":[\"stays\"]}\n");
    drop(answer);
    stays.pull_image("latest", &image).await;
    goes.push_image("latest", &image).await;
    goes.pull_image("latest", &image).await;
}

async fn a_tag_moved_behind_our_back_shows_at_once(builder: ServerBuilder) {
    let server = builder.start();
    let repository = server.anonymous().repository("a");
    let (old, new) = (image::oci(1), image::oci(2));
    repository.push_image("latest", &old).await;
    repository.push_blobs(&new).await;
    repository
        .push_manifest(&new.manifest.digest, &new.manifest)
        .await;
    repository.pull_image("latest", &old).await;
    store::write_manifest(&server.root(), "a", Some("latest"), &new.manifest.bytes);
    repository.pull_image("latest", &new).await;
    store::write_manifest(&server.root(), "a", Some("another"), &old.manifest.bytes);
    assert_eq!(repository.tags().await, ["another", "latest"]);
    repository.pull_image("another", &old).await;
}

/// D7: schema 1 is no longer accepted, but stored manifests are served.
async fn stored_schema_1_manifests_stay_readable(builder: ServerBuilder) {
    let root = builder.root();
    let layer = store::write_layer(&root, "old", b"layer");
    let text = format!(
        "{{\n   \"schemaVersion\": 1,\n   \"name\": \"old\",\n   \"tag\": \"v1\",\n   \"architecture\": \"amd64\",\n   \
         \"fsLayers\": [{{\"blobSum\": \"{layer}\"}}],\n   \"history\": [{{\"v1Compatibility\": \"{{}}\"}}],\n   \
         \"signatures\": []\n}}"
    );
    let digest = store::write_manifest(&root, "old", Some("v1"), text.as_bytes());
    let server = builder.start();
    let repository = server.anonymous().repository("old");
    for reference in ["v1", &digest] {
        let answer = repository
            .get_manifest(reference)
            .await
            .expect(200)
            .expect_header("docker-content-digest", &digest)
            .expect_body(&text);
        let media_type = answer.header("content-type");
        assert!(
            media_type.starts_with("application/vnd.docker.distribution.manifest.v1+"),
            "{answer}"
        );
    }
    repository.delete_manifest("v1").await.expect(202);
}

/// People edit links with editors that end files in a newline.
async fn links_with_a_final_newline_are_read(builder: ServerBuilder) {
    let root = builder.root();
    let image = image::oci(1);
    for blob in &image.blobs {
        store::write_layer(&root, "a", &blob.bytes);
    }
    store::write_manifest(&root, "a", Some("v1"), &image.manifest.bytes);
    let text = format!("{}\n", image.manifest.digest);
    store::write_link(&root, "a/_manifests/tags/v1/current", &text);
    let server = builder.unchecked().start();
    server.anonymous().repository("a").pull_image("v1", &image).await;
}

/// S0-01: no migration step.
async fn a_tree_of_registry_2_is_served_as_it_is(builder: ServerBuilder) {
    let root = builder.root();
    let index = image::docker_list(1);
    for image in &index.images {
        for blob in &image.blobs {
            store::write_layer(&root, "kyo/my-image", &blob.bytes);
        }
        store::write_manifest(&root, "kyo/my-image", None, &image.manifest.bytes);
    }
    store::write_manifest(&root, "kyo/my-image", Some("latest"), &index.manifest.bytes);
    let server = builder.start();
    let repository = server.anonymous().repository("kyo/my-image");
    repository
        .get_manifest("latest")
        .await
        .expect(200)
        .expect_body(&index.manifest.bytes);
    for image in &index.images {
        repository.pull_image(&image.manifest.digest, image).await;
    }
    assert_eq!(repository.tags().await, ["latest"]);
    let body = "{\"repositories\":[\"kyo/my-image\"]}\n";
    server
        .anonymous()
        .get("/v2/_catalog")
        .await
        .expect(200)
        .expect_body(body);
}

/// I4: missing bytes, wrong size, wrong hash.
async fn pushing_a_damaged_blob_again_heals_it(builder: ServerBuilder) {
    let server = builder.start();
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    let layer = &image.blobs[1];
    let file = store::blob_path(&server.root(), &layer.digest);
    let mut flipped = layer.bytes.to_vec();
    flipped[0] ^= 1;
    for damage in [Vec::new(), layer.bytes[..10].to_vec(), flipped] {
        std::fs::write(&file, damage).unwrap();
        repository.push_blob(layer).await;
        repository.expect_blob(layer).await;
    }
    std::fs::remove_file(&file).unwrap();
    repository.head_blob(&layer.digest).await.expect(404);
    repository.push_blob(layer).await;
    repository.pull_image("v1", &image).await;

    // The manifest's own bytes as well.
    std::fs::write(store::blob_path(&server.root(), &image.manifest.digest), "").unwrap();
    repository.push_manifest("v1", &image.manifest).await;
    repository.pull_image("v1", &image).await;
}
