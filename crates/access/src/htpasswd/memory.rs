//! The memory of right passwords: a keyed hash at each line of a password file.

use std::{fmt, sync::atomic::AtomicU64};

use parking_lot::RwLock;

/// A keyed hash, which is good for this process only.
pub(super) type Tag = [u8; 32];

/// The remembered password of one line.
#[derive(Default)]
pub(super) struct Memory {
    /// The keyed hash of the right password, once it was checked.
    pub(super) tag: RwLock<Option<Tag>>,
    /// Time of the last use, in seconds on the clock of the sweeper.
    pub(super) last_used: AtomicU64,
}

/// Shows no hash.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}
