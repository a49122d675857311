//! The dooms that this process knows of, so that a request need not ask the store for each digest.
//!
//! Dooms are rare, and a digest is swept half an hour after its doom at the earliest. So a process lists them now and
//! then. For a digest that was not among them, the time of reading its doom is the time at which that listing began.
//!
//! Why the begin of the listing stands for a read of each doom. Let it be τ, and let the digest be missing in the
//! listing. If its bytes are removed after the listing has ended, its doom was written after τ: a doom that was there at
//! τ would be there until after that removal, and so be listed. If its bytes were removed before the listing ended, the
//! request, which looks for the bytes after that, does not find them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync;
use wharf_oci::Digest;
use wharf_storage::{Key, Storage, layout};

use super::{marks::Suspects, moment::Moment};
use crate::{error::Result, patience};

/// How many dooms are kept in memory. When there are more, requests ask for each digest; the collector writes no more.
pub(super) const MOST: usize = 20_000;

/// Why a request that waits for the listing of another one gives up.
const WAITING: &str = "the store took too long to list the marks of the collector";

/// How many marks a request lists: a bucket lists a thousand, and one more tells whether there are more.
const PAGE: usize = 999;

/// The dooms of a store at some time, renewed while requests ask for them.
#[derive(Debug)]
pub(super) struct Snapshot {
    storage: Arc<dyn Storage>,
    /// For how long a listing may be used
    age: Duration,
    known: Mutex<Option<Known>>,
    renewal: sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Known {
    /// When the listing began.
    since: Moment,
    /// Of each digest that is doomed the beginning, in ascending order; `None` when they are too many.
    doomed: Option<Arc<[u64]>>,
}

impl Snapshot {
    /// The dooms of `storage`, which are listed when a request asks for the first time, and anew at this `age`.
    pub(super) fn new(storage: Arc<dyn Storage>, age: Duration) -> Self {
        Self {
            storage,
            age,
            known: Mutex::new(None),
            renewal: sync::Mutex::new(()),
        }
    }

    /// Which of `digests` may be doomed.
    pub(super) async fn suspects(&self, digests: &[Digest]) -> Result<Suspects> {
        let Known { since, doomed } = self.known().await?;
        let may_be_doomed = |digest: &&Digest| match &doomed {
            Some(doomed) => doomed.binary_search(&beginning(digest)).is_ok(),
            None => true,
        };
        Ok(Suspects {
            digests: digests.iter().filter(may_be_doomed).copied().collect(),
            since,
        })
    }

    /// What is known, not older than may be used. One request at a time renews it; the others wait only when they must.
    async fn known(&self) -> Result<Known> {
        let age = self.age;
        if let Some(known) = self.younger_than(age / 2) {
            return Ok(known);
        }
        let _renewal = match (self.renewal.try_lock(), self.younger_than(age)) {
            (Ok(renewal), _) => renewal,
            (Err(_), Some(known)) => return Ok(known),
            (Err(_), None) => patience::soon(self.renewal.lock(), WAITING).await?,
        };
        if let Some(known) = self.younger_than(age / 2) {
            return Ok(known);
        }
        match (self.list().await, self.younger_than(age)) {
            (Ok(known), _) => {
                *self.known.lock() = Some(known.clone());
                Ok(known)
            }
            (Err(_), Some(known)) => Ok(known),
            (Err(error), None) => Err(error),
        }
    }

    fn younger_than(&self, age: Duration) -> Option<Known> {
        let known = self.known.lock();
        known
            .as_ref()
            .filter(|known| known.since.elapsed() < age)
            .cloned()
    }

    async fn list(&self) -> Result<Known> {
        let since = Moment::now();
        let mut doomed = BTreeSet::new();
        let mut after: Option<Key> = None;
        loop {
            let page = self.storage.scan(&layout::dooms(), after.as_ref(), PAGE).await?;
            let digests = page
                .objects
                .iter()
                .filter_map(|mark| layout::marked_digest(&mark.key));
            doomed.extend(digests.map(|digest| beginning(&digest)));
            after = page.objects.last().map(|mark| mark.key.clone());
            if doomed.len() > MOST {
                return Ok(Known { since, doomed: None });
            }
            if !page.more {
                let doomed = Some(doomed.into_iter().collect());
                return Ok(Known { since, doomed });
            }
        }
    }
}

/// The first bytes of a digest. Another digest with the same ones is asked for in vain.
fn beginning(digest: &Digest) -> u64 {
    let first = digest.bytes().first_chunk().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;
    use tokio::time::advance;
    use wharf_oci::Algorithm;
    use wharf_storage::{
        Put,
        object::{Counted, Memory, ObjectStorage},
    };

    use super::*;
    use crate::coordination::decisions::Timing;

    fn digest(number: u32) -> Digest {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Digest::from_bytes(Algorithm::Sha256, &bytes).unwrap()
    }

    async fn doom(storage: &Arc<dyn Storage>, number: u32) {
        let doom = Put::new(layout::doom(&digest(number)), "");
        storage.publish(&[doom]).await.unwrap();
    }

    fn bucket() -> (Arc<dyn Storage>, Counted<Memory>, Snapshot) {
        let store = Counted::new(Memory::new());
        let storage = ObjectStorage::new(Arc::new(store.clone()), Path::default());
        let storage: Arc<dyn Storage> = Arc::new(storage);
        (
            Arc::clone(&storage),
            store,
            Snapshot::new(storage, Timing::SHARED.snapshot),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_answers_for_a_while_and_says_from_when_it_is() {
        let (storage, store, snapshot) = bucket();
        doom(&storage, 1).await;
        let asked = [digest(1), digest(2)];
        let begun = tokio::time::Instant::now();
        let (suspects, cost) = store.measure(snapshot.suspects(&asked)).await;
        assert_eq!(suspects.unwrap().digests, [digest(1)]);
        assert_eq!(cost.total(), 1);

        doom(&storage, 2).await;
        advance(Timing::SHARED.snapshot / 4).await;
        let (suspects, cost) = store.measure(snapshot.suspects(&asked)).await;
        let suspects = suspects.unwrap();
        assert_eq!(suspects.digests, [digest(1)]);
        assert_eq!(
            suspects.since.elapsed(),
            begun.elapsed(),
            "the begin of the listing counts"
        );
        assert_eq!(cost.total(), 0);

        advance(Timing::SHARED.snapshot).await;
        let suspects = snapshot.suspects(&asked).await.unwrap();
        assert_eq!(suspects.digests, asked);
        assert!(suspects.since.elapsed() < Timing::SHARED.snapshot / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_renews_it_and_the_others_go_on() {
        let (_, store, snapshot) = bucket();
        let asked = [digest(1)];
        snapshot.suspects(&asked).await.unwrap();
        advance(Timing::SHARED.snapshot * 3 / 4).await;
        let both = futures_util::future::join(snapshot.suspects(&asked), snapshot.suspects(&asked));
        let ((one, other), cost) = store.measure(both).await;
        assert!(one.unwrap().since.elapsed() < other.unwrap().since.elapsed());
        assert_eq!(cost.total(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_dooms_each_digest_is_a_suspect() {
        let (storage, _, snapshot) = bucket();
        let puts: Vec<Put> = (0..=u32::try_from(MOST).unwrap())
            .map(|number| Put::new(layout::doom(&digest(number)), ""))
            .collect();
        storage.publish(&puts).await.unwrap();
        let asked = [digest(u32::MAX)];
        assert_eq!(snapshot.suspects(&asked).await.unwrap().digests, asked);
    }
}
