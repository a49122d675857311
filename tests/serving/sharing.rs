//! Servers that share the directory of a store: one that writes, others that read, and one that waits.

use std::{net::TcpListener, time::Duration};

use wharf_testkit::{Client, Server, ServerBuilder, image, suite::Suite};

use crate::stories;

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[],
        [
            readonly_servers_share_a_store_and_write_nothing,
            a_second_server_waits_for_the_lock_and_says_so,
            without_a_lock_the_log_warns,
        ]
    );
}

/// Another server on the directory of `server`.
fn beside(server: &Server) -> ServerBuilder {
    let root = server.root().display().to_string();
    server
        .another()
        .environment("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &root)
        .unchecked()
}

async fn readonly_servers_share_a_store_and_write_nothing(builder: ServerBuilder) {
    let image = image::oci(1);
    let mut writer = builder.start();
    writer.anonymous().repository("a").push_image("1", &image).await;
    let readers: Vec<Server> = (0..2)
        .map(|_| {
            beside(&writer)
                .environment("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")
                .config("health: {storagedriver: {enabled: true, interval: 1s}}")
                .start()
        })
        .collect();
    writer.anonymous().repository("a").push_image("2", &image).await;
    for reader in &readers {
        reader.anonymous().repository("a").pull_image("2", &image).await;
    }
    writer.stop();
    // As on a directory that is mounted read-only: neither lock nor staging is made.
    std::fs::remove_dir_all(writer.root().join("wharf")).unwrap();
    let reader = beside(&writer)
        .environment("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")
        .start();
    reader.anonymous().repository("a").pull_image("1", &image).await;
    assert!(!writer.root().join("wharf").exists());
}

async fn a_second_server_waits_for_the_lock_and_says_so(builder: ServerBuilder) {
    let image = image::oci(1);
    let mut first = builder.start();
    first.anonymous().repository("a").push_image("1", &image).await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let debug = free.local_addr().unwrap();
    drop(free);
    let second = beside(&first).http(format!("debug: {{addr: '{debug}'}}"));
    let starting = tokio::task::spawn_blocking(move || second.start());
    while tokio::net::TcpStream::connect(debug).await.is_err() {
        assert!(!starting.is_finished(), "the second server did not wait");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let health = Client::http1(debug).get("/debug/health").await.expect(503);
    let text = health.text();
    assert!(
        text.contains("storagedriver_filesystem") && text.contains(&format!("pid {}", first.pid())),
        "{text}"
    );
    first.anonymous().repository("a").push_image("2", &image).await;
    first.stop();
    let second = starting.await.unwrap();
    second.anonymous().repository("a").push_image("3", &image).await;
    second.says("storage.filesystem.lockwait").await;
    Client::http1(debug).get("/debug/health").await.expect(200);
}

/// Beside another server it waits, as with the lock.
async fn without_a_lock_the_log_warns(builder: ServerBuilder) {
    let mut first = builder
        .environment("REGISTRY_STORAGE_FILESYSTEM_LOCK", "false")
        .start();
    first.says("`storage.filesystem.lock: false`").await;
    let second = beside(&first).environment("REGISTRY_STORAGE_FILESYSTEM_LOCK", "false");
    let starting = tokio::task::spawn_blocking(move || second.start());
    first.stop();
    drop(starting.await.unwrap());
}
