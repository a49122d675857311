//! `storage.maintenance.readonly`: everything can be read, and nothing changes.

use wharf_testkit::{Method, ServerBuilder, image, suite::Suite};

use crate::stories;

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(suite, &[], [readonly_refuses_what_would_change_the_store]);
}

async fn readonly_refuses_what_would_change_the_store(builder: ServerBuilder) {
    let image = image::oci(1);
    let mut writable = builder.start();
    writable.anonymous().repository("a").push_image("1", &image).await;
    writable.stop();
    let root = writable.root().display().to_string();
    let server = writable
        .another()
        .storage("delete: {enabled: true}")
        .environment("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &root)
        .environment("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")
        .unchecked()
        .start();
    let client = server.anonymous();
    let repository = client.repository("a");
    let digest = &image.blobs[0].digest;
    let upload = "/v2/a/blobs/uploads/3f2b5d70-37a0-4fd4-9a5c-5b1b2a6a1e7c";
    for (method, path) in [
        (Method::POST, repository.uploads_path()),
        (
            Method::POST,
            format!("{}?mount={digest}&from=b", repository.uploads_path()),
        ),
        (Method::PATCH, upload.to_owned()),
        (Method::PUT, format!("{upload}?digest={digest}")),
        (Method::DELETE, upload.to_owned()),
        (Method::PUT, repository.manifest_path("1")),
        (Method::DELETE, repository.manifest_path("1")),
        (Method::DELETE, repository.manifest_path(digest)),
        (Method::DELETE, repository.blob_path(digest)),
    ] {
        let answer = client.request(method, &path).body("hello").await;
        answer
            .expect_error(405, "UNSUPPORTED")
            .expect_message("`storage.maintenance.readonly.enabled`")
            .expect_header("allow", "GET, HEAD");
    }
    // A method that is never possible is answered as usual.
    client
        .delete("/v2/_catalog")
        .await
        .expect_error(405, "UNSUPPORTED")
        .expect_header("allow", "GET, HEAD");
    repository.pull_image("1", &image).await;
    assert_eq!(repository.tags().await, ["1"]);
    client.get("/").await.expect(200);
    server.says("pushing        off").await;
}
