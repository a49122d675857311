//! end-7a, end-7b: `PUT /v2/<name>/manifests/<tag-or-digest>`.

use wharf_testkit::{
    Repository, Server, ServerBuilder, digest,
    image::{self, Blob, Image, Index, Manifest},
    json, store,
};

wharf_testkit::on_both_engines![
    push_by_tag_says_where_it_lies,
    push_by_digest_does_not_tag,
    push_by_sha512_is_found_by_it,
    push_by_another_digest_is_refused,
    manifests_are_stored_byte_for_byte,
    every_kind_of_image_is_taken_and_given_back,
    every_kind_of_index_is_taken_and_given_back,
    an_oci_artifact_manifest_is_taken,
    a_media_type_that_nobody_knows_is_taken,
    an_image_without_layers_is_taken,
    an_index_without_children_is_taken,
    a_manifest_without_media_type_takes_that_of_the_request,
    parameters_of_the_content_type_are_ignored,
    a_tag_moves,
    the_old_manifest_stays_readable_when_its_tag_moves,
    pushing_the_same_again_succeeds,
    tags_of_the_query_are_set_and_named,
    ten_tags_in_one_request_are_taken,
    a_tag_of_the_query_that_is_none_is_refused,
    a_missing_layer_is_refused,
    a_missing_child_is_refused,
    a_layer_of_another_repository_is_missing,
    a_subject_may_be_missing,
    a_manifest_of_four_megabytes_is_taken,
    a_tag_of_128_characters_is_taken,
    a_push_that_creates_only_leaves_a_tag_that_exists,
    a_push_that_moves_only_from_another_manifest_leaves_the_tag,
    conditions_of_a_push_by_digest_are_of_that_digest,
    pushes_over_http2,
];

wharf_testkit::configured_on_both_engines![
    foreign_layers_need_not_be_here_if_the_config_says_so,
    sparse_manifests_are_taken_if_the_config_says_so,
];

fn repository(server: &Server) -> Repository {
    server.anonymous().repository("kyo/my-image")
}

/// "Upon a successful upload, the registry MUST return response code `201 Created`, and MUST have"
/// a `Location`, "a pullable manifest URL". "The Docker-Content-Digest header … MUST be equal to
/// the client provided digest."
async fn push_by_tag_says_where_it_lies(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let answer = repository
        .put_manifest("v1", &image.manifest)
        .await
        .expect(201)
        .expect_header("docker-content-digest", &image.manifest.digest)
        .expect_header("content-length", "0")
        .expect_no_header("oci-subject");
    repository
        .client()
        .get(&answer.location())
        .await
        .expect(200)
        .expect_body(&image.manifest.bytes);
    assert_eq!(repository.tags().await, ["v1"]);
}

async fn push_by_digest_does_not_tag(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let answer = repository
        .push_manifest(&image.manifest.digest, &image.manifest)
        .await;
    repository
        .client()
        .get(&answer.location())
        .await
        .expect(200)
        .expect_body(&image.manifest.bytes);
    repository.push_image("v1", &image::oci(2)).await;
    assert_eq!(repository.tags().await, ["v1"]);
}

async fn push_by_sha512_is_found_by_it(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let answer = repository
        .put_manifest(&image.manifest.sha512(), &image.manifest)
        .await
        .expect(201)
        .expect_header("docker-content-digest", image.manifest.sha512());
    repository
        .client()
        .get(&answer.location())
        .await
        .expect(200)
        .expect_body(&image.manifest.bytes);
    repository
        .get_manifest(&image.manifest.sha512())
        .await
        .expect(200)
        .expect_body(&image.manifest.bytes);
}

/// The digest in the path and the digest of the body must agree.
async fn push_by_another_digest_is_refused(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    for other in [digest::unknown(1), digest::sha512(b"other")] {
        repository
            .put_manifest(&other, &image.manifest)
            .await
            .expect_error(400, "DIGEST_INVALID");
        repository.get_manifest(&other).await.expect(404);
    }
    repository.get_manifest(&image.manifest.digest).await.expect(404);
}

