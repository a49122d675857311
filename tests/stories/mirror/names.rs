//! Which requests belong to a mirror: by name, by `?ns=`, by host; and own repositories beside.

use wharf_testkit::{
    Method, Repository, ServerBuilder, digest, eventually,
    image::{self, Image},
    upstream::Upstream,
};

use super::{below, mirroring, mirroring_with, mirrors, repository};

wharf_testkit::configured_on_both_engines![
    own_repositories_work_beside_mirrors,
    each_prefix_has_its_own_upstream,
    a_name_that_only_begins_like_a_prefix_is_no_mirror_s,
    pushes_to_mirrored_names_are_refused,
    a_blob_is_not_mounted_into_a_mirror,
    a_blob_of_a_mirror_can_be_mounted_into_an_own_repository,
    the_catalogue_has_mirrored_repositories_beside_own_ones,
    the_namespace_of_a_request_says_which_mirror,
    a_namespace_that_is_not_listed_is_404_and_leads_nowhere,
    a_host_of_its_own_is_one_mirror_alone,
    repositories_that_are_not_allowed_are_refused_and_not_asked_for,
];

async fn own_repositories_work_beside_mirrors(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let (mine, theirs) = (image::oci("mine"), image::oci("theirs"));
    upstream.serve("app", "1", theirs.clone());
    let server = mirroring(builder, &upstream).start();
    let own = repository(&server, "app");
    own.push_image("1", &mine).await;
    own.pull_image("1", &mine).await;
    assert_eq!(upstream.calls(), [""; 0], "the own name is not the mirror's");
    repository(&server, "hub/app").pull_image("1", &theirs).await;
    own.pull_image("1", &mine).await;
    own.delete_manifest("1").await.expect(202);
    repository(&server, "hub/app").pull_image("1", &theirs).await;
}

async fn each_prefix_has_its_own_upstream(builder: ServerBuilder) {
    let [one, other] = [Upstream::start(), Upstream::start()];
    let images = [image::oci("one"), image::oci("other")];
    one.serve("app", "1", images[0].clone());
    other.serve("app", "1", images[1].clone());
    let server = mirrors(
        builder,
        &[below("one.test", &one, ""), below("deep/other.test", &other, "")],
    )
    .start();
    for (name, image) in ["one.test/app", "deep/other.test/app"].iter().zip(&images) {
        repository(&server, name).pull_image("1", image).await;
    }
    // One fails, the other does not.
    one.stop();
    other.serve("new", "1", images[0].clone());
    repository(&server, "deep/other.test/new")
        .pull_image("1", &images[0])
        .await;
}

async fn a_name_that_only_begins_like_a_prefix_is_no_mirror_s(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let server = mirroring(builder, &upstream).start();
    for name in ["hubs/app", "hub-app", "a/hub/app"] {
        let image = image::oci(name);
        repository(&server, name).push_image("1", &image).await;
        repository(&server, name).pull_image("1", &image).await;
        repository(&server, name).get_manifest("2").await.expect(404);
    }
    assert_eq!(upstream.calls(), [""; 0]);
}

/// Every way to push is refused as what mirrors do not have.
async fn takes_no_push(repository: &Repository, image: &Image) {
    let client = repository.client();
    let unknown = digest::unknown(1);
    let uploads = repository.uploads_path();
    for (method, path) in [
        (Method::POST, uploads.clone()),
        (Method::POST, format!("{uploads}?digest={unknown}")),
        (Method::POST, format!("{uploads}?mount={unknown}&from=own/app")),
        (Method::PUT, repository.manifest_path("1")),
        (Method::PUT, repository.manifest_path(&image.manifest.digest)),
    ] {
        let request = client.request(method, &path);
        let request = request.header("content-type", &image.manifest.media_type);
        let answer = request.body(image.manifest.bytes.clone()).await;
        answer.expect_error(405, "UNSUPPORTED").expect_message("mirror");
    }
}

async fn pushes_to_mirrored_names_are_refused(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    takes_no_push(&repository(&server, "hub/app"), &image).await;
    assert_eq!(upstream.calls(), [""; 0]);
    repository(&server, "hub/app").pull_image("1", &image).await;
    takes_no_push(&repository(&server, "hub/app"), &image).await;
}

async fn a_blob_is_not_mounted_into_a_mirror(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    let server = mirroring(builder, &upstream).start();
    repository(&server, "own/app").push_image("1", &image).await;
    let digest = &image.blobs[0].digest;
    let path = format!("/v2/hub/app/blobs/uploads/?mount={digest}&from=own/app");
    let answer = server.anonymous().post(&path).await;
    answer.expect_error(405, "UNSUPPORTED");
    repository(&server, "hub/app").get_blob(digest).await.expect(404);
}

