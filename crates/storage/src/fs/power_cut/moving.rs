//! The power fails while an object moves from key to key.

use tokio::runtime::Runtime;

use super::{
    Client, SimulatedDisk, assert_no_sync_is_superfluous, check, check_recovery, cut_everywhere, pattern,
};
use crate::{Key, Objects, Put, Removal, Result};

const FIRST: &str = "wharf/moving/blobs/ab/data";

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

impl Client {
    /// Publishes the object that moves, a mark that it is published, and `others`.
    async fn publish_first(&self, others: &[Put]) -> Result<()> {
        let mut puts = vec![
            Put::new(key(FIRST), pattern(7, 9000)),
            Put::new(key("wharf/moving/marker"), "moving"),
        ];
        puts.extend_from_slice(others);
        for put in &puts {
            self.ledger.begin(&put.key, Some(put.bytes.clone()));
        }
        self.storage.publish(&puts).await?;
        for put in &puts {
            self.ledger.acknowledge(&put.key, Some(put.bytes.clone()));
        }
        Ok(())
    }

    async fn move_object(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (key(from), key(to));
        let content = Some(pattern(7, 9000));
        self.ledger.begin(&from, None);
        self.ledger.begin(&to, content.clone());
        let removal = Removal {
            key: from.clone(),
            keep: key("wharf/moving"),
        };
        self.storage.rename(&removal, &to).await?;
        self.ledger.acknowledge(&from, None);
        self.ledger.acknowledge(&to, content);
        Ok(())
    }
}

/// Moves into directories that are missing, into one that exists, in place of another object, and back.
async fn moves(client: Client) -> Result<()> {
    let there = Put::new(key("wharf/moving/quarantine/there"), "replaced");
    client.publish_first(&[there]).await?;
    client
        .move_object(FIRST, "wharf/moving/quarantine/new/deep/data")
        .await?;
    client
        .move_object(
            "wharf/moving/quarantine/new/deep/data",
            "wharf/moving/quarantine/there",
        )
        .await?;
    client.move_object("wharf/moving/quarantine/there", FIRST).await
}

/// Whatever is lost, the bytes are under one of the keys, whole.
fn check_whole(disk: &SimulatedDisk) -> Result<(), String> {
    let files = disk.files();
    if !files.contains_key("wharf/moving/marker") {
        return Ok(());
    }
    let found = files.values().any(|content| pattern(7, 9000) == *content);
    check(found, || "the object is under none of its keys".into())
}

#[test]
fn moves_survive() {
    let runtime = Runtime::new().unwrap();
    let recovers =
        |disk: &SimulatedDisk| check_whole(disk).and_then(|()| runtime.block_on(check_recovery(disk)));
    if let Err(problem) = cut_everywhere(&runtime, &SimulatedDisk::default, &moves, 1, &recovers) {
        panic!("{problem}");
    }
}

/// The syncs of the new directories, of the directory that the object is moved into, and of the one that it leaves.
#[test]
fn every_single_sync_of_a_move_is_needed() {
    let scenario = async |client: Client| {
        client.publish_first(&[]).await?;
        client
            .move_object(FIRST, "wharf/moving/quarantine/new/deep/data")
            .await?;
        client
            .move_object(
                "wharf/moving/quarantine/new/deep/data",
                "wharf/moving/blobs/cd/data",
            )
            .await
    };
    assert_no_sync_is_superfluous(&scenario, &check_whole);
}
