//! More at once than the server has room for: it refuses what does not fit, and serves the other clients.

use std::time::Duration;

use tokio::sync::Mutex;
use wharf_testkit::{
    Client, RawConnection, Server, ServerBuilder, eventually,
    image::{self, Manifest},
    json,
};

wharf_testkit::on_both_engines![
    an_index_that_names_one_child_thousands_of_times_is_one_entry,
    the_answer_to_thousands_of_missing_children_is_short,
];

wharf_testkit::configured_on_both_engines![
    large_manifests_that_stall_leave_room_for_small_ones,
    manifests_of_which_no_byte_comes_take_no_room,
    a_manifest_that_trickles_is_cut,
    hundreds_of_slow_manifests_leave_room_for_others,
];

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An index without children, of about `size` bytes.
fn large(size: usize) -> Manifest {
    let padding = "x".repeat(size);
    Manifest::new(
        INDEX,
        &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": { "padding": padding } }),
    )
}

/// Begins to push a manifest that is said to have `length` bytes, and sends some of them.
async fn begin(server: &Server, length: usize, beginning: &[u8]) -> RawConnection {
    let mut raw = server.raw().await;
    raw.send(format!(
        "PUT /v2/hostile/manifests/1 HTTP/1.1\r\nHost: x\r\nContent-Type: {INDEX}\r\nContent-Length: {length}\r\n\r\n"
    ))
    .await;
    raw.send(beginning).await;
    raw
}

async fn expect_service(client: &Client) {
    let repository = client.repository("honest");
    repository.push_image("1", &image::oci(1)).await;
    repository.pull_image("1", &image::oci(1)).await;
}

/// Of 4 MiB, large bodies leave one. A large body takes all that it is going to need when it proves to be large.
async fn large_manifests_that_stall_leave_room_for_small_ones(builder: ServerBuilder) {
    let server = builder.http("limits: {bodies: 4194304}").start();
    let (client, manifest) = (server.anonymous(), large(2 << 20));
    let repository = client.repository("a");
    let stalled = Mutex::new(Vec::new());
    eventually("a second large manifest is refused", || async {
        // The one before was refused itself when it asked for its room while the other manifest had it.
        let beginning = &manifest.bytes[..100_000];
        let begun = begin(&server, manifest.bytes.len(), beginning).await;
        stalled.lock().await.push(begun);
        let answer = repository.put_manifest("2", &manifest).await;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), "1");
            assert!(answer.text().contains("UNAVAILABLE"), "{answer}");
        }
        answer.status == 503
    })
    .await;
    expect_service(&client).await;
    drop(stalled);
    eventually("there is room again", || async {
        repository.put_manifest("3", &manifest).await.status == 201
    })
    .await;
}

/// Of 1 MiB, sixteen beginnings of manifests would take all.
async fn manifests_of_which_no_byte_comes_take_no_room(builder: ServerBuilder) {
    let server = builder.http("limits: {bodies: 1048576}").start();
    let mut silent = Vec::new();
    for _ in 0..32 {
        silent.push(begin(&server, 100_000, b"").await);
    }
    expect_service(&server.anonymous()).await;
    drop(silent);
}

/// Each byte in time, and all of them not: a manifest is small, so the limit is for the whole.
async fn a_manifest_that_trickles_is_cut(builder: ServerBuilder) {
    let server = builder.http("timeouts: {idle: 600ms}").start();
    let mut raw = begin(&server, 4000, b"{").await;
    while !raw.stirs_within(Duration::from_millis(100)).await {
        if raw.try_send(" ").await.is_err() {
            break;
        }
    }
    let answer = raw.answer().await.expect(408);
    assert!(answer.text().contains("did not come whole"), "{}", answer.text());
    expect_service(&server.anonymous()).await;
}

/// Memory follows the bytes that came, not those that were announced.
async fn hundreds_of_slow_manifests_leave_room_for_others(builder: ServerBuilder) {
    let server = builder.http("limits: {bodies: 16777216}").start();
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(begin(&server, 4 << 20, b"{").await);
    }
    let client = server.anonymous();
    expect_service(&client).await;
    client.repository("a").push_manifest("1", &large(1 << 20)).await;
}

async fn an_index_that_names_one_child_thousands_of_times_is_one_entry(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    repository
        .push_manifest(&image.manifest.digest, &image.manifest)
        .await;
    let children = vec![image.manifest.descriptor(); 20_000];
    let often = Manifest::new(
        INDEX,
        &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }),
    );
    repository.push_manifest("often", &often).await;
    let answer = repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(409);
    assert_eq!(answer.text().matches("a:often").count(), 1, "{answer}");
    repository
        .get_manifest("often")
        .await
        .expect(200)
        .expect_body(&often.bytes);
}

async fn the_answer_to_thousands_of_missing_children_is_short(server: Server) {
    let repository = server.anonymous().repository("a");
    let children: Vec<_> = (0..5000).map(|number| large(number).descriptor()).collect();
    let index = Manifest::new(
        INDEX,
        &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }),
    );
    let answer = repository.put_manifest("1", &index).await.expect(400);
    assert_eq!(answer.text().matches("MANIFEST_BLOB_UNKNOWN").count(), 256);
}
