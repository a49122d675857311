//! Locks on keys: between the check of an object and its replacement no other request changes it.

use std::hash::{BuildHasher, RandomState};

use parking_lot::{Mutex, MutexGuard};

/// Number of locks for all keys.
const STRIPES: usize = 64;

/// One lock for each key, as far as callers can tell. Held around a rename or a removal, never around a sync.
#[derive(Debug)]
pub(super) struct KeyLocks {
    hasher: RandomState,
    stripes: [Mutex<()>; STRIPES],
}

impl Default for KeyLocks {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            stripes: [const { Mutex::new(()) }; STRIPES],
        }
    }
}

impl KeyLocks {
    pub(super) fn lock(&self, path: &str) -> MutexGuard<'_, ()> {
        self.stripes[self.stripe(path)].lock()
    }

    /// Locks two keys, in an order that all callers share.
    pub(super) fn lock_both(
        &self,
        one: &str,
        other: &str,
    ) -> (MutexGuard<'_, ()>, Option<MutexGuard<'_, ()>>) {
        let (one, other) = (self.stripe(one), self.stripe(other));
        let first = self.stripes[one.min(other)].lock();
        let second = (one != other).then(|| self.stripes[one.max(other)].lock());
        (first, second)
    }

    fn stripe(&self, path: &str) -> usize {
        let hash = self.hasher.hash_one(path) % STRIPES as u64;
        usize::try_from(hash).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_may_share_a_lock() {
        let locks = KeyLocks::default();
        for number in 0..200 {
            let other = format!("key-{number}");
            drop(locks.lock_both("key", &other));
            drop(locks.lock_both(&other, "key"));
        }
        drop(locks.lock_both("key", "key"));
        assert!(locks.stripes.iter().all(|stripe| !stripe.is_locked()));
    }
}
