//! Changes of names that other requests can see and that are not durable yet.
//!
//! A rename is visible before the directory is synced. Another request that has seen the new name (or has not seen a
//! removed one) must not be acknowledged, nor write a pointer, before that sync: a cut of power would take away what it
//! relies on. So each change is written down here before it is made, until it is synced, and each write
//! first waits for the changes that were under way when it began. It has synced files of its own by then, so it seldom
//! waits in fact; reads never look here.
//!
//! After a failed sync the name is visible and nothing is known of the disk. The directories stay here, open, and
//! the next write syncs them again before anything else; while that fails, it fails as well.

use std::{collections::BTreeSet, fmt, io, sync::Arc};

use parking_lot::{Condvar, Mutex};

use super::sys::Disk;

/// Stands for the directories that are being synced again: before every change.
const AGAIN: u64 = 0;

/// The changes of one store.
pub(super) struct Unsettled<D: Disk>(Arc<Table<D>>);

struct Table<D: Disk> {
    state: Mutex<State<D>>,
    changed: Condvar,
}

struct State<D: Disk> {
    next: u64,
    /// Numbers of the changes that are not synced yet
    under_way: BTreeSet<u64>,
    /// Directories whose sync failed, the deepest of a chain first
    failed: Vec<D::Directory>,
}

/// One change of names under way. Dropped, it needs no sync: it was synced, or not made.
pub(super) struct Change<D: Disk> {
    number: u64,
    table: Arc<Table<D>>,
}

/// A moment in the sequence of changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

impl<D: Disk> Unsettled<D> {
    /// Writes down a change that is about to be made.
    pub(super) fn begin(&self) -> Change<D> {
        let mut state = self.0.state.lock();
        let number = state.next;
        state.next += 1;
        state.under_way.insert(number);
        Change {
            number,
            table: Arc::clone(&self.0),
        }
    }

    /// Now: after every change that a caller can have seen.
    pub(super) fn now(&self) -> Moment {
        Moment(self.0.state.lock().next)
    }

    /// Waits until all changes before `moment` are synced, and syncs again with `sync` what failed before. Blocks.
    ///
    /// The caller has no change under way itself.
    pub(super) fn settle(
        &self,
        moment: Moment,
        sync: impl Fn(&D::Directory) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.0.state.lock();
        loop {
            if state.under_way.first().is_some_and(|first| *first < moment.0) {
                self.0.changed.wait(&mut state);
                continue;
            }
            if state.failed.is_empty() {
                return Ok(());
            }
            let mut failed = std::mem::take(&mut state.failed);
            state.under_way.insert(AGAIN);
            drop(state);
            let result = failed.iter().try_for_each(&sync);
            state = self.0.state.lock();
            state.under_way.remove(&AGAIN);
            if result.is_err() {
                failed.append(&mut state.failed);
                state.failed = failed;
            }
            self.0.changed.notify_all();
            result?;
        }
    }
}

impl<D: Disk> Change<D> {
    /// The sync of `directories` failed, or of one of them; the deepest comes first.
    pub(super) fn fail(self, directories: impl IntoIterator<Item = D::Directory>) {
        self.table.state.lock().failed.extend(directories);
    }
}

impl<D: Disk> Drop for Change<D> {
    fn drop(&mut self) {
        self.table.state.lock().under_way.remove(&self.number);
        self.table.changed.notify_all();
    }
}

impl<D: Disk> Default for Unsettled<D> {
    fn default() -> Self {
        let state = State {
            next: AGAIN + 1,
            under_way: BTreeSet::new(),
            failed: Vec::new(),
        };
        Self(Arc::new(Table {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }
}

impl<D: Disk> fmt::Debug for Unsettled<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        f.debug_struct("Unsettled")
            .field("under_way", &state.under_way)
            .field("failed", &state.failed.len())
            .finish_non_exhaustive()
    }
}
