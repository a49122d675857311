//! `proxy`, as registry:2 has it: the whole registry is one mirror.

use wharf_testkit::{
    Method, ServerBuilder, digest, image, store,
    upstream::{Demand, Upstream},
};

use super::{expect_failed, expect_stored_instead, repository, whole};

wharf_testkit::configured_on_both_engines![
    names_are_those_of_the_upstream,
    pushes_and_deletions_are_405,
    the_upstream_is_asked_for_each_pull_of_a_tag,
    a_tag_that_is_gone_at_the_upstream_is_still_served,
    the_catalogue_has_what_was_pulled_and_lists_of_tags_are_the_upstream_s,
    an_upstream_that_is_down_is_stood_in_for,
    the_account_of_the_configuration_logs_in,
    an_official_image_as_docker_asks_for_it,
    keys_of_registry_2_and_3_are_taken,
];
wharf_testkit::on_disk![a_cache_of_registry_2_is_taken_over];

async fn names_are_those_of_the_upstream(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("team/app", "1", image.clone());
    let server = whole(builder, &upstream, "").start();
    let app = repository(&server, "team/app");
    app.pull_image("1", &image).await;
    upstream.forget();
    app.pull_image("1", &image).await;
    assert_eq!(upstream.calls(), ["HEAD /v2/team/app/manifests/1"]);
    let absent = repository(&server, "absent").get_manifest("1").await;
    absent.expect(404).errors();
}

async fn pushes_and_deletions_are_405(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = whole(builder, &upstream, "")
        .storage("delete: {enabled: true}")
        .start();
    let app = repository(&server, "app");
    app.pull_image("1", &image).await;
    upstream.forget();
    let digest = digest::unknown(1);
    for name in ["app", "new/app"] {
        for (method, path) in [
            (Method::POST, format!("/v2/{name}/blobs/uploads/")),
            (
                Method::POST,
                format!("/v2/{name}/blobs/uploads/?mount={digest}&from=app"),
            ),
            (Method::PUT, format!("/v2/{name}/manifests/1")),
            (
                Method::PUT,
                format!("/v2/{name}/manifests/{}", image.manifest.digest),
            ),
            (Method::DELETE, format!("/v2/{name}/manifests/1")),
            (
                Method::DELETE,
                format!("/v2/{name}/manifests/{}", image.manifest.digest),
            ),
            (
                Method::DELETE,
                format!("/v2/{name}/blobs/{}", image.blobs[0].digest),
            ),
        ] {
            let request = server.anonymous().request(method, &path);
            let request = request.header("content-type", &image.manifest.media_type);
            let answer = request.body(image.manifest.bytes.clone()).await;
            answer.expect_error(405, "UNSUPPORTED");
        }
    }
    assert_eq!(upstream.calls(), [""; 0]);
    app.pull_image("1", &image).await;
}

async fn the_upstream_is_asked_for_each_pull_of_a_tag(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let (old, new) = (image::oci("old"), image::oci("new"));
    upstream.serve("app", "1", old.clone());
    let server = whole(builder, &upstream, "").start();
    let app = repository(&server, "app");
    app.pull_image("1", &old).await;
    upstream.serve("app", "1", new.clone());
    app.pull_image("1", &new).await;
    app.pull_image(&old.manifest.digest, &old).await;
}

async fn a_tag_that_is_gone_at_the_upstream_is_still_served(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = whole(builder, &upstream, "").start();
    let app = repository(&server, "app");
    app.pull_image("1", &image).await;
    upstream.remove_tag("app", "1");
    app.pull_image("1", &image).await;
    upstream.remove("app");
    app.pull_image("1", &image).await;
    app.get_manifest("2").await.expect_error(404, "MANIFEST_UNKNOWN");
}

