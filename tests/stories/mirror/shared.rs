//! Downloads that several clients share.

use wharf_testkit::{
    ServerBuilder, eventually,
    image::{self, Blob},
    upstream::{Gate, Trouble, Upstream, When},
};

use super::{large, mirroring, mirroring_with, reading::Reading, repository};

wharf_testkit::configured_on_both_engines![
    the_first_bytes_come_before_the_upstream_has_sent_the_others,
    a_second_client_shares_a_download_that_runs,
    a_client_that_leaves_does_not_stop_the_others,
    a_blob_whose_first_client_left_can_be_pulled_afterwards,
    many_clients_of_a_cold_image_cause_one_download,
    clients_of_one_digest_by_two_names_get_their_own_confirmation,
];
wharf_testkit::on_disk![
    a_late_client_gets_the_beginning_while_the_download_runs,
    a_client_that_does_not_read_holds_up_no_other_client,
];

const LENGTH: usize = 300_000;
const BEGINNING: usize = 100_000;

/// An upstream with one blob, of which only the beginning comes before the gate is open.
fn gated(length: usize, beginning: usize) -> (Upstream, Blob, Gate) {
    let (upstream, blob, gate) = (Upstream::start(), Blob::random(1, length), Gate::new());
    upstream.serve_blob("app", &blob);
    let trouble = Trouble::WaitAfter(beginning, gate.clone());
    upstream.trouble(When::method("GET").of("/blobs/"), trouble);
    (upstream, blob, gate)
}

fn path(blob: &Blob) -> String {
    format!("/v2/hub/app/blobs/{}", blob.digest)
}

async fn the_first_bytes_come_before_the_upstream_has_sent_the_others(builder: ServerBuilder) {
    let (upstream, blob, gate) = gated(LENGTH, BEGINNING);
    let server = mirroring(builder, &upstream).start();
    let mut reading = Reading::begin(&server, &path(&blob)).await;
    reading.expect_beginning(&blob.bytes[..1]).await;
    gate.reached_by(1).await;
    gate.open();
    assert!(reading.rest().await.is_ok_and(|body| body == blob.bytes));
}

async fn a_second_client_shares_a_download_that_runs(builder: ServerBuilder) {
    let (upstream, blob, gate) = gated(LENGTH, BEGINNING);
    let server = mirroring(builder, &upstream).start();
    let mut first = Reading::begin(&server, &path(&blob)).await;
    first.expect_beginning(&blob.bytes[..1]).await;
    let mut second = Reading::begin(&server, &path(&blob)).await;
    second.expect_beginning(&blob.bytes[..1]).await;
    gate.open();
    for reading in [first, second] {
        assert!(reading.rest().await.is_ok_and(|body| body == blob.bytes));
    }
    assert_eq!(upstream.count("GET", "/blobs/"), 1, "{:?}", upstream.calls());
    upstream.forget();
    repository(&server, "hub/app").expect_blob(&blob).await;
    assert_eq!(upstream.calls(), [""; 0], "it is stored");
}

async fn a_client_that_leaves_does_not_stop_the_others(builder: ServerBuilder) {
    let (upstream, blob, gate) = gated(LENGTH, BEGINNING);
    let server = mirroring(builder, &upstream).start();
    let mut first = Reading::begin(&server, &path(&blob)).await;
    first.expect_beginning(&blob.bytes[..1]).await;
    let mut second = Reading::begin(&server, &path(&blob)).await;
    second.expect_beginning(&blob.bytes[..1]).await;
    drop(first);
    gate.open();
    assert!(second.rest().await.is_ok_and(|body| body == blob.bytes));
    assert_eq!(upstream.count("GET", "/blobs/"), 1, "{:?}", upstream.calls());
}

async fn a_blob_whose_first_client_left_can_be_pulled_afterwards(builder: ServerBuilder) {
    let (upstream, blob, gate) = gated(LENGTH, BEGINNING);
    let server = mirroring(builder, &upstream).start();
    let mut first = Reading::begin(&server, &path(&blob)).await;
    first.expect_beginning(&blob.bytes[..1]).await;
    drop(first);
    gate.open();
    repository(&server, "hub/app").expect_blob(&blob).await;
}

async fn many_clients_of_a_cold_image_cause_one_download(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = large(1, 1 << 20);
    upstream.serve("app", "1", image.clone());
    let gate = Gate::new();
    // All are on their way before the upstream says anything.
    upstream.trouble(When::always(), Trouble::Wait(gate.clone()));
    let server = mirroring_with(builder, &upstream, "fresh: 1h").start();
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let (app, image) = (repository(&server, "hub/app"), image.clone());
            tokio::spawn(async move { app.pull_image("1", &image).await })
        })
        .collect();
    gate.reached_by(1).await;
    gate.open();
    for client in clients {
        client.await.unwrap();
    }
    for (method, containing) in [("HEAD", "/manifests/1"), ("GET", "/manifests/")] {
        let count = upstream.count(method, containing);
        assert!(
            count <= 1,
            "{count} {method} {containing}: {:?}",
            upstream.calls()
        );
    }
    assert_eq!(upstream.count("GET", "/blobs/"), image.blobs.len());
}

/// The bytes are shared; whether a repository has them is its upstream's word.
async fn clients_of_one_digest_by_two_names_get_their_own_confirmation(builder: ServerBuilder) {
    let (upstream, blob, gate) = gated(LENGTH, BEGINNING);
    upstream.serve("stranger", "1", image::oci(1));
    let server = mirroring(builder, &upstream).start();
    let mut first = Reading::begin(&server, &path(&blob)).await;
    first.expect_beginning(&blob.bytes[..1]).await;
    let stranger = repository(&server, "hub/stranger");
    stranger
        .get_blob(&blob.digest)
        .await
        .expect_error(404, "BLOB_UNKNOWN");
    gate.open();
    assert!(first.rest().await.is_ok_and(|body| body == blob.bytes));
    stranger
        .get_blob(&blob.digest)
        .await
        .expect_error(404, "BLOB_UNKNOWN");
}

async fn a_late_client_gets_the_beginning_while_the_download_runs(builder: ServerBuilder) {
    // More than any window in memory.
    let (length, beginning) = (40 << 20, 36 << 20);
    let (upstream, blob, gate) = gated(length, beginning);
    let server = mirroring(builder, &upstream).start();
    let mut first = Reading::begin(&server, &path(&blob)).await;
    first.expect_beginning(&blob.bytes[..34 << 20]).await;
    let mut late = Reading::begin(&server, &path(&blob)).await;
    late.expect_beginning(&blob.bytes[..32 << 20]).await;
    gate.open();
    for reading in [first, late] {
        assert!(reading.rest().await.is_ok_and(|body| body == blob.bytes));
    }
    assert_eq!(upstream.count("GET", "/blobs/"), 1, "{:?}", upstream.calls());
}

async fn a_client_that_does_not_read_holds_up_no_other_client(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let blob = Blob::random(1, 48 << 20);
    upstream.serve_blob("app", &blob);
    let server = mirroring(builder, &upstream).start();
    let mut idle = Reading::begin(&server, &path(&blob)).await;
    assert_eq!(idle.status().await, 200);
    repository(&server, "hub/app").expect_blob(&blob).await;
    eventually("the download has ended", async || {
        let head = repository(&server, "hub/app").head_blob(&blob.digest).await;
        head.status == 200
    })
    .await;
    assert!(idle.rest().await.is_ok_and(|body| body == blob.bytes));
    assert_eq!(upstream.count("GET", "/blobs/"), 1, "{:?}", upstream.calls());
}
