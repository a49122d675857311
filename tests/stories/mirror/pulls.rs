//! Cold and warm pulls: what clients get, and what is fetched for it.

use wharf_testkit::{
    Engine, ServerBuilder, digest,
    image::{self, Blob},
    store,
    upstream::{Trouble, Upstream, When},
};

use super::{expect_failed, mirroring, mirroring_with, repository};

wharf_testkit::configured_on_both_engines![
    a_cold_pull_by_tag_gives_the_upstream_s_image_and_a_warm_one_fetches_nothing,
    a_pull_by_digest_asks_the_upstream_once_in_all,
    nothing_but_what_was_asked_for_is_fetched,
    heads_fetch_no_blobs,
    requests_name_this_registry_in_via,
    names_may_have_many_parts,
    a_path_in_the_url_of_the_upstream_is_kept,
    what_the_upstream_does_not_have_is_404_and_is_remembered,
    bytes_of_another_repository_are_not_downloaded_again,
    private_content_is_not_told_through_a_mirror,
    a_wrong_digest_of_a_manifest_is_not_passed_on,
    a_digest_that_is_no_blob_may_be_a_manifest,
    tags_are_those_of_the_upstream,
    referrers_are_those_of_the_upstream,
];

async fn a_cold_pull_by_tag_gives_the_upstream_s_image_and_a_warm_one_fetches_nothing(
    builder: ServerBuilder,
) {
    let upstream = Upstream::start();
    let server = mirroring(builder, &upstream).start();
    for (tag, image) in [("oci", image::oci(1)), ("docker", image::docker(2))] {
        upstream.serve("team/app", tag, image.clone());
        let app = repository(&server, "hub/team/app");
        app.pull_image(tag, &image).await;
        let manifests = upstream.count("GET", "/v2/team/app/manifests/");
        assert_eq!(manifests, 1, "{:?}", upstream.calls());
        for blob in &image.blobs {
            let path = format!("/v2/team/app/blobs/{}", blob.digest);
            assert_eq!(upstream.count("GET", &path), 1, "{:?}", upstream.calls());
        }

        upstream.forget();
        app.pull_image(tag, &image).await;
        let head = format!("HEAD /v2/team/app/manifests/{tag}");
        assert_eq!(upstream.calls(), [head], "a tag is validated by one HEAD");
        upstream.forget();
    }
}

async fn a_pull_by_digest_asks_the_upstream_once_in_all(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    for _ in 0..2 {
        app.pull_image(&image.manifest.digest, &image).await;
    }
    let mut calls = upstream.calls();
    calls.retain(|call| !call.starts_with("HEAD"));
    let manifest = format!("GET /v2/app/manifests/{}", image.manifest.digest);
    let blobs = image
        .blobs
        .iter()
        .map(|blob| format!("GET /v2/app/blobs/{}", blob.digest));
    let expected: Vec<String> = [manifest].into_iter().chain(blobs).collect();
    assert_eq!(calls, expected);
}

