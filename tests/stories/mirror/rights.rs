//! Access rules apply to mirrored names like to any other, before the upstream hears of a request.

use wharf_testkit::{Client, Server, ServerBuilder, image, upstream::Upstream};

use super::{mirroring_with, repository};

wharf_testkit::configured_on_both_engines![
    a_client_without_the_right_gets_nothing_and_the_upstream_hears_nothing,
    rules_are_asked_for_the_name_behind_a_namespace_and_a_host,
    a_stored_image_is_not_given_to_a_client_without_the_right,
    the_catalogue_hides_mirrored_repositories_that_a_client_may_not_pull,
    a_right_to_push_does_not_make_a_mirror_take_pushes,
    a_mirror_s_blob_is_not_mounted_without_the_right_to_pull_it,
];

/// A hash of `pw` that is quick to check.
const HASH: &str = "$2y$04$KQlVPV7oebzne.IOGT3eAONmm5hGHB1wtnxLDUdOMyabu50rBKuzq";

const RULES: &str = "rules:\n\
     - {accounts: anonymous, repositories: 'hub/open/**', allow: pull}\n\
     - {accounts: bob, repositories: ['hub/open/**', 'own/**'], allow: '*'}\n\
     - {accounts: alice, repositories: '**', allow: '*'}\n";

/// A mirror with the host `hub.example.test`, the namespace `upstream.test`, and users with the password `pw`.
fn ruled(builder: ServerBuilder, upstream: &Upstream) -> Server {
    builder.write("rules.yml", RULES);
    builder.write("htpasswd", format!("alice:{HASH}\nbob:{HASH}\n"));
    let rules = builder.path("rules.yml").display().to_string();
    let users = builder.path("htpasswd").display().to_string();
    let keys = "fresh: 0s, hosts: [hub.example.test], namespaces: [upstream.test]";
    mirroring_with(builder, upstream, keys)
        .htpasswd(&users)
        .config(format!("access: {{rules: '{rules}'}}"))
        .start()
}

fn user(server: &Server, name: &str) -> Client {
    server.anonymous().as_user(name, "pw")
}

async fn a_client_without_the_right_gets_nothing_and_the_upstream_hears_nothing(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    for name in ["open/app", "secret/app"] {
        upstream.serve(name, "1", image.clone());
    }
    let server = ruled(builder, &upstream);
    repository(&server, "hub/open/app").pull_image("1", &image).await;
    upstream.forget();
    for path in [
        "/v2/hub/secret/app/manifests/1".to_owned(),
        format!("/v2/hub/secret/app/manifests/{}", image.manifest.digest),
        format!("/v2/hub/secret/app/blobs/{}", image.blobs[0].digest),
        "/v2/hub/secret/app/tags/list".to_owned(),
        format!("/v2/hub/secret/app/referrers/{}", image.manifest.digest),
    ] {
        let anonymous = server.anonymous().get(&path).await;
        anonymous.expect_error(401, "UNAUTHORIZED");
        let bob = user(&server, "bob").get(&path).await;
        bob.expect_error(403, "DENIED");
        server.anonymous().head(&path).await.expect(401);
    }
    assert_eq!(upstream.calls(), [""; 0]);
    let alice = user(&server, "alice").repository("hub/secret/app");
    alice.pull_image("1", &image).await;
}

async fn rules_are_asked_for_the_name_behind_a_namespace_and_a_host(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    // A rule for `hub/open/**` is none for the upstream's `hub/open/app`.
    for name in ["open/app", "secret/app", "hub/open/app"] {
        upstream.serve(name, "1", image.clone());
    }
    let server = ruled(builder, &upstream);
    let client = server.anonymous();
    for (name, status) in [("open/app", 200), ("secret/app", 401), ("hub/open/app", 401)] {
        let path = format!("/v2/{name}/manifests/1");
        client
            .get(&format!("{path}?ns=upstream.test"))
            .await
            .expect(status);
        let at_host = client.get(&path).header("host", "hub.example.test");
        at_host.await.expect(status);
    }
    for call in upstream.calls() {
        assert!(call.contains("/v2/open/app/"), "{call}");
    }
}

async fn a_stored_image_is_not_given_to_a_client_without_the_right(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("secret/app", "1", image.clone());
    let server = ruled(builder, &upstream);
    let alice = user(&server, "alice").repository("hub/secret/app");
    alice.pull_image("1", &image).await;
    let hidden = repository(&server, "hub/secret/app");
    hidden.get_manifest("1").await.expect_error(401, "UNAUTHORIZED");
    for blob in &image.blobs {
        hidden.get_blob(&blob.digest).await.expect(401);
        let other = repository(&server, "hub/open/app").get_blob(&blob.digest);
        other.await.expect_error(404, "BLOB_UNKNOWN");
    }
}

async fn the_catalogue_hides_mirrored_repositories_that_a_client_may_not_pull(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    for name in ["open/app", "secret/app"] {
        upstream.serve(name, "1", image.clone());
    }
    let server = ruled(builder, &upstream);
    let alice = user(&server, "alice");
    for name in ["hub/open/app", "hub/secret/app"] {
        alice.repository(name).pull_image("1", &image).await;
    }
    let listed =
        async |client: Client| client.get("/v2/_catalog").await.expect(200).json()["repositories"].clone();
    let all = wharf_testkit::json!(["hub/open/app", "hub/secret/app"]);
    assert_eq!(listed(alice).await, all);
    let open = wharf_testkit::json!(["hub/open/app"]);
    assert_eq!(listed(user(&server, "bob")).await, open);
}

async fn a_right_to_push_does_not_make_a_mirror_take_pushes(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let server = ruled(builder, &upstream);
    let uploads = "/v2/hub/open/app/blobs/uploads/";
    user(&server, "bob")
        .post(uploads)
        .await
        .expect_error(405, "UNSUPPORTED");
    // A client without the right hears of that first.
    server.anonymous().post(uploads).await.expect(401);
    let secret = "/v2/hub/secret/app/blobs/uploads/";
    user(&server, "bob")
        .post(secret)
        .await
        .expect_error(403, "DENIED");
    assert_eq!(upstream.calls(), [""; 0]);
}

async fn a_mirror_s_blob_is_not_mounted_without_the_right_to_pull_it(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("secret/app", "1", image.clone());
    let server = ruled(builder, &upstream);
    let alice = user(&server, "alice").repository("hub/secret/app");
    alice.pull_image("1", &image).await;
    let bob = user(&server, "bob");
    let digest = &image.blobs[0].digest;
    for from in ["&from=hub/secret/app", ""] {
        let path = format!("/v2/own/app/blobs/uploads/?mount={digest}{from}");
        bob.post(&path).await.expect(202);
        bob.head(&format!("/v2/own/app/blobs/{digest}")).await.expect(404);
    }
}
