//! Which uploads the requests of this process hold.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

use crate::{Error, ErrorKind, Key, Result};

/// The uploads that are held, by their directory.
///
/// This only spares work: what decides between two requests is the conditional put of an upload's
/// state, because the other request may be in another process.
#[derive(Debug, Clone, Default)]
pub(super) struct Holds(Arc<Mutex<HashSet<Key>>>);

/// An upload that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    holds: Holds,
    dir: Key,
}

impl Holds {
    /// Whether a request of this process holds it.
    pub(super) fn contains(&self, dir: &Key) -> bool {
        self.0.lock().contains(dir)
    }

    /// [`ErrorKind::Busy`] when it is held already.
    pub(super) fn take(&self, dir: &Key) -> Result<Hold> {
        if self.0.lock().insert(dir.clone()) {
            Ok(Hold {
                holds: self.clone(),
                dir: dir.clone(),
            })
        } else {
            Err(Error::new(ErrorKind::Busy, format!("open upload `{dir}`")))
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.0.lock().remove(&self.dir);
    }
}
