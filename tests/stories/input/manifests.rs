//! Malformed manifests.

use wharf_testkit::{
    Bytes, Repository, Server, digest,
    image::{self, Blob, Manifest},
    json,
};

wharf_testkit::on_both_engines![
    a_manifest_over_four_megabytes_is_413,
    a_manifest_over_four_megabytes_is_413_before_its_body_is_sent,
    a_streamed_manifest_over_four_megabytes_is_413,
    what_is_not_a_json_object_is_refused,
    nesting_of_ten_thousand_is_refused,
    duplicate_keys_are_refused,
    all_missing_layers_are_named,
    a_missing_child_is_named,
    a_wrong_content_type_is_refused,
    a_content_type_that_says_nothing_is_taken_from_the_manifest,
    wrong_members_are_refused,
    schema_1_is_refused,
    a_config_digest_cannot_be_deleted_as_a_manifest,
    a_layer_digest_cannot_be_deleted_as_a_manifest,
    a_manifest_in_another_encoding_is_refused,
];

fn repository(server: &Server) -> Repository {
    server.anonymous().repository("kyo/my-image")
}

async fn with_blobs(server: &Server) -> (Repository, image::Image) {
    let repository = repository(server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    (repository, image)
}

/// Checks that a refused manifest was not stored.
async fn nothing_is_stored(repository: &Repository, manifest: &Manifest) {
    repository.get_manifest("v1").await.expect(404);
    repository.get_manifest(&manifest.digest).await.expect(404);
}

const FOUR_MEGABYTES: usize = 4 * 1024 * 1024;

/// "a registry that enforces this limit SHOULD respond to a request to push a manifest over this
/// limit with a response code `413 Payload Too Large`."
async fn a_manifest_over_four_megabytes_is_413(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    let bare = image.manifest.with(&json!({ "annotations": { "padding": "" } }));
    let padding = "x".repeat(FOUR_MEGABYTES + 1 - bare.bytes.len());
    let large = image
        .manifest
        .with(&json!({ "annotations": { "padding": padding } }));
    assert_eq!(large.bytes.len(), FOUR_MEGABYTES + 1);
    let answer = repository.put_manifest("v1", &large).await.expect(413);
    assert!(!answer.messages().is_empty(), "{answer}");
    nothing_is_stored(&repository, &large).await;
}

async fn a_manifest_over_four_megabytes_is_413_before_its_body_is_sent(server: Server) {
    let mut raw = server.raw().await;
    raw.send(format!(
        "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: 5000000000\r\n\
         Expect: 100-continue\r\n\r\n",
        image::OCI_MANIFEST
    ))
    .await;
    raw.answer().await.expect(413);
}

async fn a_streamed_manifest_over_four_megabytes_is_413(server: Server) {
    let repository = repository(&server);
    let bytes = Bytes::from(vec![b' '; FOUR_MEGABYTES + 100_000]);
    let manifest = image::oci(1).manifest;
    let answer = repository
        .put_manifest("v1", &manifest)
        .streamed(&bytes, 50_000)
        .try_send()
        .await;
    // The server may close while the client still sends: then there is no answer to look at.
    if let Ok(answer) = answer {
        answer.expect(413);
    }
    nothing_is_stored(&repository, &manifest).await;
}

async fn refused(repository: &Repository, media_type: &str, bytes: impl Into<Bytes>) {
    let manifest = Manifest::from_bytes(media_type, bytes);
    let answer = repository
        .put_manifest("v1", &manifest)
        .await
        .expect_error(400, "MANIFEST_INVALID");
    assert!(!answer.messages().is_empty(), "{answer}");
    nothing_is_stored(repository, &manifest).await;
}

async fn what_is_not_a_json_object_is_refused(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    let whole = &image.manifest.bytes;
    for bytes in [
        Bytes::new(),
        "not json".into(),
        "null".into(),
        "[]".into(),
        "\"text\"".into(),
        "42".into(),
        "{}".into(),
        "{".into(),
        whole.slice(..whole.len() - 1),
        [whole, &b"}"[..]].concat().into(),
        [whole, whole.as_ref()].concat().into(),
        Bytes::from_static(&[0xff, 0xfe, b'{', 0, b'}', 0]),
        Bytes::from_static(b"{\"mediaType\": \"\xff\"}"),
    ] {
        refused(&repository, image::OCI_MANIFEST, bytes).await;
    }
}

async fn nesting_of_ten_thousand_is_refused(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    let whole = image.manifest.json().to_string();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        refused(&repository, image::OCI_MANIFEST, deep.clone()).await;
        refused(
            &repository,
            image::OCI_MANIFEST,
            whole.replacen('{', &format!("{{\"deep\":{deep},"), 1),
        )
        .await;
        refused(&repository, image::OCI_MANIFEST, open.repeat(10_000)).await;
    }
    server.anonymous().get("/v2/").await.expect(200);
}

