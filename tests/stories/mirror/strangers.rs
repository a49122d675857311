//! Where the credentials of a mirror go, and where not: redirects, realms of strangers, and the way out of TLS.

use wharf_testkit::{
    ServerBuilder,
    image::{self, Blob},
    tls::{Authority, Wanted},
    upstream::{Demand, Trouble, Upstream, When},
};

use super::{expect_failed, mirroring_with, repository, sparse};

wharf_testkit::configured_on_both_engines![
    a_redirect_is_followed_without_the_credentials,
    a_redirect_out_of_tls_is_refused,
    an_upstream_with_a_certificate_of_an_unknown_authority_is_refused,
    a_realm_of_a_stranger_gets_no_credentials,
    a_realm_that_the_operator_names_gets_the_credentials,
    an_anonymous_token_may_come_from_anywhere,
    docker_hub_s_official_images_lie_in_library,
];

const KEYS: &str = "fresh: 0s, username: robot, password: s3cr3t-of-mirror";

async fn a_redirect_is_followed_without_the_credentials(builder: ServerBuilder) {
    let (upstream, elsewhere) = (Upstream::start(), Upstream::start());
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    upstream.demand(Demand::Password("robot", "s3cr3t-of-mirror"));
    for blob in &image.blobs {
        elsewhere.serve_blob("app", blob);
        let path = format!("/v2/app/blobs/{}", blob.digest);
        let location = format!("{}{path}?signature=abc", elsewhere.url());
        upstream.trouble(When::method("GET").of(path), Trouble::redirect(location));
    }
    let server = mirroring_with(builder, &upstream, KEYS).start();
    repository(&server, "hub/app").pull_image("1", &image).await;
    assert_eq!(elsewhere.count("GET", "/blobs/"), image.blobs.len());
    for asked in elsewhere.asked() {
        assert_eq!(asked.header("authorization"), None, "{}", asked.head);
        assert_eq!(asked.query, "signature=abc");
    }
}

/// An upstream over TLS, and the PEM of its authority.
fn over_tls() -> (Upstream, String) {
    let authority = Authority::new("authority of the upstream");
    let upstream = Upstream::over_tls(&Wanted::localhost().signed_by(&authority));
    (upstream, authority.certificate().to_owned())
}

async fn a_redirect_out_of_tls_is_refused(builder: ServerBuilder) {
    let ((upstream, authority), plain) = (over_tls(), Upstream::start());
    let (first, second) = (Blob::random(1, 1000), Blob::random(2, 1000));
    for blob in [&first, &second] {
        upstream.serve_blob("app", blob);
        plain.serve_blob("app", blob);
    }
    let location = format!("{}/v2/app/blobs/{}", plain.url(), second.digest);
    upstream.trouble(
        When::method("GET").of(second.digest.as_str()),
        Trouble::redirect(location),
    );
    builder.write("upstream.pem", authority);
    let keys = format!("authorities: ['{}']", builder.path("upstream.pem").display());
    let server = mirroring_with(builder, &upstream, &keys).start();
    let app = repository(&server, "hub/app");
    app.expect_blob(&first).await;
    let answer = app.get_blob(&second.digest).await;
    expect_failed(answer, 502, &upstream);
    assert_eq!(plain.calls(), [""; 0]);
}

async fn an_upstream_with_a_certificate_of_an_unknown_authority_is_refused(builder: ServerBuilder) {
    let (upstream, _) = over_tls();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring_with(builder.another(), &upstream, "fresh: 0s").start();
    let answer = repository(&server, "hub/app").get_manifest("1").await;
    assert!(answer.status.is_server_error(), "{answer}");
    answer.expect_message(&upstream.authority());
    assert_eq!(upstream.calls(), [""; 0]);
    let server = mirroring_with(builder, &upstream, "insecure: true").start();
    repository(&server, "hub/app").pull_image("1", &image).await;
}

/// A mirror of `http://registry.test`, which the upstream plays as a proxy, and with it the hosts of all other names.
fn through_proxy(builder: ServerBuilder, upstream: &Upstream, url: &str, keys: &str) -> ServerBuilder {
    let proxy = upstream.url();
    sparse(builder).config(format!(
        "mirrors: [{{prefix: hub, remoteurl: '{url}', httpproxy: '{proxy}', {keys}}}]"
    ))
}

/// An upstream at `registry.test` that sends its clients to `auth.stranger.test` for tokens.
fn of_stranger() -> (Upstream, image::Image) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    upstream.demand(Demand::Token {
        realm: Some("http://auth.stranger.test/token".to_owned()),
        account: None,
    });
    (upstream, image)
}

async fn a_realm_of_a_stranger_gets_no_credentials(builder: ServerBuilder) {
    let (upstream, _) = of_stranger();
    let server = through_proxy(builder, &upstream, "http://registry.test", KEYS).start();
    let answer = repository(&server, "hub/app").get_manifest("1").await;
    let answer = answer
        .expect(502)
        .expect_message("registry.test")
        .expect_message("auth.stranger.test")
        .expect_message("realms");
    assert!(!answer.text().contains("s3cr3t"), "{answer}");
    for asked in upstream.asked() {
        assert_ne!(asked.host, "auth.stranger.test", "{}", asked.head);
    }
}

async fn a_realm_that_the_operator_names_gets_the_credentials(builder: ServerBuilder) {
    let (upstream, image) = of_stranger();
    let keys = format!("{KEYS}, realms: [auth.stranger.test]");
    let server = through_proxy(builder, &upstream, "http://registry.test", &keys).start();
    repository(&server, "hub/app").pull_image("1", &image).await;
    let own = wharf_testkit::basic("robot", "s3cr3t-of-mirror");
    for asked in upstream.asked() {
        let is_for_tokens = asked.host == "auth.stranger.test";
        let has_password = asked.header("authorization") == Some(&own);
        assert_eq!(has_password, is_for_tokens, "{}", asked.head);
    }
}

async fn an_anonymous_token_may_come_from_anywhere(builder: ServerBuilder) {
    let (upstream, image) = of_stranger();
    let server = through_proxy(builder, &upstream, "http://registry.test", "fresh: 0s").start();
    repository(&server, "hub/app").pull_image("1", &image).await;
}

async fn docker_hub_s_official_images_lie_in_library(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("library/alpine", "3", image.clone());
    let server = through_proxy(builder, &upstream, "http://registry-1.docker.io", "fresh: 0s").start();
    for name in ["hub/alpine", "hub/library/alpine"] {
        repository(&server, name).pull_image("3", &image).await;
    }
    for call in upstream.calls() {
        assert!(call.contains(" /v2/library/alpine/"), "{call}");
    }
    assert_eq!(
        upstream.count("GET", "/blobs/"),
        image.blobs.len(),
        "one name, one cache"
    );
    let listed = server.anonymous().get("/v2/_catalog").await.json();
    assert_eq!(
        listed["repositories"],
        wharf_testkit::json!(["hub/library/alpine"])
    );
}
