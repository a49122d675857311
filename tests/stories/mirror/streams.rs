//! Bodies that break off, are wrong, or do not end, and parts of blobs.

use wharf_testkit::{
    Engine, Server, ServerBuilder,
    image::{self, Blob},
    store,
    upstream::{Trouble, Upstream, When},
};

use super::{expect_failed, large, mirroring, reading::Reading, repository};

wharf_testkit::configured_on_both_engines![
    wrong_bytes_never_look_whole_and_are_not_stored,
    a_body_of_another_length_never_looks_whole_and_is_not_stored,
    a_body_that_breaks_off_goes_on_where_it_broke,
    a_body_that_breaks_off_again_and_again_ends,
    an_upstream_without_ranges_breaks_off_and_never_mixes_bytes,
    a_body_without_a_length_before_is_passed_on,
    a_body_without_an_end_ends,
    a_manifest_without_an_end_is_refused,
    a_part_of_a_cold_blob_is_answered,
    a_part_behind_the_end_of_a_blob_is_416,
    an_empty_blob_and_one_of_a_byte_come_through,
    a_connection_that_was_closed_while_idle_costs_a_client_nothing,
];

const LENGTH: usize = 300_000;

/// An upstream with one blob, whose downloads have this trouble.
fn troubled(when: When, trouble: Trouble) -> (Upstream, Blob) {
    let (upstream, blob) = (Upstream::start(), Blob::random(1, LENGTH));
    upstream.serve_blob("app", &blob);
    upstream.trouble(when.of("/blobs/"), trouble);
    (upstream, blob)
}

/// A GET of a blob that must not seem to have worked.
async fn breaks(server: &Server, blob: &Blob) {
    let answer = repository(server, "hub/app")
        .get_blob(&blob.digest)
        .try_send()
        .await;
    if let Ok(answer) = answer {
        assert!(answer.status.is_server_error(), "{answer}");
    }
}

fn is_stored(server: &Server, blob: &Blob) -> bool {
    server.engine() == Engine::Filesystem && store::blob_path(&server.root(), &blob.digest).exists()
}

async fn wrong_bytes_never_look_whole_and_are_not_stored(builder: ServerBuilder) {
    for length in [LENGTH, 10] {
        let (upstream, blob) = (Upstream::start(), Blob::random(1, length));
        upstream.serve_blob("app", &blob);
        upstream.trouble(When::method("GET").of("/blobs/"), Trouble::Flip);
        let server = mirroring(builder.another(), &upstream).start();
        breaks(&server, &blob).await;
        assert!(!is_stored(&server, &blob));
        upstream.recover();
        upstream.forget();
        repository(&server, "hub/app").expect_blob(&blob).await;
        assert_eq!(upstream.count("GET", "/blobs/"), 1, "nothing of it was kept");
    }
}

async fn a_body_of_another_length_never_looks_whole_and_is_not_stored(builder: ServerBuilder) {
    for trouble in [
        Trouble::Body(Blob::random(1, LENGTH).bytes.slice(..LENGTH - 1)),
        Trouble::Body([&Blob::random(1, LENGTH).bytes[..], b"x"].concat().into()),
        Trouble::Length(LENGTH - 1),
        Trouble::Length(LENGTH + 1),
    ] {
        let (upstream, blob) = troubled(When::method("GET"), trouble);
        let server = mirroring(builder.another(), &upstream).start();
        breaks(&server, &blob).await;
        assert!(!is_stored(&server, &blob));
        upstream.recover();
        repository(&server, "hub/app").expect_blob(&blob).await;
    }
}

