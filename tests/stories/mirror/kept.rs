//! What a mirror stores: across restarts, under checks, and when the disk is full.

use std::process::Command;

use wharf_testkit::{
    Server, ServerBuilder, eventually,
    image::{self, Blob},
    store,
    upstream::{Gate, Trouble, Upstream, When},
};

use super::{expect_stored_instead, mirroring, reading::Reading, repository};
use crate::input::disks::on_small_disk;

wharf_testkit::on_disk![
    what_was_pulled_outlives_a_restart,
    a_sparse_mirror_is_not_damaged,
    damage_of_a_mirror_is_found,
    the_tree_is_that_of_a_push,
];
mod processes {
    use super::{
        a_client_gets_its_bytes_though_the_disk_is_full, a_mirror_that_is_killed_goes_on_afterwards,
    };

    wharf_testkit::on_disk![
        crate::BINARY;
        a_client_gets_its_bytes_though_the_disk_is_full,
        a_mirror_that_is_killed_goes_on_afterwards,
    ];
}

async fn what_was_pulled_outlives_a_restart(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let mut server = mirroring(builder, &upstream).start();
    repository(&server, "hub/app").pull_image("1", &image).await;
    server.restart();
    upstream.forget();
    repository(&server, "hub/app").pull_image("1", &image).await;
    assert_eq!(upstream.calls(), ["HEAD /v2/app/manifests/1"]);
    upstream.stop();
    server.restart();
    let app = repository(&server, "hub/app");
    expect_stored_instead(app.get_manifest("1").await);
    app.pull_image("1", &image).await;
    app.pull_image(&image.manifest.digest, &image).await;
}

/// Exit code and output of `wharf fsck` on the store of a server, with the same mirror.
fn fsck(server: &Server, upstream: &Upstream) -> (Option<i32>, String) {
    let configuration = format!(
        "version: 0.1\n\
         mirrors: [{{prefix: hub, remoteurl: '{}'}}]\n\
         storage: {{filesystem: {{rootdirectory: '{}'}}}}\n",
        upstream.url(),
        server.root().display()
    );
    server.write("fsck.yml", configuration);
    let mut command = Command::new(crate::BINARY);
    command.arg("fsck").arg("--config").arg(server.path("fsck.yml"));
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

async fn a_sparse_mirror_is_not_damaged(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let index = image::oci_index(1);
    upstream.serve("app", "1", index.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.get_manifest("1").await.expect(200);
    let platform = &index.images[0].manifest.digest;
    app.get_manifest(platform).await.expect(200);
    app.expect_blob(&index.images[0].blobs[1]).await;
    let (code, said) = fsck(&server, &upstream);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" read: 0 broken, "), "{said}");
}

async fn damage_of_a_mirror_is_found(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder.unchecked(), &upstream).unchecked().start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    let layer = &image.blobs[1];
    let mut bytes = layer.bytes.to_vec();
    bytes[0] ^= 1;
    let path = store::blob_path(&server.root(), &layer.digest);
    // The client has the last byte a moment before the blob is durable.
    eventually("the blob is stored", async || path.exists()).await;
    std::fs::write(path, bytes).unwrap();
    let (code, said) = fsck(&server, &upstream);
    assert_eq!(code, Some(10), "{said}");
    assert!(said.contains(&layer.digest), "{said}");
}

async fn the_tree_is_that_of_a_push(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let image = image::oci(1);
    upstream.serve("app", "1", image.clone());
    let server = mirroring(builder, &upstream).start();
    let app = repository(&server, "hub/app");
    app.pull_image("1", &image).await;
    let below = server.tree().join("repositories/hub/app");
    let link = |path: String| std::fs::read_to_string(below.join(path).join("link")).unwrap();
    let hex = |digest: &str| digest.replace(':', "/");
    assert_eq!(
        link("_manifests/tags/1/current".to_owned()),
        image.manifest.digest
    );
    let revision = format!("_manifests/revisions/{}", hex(&image.manifest.digest));
    assert_eq!(link(revision), image.manifest.digest);
    for blob in &image.blobs {
        let layer = format!("_layers/{}", hex(&blob.digest));
        eventually("the layer is stored", async || {
            below.join(&layer).join("link").exists()
        })
        .await;
        let stored = std::fs::read(store::blob_path(&server.root(), &blob.digest)).unwrap();
        assert_eq!(stored, blob.bytes);
    }
}

async fn a_client_gets_its_bytes_though_the_disk_is_full(builder: ServerBuilder) {
    let upstream = Upstream::start();
    // More than the disk has.
    let (blob, small) = (Blob::random(1, 12_000_000), Blob::random(2, 100_000));
    for blob in [&blob, &small] {
        upstream.serve_blob("app", blob);
    }
    let Some(mut server) = on_small_disk(mirroring(builder, &upstream)) else {
        return;
    };
    let app = repository(&server, "hub/app");
    app.expect_blob(&blob).await;
    // What could not be stored has gone again.
    app.expect_blob(&small).await;
    upstream.forget();
    eventually("the small one is stored", async || {
        upstream.forget();
        app.expect_blob(&small).await;
        upstream.calls().is_empty()
    })
    .await;
    server.assert_alive();
}

async fn a_mirror_that_is_killed_goes_on_afterwards(builder: ServerBuilder) {
    let upstream = Upstream::start();
    let (blob, gate) = (Blob::random(1, 3_000_000), Gate::new());
    upstream.serve_blob("app", &blob);
    let trouble = Trouble::WaitAfter(2_000_000, gate.clone());
    upstream.trouble(When::method("GET").of("/blobs/").times(1), trouble);
    let mut server = mirroring(builder, &upstream).start();
    let path = format!("/v2/hub/app/blobs/{}", blob.digest);
    let mut reading = Reading::begin(&server, &path).await;
    reading.expect_beginning(&blob.bytes[..1_000_000]).await;
    gate.reached_by(1).await;
    server.kill9();
    assert!(reading.rest().await.is_err());
    server.start_again();
    for _ in 0..2 {
        repository(&server, "hub/app").expect_blob(&blob).await;
    }
    assert_eq!(upstream.count("GET", "/blobs/"), 2, "{:?}", upstream.calls());
}