async fn a_blob_of_a_mirror_can_be_mounted_into_an_own_repository(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("base", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    repository(&server, "hub/base").pull_image("1", &image).await;
    for blob in &image.blobs {
        let path = format!("/v2/own/blobs/uploads/?mount={}&from=hub/base", blob.digest);
        // The client has the last byte a moment before the blob is durable.
        eventually("the blob is stored", async || {
            server.anonymous().post(&path).await.status == 201
        })
        .await;
    }
    repository(&server, "own")
        .push_manifest("1", &image.manifest)
        .await;
}

async fn the_catalogue_has_mirrored_repositories_beside_own_ones(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    for name in ["pulled", "never/pulled"] {
        upstream.serve(name, "1", image.clone());
    }
    let server = mirroring(builder, &upstream).start();
    repository(&server, "own/app").push_image("1", &image).await;
    repository(&server, "hub/pulled").pull_image("1", &image).await;
    repository(&server, "hub/never")
        .get_manifest("1")
        .await
        .expect(404);
    let listed = server.anonymous().get("/v2/_catalog").await.expect(200).json();
    assert_eq!(
        listed["repositories"],
        wharf_testkit::json!(["hub/pulled", "own/app"])
    );
}

async fn the_namespace_of_a_request_says_which_mirror(builder: ServerBuilder) {
    let [one, other] = [Upstream::start(), Upstream::start()];
    let images = [image::oci("one"), image::oci("other")];
    one.serve("library/app", "1", images[0].clone());
    other.serve("library/app", "1", images[1].clone());
    let server = mirrors(
        builder,
        &[
            below("one", &one, "namespaces: [docker.io, 'registry.test:5000']"),
            below("ghcr.io", &other, ""),
        ],
    )
    .start();
    let client = server.anonymous();
    let other_host = other.authority();
    for (namespace, image) in [
        ("docker.io", &images[0]),
        ("registry.test:5000", &images[0]),
        // The prefix and the host of an upstream are namespaces of it by themselves.
        ("ghcr.io", &images[1]),
        (other_host.as_str(), &images[1]),
    ] {
        let manifest = format!("/v2/library/app/manifests/1?ns={namespace}");
        client
            .head(&manifest)
            .await
            .expect(200)
            .expect_header("docker-content-digest", &image.manifest.digest);
        client
            .get(&manifest)
            .await
            .expect(200)
            .expect_body(&image.manifest.bytes);
        for blob in &image.blobs {
            let path = format!("/v2/library/app/blobs/{}?ns={namespace}", blob.digest);
            client.get(&path).await.expect(200).expect_body(&blob.bytes);
        }
    }
    // It is the same content as by the prefix.
    repository(&server, "one/library/app")
        .pull_image("1", &images[0])
        .await;
    assert_eq!(one.count("GET", "/blobs/"), images[0].blobs.len());
    client.get("/v2/?ns=docker.io").await.expect(200);
}

async fn a_namespace_that_is_not_listed_is_404_and_leads_nowhere(builder: ServerBuilder) {
    let (upstream, stranger) = (Upstream::start(), Upstream::start());
    let image = image::oci(1);
    stranger.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    repository(&server, "app").push_image("1", &image).await;
    for namespace in [
        stranger.authority().as_str(),
        "docker.io",
        "../hub",
        "hub/..",
        "hub%00",
        "http://127.0.0.1",
    ] {
        for path in [
            "/v2/app/manifests/1".to_owned(),
            format!("/v2/app/blobs/{}", image.blobs[0].digest),
        ] {
            let answer = server.anonymous().get(&format!("{path}?ns={namespace}")).await;
            answer.expect(404).errors();
        }
    }
    assert_eq!(stranger.calls(), [""; 0]);
    assert_eq!(upstream.calls(), [""; 0]);
}

async fn a_host_of_its_own_is_one_mirror_alone(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("library/app", "1", image.clone());
    let server = mirroring_with(builder, &upstream, "hosts: [hub.example.test]").start();
    repository(&server, "own")
        .push_image("1", &image::oci("own"))
        .await;
    let client = server.anonymous();
    let at_host = |method: Method, path: &str| {
        let request = client.request(method, path);
        request.header("host", "hub.example.test")
    };
    at_host(Method::GET, "/v2/").await.expect(200);
    at_host(Method::GET, "/v2/library/app/manifests/1")
        .await
        .expect(200)
        .expect_body(&image.manifest.bytes);
    let blob = &image.blobs[0];
    at_host(Method::GET, &format!("/v2/library/app/blobs/{}", blob.digest))
        .await
        .expect(200)
        .expect_body(&blob.bytes);
    let list = at_host(Method::GET, "/v2/library/app/tags/list")
        .await
        .expect(200);
    assert_eq!(list.json()["tags"], wharf_testkit::json!(["1"]), "{list}");
    at_host(Method::GET, "/v2/own/manifests/1").await.expect(404);
    at_host(Method::POST, "/v2/own/blobs/uploads/")
        .await
        .expect_error(405, "UNSUPPORTED");
    repository(&server, "hub/library/app")
        .pull_image("1", &image)
        .await;
}

async fn repositories_that_are_not_allowed_are_refused_and_not_asked_for(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    for name in ["library/app", "library/private-app", "team/app"] {
        upstream.serve(name, "1", image.clone());
    }
    let keys = "allow: ['library/*'], deny: ['**/private*']";
    let server = mirroring_with(builder, &upstream, keys).start();
    repository(&server, "hub/library/app")
        .pull_image("1", &image)
        .await;
    upstream.forget();
    for name in ["hub/library/private-app", "hub/team/app", "hub/library/deep/app"] {
        let refused = repository(&server, name);
        for answer in [
            refused.get_manifest("1").await,
            refused.get_blob(&image.blobs[0].digest).await,
            server.anonymous().get(&format!("/v2/{name}/tags/list")).await,
        ] {
            assert!(matches!(answer.status.as_u16(), 403 | 404), "{answer}");
            assert!(!answer.messages().is_empty(), "{answer}");
        }
    }
    assert_eq!(upstream.calls(), [""; 0]);
}
