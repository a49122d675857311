//! What is coalesced until the next write: one record for all happenings that are alike.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    mem,
    time::SystemTime,
};

use parking_lot::Mutex;

use crate::record::{Record, Sighting};

/// Parts of the window, each with a lock of its own. A power of two.
const SHARDS: usize = 16;

/// Records by their sightings.
#[derive(Debug, Default)]
pub(crate) struct Window {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// Records by the hash of their sightings, so that a borrowed one finds its record.
type Shard = HashMap<u64, Vec<Record>>;

impl Window {
    /// Counts another happening of what has a record already. Otherwise keeps the record that `make` returns, and returns
    /// false if it returns none. Allocates only for the new record.
    pub(crate) fn count(&self, sighting: &Sighting<'_>, make: impl FnOnce() -> Option<Record>) -> bool {
        let hash = self.hasher.hash_one(sighting);
        // Some bits of it that the map does not begin with.
        let mut shard = self.shards[(hash >> 32) as usize % SHARDS].lock();
        if let Some(alike) = shard.get_mut(&hash)
            && let Some(record) = alike.iter_mut().find(|record| record.sighting() == *sighting)
        {
            record.count += 1;
            record.last = record.last.max(SystemTime::now());
            return true;
        }
        match make() {
            Some(record) => {
                shard.entry(hash).or_default().push(record);
                true
            }
            None => false,
        }
    }

    /// Takes all records out. What happens meanwhile is counted in one of them, or in a record of the next window.
    pub(crate) fn drain(&self) -> Vec<Record> {
        let shards = self.shards.iter().map(|shard| mem::take(&mut *shard.lock()));
        shards.flat_map(HashMap::into_values).flatten().collect()
    }
}