async fn the_catalogue_has_what_was_pulled_and_lists_of_tags_are_the_upstream_s(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    for (name, tag) in [("a", "1"), ("a", "2"), ("b", "1")] {
        upstream.serve(name, tag, image.clone());
    }
    let server = whole(builder, &upstream, "").start();
    repository(&server, "a").pull_image("1", &image).await;
    let listed = server.anonymous().get("/v2/_catalog").await.expect(200).json();
    assert_eq!(listed["repositories"], wharf_testkit::json!(["a"]));
    assert_eq!(repository(&server, "a").tags().await, ["1", "2"]);
    assert_eq!(repository(&server, "b").tags().await, ["1"]);
}

async fn an_upstream_that_is_down_is_stood_in_for(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = whole(builder, &upstream, "").start();
    let app = repository(&server, "app");
    app.pull_image("1", &image).await;
    upstream.stop();
    expect_stored_instead(app.get_manifest("1").await).expect_body(&image.manifest.bytes);
    app.pull_image("1", &image).await;
    let missing = repository(&server, "other").get_manifest("1").await;
    expect_failed(missing, 503, &upstream);
    server.anonymous().get("/v2/").await.expect(200);
}

async fn the_account_of_the_configuration_logs_in(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let account = ", username: robot, password: s3cr3t";
    for demand in [
        Demand::Password("robot", "s3cr3t"),
        Demand::Token {
            realm: None,
            account: Some(("robot", "s3cr3t")),
        },
    ] {
        upstream.demand(demand);
        let server = whole(builder.another(), &upstream, account).start();
        repository(&server, "app").pull_image("1", &image).await;
    }
}

/// `docker pull alpine` with `registry-mirrors` asks the mirror for `library/alpine`, and reads no errors of pings.
async fn an_official_image_as_docker_asks_for_it(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::docker_list(1);
    upstream.serve("library/alpine", "latest", image.clone());
    let server = whole(builder, &upstream, "").start();
    server.anonymous().get("/v2/").await.expect(200);
    let alpine = repository(&server, "library/alpine");
    let head = alpine.head_manifest("latest").await.expect(200);
    let digest = head.header("docker-content-digest").to_owned();
    assert_eq!(digest, image.manifest.digest);
    alpine
        .get_manifest(&digest)
        .await
        .expect_body(&image.manifest.bytes);
    let wanted = &image.images[0];
    alpine.pull_image(&wanted.manifest.digest, wanted).await;
}

async fn keys_of_registry_2_and_3_are_taken(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = whole(builder, &upstream, ", ttl: 168h, cachewritetimeout: 5m").start();
    repository(&server, "app").pull_image("1", &image).await;
    let server = server
        .another()
        .rules(store::Rules {
            dangling_references: true,
        })
        .environment("REGISTRY_PROXY_REMOTEURL", &upstream.url())
        .start();
    repository(&server, "app").pull_image("1", &image).await;
}

async fn a_cache_of_registry_2_is_taken_over(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let (cached, fresh) = (image::docker(1), image::docker(2));
    let root = builder.root();
    store::write_manifest(&root, "library/app", Some("1"), &cached.manifest.bytes);
    // One layer was never pulled.
    for blob in &cached.blobs[..2] {
        store::write_layer(&root, "library/app", &blob.bytes);
    }
    let entry = format!("library/app@{}", cached.blobs[1].digest);
    let scheduler = wharf_testkit::json!({
        entry.as_str(): {"Key": entry, "ExpiryData": "2020-01-01T00:00:00Z", "EntryType": 0},
    });
    std::fs::write(root.join("scheduler-state.json"), scheduler.to_string()).unwrap();
    upstream.serve("library/app", "1", cached.clone());
    let server = whole(builder, &upstream, "").start();
    let app = repository(&server, "library/app");
    app.pull_image("1", &cached).await;
    assert_eq!(
        upstream.calls(),
        [
            "HEAD /v2/library/app/manifests/1".to_owned(),
            format!("GET /v2/library/app/blobs/{}", cached.blobs[2].digest),
        ]
    );
    upstream.serve("library/app", "1", fresh.clone());
    app.pull_image("1", &fresh).await;
    upstream.stop();
    app.pull_image("1", &fresh).await;
    app.pull_image(&cached.manifest.digest, &cached).await;
}
