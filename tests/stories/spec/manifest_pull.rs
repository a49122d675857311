//! end-3: `GET` and `HEAD` of `/v2/<name>/manifests/<tag-or-digest>`.

use wharf_testkit::{
    Repository, Server, digest,
    image::{self, Image, Manifest},
};

wharf_testkit::on_both_engines![
    get_by_tag_gives_the_manifest,
    get_by_digest_gives_the_manifest,
    get_by_sha512_gives_the_manifest,
    head_gives_size_type_and_digest_without_a_body,
    the_accept_header_never_changes_the_answer,
    no_accept_header_gives_the_manifest,
    an_unknown_tag_is_404,
    an_unknown_digest_is_404,
    an_unknown_repository_is_404,
    a_manifest_of_another_repository_is_404,
    a_layer_is_not_a_manifest,
    a_manifest_is_a_blob_too,
    if_none_match_with_the_digest_is_304,
    if_none_match_with_an_old_digest_gives_the_new_manifest,
    the_content_type_has_no_parameters,
    pulls_over_http2,
];

async fn pushed(server: &Server) -> (Repository, Image) {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("latest", &image).await;
    (repository, image)
}

/// "A GET request to an existing manifest URL MUST provide the expected manifest, with a response
/// code that MUST be `200 OK`." "MUST contain the digest … in the header `Docker-Content-Digest`."
async fn get_by_tag_gives_the_manifest(server: Server) {
    let (repository, image) = pushed(&server).await;
    repository
        .get_manifest("latest")
        .await
        .expect(200)
        .expect_header("content-type", image::OCI_MANIFEST)
        .expect_header("docker-content-digest", &image.manifest.digest)
        .expect_header("content-length", image.manifest.bytes.len().to_string())
        .expect_header("etag", format!("\"{}\"", image.manifest.digest))
        // A tag may move: no cache may keep it.
        .expect_no_header("cache-control")
        .expect_body(&image.manifest.bytes);
}

async fn get_by_digest_gives_the_manifest(server: Server) {
    let (repository, image) = pushed(&server).await;
    repository
        .get_manifest(&image.manifest.digest)
        .await
        .expect(200)
        .expect_header("content-type", image::OCI_MANIFEST)
        .expect_header("docker-content-digest", &image.manifest.digest)
        .expect_body(&image.manifest.bytes);
}

/// The digest of the answer is one of the bytes; it "MAY differ from the provided digest" only in
/// its algorithm.
async fn get_by_sha512_gives_the_manifest(server: Server) {
    let (repository, image) = pushed(&server).await;
    let sha512 = image.manifest.sha512();
    repository
        .put_manifest(&sha512, &image.manifest)
        .await
        .expect(201);
    for answer in [
        repository.get_manifest(&sha512).await,
        repository.head_manifest(&sha512).await,
    ] {
        let answer = answer.expect(200);
        let named = answer.header("docker-content-digest").to_owned();
        assert_eq!(
            named,
            digest::same_algorithm(&named, &image.manifest.bytes),
            "{answer}"
        );
    }
    repository
        .get_manifest(&sha512)
        .await
        .expect_body(&image.manifest.bytes);
}

/// "A successful response MUST contain the size in bytes of the uploaded blob or manifest in the
/// header `Content-Length`."
async fn head_gives_size_type_and_digest_without_a_body(server: Server) {
    let (repository, image) = pushed(&server).await;
    for reference in ["latest", &image.manifest.digest] {
        repository
            .head_manifest(reference)
            .await
            .expect(200)
            .expect_header("content-type", image::OCI_MANIFEST)
            .expect_header("docker-content-digest", &image.manifest.digest)
            .expect_header("content-length", image.manifest.bytes.len().to_string())
            .expect_body("");
    }
}

/// D2: always the stored manifest and its true digest, whatever `Accept` says.
async fn the_accept_header_never_changes_the_answer(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let (docker, oci) = (image::docker(1), image::oci(2));
    let (list, index) = (image::docker_list(3), image::oci_index(4));
    repository.push_image("docker", &docker).await;
    repository.push_image("oci", &oci).await;
    repository.push_index("list", &list).await;
    repository.push_index("index", &index).await;
    let stored: [(&str, &Manifest); 4] = [
        ("docker", &docker.manifest),
        ("oci", &oci.manifest),
        ("list", &list.manifest),
        ("index", &index.manifest),
    ];
    let accepts = [
        "*/*",
        image::DOCKER_MANIFEST,
        image::OCI_MANIFEST,
        image::DOCKER_LIST,
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "text/html",
        "application/json;q=0",
    ];
    for (tag, manifest) in stored {
        for accept in accepts {
            repository
                .get_manifest(tag)
                .header("Accept", accept)
                .await
                .expect(200)
                .expect_header("content-type", &manifest.media_type)
                .expect_header("docker-content-digest", &manifest.digest)
                .expect_body(&manifest.bytes);
        }
    }
}

