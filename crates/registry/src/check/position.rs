//! Where a check of all blobs is: an object below `wharf/`, so that an interrupted check goes on in the next process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wharf_oci::{Algorithm, Digest};
use wharf_storage::{Key, Put, Storage, layout};

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
    /// What the last whole round of a check has found beside blobs; `None`: it was one that did not note it, or a scrub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<CheckTotals>,
}

/// What a whole check has looked at and found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckTotals {
    /// Repositories.
    pub repositories: u64,
    /// Tags that point at a manifest.
    pub tags: u64,
    /// Manifests.
    pub manifests: u64,
    /// Findings because of which an image cannot be pulled whole, or stored bytes are wrong.
    pub broken: u64,
    /// Leftovers that harm no image.
    pub untidy: u64,
    /// What could not be read.
    pub unknown: u64,
}

/// The last whole check of a store, by whatever process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCheck {
    /// When it ended.
    pub ended: SystemTime,
    /// Blobs that it hashed.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// What else it looked at, and what it found; `None`: it was made by a version that did not note it.
    pub totals: Option<CheckTotals>,
}

/// The last whole check of `storage`; `None`: none has ended.
///
/// # Errors
///
/// When the store is not available.
pub async fn last_check(storage: &dyn Storage) -> Result<Option<LastCheck>> {
    let position = Position::load(storage, &layout::check()).await?;
    Ok((position.ended > 0).then(|| LastCheck {
        ended: UNIX_EPOCH + Duration::from_secs(position.ended),
        blobs: position.blobs,
        bytes: position.bytes,
        totals: position.found,
    }))
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

    /// How many thousandths of the blobs the round has checked, about: they are checked in the order of their digests, which are spread
    /// evenly.
    pub(crate) fn done(&self) -> u16 {
        self.last.as_ref().map_or(0, thousandths)
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

/// How many thousandths of the blobs come before `digest`, about.
pub(super) fn thousandths(digest: &Digest) -> u16 {
    // Nearly all blobs have digests of this algorithm, and the others come later.
    if digest.algorithm() != Algorithm::Sha256 {
        return 999;
    }
    let [first, second, ..] = digest.bytes() else {
        return 0;
    };
    let place = u32::from(u16::from_be_bytes([*first, *second]));
    u16::try_from((place * 1000) >> u16::BITS).unwrap_or_default()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_how_far_a_round_is() {
        let at = |start: &str| {
            let digest = format!("sha256:{start:0<64}");
            thousandths(&digest.parse().unwrap())
        };
        assert_eq!([at("0"), at("4"), at("8"), at("ffff")], [0, 250, 500, 999]);
        assert_eq!(thousandths(&Digest::of(Algorithm::Sha512, b"")), 999);
    }

    #[tokio::test]
    async fn the_last_check_is_told_with_what_it_found_if_that_was_noted() {
        let storage = wharf_storage::object::ObjectStorage::in_memory();
        assert_eq!(last_check(&storage).await.unwrap(), None);
        let mut position = Position::default();
        position.begin();
        position.save(&storage, &layout::check()).await.unwrap();
        assert_eq!(last_check(&storage).await.unwrap(), None, "it has not ended");
        (position.blobs, position.found) = (
            3,
            Some(CheckTotals {
                broken: 1,
                ..CheckTotals::default()
            }),
        );
        position.end();
        position.save(&storage, &layout::check()).await.unwrap();
        let last = last_check(&storage).await.unwrap().unwrap();
        assert_eq!((last.blobs, last.totals.unwrap().broken), (3, 1));
        // As an older version wrote it.
        let put = Put::new(layout::check(), r#"{"began":1,"ended":2,"blobs":7}"#);
        wharf_storage::Objects::publish(&storage, &[put]).await.unwrap();
        let last = last_check(&storage).await.unwrap().unwrap();
        assert_eq!((last.blobs, last.totals), (7, None));
    }
}