/// Two parsers may see two manifests in one: the first `layers`, or the last.
async fn duplicate_keys_are_refused(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    let whole = image.manifest.json().to_string();
    for member in [
        "\"mediaType\":\"application/vnd.oci.image.index.v1+json\"",
        "\"layers\":[]",
        "\"schemaVersion\":2",
        &format!("\"config\":{}", image.blobs[1].descriptor()),
    ] {
        refused(
            &repository,
            image::OCI_MANIFEST,
            whole.replacen('{', &format!("{{{member},"), 1),
        )
        .await;
    }
}

/// "missing layers (all of them named)"
async fn all_missing_layers_are_named(server: Server) {
    let repository = repository(&server);
    let config = Blob::random(1, 10).of_type(image::OCI_CONFIG);
    let layers: Vec<Blob> = (2..12).map(|seed| Blob::random(seed, 20)).collect();
    let present = layers[3].clone();
    repository.push_blob(&present).await;
    let image = image::image(image::OCI_MANIFEST, config, layers);
    let answer = repository
        .put_manifest("v1", &image.manifest)
        .await
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(answer.errors().len(), 10, "one error for each\n{answer}");
    for blob in &image.blobs {
        assert_eq!(
            answer.text().contains(&blob.digest),
            *blob != present,
            "{}\n{answer}",
            blob.digest
        );
    }
    nothing_is_stored(&repository, &image.manifest).await;
}

async fn a_missing_child_is_named(server: Server) {
    let repository = repository(&server);
    let index = image::oci_index(1);
    let answer = repository
        .put_manifest("v1", &index.manifest)
        .await
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    for image in &index.images {
        assert!(answer.text().contains(&image.manifest.digest), "{answer}");
    }
    nothing_is_stored(&repository, &index.manifest).await;
}

async fn a_wrong_content_type_is_refused(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    for media_type in [
        image::DOCKER_MANIFEST,
        image::OCI_INDEX,
        "text/plain",
        "nonsense",
        "application/x;",
    ] {
        repository
            .put_manifest(
                "v1",
                &Manifest::from_bytes(media_type, image.manifest.bytes.clone()),
            )
            .await
            .expect_error(400, "MANIFEST_INVALID")
            .expect_message(media_type.trim_end_matches(';'));
    }
    nothing_is_stored(&repository, &image.manifest).await;
}

/// "Clients SHOULD set the `Content-Type` header to the type of the manifest": where they say
/// nothing, or nothing more than that it is JSON, the manifest tells; where it does not, it is refused.
async fn a_content_type_that_says_nothing_is_taken_from_the_manifest(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    let silent = image.manifest.with(&json!({ "mediaType": null }));
    for content_type in [
        None,
        Some(""),
        Some("application/json"),
        Some("application/octet-stream"),
    ] {
        let put = |bytes: &Bytes| {
            let request = repository
                .client()
                .put(&repository.manifest_path("v1"))
                .body(bytes.clone());
            match content_type {
                Some(content_type) => request.header("Content-Type", content_type),
                None => request,
            }
        };
        put(&silent.bytes)
            .await
            .expect_error(400, "MANIFEST_INVALID")
            .expect_message("mediaType");
        nothing_is_stored(&repository, &silent).await;
        put(&image.manifest.bytes).await.expect(201);
        repository
            .get_manifest("v1")
            .await
            .expect(200)
            .expect_header("content-type", image::OCI_MANIFEST);
        repository
            .delete_manifest(&image.manifest.digest)
            .await
            .expect(202);
    }
}

