//! Where tags point: when the upstream is asked, and what happens when it has changed.

use wharf_testkit::{
    ServerBuilder, eventually, image,
    upstream::{Trouble, Upstream, When},
};

use super::{expect_stored_instead, mirroring, mirroring_with, repository};

wharf_testkit::configured_on_both_engines![
    a_tag_is_validated_no_more_often_than_fresh_says,
    a_changed_tag_is_fetched_and_the_old_digest_stays,
    a_tag_that_changes_between_head_and_get_gives_one_whole_image,
    a_tag_that_is_gone_is_404_and_its_digest_stays,
    an_upstream_that_does_not_say_digests_is_asked_by_get,
    a_stale_tag_is_served_no_longer_than_stale_says,
    a_digest_is_served_without_asking_however_old_it_is,
    each_tag_is_validated_by_itself,
];

async fn a_tag_is_validated_no_more_often_than_fresh_says(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let (old, new) = (image::oci("old"), image::oci("new"));
    upstream.serve("app", "1", old.clone());
    let server = mirroring_with(builder, &upstream, "fresh: 1h").start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &old).await;
    upstream.serve("app", "1", new);
    upstream.forget();
    for _ in 0..3 {
        app.pull_image("1", &old).await;
        app.head_manifest("1")
            .await
            .expect_header("docker-content-digest", &old.manifest.digest)
            .expect_no_header("warning");
    }
    assert_eq!(upstream.calls(), [""; 0]);
}

async fn a_changed_tag_is_fetched_and_the_old_digest_stays(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let (old, new) = (image::oci("old"), image::oci("new"));
    upstream.serve("app", "1", old.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &old).await;
    upstream.serve("app", "1", new.clone());
    app.head_manifest("1")
        .await
        .expect(200)
        .expect_header("docker-content-digest", &new.manifest.digest);
    app.pull_image("1", &new).await;
    upstream.stop();
    app.pull_image(&old.manifest.digest, &old).await;
    app.pull_image(&new.manifest.digest, &new).await;
    let by_tag = expect_stored_instead(app.get_manifest("1").await);
    by_tag.expect_body(&new.manifest.bytes);
}

async fn a_tag_that_changes_between_head_and_get_gives_one_whole_image(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let (first, old, new) = (image::oci("first"), image::oci("old"), image::oci("new"));
    upstream.serve("app", "1", first.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &first).await;
    // HEAD names the second image, and GET no longer has it.
    upstream.serve("app", "1", old.clone());
    for blob in &new.blobs {
        upstream.serve_blob("app", blob);
    }
    let moved = Trouble::Move {
        repository: "app".to_owned(),
        tag: "1".to_owned(),
        to: new.manifest.clone(),
    };
    upstream.trouble(When::method("HEAD").of("/manifests/1").times(1), moved);
    app.pull_image("1", &new).await;
    app.get_manifest(&old.manifest.digest)
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
}

async fn a_tag_that_is_gone_is_404_and_its_digest_stays(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    upstream.remove_tag("app", "1");
    app.get_manifest("1").await.expect_error(404, "MANIFEST_UNKNOWN");
    app.pull_image(&image.manifest.digest, &image).await;
}

async fn an_upstream_that_does_not_say_digests_is_asked_by_get(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let answer = |body: &[u8]| {
        let headers = vec![("Content-Type".to_owned(), image.manifest.media_type.clone())];
        Trouble::Answer(200, headers, body.to_vec().into())
    };
    upstream.trouble(When::always().of("/manifests/"), answer(&image.manifest.bytes));
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    for _ in 0..2 {
        app.pull_image("1", &image).await;
    }
    assert_eq!(upstream.count("GET", "/blobs/"), image.blobs.len());
}

async fn a_stale_tag_is_served_no_longer_than_stale_says(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring_with(builder, &upstream, "fresh: 0s, stale: 1ms").start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    upstream.stop();
    eventually("the tag is too old", async || {
        app.get_manifest("1").await.status == 503
    })
    .await;
    // What a digest names does not age.
    app.pull_image(&image.manifest.digest, &image).await;
}

async fn a_digest_is_served_without_asking_however_old_it_is(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    upstream.remove("app");
    upstream.forget();
    app.pull_image(&image.manifest.digest, &image).await;
    let answer = app.get_manifest(&image.manifest.digest).await;
    answer.expect(200).expect_no_header("warning");
    assert_eq!(upstream.calls(), [""; 0]);
}

async fn each_tag_is_validated_by_itself(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    for tag in ["1", "latest"] {
        upstream.serve("app", tag, image.clone());
    }
    let server = mirroring_with(builder, &upstream, "fresh: 1h").start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    upstream.forget();
    app.pull_image("latest", &image).await;
    assert_eq!(upstream.calls(), ["HEAD /v2/app/manifests/latest"]);
}