async fn a_body_that_breaks_off_goes_on_where_it_broke(builder: ServerBuilder) {
    let (upstream, blob) = troubled(When::method("GET").times(2), Trouble::Cut(100_000));
    let server = mirroring(builder, &upstream).start();
    repository(&server, "hub/app").expect_blob(&blob).await;
    let ranges: Vec<Option<String>> = upstream
        .asked()
        .iter()
        .filter(|asked| asked.method == "GET")
        .map(|asked| asked.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    assert_eq!(ranges[0], None);
    for (range, from) in ranges[1..].iter().zip(["bytes=100000-", "bytes=200000-"]) {
        let range = range.as_deref().unwrap_or_default();
        assert!(range.starts_with(from), "{ranges:?}");
    }
    upstream.forget();
    repository(&server, "hub/app").expect_blob(&blob).await;
    assert_eq!(upstream.calls(), [""; 0], "it is stored");
}

async fn a_body_that_breaks_off_again_and_again_ends(builder: ServerBuilder) {
    let (upstream, blob) = troubled(When::method("GET"), Trouble::Cut(0));
    let server = mirroring(builder, &upstream).start();
    breaks(&server, &blob).await;
    assert!(upstream.count("GET", "/blobs/") < 10, "{:?}", upstream.calls());
    upstream.recover();
    repository(&server, "hub/app").expect_blob(&blob).await;
}

async fn an_upstream_without_ranges_breaks_off_and_never_mixes_bytes(builder: ServerBuilder) {
    let (upstream, blob) = troubled(When::method("GET").times(1), Trouble::Cut(100_000));
    upstream.trouble(When::method("GET").of("/blobs/"), Trouble::Whole);
    let server = mirroring(builder, &upstream).start();
    let answer = repository(&server, "hub/app")
        .get_blob(&blob.digest)
        .try_send()
        .await;
    if let Ok(answer) = answer {
        assert!(
            answer.status.is_server_error() || answer.body == blob.bytes,
            "{answer}"
        );
    }
    repository(&server, "hub/app").expect_blob(&blob).await;
}

async fn a_body_without_a_length_before_is_passed_on(builder: ServerBuilder) {
    let (upstream, blob) = troubled(When::method("GET"), Trouble::Chunks);
    let server = mirroring(builder, &upstream).start();
    let reading = Reading::begin(&server, &format!("/v2/hub/app/blobs/{}", blob.digest)).await;
    assert!(reading.rest().await.is_ok_and(|body| body == blob.bytes));
    repository(&server, "hub/app").expect_blob(&blob).await;
}

async fn a_body_without_an_end_ends(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = large(1, LENGTH);
    upstream.serve("app", "1", image.clone());
    upstream.trouble(When::method("GET").of("/blobs/"), Trouble::Endless);
    let server = mirroring(builder, &upstream).start();
    // The manifest says how long the layer is.
    repository(&server, "hub/app").get_manifest("1").await.expect(200);
    let layer = &image.blobs[1];
    let reading = Reading::begin(&server, &format!("/v2/hub/app/blobs/{}", layer.digest)).await;
    let ended = tokio::time::timeout(wharf_testkit::PATIENCE, reading.rest()).await;
    let body = ended.expect("the body ends");
    assert_ne!(body.as_ref(), Ok(&layer.bytes.to_vec()));
    assert!(!is_stored(&server, layer));
}

async fn a_manifest_without_an_end_is_refused(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    upstream.trouble(When::method("GET").of("/manifests/"), Trouble::Endless);
    let server = mirroring(builder, &upstream).start();
    for reference in ["1", &image.manifest.digest] {
        let answer = repository(&server, "hub/app").get_manifest(reference).await;
        expect_failed(answer, 502, &upstream);
    }
}

async fn a_part_of_a_cold_blob_is_answered(builder: ServerBuilder) {
    let (upstream, blob) = (Upstream::start(), Blob::random(1, LENGTH));
    upstream.serve_blob("app", &blob);
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    for _ in 0..2 {
        app.get_blob(&blob.digest)
            .header("range", "bytes=1000-1999")
            .await
            .expect(206)
            .expect_header("content-range", format!("bytes 1000-1999/{LENGTH}"))
            .expect_body(&blob.bytes[1000..2000]);
    }
    app.expect_blob(&blob).await;
    let last = format!("bytes={}-", LENGTH - 5);
    app.get_blob(&blob.digest)
        .header("range", last)
        .await
        .expect(206)
        .expect_body(&blob.bytes[LENGTH - 5..]);
}

async fn a_part_behind_the_end_of_a_blob_is_416(builder: ServerBuilder) {
    let (upstream, blob) = (Upstream::start(), Blob::random(1, 1000));
    upstream.serve_blob("app", &blob);
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    let behind = async || app.get_blob(&blob.digest).header("range", "bytes=1000-").await;
    behind().await.expect(416);
    app.expect_blob(&blob).await;
    behind().await.expect(416);
}

async fn an_empty_blob_and_one_of_a_byte_come_through(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let server = mirroring(builder, &upstream).start();
    for length in [0, 1] {
        let blob = Blob::random(1, length);
        upstream.serve_blob("app", &blob);
        for _ in 0..2 {
            repository(&server, "hub/app").expect_blob(&blob).await;
        }
    }
}

async fn a_connection_that_was_closed_while_idle_costs_a_client_nothing(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.head_manifest("1").await.expect(200);
    upstream.stop();
    upstream.come_back();
    app.pull_image("1", &image).await;
}
