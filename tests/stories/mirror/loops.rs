//! Mirrors that lead in a circle, and mirrors that ask nothing.

use wharf_testkit::{Answer, ServerBuilder, digest, image, store, upstream::Upstream};

use super::{forwarder::Forwarder, mirroring, mirroring_with, repository, sparse};

wharf_testkit::configured_on_both_engines![
    a_mirror_of_itself_ends_with_an_error_at_once,
    a_mirror_of_itself_below_a_prefix_ends_with_an_error_at_once,
    two_mirrors_of_each_other_end_with_an_error_at_once,
    a_request_that_passed_this_registry_before_is_answered_from_the_store_or_refused,
    a_chain_of_mirrors_is_no_loop,
];
wharf_testkit::on_disk![a_mirror_that_is_offline_serves_what_is_stored_and_asks_nothing,];

/// Checks that a request ended because of a loop.
#[track_caller]
fn expect_loop(answer: &Answer, connections: usize) {
    assert!(answer.status.is_server_error(), "{answer}");
    assert!(!answer.messages().is_empty(), "{answer}");
    assert!(connections < 20, "{connections} connections went round");
}

async fn a_mirror_of_itself_ends_with_an_error_at_once(builder: ServerBuilder) {
    let forwarder = Forwarder::start().await;
    let server = builder
        .config(format!("proxy: {{remoteurl: '{}'}}", forwarder.url()))
        .start();
    forwarder.lead_to(server.address());
    let app = repository(&server, "app");
    expect_loop(&app.get_manifest("1").await, forwarder.connections());
    expect_loop(&app.get_blob(&digest::unknown(1)).await, forwarder.connections());
    server.anonymous().get("/v2/").await.expect(200);
}

async fn a_mirror_of_itself_below_a_prefix_ends_with_an_error_at_once(builder: ServerBuilder) {
    let forwarder = Forwarder::start().await;
    let url = forwarder.url();
    let server = sparse(builder)
        .config(format!(
            "mirrors: [{{prefix: hub, remoteurl: '{url}', fresh: 0s}}]"
        ))
        .start();
    forwarder.lead_to(server.address());
    let image = image::oci(1);
    repository(&server, "own").push_image("1", &image).await;
    let round = repository(&server, "hub/hub/own").get_manifest("1").await;
    expect_loop(&round, forwarder.connections());
    // What ends after one step is no loop.
    repository(&server, "hub/own").pull_image("1", &image).await;
    repository(&server, "hub/absent")
        .get_manifest("1")
        .await
        .expect(404);
}

async fn two_mirrors_of_each_other_end_with_an_error_at_once(builder: ServerBuilder) {
    let [to_one, to_other] = [Forwarder::start().await, Forwarder::start().await];
    let proxy = |builder: ServerBuilder, to: &Forwarder| {
        builder
            .config(format!("proxy: {{remoteurl: '{}'}}", to.url()))
            .start()
    };
    let other = proxy(builder.another(), &to_one);
    let one = proxy(builder, &to_other);
    to_one.lead_to(one.address());
    to_other.lead_to(other.address());
    for server in [&one, &other] {
        let app = repository(server, "app");
        let answer = app.get_manifest("1").await;
        expect_loop(&answer, to_one.connections() + to_other.connections());
    }
}

async fn a_request_that_passed_this_registry_before_is_answered_from_the_store_or_refused(
    builder: ServerBuilder,
) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    upstream.serve("app", "2", image::oci(2));
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    let via = upstream.asked()[0].header("via").unwrap().to_owned();
    upstream.forget();
    app.get_manifest("1")
        .header("via", &via)
        .await
        .expect(200)
        .expect_body(&image.manifest.bytes);
    for round in [
        app.get_manifest("2"),
        app.get_blob(&digest::unknown(1)),
        app.head_manifest("2"),
    ] {
        let answer = round.header("via", format!("1.1 wharf-other, {via}")).await;
        assert_eq!(answer.status, 508, "{answer}");
    }
    assert_eq!(upstream.calls(), [""; 0]);
    // That of another registry is none of this one's.
    let far = app.get_manifest("2").header("via", "1.1 wharf-other, 1.1 nginx");
    far.await.expect(200);
}

async fn a_chain_of_mirrors_is_no_loop(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let near = mirroring(builder.another(), &upstream).start();
    let far = sparse(builder)
        .config(format!("proxy: {{remoteurl: 'http://{}'}}", near.address()))
        .start();
    repository(&far, "hub/app").pull_image("1", &image).await;
    upstream.forget();
    // The middle one is asked for the tag, and asks on.
    repository(&far, "hub/app").pull_image("1", &image).await;
    assert_eq!(upstream.count("GET", ""), 0, "{:?}", upstream.calls());
    assert_eq!(upstream.asked().len(), 1);
    let via = upstream.asked()[0].header("via").unwrap_or_default().to_owned();
    assert_eq!(via.matches("wharf-").count(), 2, "both are on the way: {via}");
}

async fn a_mirror_that_is_offline_serves_what_is_stored_and_asks_nothing(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::docker(1);
    upstream.serve("app", "1", image.clone());
    upstream.serve("app", "2", image::docker(2));
    let root = builder.root();
    store::write_manifest(&root, "hub/app", Some("1"), &image.manifest.bytes);
    for blob in &image.blobs {
        store::write_layer(&root, "hub/app", &blob.bytes);
    }
    let server = mirroring_with(builder, &upstream, "offline: true").start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    assert_eq!(app.tags().await, ["1"]);
    for answer in [
        app.get_manifest("2").await,
        app.get_blob(&digest::unknown(1)).await,
        repository(&server, "hub/other").get_manifest("1").await,
    ] {
        answer.expect(404).errors();
    }
    assert_eq!(upstream.asked().len(), 0, "{:?}", upstream.calls());
}
