//! Where a check of all blobs is: an object below `wharf/`, so that an interrupted check goes on in the next process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wharf_oci::Digest;
use wharf_storage::{Key, Put, Storage};

use crate::error::Result;

/// The largest note, in bytes: [`DAMAGED`] digests, and some numbers.
const LIMIT: u64 = 1 << 20;

/// How many damaged blobs are noted. Those beyond are found again by the next round.
const DAMAGED: usize = 2000;

/// How far a round over all blobs is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Position {
    /// The last digest that was checked; `None` between two rounds.
    pub(crate) last: Option<Digest>,
    /// When the round began, in seconds since 1970 by the clock of the process that began it.
    pub(crate) began: u64,
    /// When the last whole round ended, as `began`; 0 when none has ended yet.
    pub(crate) ended: u64,
    /// Blobs that were checked in this round, or in the last one.
    pub(crate) blobs: u64,
    /// Bytes of these blobs.
    pub(crate) bytes: u64,
    /// Blobs that were found damaged, and were not healed as far as is known.
    pub(crate) damaged: Vec<Digest>,
}

impl Position {
    /// What is noted at `key`. What is not there, or cannot be understood, is a check that has not begun.
    ///
    /// # Errors
    ///
    /// When the store is not available.
    pub(crate) async fn load(storage: &dyn Storage, key: &Key) -> Result<Self> {
        let object = match storage.read(key, LIMIT).await {
            Ok(object) => object,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                if !error.is_not_found() {
                    tracing::warn!(%error, "cannot read how far a check of the blobs was; it begins anew");
                }
                return Ok(Self::default());
            }
        };
        Ok(serde_json::from_slice(&object.bytes).unwrap_or_else(|error| {
            tracing::warn!(storage.key = %key, %error, "cannot understand how far a check of the blobs was; it begins anew");
            Self::default()
        }))
    }

    /// Notes it at `key`.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn save(&self, storage: &dyn Storage, key: &Key) -> wharf_storage::Result<()> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        storage.publish(&[Put::new(key.clone(), text)]).await
    }

    /// Whether a round is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.began > self.ended
    }

    /// Begins a round.
    pub(crate) fn begin(&mut self) {
        (self.last, self.blobs, self.bytes) = (None, 0, 0);
        // One that ends in the second in which it began is over as well.
        self.began = now().max(self.ended + 1);
    }

    /// Ends the round.
    pub(crate) fn end(&mut self) {
        self.last = None;
        self.ended = now().max(self.began);
    }

    /// Time since the last round began, by the clock of this process; 0 when that is later.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.began))
    }

    /// Notes that `digest` is damaged, or is not any more.
    pub(crate) fn note(&mut self, digest: &Digest, is_damaged: bool) {
        match (self.damaged.binary_search(digest), is_damaged) {
            (Err(place), true) if self.damaged.len() < DAMAGED => self.damaged.insert(place, *digest),
            (Ok(place), false) => {
                self.damaged.remove(place);
            }
            _ => {}
        }
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