async fn wrong_members_are_refused(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    let layer = |member: &str, value: wharf_testkit::Value| {
        let mut manifest = image.manifest.json();
        manifest["layers"][0][member] = value;
        manifest
    };
    let hex = &digest::unknown(1)[7..];
    for manifest in [
        image.manifest.with(&json!({ "schemaVersion": 3 })).json(),
        image.manifest.with(&json!({ "schemaVersion": "2" })).json(),
        image.manifest.with(&json!({ "layers": "none" })).json(),
        image.manifest.with(&json!({ "layers": [1] })).json(),
        image.manifest.with(&json!({ "config": null })).json(),
        image.manifest.with(&json!({ "config": {} })).json(),
        image.manifest.with(&json!({ "subject": "sha256:x" })).json(),
        layer("digest", json!("sha256:abc")),
        layer("digest", json!(format!("sha256:../../{}", &hex[..58]))),
        layer("digest", json!(null)),
        layer("size", json!(-1)),
        layer("size", json!("12")),
        layer("size", json!(1e300)),
    ] {
        refused(&repository, image::OCI_MANIFEST, manifest.to_string()).await;
    }
    let index = image::index(image::OCI_INDEX, vec![image.clone()], &["amd64"]).manifest;
    for members in [
        json!({ "manifests": {} }),
        json!({ "manifests": [{}] }),
        json!({ "schemaVersion": 1 }),
    ] {
        refused(
            &repository,
            image::OCI_INDEX,
            index.with(&members).json().to_string(),
        )
        .await;
    }
}

/// D7.
async fn schema_1_is_refused(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    let manifest = json!({
        "schemaVersion": 1, "name": repository.name, "tag": "v1", "architecture": "amd64",
        "fsLayers": [{ "blobSum": image.blobs[1].digest }], "history": [{ "v1Compatibility": "{}" }],
    });
    for media_type in [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ] {
        refused(&repository, media_type, manifest.to_string()).await;
    }
}

/// Also when it belongs to a manifest without any tag.
async fn a_config_digest_cannot_be_deleted_as_a_manifest(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    repository
        .push_manifest(&image.manifest.digest, &image.manifest)
        .await;
    repository
        .delete_manifest(&image.blobs[0].digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN")
        .expect_message(&image.manifest.digest);
    repository.pull_image(&image.manifest.digest, &image).await;
}

async fn a_layer_digest_cannot_be_deleted_as_a_manifest(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    repository.push_manifest("v1", &image.manifest).await;
    for blob in &image.blobs {
        repository
            .delete_manifest(&blob.digest)
            .await
            .expect_error(404, "MANIFEST_UNKNOWN");
    }
    // An orphan: nothing to point to, and still no way to lose it.
    let orphan = Blob::random(9, 10);
    repository.push_blob(&orphan).await;
    repository
        .delete_manifest(&orphan.digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    repository.expect_blob(&orphan).await;
    repository.pull_image("v1", &image).await;
}

async fn a_manifest_in_another_encoding_is_refused(server: Server) {
    let (repository, image) = with_blobs(&server).await;
    let text = String::from_utf8(image.manifest.bytes.to_vec()).unwrap();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(&repository, image::OCI_MANIFEST, utf16).await;
    refused(&repository, image::OCI_MANIFEST, format!("\u{feff}{text}")).await;
}