async fn nothing_but_what_was_asked_for_is_fetched(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let index = image::oci_index(1);
    upstream.serve("app", "1", index.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.get_manifest("1")
        .await
        .expect(200)
        .expect_header("docker-content-digest", &index.manifest.digest)
        .expect_body(&index.manifest.bytes);
    let wanted = &index.images[1];
    app.pull_image(&wanted.manifest.digest, wanted).await;
    for other in [0, 2, 3] {
        let digest = &index.images[other].manifest.digest;
        assert_eq!(upstream.count("GET", digest), 0, "{:?}", upstream.calls());
    }
    assert_eq!(upstream.count("GET", "/blobs/"), wanted.blobs.len());
    // The other platform comes when it is asked for.
    app.pull_image(&index.images[0].manifest.digest, &index.images[0])
        .await;
}

async fn heads_fetch_no_blobs(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    for reference in ["1", &image.manifest.digest] {
        app.head_manifest(reference)
            .await
            .expect(200)
            .expect_header("docker-content-digest", &image.manifest.digest)
            .expect_header("content-type", &image.manifest.media_type)
            .expect_header("content-length", image.manifest.bytes.len().to_string());
    }
    let blob = &image.blobs[1];
    app.head_blob(&blob.digest)
        .await
        .expect(200)
        .expect_header("content-length", blob.bytes.len().to_string());
    assert_eq!(upstream.count("GET", "/blobs/"), 0, "{:?}", upstream.calls());
}

async fn requests_name_this_registry_in_via(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    repository(&server, "hub/app").pull_image("1", &image).await;
    for asked in upstream.asked() {
        let via = asked.header("via").unwrap_or_default();
        assert!(via.starts_with("1.1 wharf-"), "{}", asked.head);
        assert_eq!(asked.header("authorization"), None, "{}", asked.head);
    }
}

async fn names_may_have_many_parts(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("a/b/c/d-e_f.g", "1", image.clone());
    let server = super::mirrors(builder, &[super::below("cache/docker.io", &upstream, "")]).start();
    repository(&server, "cache/docker.io/a/b/c/d-e_f.g")
        .pull_image("1", &image)
        .await;
}

async fn a_path_in_the_url_of_the_upstream_is_kept(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let server = super::sparse(builder)
        .config(format!(
            "mirrors: [{{prefix: hub, remoteurl: '{}/artifactory/'}}]",
            upstream.url()
        ))
        .start();
    repository(&server, "hub/app").get_manifest("1").await;
    for call in upstream.calls() {
        let path = call.split(' ').nth(1).unwrap().to_owned();
        assert!(path.starts_with("/artifactory/v2/"), "{path}");
    }
    assert_ne!(upstream.calls(), [""; 0]);
}

async fn what_the_upstream_does_not_have_is_404_and_is_remembered(builder: ServerBuilder) {
    let upstream = Upstream::start();
    upstream.serve("app", "1", image::oci(1));
    let server = mirroring_with(builder, &upstream, "fresh: 1h").start();
    let app = repository(&server, "hub/app");
    let unknown = digest::unknown(1);
    let ask = async || {
        app.get_manifest("2").await.expect_error(404, "MANIFEST_UNKNOWN");
        app.get_manifest(&unknown)
            .await
            .expect_error(404, "MANIFEST_UNKNOWN");
        app.get_blob(&unknown).await.expect_error(404, "BLOB_UNKNOWN");
        let absent = repository(&server, "hub/absent");
        absent.get_manifest("1").await.expect(404).errors();
    };
    ask().await;
    assert_ne!(upstream.calls(), [""; 0]);
    upstream.forget();
    ask().await;
    assert_eq!(upstream.calls(), [""; 0], "it was asked a moment ago");
}

async fn bytes_of_another_repository_are_not_downloaded_again(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    repository(&server, "own/app").push_image("1", &image).await;
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    assert_eq!(upstream.count("GET", "/blobs/"), 0, "{:?}", upstream.calls());
    for blob in &image.blobs {
        assert!(
            upstream.count("HEAD", &blob.digest) >= 1,
            "{:?}",
            upstream.calls()
        );
    }
    // They are the mirror's own now.
    upstream.forget();
    app.pull_image("1", &image).await;
    assert_eq!(upstream.count("HEAD", "/blobs/"), 0, "{:?}", upstream.calls());
}

async fn private_content_is_not_told_through_a_mirror(builder: ServerBuilder) {
    let upstream = Upstream::start();
    upstream.serve("app", "1", image::oci(1));
    let server = mirroring(builder, &upstream).start();
    let private = image::oci("private");
    repository(&server, "private/app").push_image("1", &private).await;
    let app = repository(&server, "hub/app");
    for blob in &private.blobs {
        app.head_blob(&blob.digest).await.expect(404);
        app.get_blob(&blob.digest).await.expect_error(404, "BLOB_UNKNOWN");
    }
    app.get_manifest(&private.manifest.digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    // While the upstream fails, nothing confirms that the mirror may give it either.
    let other = Blob::random(7, 1000);
    repository(&server, "private/app").push_blob(&other).await;
    upstream.stop();
    let answer = app.get_blob(&other.digest).await;
    expect_failed(answer, 503, &upstream);
}

async fn a_wrong_digest_of_a_manifest_is_not_passed_on(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    upstream.trouble(When::method("GET").of("/manifests/"), Trouble::Flip);
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    for reference in ["1", &image.manifest.digest] {
        let answer = app.get_manifest(reference).await;
        expect_failed(answer, 502, &upstream);
    }
    if server.engine() == Engine::Filesystem {
        let path = store::blob_path(&server.root(), &image.manifest.digest);
        assert!(!path.exists(), "it was stored");
    }
    upstream.recover();
    app.get_manifest(&image.manifest.digest)
        .await
        .expect(200)
        .expect_body(&image.manifest.bytes);
}

async fn tags_are_those_of_the_upstream(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    let mut expected: Vec<String> = (0..2500).map(|number| format!("t{number:04}")).collect();
    for tag in &expected {
        upstream.serve("app", tag, image.clone());
    }
    let server = mirroring(builder, &upstream).start();
    repository(&server, "hub/app").pull_image("t0007", &image).await;
    let mut path = "/v2/hub/app/tags/list".to_owned();
    let mut found: Vec<String> = Vec::new();
    loop {
        let answer = server.anonymous().get(&path).await.expect(200);
        let json = answer.json();
        assert_eq!(
            json["name"], "hub/app",
            "the name is the one that the client knows"
        );
        let tags = json["tags"].as_array().unwrap();
        found.extend(tags.iter().map(|tag| tag.as_str().unwrap().to_owned()));
        let Some(link) = answer.headers.get("link") else {
            break;
        };
        let link = link.to_str().unwrap();
        path = link[link.find('<').unwrap() + 1..link.find('>').unwrap()].to_owned();
        assert!(path.contains("/v2/hub/app/tags/list"), "{path}");
        assert!(found.len() < 3000, "the list has no end");
    }
    expected.sort();
    assert_eq!(found, expected);
    let absent = server.anonymous().get("/v2/hub/absent/tags/list").await;
    absent.expect_error(404, "NAME_UNKNOWN");
}

async fn referrers_are_those_of_the_upstream(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let signature = image::artifact(1, "application/vnd.example.signature", &image.manifest);
    upstream.serve("app", "signature", signature.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    assert_eq!(
        app.referrers(&image.manifest.digest).await,
        std::slice::from_ref(&signature.manifest.digest)
    );
    app.pull_image(&signature.manifest.digest, &signature).await;
}

async fn a_digest_that_is_no_blob_may_be_a_manifest(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.get_blob(&image.manifest.digest).await.expect(404);
    app.get_manifest(&image.manifest.digest).await.expect(200);
}
