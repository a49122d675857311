//! The power fails around writes under a condition.

use bytes::Bytes;

use super::{Client, assert_no_sync_is_superfluous, survives_a_cut_anywhere};
use crate::{ErrorKind, Key, Objects, Put, Result, Version};

impl Client {
    /// Puts one object, and records it in the ledger.
    async fn put_object(&self, put: Put) -> Result<()> {
        self.ledger.begin(&put.key, Some(put.bytes.clone()));
        self.storage.publish(std::slice::from_ref(&put)).await?;
        self.ledger.acknowledge(&put.key, Some(put.bytes));
        Ok(())
    }

    async fn version(&self, key: &Key) -> Result<Version> {
        Ok(self.storage.stat(key).await?.version.unwrap())
    }

    /// `puts` are not published; what they would have written is in no ledger, and so must not be there.
    async fn is_refused(&self, puts: &[Put]) -> Result<()> {
        match self.storage.publish(puts).await {
            Err(error) if error.kind() == ErrorKind::Precondition => Ok(()),
            Err(error) => Err(error),
            Ok(()) => panic!("{puts:?} should have been refused"),
        }
    }
}

fn key(path: &str) -> Key {
    Key::new(format!("wharf/conditions/{path}")).unwrap()
}

/// Objects that are created and replaced under conditions, with directories that exist and that do not.
async fn conditional_writes(client: Client) -> Result<()> {
    let (lease, record) = (key("lease"), key("trash/deep/record"));
    client
        .put_object(Put::new(lease.clone(), "1").if_absent())
        .await?;
    client
        .is_refused(&[
            Put::new(lease.clone(), "stolen").if_absent(),
            Put::new(key("after"), "x"),
        ])
        .await?;
    let first = client.version(&lease).await?;
    client
        .put_object(Put::new(lease.clone(), "2").only_if(first.clone()))
        .await?;
    client
        .is_refused(&[
            Put::new(lease.clone(), "stale").only_if(first.clone()),
            Put::new(key("trash/after"), "x"),
        ])
        .await?;
    client
        .put_object(Put::new(record.clone(), "record").if_absent())
        .await?;
    client
        .put_object(Put::new(key("trash/deep/other"), "other").if_absent())
        .await?;

    // Puts before the refused one are durable.
    let before = Put::new(key("before/put"), "published");
    client.ledger.begin(&before.key, Some(before.bytes.clone()));
    client
        .is_refused(&[
            before.clone(),
            Put::new(key("before/gone"), "stale").only_if(first),
        ])
        .await?;
    client.ledger.acknowledge(&before.key, Some(before.bytes));
    Ok(())
}

#[test]
fn conditional_writes_survive() {
    survives_a_cut_anywhere(conditional_writes);
}

#[test]
fn every_single_sync_of_conditional_writes_is_needed() {
    let scenario = async |client: Client| {
        let (lease, record) = (key("leases/lease"), key("leases/trash/deep/record"));
        client
            .put_object(Put::new(lease.clone(), "1").if_absent())
            .await?;
        let first = client.version(&lease).await?;
        client.put_object(Put::new(lease, "2").only_if(first)).await?;
        client.put_object(Put::new(record, "record").if_absent()).await
    };
    assert_no_sync_is_superfluous(&scenario, &|_| Ok(()));
}

/// Of two that create one object at once, one is told that it did, and its bytes are what is found.
#[test]
fn a_race_for_an_absent_object_survives() {
    super::survives_cuts(3, async |client| {
        let lease = key("new/lease");
        let puts = ["one", "two"].map(|content| Put::new(lease.clone(), content).if_absent());
        for put in &puts {
            client.ledger.begin(&lease, Some(put.bytes.clone()));
        }
        let results = tokio::join!(
            client.storage.publish(&puts[..1]),
            client.storage.publish(&puts[1..])
        );
        let mut winners: Vec<Bytes> = Vec::new();
        for (result, put) in [results.0, results.1].into_iter().zip(puts) {
            match result {
                Ok(()) => winners.push(put.bytes),
                Err(error) if error.kind() == ErrorKind::Precondition => {}
                Err(error) => return Err(error),
            }
        }
        assert_eq!(winners.len(), 1);
        client.ledger.acknowledge(&lease, winners.pop());
        // So that there is something to cut whichever way it went.
        client.push_manifest("latest", "manifest").await.map(|_| ())
    });
}