/// "The registry MUST store the manifest in the exact byte representation provided by the client."
async fn manifests_are_stored_byte_for_byte(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let compact = serde_json_compact(&image.manifest);
    let odd = format!(
        "\n\t {}\r\n  \n",
        compact.replace("\"layers\"", "\"x\\u00e9\" : [1.0, 1e3, \"\\/\" ],\n\"layers\"")
    );
    for (tag, text) in [("compact", compact), ("odd", odd)] {
        let manifest = Manifest::from_bytes(image::OCI_MANIFEST, text);
        repository.push_manifest(tag, &manifest).await;
        repository
            .get_manifest(tag)
            .await
            .expect(200)
            .expect_body(&manifest.bytes);
        repository
            .get_manifest(&manifest.digest)
            .await
            .expect(200)
            .expect_body(&manifest.bytes);
    }
}

fn serde_json_compact(manifest: &Manifest) -> String {
    manifest.json().to_string()
}

async fn every_kind_of_image_is_taken_and_given_back(server: Server) {
    let repository = repository(&server);
    let images: [(&str, Image); 3] = [
        ("docker", image::docker(1)),
        ("oci", image::oci(2)),
        ("zstd", image::zstd(3)),
    ];
    for (tag, image) in &images {
        repository.push_image(tag, image).await;
    }
    for (tag, image) in &images {
        repository.pull_image(tag, image).await;
        repository.pull_image(&image.manifest.digest, image).await;
    }
}

async fn every_kind_of_index_is_taken_and_given_back(server: Server) {
    let repository = repository(&server);
    let indexes: [(&str, Index); 2] = [("list", image::docker_list(1)), ("index", image::oci_index(2))];
    for (tag, index) in &indexes {
        repository.push_index(tag, index).await;
    }
    for (tag, index) in &indexes {
        repository
            .get_manifest(tag)
            .await
            .expect(200)
            .expect_header("content-type", &index.manifest.media_type)
            .expect_body(&index.manifest.bytes);
        for image in &index.images {
            repository.pull_image(&image.manifest.digest, image).await;
        }
    }
}

async fn an_oci_artifact_manifest_is_taken(server: Server) {
    let repository = repository(&server);
    let blob = Blob::random(1, 100);
    repository.push_blob(&blob).await;
    let artifact = Manifest::new(
        image::OCI_ARTIFACT,
        &json!({
            "mediaType": image::OCI_ARTIFACT,
            "artifactType": "application/vnd.example.sbom",
            "blobs": [blob.descriptor()],
        }),
    );
    repository.push_manifest("sbom", &artifact).await;
    repository
        .get_manifest("sbom")
        .await
        .expect(200)
        .expect_header("content-type", image::OCI_ARTIFACT)
        .expect_body(&artifact.bytes);
}

/// "The `Content-Type` header SHOULD match what the client pushed as the manifest's `Content-Type`."
async fn a_media_type_that_nobody_knows_is_taken(server: Server) {
    let repository = repository(&server);
    let manifest = image::unheard_of(1);
    repository.push_manifest("mystery", &manifest).await;
    repository
        .get_manifest("mystery")
        .await
        .expect(200)
        .expect_header("content-type", &manifest.media_type)
        .expect_body(&manifest.bytes);
}

/// "However, the list of blobs MAY be empty."
async fn an_image_without_layers_is_taken(server: Server) {
    let repository = repository(&server);
    let image = image::image(
        image::OCI_MANIFEST,
        Blob::new("application/vnd.oci.empty.v1+json", "{}"),
        vec![],
    );
    repository.push_image("empty", &image).await;
    repository.pull_image("empty", &image).await;
}

async fn an_index_without_children_is_taken(server: Server) {
    let repository = repository(&server);
    let index = image::index(image::OCI_INDEX, vec![], &[]);
    repository.push_index("empty", &index).await;
    repository
        .get_manifest("empty")
        .await
        .expect(200)
        .expect_body(&index.manifest.bytes);
}

/// "All manifests SHOULD include a `mediaType` field": some do not. "The `Content-Type` header
/// SHOULD match what the client pushed".
async fn a_manifest_without_media_type_takes_that_of_the_request(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let manifest = image.manifest.with(&json!({ "mediaType": null }));
    repository.push_manifest("silent", &manifest).await;
    repository
        .push_manifest(&image.manifest.digest, &image.manifest)
        .await;
    repository
        .get_manifest("silent")
        .await
        .expect(200)
        .expect_header("content-type", image::OCI_MANIFEST);
    let index = image::index(image::OCI_INDEX, vec![image], &["amd64"]);
    let index = index.manifest.with(&json!({ "mediaType": null }));
    repository.push_manifest("silent-index", &index).await;
    repository
        .get_manifest("silent-index")
        .await
        .expect(200)
        .expect_header("content-type", image::OCI_INDEX);
}

