//! A client relies on what another one wrote: it is acknowledged only when a cut of power can take neither away.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use wharf_oci::Digest;

use super::{
    Client, FsStorage, SimulatedDisk, Survival, check_objects, check_promises, opened, pattern, put,
};
use crate::{Key, Objects as _, Result, layout};

/// A client of another repository that mounts what the first one pushes.
fn other(client: &Client) -> Client {
    Client {
        repository: "team/other".parse().unwrap(),
        ..client.clone()
    }
}

impl Client {
    /// Mounts a blob, if it is there; false if it is not.
    async fn mount(&self, digest: &Digest) -> Result<bool> {
        if self.storage.stat(&layout::blob(digest)).await.is_err() {
            return Ok(false);
        }
        let link = put(
            layout::layer_link(&self.repository, digest),
            layout::link_content(digest),
        );
        self.ledger.begin(&link.key, Some(link.bytes.clone()));
        self.storage.publish(std::slice::from_ref(&link)).await?;
        self.ledger.acknowledge(&link.key, Some(link.bytes));
        Ok(true)
    }
}

fn check_now(disk: &SimulatedDisk, client: &Client) {
    let found = disk.after_power_cut(Survival::Nothing);
    check_promises(&found, &client.ledger).unwrap_or_else(|problem| panic!("{problem}\n{}", disk.log()));
}

/// Makes the directories on the way durable, so that the push of the content that is returned syncs only what it changes.
async fn push_before(client: &Client) -> Bytes {
    let before = pattern(0, 1000);
    for client in [client, &other(client)] {
        for _ in 0..2 {
            client
                .push_blob("before", std::slice::from_ref(&before))
                .await
                .unwrap();
        }
    }
    // A blob beside it, in the same of the 256 directories.
    let pair = |content: &Bytes| Digest::sha256_of(content).bytes()[0];
    (1001..)
        .map(|size| pattern(0, size))
        .find(|content| pair(content) == pair(&before))
        .unwrap()
}

#[test]
fn a_blob_is_not_relied_on_before_its_name_is_durable() {
    let mut relied = 0;
    for others in 0..4 {
        let (runtime, disk, client) = opened();
        runtime.block_on(async {
            let content = push_before(&client).await;
            let digest = Digest::sha256_of(&content);
            let paused = disk.pause_directory_sync(others);
            let first = {
                let client = client.clone();
                tokio::spawn(async move { client.push_blob("first", &[content]).await })
            };
            disk.wait_for_pause();
            let second = other(&client);
            let mut second = tokio::spawn(async move { second.mount(&digest).await.unwrap() });
            // In time or not: what is acknowledged is durable.
            let in_time = timeout(Duration::from_millis(100), &mut second).await;
            // Looked at only after the sync goes on: a failed assertion would wait for it for ever.
            let found = check_promises(&disk.after_power_cut(Survival::Nothing), &client.ledger);
            disk.resume(paused);
            found.unwrap_or_else(|problem| panic!("{problem}"));
            let mounted = match in_time {
                Ok(mounted) => mounted.unwrap(),
                Err(_) => second.await.unwrap(),
            };
            relied += u32::from(mounted);
            check_now(&disk, &client);
            first.await.unwrap().unwrap();
            check_now(&disk, &client);
        });
    }
    assert_eq!(relied, 4, "the second client saw the blob each time");
}

#[test]
fn a_blob_whose_sync_failed_is_synced_before_it_is_relied_on() {
    let mut failed = 0;
    for others in 0..10 {
        let (runtime, disk, client) = opened();
        runtime.block_on(async {
            // What one push adds to a store, or the chain of directories from the root on.
            let content = if others < 4 {
                [push_before(&client).await]
            } else {
                [pattern(7, 1000)]
            };
            let digest = Digest::sha256_of(&content[0]);
            disk.fail_directory_sync(others);
            failed += u32::from(client.push_blob("first", &content).await.is_err());
            other(&client).mount(&digest).await.unwrap();
            check_now(&disk, &client);
            client.push_blob("again", &content).await.unwrap();
            check_now(&disk, &client);
        });
    }
    assert!(failed >= 6, "{failed}");
}

