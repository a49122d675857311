//! The lock of the store while it is open: whether its file is still the one that other processes look at.
//!
//! A lock is held on an open file. When the file is removed (`rm -rf wharf`), the lock goes on and protects nothing: the
//! next process makes a new file and locks that. So the file at the path is compared with the locked one, before a
//! write but at most once a second, and at every health check. If it is another one, the lock is taken again; if another
//! process was faster, this one writes no more.

use std::{
    fmt, io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{LOCK, sys::Disk};
use crate::{Error, ErrorKind, Result};

/// Least time between two looks at the file that are not asked for.
const INTERVAL: Duration = Duration::from_secs(1);

/// Exclusive use of a store.
pub(super) struct StoreLock<D: Disk> {
    held: Mutex<Held<D>>,
    opened: Instant,
    /// When the file is to be looked at again, in milliseconds since `opened`
    due: AtomicU64,
}

enum Held<D: Disk> {
    Locked(D::Lock),
    /// Another process has the store: what its lock file says
    Lost(String),
    /// The file system has no locks, and the operator has said to go on
    Without,
}

/// Text of the lock file.
pub(super) fn content() -> String {
    format!(
        "pid {}\nsince {}\n",
        std::process::id(),
        jiff::Timestamp::now().strftime("%FT%TZ")
    )
}

/// What a lock file says, on one line.
pub(super) fn holder(content: &str) -> String {
    match content.trim() {
        "" => "unknown".to_owned(),
        holder => holder.replace('\n', ", "),
    }
}

impl<D: Disk> StoreLock<D> {
    /// A lock that was taken; `None` for a store that is used without one.
    pub(super) fn new(lock: Option<D::Lock>) -> Self {
        Self {
            held: Mutex::new(lock.map_or(Held::Without, Held::Locked)),
            opened: Instant::now(),
            due: AtomicU64::new(0),
        }
    }

    /// Makes sure, at most once a second, that this process has the store. Blocks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`] when another process has it.
    pub(super) fn confirm(&self, disk: &D) -> Result<()> {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.due.load(Relaxed);
        if now < due {
            return Ok(());
        }
        self.confirm_now(disk)?;
        let interval = u64::try_from(INTERVAL.as_millis()).unwrap_or(u64::MAX);
        self.due.store(now.saturating_add(interval), Relaxed);
        Ok(())
    }

    /// The same at once. The directory of the lock file exists.
    ///
    /// # Errors
    ///
    /// As [`confirm`](Self::confirm).
    pub(super) fn confirm_now(&self, disk: &D) -> Result<()> {
        let failed = |error| Error::io(format!("look at the lock `{LOCK}` of the store"), error);
        let mut held = self.held.lock();
        match &*held {
            Held::Without => return Ok(()),
            Held::Lost(holder) => return Err(lost(holder)),
            Held::Locked(lock) => match disk.is_locked_at(lock, LOCK) {
                Ok(true) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            },
        }
        super::create_directory(disk, super::OURS).map_err(failed)?;
        match disk.lock(LOCK, &content()) {
            Ok(lock) => {
                *held = Held::Locked(lock);
                tracing::warn!("`{LOCK}` was removed by another program; it was made and locked again");
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let holder = holder(&error.to_string());
                let error = lost(&holder);
                tracing::error!(%error, "the lock of the store is lost");
                *held = Held::Lost(holder);
                Err(error)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

fn lost(holder: &str) -> Error {
    let context = format!(
        "write to the store: `{LOCK}` was removed, and another process ({holder}) has locked the store since; stop one \
         of the two and restart the other one"
    );
    Error::new(ErrorKind::Locked, context)
}

impl<D: Disk> fmt::Debug for StoreLock<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreLock").finish_non_exhaustive()
    }
}