/// "The registry SHOULD ignore parameters on the `Content-Type` header."
async fn parameters_of_the_content_type_are_ignored(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    repository
        .client()
        .put(&repository.manifest_path("v1"))
        .header("Content-Type", format!("{}; charset=utf-8", image::OCI_MANIFEST))
        .body(image.manifest.bytes.clone())
        .await
        .expect(201);
    repository
        .get_manifest("v1")
        .await
        .expect(200)
        .expect_header("content-type", image::OCI_MANIFEST);
}

async fn a_tag_moves(server: Server) {
    let repository = repository(&server);
    let (old, new) = (image::oci(1), image::oci(2));
    repository.push_image("latest", &old).await;
    repository.pull_image("latest", &old).await;
    repository.push_image("latest", &new).await;
    repository.pull_image("latest", &new).await;
    repository.push_manifest("latest", &old.manifest).await;
    repository.pull_image("latest", &old).await;
    assert_eq!(repository.tags().await, ["latest"]);
}

/// RFC 9110, 13.1.2: `If-None-Match: *`.
async fn a_push_that_creates_only_leaves_a_tag_that_exists(server: Server) {
    let repository = repository(&server);
    let (one, two) = (image::oci(1), image::oci(2));
    repository.push_blobs(&one).await;
    repository.push_blobs(&two).await;
    let create = |tag: &str, image: &Image| {
        let push = repository.put_manifest(tag, &image.manifest);
        push.header("If-None-Match", "*")
    };
    create("v1", &one).await.expect(201);
    for again in [&one, &two] {
        create("v1", again)
            .await
            .expect_error(412, "DENIED")
            .expect_message("kyo/my-image:v1")
            .expect_message(&one.manifest.digest)
            .expect_header("etag", format!("\"{}\"", one.manifest.digest));
    }
    repository.pull_image("v1", &one).await;
    // Nothing was changed, not even by digest.
    repository.get_manifest(&two.manifest.digest).await.expect(404);
    create("v2", &two).await.expect(201);
    repository.delete_manifest("v1").await.expect(202);
    create("v1", &two).await.expect(201);
    repository.pull_image("v1", &two).await;
}

/// RFC 9110, 13.1.1: `If-Match`, compared strongly.
async fn a_push_that_moves_only_from_another_manifest_leaves_the_tag(server: Server) {
    let repository = repository(&server);
    let (one, two) = (image::oci(1), image::oci(2));
    repository.push_blobs(&two).await;
    let push = |tag: &str, condition: String| {
        let push = repository.put_manifest(tag, &two.manifest);
        push.header("If-Match", condition)
    };
    for condition in ["*".to_owned(), format!("\"{}\"", one.manifest.digest)] {
        push("v1", condition)
            .await
            .expect_error(412, "DENIED")
            .expect_message("does not exist");
    }
    assert_eq!(
        repository.client().get("/v2/kyo/my-image/tags/list").await.status,
        404
    );

    repository.push_image("v1", &one).await;
    let (first, second) = (&one.manifest.digest, &two.manifest.digest);
    for condition in [
        format!("\"{second}\""),
        format!("W/\"{first}\""),
        "\"nonsense\"".to_owned(),
        String::new(),
    ] {
        push("v1", condition)
            .await
            .expect_error(412, "DENIED")
            .expect_header("etag", format!("\"{first}\""));
    }
    repository.pull_image("v1", &one).await;
    repository.get_manifest(second).await.expect(404);

    push("v1", format!("\"{second}\", \"{first}\"")).await.expect(201);
    push("v1", "*".to_owned()).await.expect(201);
    push("v1", second.clone()).await.expect(201);
    repository.pull_image("v1", &two).await;
}

