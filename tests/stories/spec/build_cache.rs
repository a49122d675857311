//! The cache of a build: BuildKit keeps it as an index whose entries are blobs (`--export-cache type=registry`).

use wharf_testkit::{
    Server,
    image::{self, Blob, DOCKER_LIST, Manifest, OCI_INDEX},
    json,
};

wharf_testkit::on_both_engines![
    the_cache_of_a_build_is_pushed_and_pulled,
    a_blob_that_an_index_lists_must_be_there,
    a_manifest_that_an_index_lists_must_be_one,
    an_entry_of_a_type_that_only_its_client_knows_may_be_a_manifest,
];

async fn the_cache_of_a_build_is_pushed_and_pulled(server: Server) {
    for (name, media_type) in [("cache/oci", OCI_INDEX), ("cache/docker", DOCKER_LIST)] {
        let repository = server.anonymous().repository(name);
        let cache = image::buildkit_cache(name, media_type);
        repository.push_blobs(&cache).await;
        let pushed = repository.put_manifest("main", &cache.manifest).await.expect(201);
        assert_eq!(pushed.header("docker-content-digest"), cache.manifest.digest);
        let pulled = repository.get_manifest("main").await.expect(200);
        pulled
            .expect_header("content-type", media_type)
            .expect_body(&cache.manifest.bytes);
        for blob in &cache.blobs {
            repository.get_blob(&blob.digest).await.expect(200);
        }
        repository
            .delete_manifest(&cache.manifest.digest)
            .await
            .expect(202);
    }
}

async fn a_blob_that_an_index_lists_must_be_there(server: Server) {
    let repository = server.anonymous().repository("cache");
    let mut cache = image::buildkit_cache(1, OCI_INDEX);
    let missing = cache.blobs.pop().unwrap();
    repository.push_blobs(&cache).await;
    let refused = repository.put_manifest("main", &cache.manifest).await;
    refused
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN")
        .expect_message(&format!("blob `{}`", missing.digest));
    repository.get_manifest("main").await.expect(404);
}

/// The media type says what an entry is: the bytes of a manifest that were pushed as a blob do not do.
async fn a_manifest_that_an_index_lists_must_be_one(server: Server) {
    let repository = server.anonymous().repository("app");
    let index = image::oci_index(1);
    for image in &index.images {
        repository.push_blobs(image).await;
        let bytes = image.manifest.bytes.clone();
        repository.push_blob(&Blob::new(image::OCI_MANIFEST, bytes)).await;
    }
    let refused = repository.put_manifest("latest", &index.manifest).await;
    refused
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN")
        .expect_message(&format!("manifest `{}`", index.images[0].manifest.digest));
}

async fn an_entry_of_a_type_that_only_its_client_knows_may_be_a_manifest(server: Server) {
    let repository = server.anonymous().repository("app");
    let child = image::unheard_of(1);
    repository.put_manifest(&child.digest, &child).await.expect(201);
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child.descriptor()] });
    let index = Manifest::new(OCI_INDEX, &index);
    repository.put_manifest("latest", &index).await.expect(201);
    let refused = repository.delete_manifest(&child.digest).await;
    refused.expect_error(409, "DENIED").expect_message("app:latest");
}
