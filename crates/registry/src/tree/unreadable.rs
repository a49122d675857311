//! Memory of the repositories that the process has no right to read, for the log and the metrics.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;
use wharf_storage::ErrorKind;

use crate::error::Error;

/// How many are remembered, and named in the metrics.
const CAPACITY: usize = 100;

/// Repositories that were found unreadable, by name: something restored them as another user, for example. A request that
/// meets one goes on without it; each is logged when it is met for the first time.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    names: Mutex<BTreeSet<Box<str>>>,
    /// Whether there are any, so that nothing else needs the lock as long as all is well.
    any: AtomicBool,
}

impl Unreadable {
    /// Whether `error` says that the process lacks the right; if so, that is remembered of `name`, and logged if it is new.
    pub(crate) fn explains(&self, name: &str, error: &Error) -> bool {
        if error.storage_kind() != Some(ErrorKind::PermissionDenied) {
            return false;
        }
        let mut names = self.names.lock();
        let is_new = names.len() < CAPACITY && names.insert(name.into());
        self.any.store(true, Relaxed);
        drop(names);
        if is_new {
            tracing::error!(repository = name, %error, "a repository cannot be read; the catalogue leaves it out, and no garbage can be collected; give its files to the user of the registry");
        }
        true
    }

    /// Remembers that `name` could be read.
    pub(crate) fn is_readable(&self, name: &str) {
        if !self.any.load(Relaxed) {
            return;
        }
        let mut names = self.names.lock();
        names.remove(name);
        self.any.store(!names.is_empty(), Relaxed);
    }

    /// Their names, in ascending order.
    pub(crate) fn names(&self) -> Vec<Box<str>> {
        self.names.lock().iter().cloned().collect()
    }
}