async fn conditions_of_a_push_by_digest_are_of_that_digest(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let digest = &image.manifest.digest;
    let push = |name: &str, value: &str| {
        repository
            .put_manifest(digest, &image.manifest)
            .header(name, value)
    };
    push("If-Match", "*").await.expect(412);
    push("If-None-Match", "*").await.expect(201);
    push("If-None-Match", "*").await.expect(412);
    push("If-Match", &format!("\"{digest}\"")).await.expect(201);
}

async fn the_old_manifest_stays_readable_when_its_tag_moves(server: Server) {
    let repository = repository(&server);
    let (old, new) = (image::oci(1), image::oci(2));
    repository.push_image("latest", &old).await;
    repository.push_image("latest", &new).await;
    repository.pull_image(&old.manifest.digest, &old).await;
}

async fn pushing_the_same_again_succeeds(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    repository.push_image("v1", &image).await;
    repository.push_manifest("v2", &image.manifest).await;
    assert_eq!(repository.tags().await, ["v1", "v2"]);
}

/// end-7b: "MUST include an `OCI-Tag` response header, in accordance with RFC 9110 (section 5)
/// semantics, for each accepted tag."
async fn tags_of_the_query_are_set_and_named(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let reference = format!("{}?tag=1.2.3&tag=1.2&tag=latest", image.manifest.digest);
    let answer = repository
        .put_manifest(&reference, &image.manifest)
        .await
        .expect(201);
    let mut named: Vec<String> = answer
        .headers
        .get_all("oci-tag")
        .iter()
        .flat_map(|value| {
            value
                .to_str()
                .unwrap()
                .split(',')
                .map(|tag| tag.trim().to_owned())
        })
        .collect();
    named.sort();
    assert_eq!(named, ["1.2", "1.2.3", "latest"], "{answer}");
    assert_eq!(repository.tags().await, ["1.2", "1.2.3", "latest"]);
    for tag in named {
        repository.pull_image(&tag, &image).await;
    }
}

/// "SHOULD support pushing at least 10 tags per request."
async fn ten_tags_in_one_request_are_taken(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let tags: Vec<String> = (10..20).map(|n| format!("t{n}")).collect();
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let reference = format!("{}?{}", image.manifest.digest, query.join("&"));
    repository
        .put_manifest(&reference, &image.manifest)
        .await
        .expect(201);
    assert_eq!(repository.tags().await, tags);
}

/// Nothing is half accepted: one bad tag, no tag.
async fn a_tag_of_the_query_that_is_none_is_refused(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let reference = format!("{}?tag=good&tag=.bad", image.manifest.digest);
    let answer = repository
        .put_manifest(&reference, &image.manifest)
        .await
        .expect(400);
    let answer = answer.expect_error(400, "TAG_INVALID");
    assert!(answer.text().contains("`.`"), "{answer}");
    repository.get_manifest("good").await.expect(404);
}

/// "When a manifest is rejected for this reason, it MUST result in one or more
/// `MANIFEST_BLOB_UNKNOWN` errors".
async fn a_missing_layer_is_refused(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blob(&image.blobs[0]).await;
    repository.push_blob(&image.blobs[1]).await;
    let answer = repository
        .put_manifest("v1", &image.manifest)
        .await
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    assert!(answer.text().contains(&image.blobs[2].digest), "{answer}");
    assert!(!answer.text().contains(&image.blobs[1].digest), "{answer}");
    repository.get_manifest("v1").await.expect(404);
    repository.get_manifest(&image.manifest.digest).await.expect(404);
}

async fn a_missing_child_is_refused(server: Server) {
    let repository = repository(&server);
    let index = image::docker_list(1);
    repository.push_blobs(&index.images[0]).await;
    repository
        .push_manifest(&index.images[0].manifest.digest, &index.images[0].manifest)
        .await;
    let answer = repository
        .put_manifest("v1", &index.manifest)
        .await
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    assert!(
        answer.text().contains(&index.images[1].manifest.digest),
        "{answer}"
    );
    repository.get_manifest("v1").await.expect(404);
}

