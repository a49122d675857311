//! Memory of the repositories that the process has no right to read, for the log and the metrics.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;
use wharf_storage::{Error, ErrorKind};

use crate::error;

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
    /// Remembers that of the repositories after `after`, up to `end` or the last one, just these could not be read. Logs those
    /// of which that is new.
    pub(crate) fn passed(&self, after: &str, end: Option<&str>, unreadable: Vec<(Box<str>, Error)>) {
        if unreadable.is_empty() && !self.any.load(Relaxed) {
            return;
        }
        let mut names = self.names.lock();
        let was_passed = |name: &str| name > after && end.is_none_or(|end| name <= end);
        names.retain(|name| !was_passed(name) || unreadable.iter().any(|(found, _)| found == name));
        let mut new = Vec::new();
        for (name, error) in unreadable {
            if names.len() < CAPACITY && names.insert(name.clone()) {
                new.push((name, error));
            }
        }
        self.any.store(!names.is_empty(), Relaxed);
        drop(names);
        for (repository, error) in new {
            tracing::error!(%repository, %error, "a repository cannot be read; the catalogue leaves it out, and no garbage can be collected; give its files to the user of the registry");
        }
    }

    /// Whether `error` says that the process has no right to read the repository `name`, which is then remembered.
    pub(crate) fn explains(&self, name: &str, error: &error::Error) -> bool {
        let is_denied =
            matches!(error, error::Error::Storage(error) if error.kind() == ErrorKind::PermissionDenied);
        if is_denied {
            let mut names = self.names.lock();
            if names.len() < CAPACITY && names.insert(name.into()) {
                self.any.store(true, Relaxed);
                tracing::error!(repository = name, %error, "a repository cannot be read; give its files to the user of the registry");
            }
        }
        is_denied
    }

    /// Their names, in ascending order.
    pub(crate) fn names(&self) -> Vec<Box<str>> {
        self.names.lock().iter().cloned().collect()
    }
}