/// Of two first pairs of layers of a repository, the second goes into the tree of the first. As long as the old name of that tree
/// may come back, the next start may remove it with all that is in it.
#[test]
fn a_link_in_a_tree_of_another_request_waits_for_the_end_of_its_old_name() {
    for failing in [false, true] {
        let (runtime, disk, client) = opened();
        runtime.block_on(async {
            let mut links = Vec::new();
            for size in [10, 11, 20, 21] {
                let content = [pattern(5, size)];
                let digest = other(&client).push_blob("u", &content).await.unwrap();
                let key = layout::layer_link(&client.repository, &digest);
                links.push(put(key, layout::link_content(&digest)));
            }
            let push = |links: &[crate::Put]| {
                let (client, links) = (client.clone(), links.to_vec());
                for link in &links {
                    client.ledger.begin(&link.key, Some(link.bytes.clone()));
                }
                tokio::spawn(async move {
                    let pushed = client.storage.publish(&links).await;
                    for link in links.into_iter().filter(|_| pushed.is_ok()) {
                        client.ledger.acknowledge(&link.key, Some(link.bytes));
                    }
                    pushed
                })
            };
            // The second has begun, and has not placed its tree.
            let second_paused = disk.pause_directory_sync(0);
            let mut second = push(&links[2..]);
            disk.wait_for_pause();
            // The first has placed its tree, of five directories, and synced the one above it.
            let first_paused = disk.pause_directory_sync(6);
            let first = push(&links[..2]);
            disk.wait_for_pause();
            disk.resume(second_paused);
            let in_time = timeout(Duration::from_millis(100), &mut second).await;
            let found = survives_a_start(&disk, &client);
            if failing {
                disk.fail_directory_sync(0);
            }
            disk.resume(first_paused);
            found.unwrap_or_else(|problem| panic!("{problem}\n{}", disk.log()));
            assert!(in_time.is_err(), "the second waits for the first");
            second.await.unwrap().unwrap();
            survives_a_start(&disk, &client).unwrap();
            assert_eq!(first.await.unwrap().is_err(), failing);
            survives_a_start(&disk, &client).unwrap();
        });
    }
}

/// Nothing acknowledged is lost by a cut of power now, nor by the start after it.
fn survives_a_start(disk: &SimulatedDisk, client: &Client) -> Result<(), String> {
    (0..100).map(Survival::Some).try_for_each(|survival| {
        let found = disk.after_power_cut(survival);
        check_promises(&found, &client.ledger)?;
        FsStorage::on(found.clone(), "simulated").map_err(|error| error.to_string())?;
        check_objects(&found, &client.ledger).map_err(|problem| format!("{survival:?}: {problem}"))
    })
}

#[test]
fn as_long_as_the_sync_fails_nothing_is_acknowledged() {
    let (runtime, disk, client) = opened();
    runtime.block_on(async {
        let content = [push_before(&client).await];
        let digest = Digest::sha256_of(&content[0]);
        disk.fail_directory_sync(0);
        client.push_blob("first", &content).await.unwrap_err();
        for _ in 0..3 {
            disk.fail_directory_sync(0);
            other(&client).mount(&digest).await.unwrap_err();
            disk.fail_directory_sync(0);
            let link = layout::layer_link(&client.repository, &Digest::sha256_of(&pattern(0, 1000)));
            let kept = layout::repository(&client.repository);
            client.storage.remove(&link, &kept).await.unwrap_err();
            check_now(&disk, &client);
        }
        assert!(other(&client).mount(&digest).await.unwrap());
        check_now(&disk, &client);
    });
}

/// A manifest that no tag points at any more is removed; the tag must not come back pointing at it.
#[test]
fn a_move_of_a_tag_whose_sync_failed_is_synced_before_the_old_manifest_goes() {
    let mut moved = 0;
    for others in 0..12 {
        let (runtime, disk, client) = opened();
        runtime.block_on(async {
            let old = client.push_manifest("latest", "old").await.unwrap();
            client.push_manifest("other", "other").await.unwrap();
            disk.fail_directory_sync(others);
            let pushed = client.push_manifest("latest", "new").await;
            let tag = layout::tag_link(&client.repository, "latest");
            let link = client.storage.read(&tag, 100).await.unwrap().bytes;
            if pushed.is_err() && link != layout::link_content(&old) {
                moved += 1;
                client
                    .delete(layout::revision_link(&client.repository, &old))
                    .await
                    .unwrap();
                check_now(&disk, &client);
            }
        });
    }
    assert!(moved > 0);
}

/// A removal that was not synced is synced before the client is told that there is nothing to remove.
#[test]
fn a_removal_whose_sync_failed_is_synced_before_it_is_repeated() {
    let (runtime, disk, client) = opened();
    runtime.block_on(async {
        let digest = client.push_manifest("latest", "manifest").await.unwrap();
        let name = &client.repository;
        let is_left = |key: &Key| {
            let found = disk.after_power_cut(Survival::Nothing).files();
            found.contains_key(key.as_str())
        };

        let (tag, link) = (layout::tag(name, "latest"), layout::tag_link(name, "latest"));
        disk.fail_directory_sync(0);
        let error = client.storage.remove_tree(&tag).await.unwrap_err();
        assert!(!error.is_not_found(), "{error}");
        assert!(is_left(&link), "it was not synced");
        let error = client.storage.remove_tree(&tag).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(!is_left(&link));

        let (revision, kept) = (layout::revision_link(name, &digest), layout::repository(name));
        disk.fail_directory_sync(0);
        let error = client.storage.remove(&revision, &kept).await.unwrap_err();
        assert!(!error.is_not_found(), "{error}");
        assert!(is_left(&revision), "it was not synced");
        let error = client.storage.remove(&revision, &kept).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(!is_left(&revision));
    });
}
