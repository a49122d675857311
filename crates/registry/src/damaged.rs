//! Memory of the blobs that were read whole: whether their stored bytes were right or wrong.

use std::collections::HashMap;

use parking_lot::Mutex;
use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::Digest;
use wharf_storage::Version;

use crate::cache::FEW;

/// How many blobs of either kind are remembered.
const CAPACITY: usize = 4096;

/// Blobs whose bytes were found to be wrong. They count as absent until they are pushed again, so that
/// clients, which ask before they push, do push them and so heal them (invariant I4).
///
/// The set is a hint, not a truth: it may be lost, and it is bounded. An entry holds for the version that was read, so a
/// push through another registry over the same store ends it, too.
#[derive(Debug)]
pub(crate) struct DamagedBlobs {
    /// Damaged blobs with the version that was read, where the store could tell one.
    damaged: Mutex<HashMap<Digest, Option<Version>>>,
    /// Blobs that were read whole and found right, with the version that was read.
    verified: Cache<Digest, Version>,
}

impl DamagedBlobs {
    pub(crate) fn new() -> Self {
        Self {
            damaged: Mutex::default(),
            verified: Cache::with_weighter(FEW, CAPACITY as u64, UnitWeighter),
        }
    }

    /// Whether the bytes of `digest` that the store has in `version` are known to be wrong.
    pub(crate) fn contains(&self, digest: &Digest, version: Option<&Version>) -> bool {
        let damaged = self.damaged.lock();
        damaged
            .get(digest)
            .is_some_and(|read| read.is_none() || read.as_ref() == version)
    }

    /// Whether the bytes of `digest` that the store has in `version` are known to be right.
    pub(crate) fn is_verified(&self, digest: &Digest, version: Option<&Version>) -> bool {
        version.is_some() && self.verified.get(digest).as_ref() == version
    }

    /// Remembers whether the bytes of `digest` were found right.
    pub(crate) fn insert(&self, digest: &Digest, version: Option<Version>, is_sound: bool) {
        if is_sound {
            if let Some(version) = version {
                self.verified.insert(*digest, version);
            }
            return;
        }
        let mut damaged = self.damaged.lock();
        if damaged.len() < CAPACITY || damaged.contains_key(digest) {
            damaged.insert(*digest, version);
        }
    }

    /// The versions in which `digests` were found damaged; `None` of those that were healed since, too.
    pub(crate) fn known(&self, digests: &[Digest]) -> Vec<(Digest, Option<Version>)> {
        let damaged = self.damaged.lock();
        let version = |digest: &Digest| damaged.get(digest).cloned().flatten();
        digests.iter().map(|digest| (*digest, version(digest))).collect()
    }

    /// Forgets that `digest` was damaged: it was pushed again.
    pub(crate) fn healed(&self, digest: &Digest) {
        self.damaged.lock().remove(digest);
    }
}