async fn a_layer_of_another_repository_is_missing(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository
        .client()
        .repository("kyo/other")
        .push_blobs(&image)
        .await;
    repository
        .put_manifest("v1", &image.manifest)
        .await
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

/// "A registry MUST initially accept an otherwise valid manifest with a `subject` field that
/// references a manifest that does not exist in the repository".
async fn a_subject_may_be_missing(server: Server) {
    let repository = repository(&server);
    let artifact = image::artifact(1, "application/vnd.example.sbom", &image::oci(2).manifest);
    repository.push_image("sbom", &artifact).await;
    repository.pull_image("sbom", &artifact).await;
}

/// "Client and registry implementations SHOULD expect to be able to support manifest pushes of at
/// least 4 megabytes."
async fn a_manifest_of_four_megabytes_is_taken(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let bare = image.manifest.with(&json!({ "annotations": { "padding": "" } }));
    let padding = "x".repeat(4 * 1024 * 1024 - bare.bytes.len());
    let large = image
        .manifest
        .with(&json!({ "annotations": { "padding": padding } }));
    assert_eq!(large.bytes.len(), 4 * 1024 * 1024);
    repository.push_manifest("large", &large).await;
    repository
        .get_manifest("large")
        .await
        .expect(200)
        .expect_body(&large.bytes);
}

/// "`<tag-or-digest>` as a tag MUST be at most 128 characters in length and MUST match"
/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
async fn a_tag_of_128_characters_is_taken(server: Server) {
    let repository = repository(&server);
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    for tag in ["a".repeat(128).as_str(), "_", "0", "A.b-c_d", "1.0.0-rc.1"] {
        repository.push_manifest(tag, &image.manifest).await;
        repository.get_manifest(tag).await.expect(200);
    }
}

async fn pushes_over_http2(server: Server) {
    let repository = server.anonymous_http2().repository("kyo/my-image");
    let index = image::oci_index(1);
    repository.push_index("latest", &index).await;
    repository
        .get_manifest("latest")
        .await
        .expect(200)
        .expect_body(&index.manifest.bytes);
}

/// registry:2's key: a layer with `urls` may be fetched from there, and need not be here. Without
/// the key it is missing like any other.
async fn foreign_layers_need_not_be_here_if_the_config_says_so(builder: ServerBuilder) {
    for is_allowed in [false, true] {
        let mut builder = builder.another().rules(store::Rules {
            dangling_references: true,
        });
        if is_allowed {
            builder =
                builder.config("validation: {manifests: {urls: {allow: ['^https://foreign\\.example/']}}}");
        }
        let server = builder.start();
        let repository = repository(&server);
        let image = image::docker(1);
        repository.push_blob(&image.blobs[0]).await;
        repository.push_blob(&image.blobs[1]).await;
        let mut value = image.manifest.json();
        value["layers"][1]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        value["layers"][1]["urls"] = json!(["https://foreign.example/layer"]);
        let foreign = Manifest::new(image::DOCKER_MANIFEST, &value);
        if is_allowed {
            repository.push_manifest("foreign", &foreign).await;
        } else {
            let answer = repository.put_manifest("foreign", &foreign).await.expect(400);
            assert!(!answer.messages().is_empty(), "{answer}");
        }
        // A layer without `urls` is needed in any case.
        repository
            .put_manifest("plain", &image.manifest)
            .await
            .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    }
}

/// "A registry MAY reject a manifest … with descriptors in other fields that reference a manifest
/// or blob that does not exist in the registry": ours does not when told so.
async fn sparse_manifests_are_taken_if_the_config_says_so(builder: ServerBuilder) {
    let server = builder
        .config("compat: {sparse_manifests: true}")
        .rules(store::Rules {
            dangling_references: true,
        })
        .start();
    let repository = repository(&server);
    let index = image::oci_index(1);
    let child = &index.images[1];
    repository.push_blobs(child).await;
    repository
        .push_manifest(&child.manifest.digest, &child.manifest)
        .await;
    repository.push_manifest("latest", &index.manifest).await;
    repository
        .get_manifest("latest")
        .await
        .expect(200)
        .expect_body(&index.manifest.bytes);
    repository.pull_image(&child.manifest.digest, child).await;
    repository
        .get_manifest(&index.images[0].manifest.digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    let absent = image::docker(2);
    repository.push_manifest("absent", &absent.manifest).await;
    repository
        .get_blob(&absent.blobs[1].digest)
        .await
        .expect_error(404, "BLOB_UNKNOWN");
}
