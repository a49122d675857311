//! Whether the store is nearly full, for pages that warn of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use wharf_registry::Pressure;
use wharf_storage::Storage;

/// How long an answer is remembered: each page asks.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The space of a store, and how much of it is to be free. Clones share what they remember.
#[derive(Debug, Clone)]
pub struct Room {
    storage: Arc<dyn Storage>,
    pressure: Pressure,
    last: Arc<Mutex<Option<Looked>>>,
}

#[derive(Debug, Clone, Copy)]
struct Looked {
    at: Instant,
    /// Bytes that are free, if these are too few.
    shortage: Option<u64>,
}

impl Room {
    /// The room in `storage`, of which too little is free when `pressure` is felt.
    pub fn new(storage: Arc<dyn Storage>, pressure: Pressure) -> Self {
        Self {
            storage,
            pressure,
            last: Arc::default(),
        }
    }

    /// The bytes that are free, if these are too few; `None` as well where it is not known, as of a bucket.
    pub(crate) async fn shortage(&self) -> Option<u64> {
        let last = *self.last.lock();
        if let Some(last) = last.filter(|last| last.at.elapsed() < REMEMBERED) {
            return last.shortage;
        }
        let space = self.storage.space().await.ok().flatten();
        let shortage = space.filter(|space| self.pressure.is_felt(*space));
        let shortage = shortage.map(|space| space.free);
        *self.last.lock() = Some(Looked {
            at: Instant::now(),
            shortage,
        });
        shortage
    }
}

#[cfg(test)]
mod tests {
    use wharf_storage::{Space, faulty::Faulty, object::ObjectStorage};

    use super::*;

    #[tokio::test]
    async fn a_store_that_is_nearly_full_is_short_of_room() {
        for (space, pressure, expected) in [
            (Some(Space { free: 4, total: 100 }), Pressure::Percent(5), Some(4)),
            (Some(Space { free: 6, total: 100 }), Pressure::Percent(5), None),
            (Some(Space { free: 4, total: 100 }), Pressure::Off, None),
            (None, Pressure::Percent(5), None),
        ] {
            let storage = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
            storage.tell_space(space);
            assert_eq!(Room::new(storage, pressure).shortage().await, expected);
        }
    }
}
