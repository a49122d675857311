//! Manifests whose descriptors leave out media types or sizes: old tools write them, and registry:2 takes them.

use wharf_testkit::{
    Repository, Server, ServerBuilder, Value,
    image::{self, Blob, Image, Manifest, OCI_INDEX},
    json,
};

wharf_testkit::on_both_engines![
    media_types_and_sizes_may_be_left_out,
    content_without_a_size_must_be_there,
    an_index_may_leave_them_out,
];

wharf_testkit::on_disk![crate::BINARY; what_is_left_out_is_in_the_log_and_the_content_is_checked];

/// `image` without these fields in the descriptors of its config and layers.
fn without(image: &Image, fields: &[&str]) -> Manifest {
    let mut value = image.manifest.json();
    let strip = |descriptor: &mut Value| {
        for field in fields {
            descriptor.as_object_mut().unwrap().remove(*field);
        }
    };
    strip(&mut value["config"]);
    value["layers"].as_array_mut().unwrap().iter_mut().for_each(strip);
    Manifest::new(&image.manifest.media_type, &value)
}

async fn with_blobs(server: &Server, image: &Image) -> Repository {
    let repository = server.anonymous().repository("old/tool");
    repository.push_blobs(image).await;
    repository
}

async fn media_types_and_sizes_may_be_left_out(server: Server) {
    for image in [image::oci(1), image::docker(2)] {
        let repository = with_blobs(&server, &image).await;
        for fields in [&["size"][..], &["mediaType"], &["size", "mediaType"]] {
            let bare = without(&image, fields);
            repository.put_manifest("v1", &bare).await.expect(201);
            repository
                .get_manifest("v1")
                .await
                .expect(200)
                .expect_body(&bare.bytes);
        }
    }
}

async fn content_without_a_size_must_be_there(server: Server) {
    let mut image = image::oci(1);
    let missing = image.blobs.pop().unwrap();
    let repository = with_blobs(&server, &image).await;
    let refused = repository
        .put_manifest("v1", &without(&image, &["size", "mediaType"]))
        .await;
    refused
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN")
        .expect_message(&missing.digest);
    repository.get_manifest("v1").await.expect(404);
}

async fn an_index_may_leave_them_out(server: Server) {
    let image = image::oci(1);
    let repository = with_blobs(&server, &image).await;
    repository
        .put_manifest(&image.manifest.digest, &image.manifest)
        .await
        .expect(201);
    // Without a media type it is either a manifest or a blob.
    let entries = json!([{ "digest": image.manifest.digest }, { "digest": image.blobs[0].digest }]);
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    repository
        .put_manifest("v1", &Manifest::new(OCI_INDEX, &index))
        .await
        .expect(201);
    let unknown = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{ "digest": Blob::random(9, 9).digest }] });
    let refused = repository
        .put_manifest("v2", &Manifest::new(OCI_INDEX, &unknown))
        .await;
    refused.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

/// Without a size only the digest can tell that stored bytes are not whole.
async fn what_is_left_out_is_in_the_log_and_the_content_is_checked(builder: ServerBuilder) {
    let mut server = builder.start();
    let image = image::oci(1);
    let repository = with_blobs(&server, &image).await;
    let bare = without(&image, &["size"]);
    repository.put_manifest("v1", &bare).await.expect(201);
    server.says("config.size and 2 more").await;
    let log = server.log();
    assert!(
        log.contains("config.size and 2 more") && log.contains(&bare.digest),
        "{log}"
    );

    let layer = wharf_testkit::store::blob_path(&server.root(), &image.blobs[1].digest);
    let mut bytes = std::fs::read(&layer).unwrap();
    bytes[0] ^= 1;
    server.leave_unchecked();
    std::fs::write(&layer, &bytes).unwrap();
    let refused = repository.put_manifest("v2", &bare).await;
    refused
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN")
        .expect_message("damaged");
}