async fn no_accept_header_gives_the_manifest(server: Server) {
    let (repository, image) = pushed(&server).await;
    repository.pull_image("latest", &image).await;
}

/// "If the manifest is not found in the repository, the response code MUST be `404 Not Found`."
async fn an_unknown_tag_is_404(server: Server) {
    let (repository, _) = pushed(&server).await;
    repository
        .get_manifest("no-such-tag")
        .await
        .expect_error(404, "MANIFEST_UNKNOWN")
        .expect_message("no-such-tag");
    repository
        .head_manifest("no-such-tag")
        .await
        .expect(404)
        .expect_body("");
}

async fn an_unknown_digest_is_404(server: Server) {
    let (repository, _) = pushed(&server).await;
    repository
        .get_manifest(&digest::unknown(1))
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    repository.head_manifest(&digest::unknown(1)).await.expect(404);
    let sha512 = digest::sha512(b"nobody");
    repository
        .get_manifest(&sha512)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
}

/// "An attempt to pull a nonexistent repository MUST return response code `404 Not Found`."
async fn an_unknown_repository_is_404(server: Server) {
    let nobody = server.anonymous().repository("nobody/here");
    nobody.get_manifest("latest").await.expect(404);
    nobody.head_manifest("latest").await.expect(404);
}

async fn a_manifest_of_another_repository_is_404(server: Server) {
    let (repository, image) = pushed(&server).await;
    let other = repository.client().repository("kyo/other");
    other.push_image("latest", &image::oci(2)).await;
    other
        .get_manifest(&image.manifest.digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
}

/// The digest of a layer is well-formed and present, but what it names is no manifest.
async fn a_layer_is_not_a_manifest(server: Server) {
    let (repository, image) = pushed(&server).await;
    repository
        .get_manifest(&image.blobs[0].digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    repository
        .get_manifest(&image.blobs[1].digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
}

/// registry:2 serves a manifest of the repository through the blobs endpoint as well; tools use it.
/// What is not known there must be a clean 404.
async fn a_manifest_is_a_blob_too(server: Server) {
    let (repository, image) = pushed(&server).await;
    let answer = repository.get_blob(&image.manifest.digest).await;
    if answer.status == 200 {
        answer.expect_body(&image.manifest.bytes);
    } else {
        answer.expect_error(404, "BLOB_UNKNOWN");
    }
}

async fn if_none_match_with_the_digest_is_304(server: Server) {
    let (repository, image) = pushed(&server).await;
    let digest = &image.manifest.digest;
    for tag in [format!("\"{digest}\""), digest.clone(), format!("W/\"{digest}\"")] {
        for reference in ["latest", digest] {
            repository
                .get_manifest(reference)
                .header("If-None-Match", &tag)
                .await
                .expect(304)
                .expect_body("");
            repository
                .head_manifest(reference)
                .header("If-None-Match", &tag)
                .await
                .expect(304);
        }
    }
}

async fn if_none_match_with_an_old_digest_gives_the_new_manifest(server: Server) {
    let (repository, old) = pushed(&server).await;
    let new = image::oci(2);
    repository.push_image("latest", &new).await;
    repository
        .get_manifest("latest")
        .header("If-None-Match", format!("\"{}\"", old.manifest.digest))
        .await
        .expect(200)
        .expect_body(&new.manifest.bytes);
}

/// "The registry SHOULD NOT include parameters on the `Content-Type` header."
async fn the_content_type_has_no_parameters(server: Server) {
    let (repository, image) = pushed(&server).await;
    repository
        .put_manifest("again", &image.manifest)
        .header("Content-Type", format!("{}; charset=utf-8", image::OCI_MANIFEST))
        .await;
    repository
        .get_manifest("latest")
        .await
        .expect(200)
        .expect_header("content-type", image::OCI_MANIFEST);
}

async fn pulls_over_http2(server: Server) {
    let (_, image) = pushed(&server).await;
    server
        .anonymous_http2()
        .repository("kyo/my-image")
        .pull_image("latest", &image)
        .await;
}
