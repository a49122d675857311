//! Bounded queues of small records that outlive the process: events that are to be delivered later, in order.
//!
//! A record that was [appended](Spool::append) survives the end of the process, however it comes; a cut of power
//! it survives from the next [`sync`](Spool::sync) on. It is taken away by [`remove`](Spool::remove) when it has been
//! dealt with. The place of a removal is written down without a sync, so after a cut of power a record may come
//! again: a queue delivers every record at least once, in order.
//!
//! A full queue drops its oldest records to make room, because a receiver that listens again after a long time is better
//! served with the newest events.

mod memory;
mod name;

pub use memory::MemorySpools;
pub use name::SpoolName;

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;

use crate::Result;

/// The limits of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Number of records
    pub records: u64,
    /// Bytes of all records together
    pub bytes: u64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            records: 10_000,
            bytes: 32 << 20,
        }
    }
}

/// A place for queues.
pub trait Spools: fmt::Debug + Send + Sync {
    /// Opens the queue `name`, with what an earlier process left in it; creates it when there is none.
    ///
    /// A queue must not be open twice. Blocks: reads all that is in the queue, to count and to check it.
    ///
    /// # Errors
    ///
    /// When the queue cannot be read or created.
    fn open(&self, name: &SpoolName, limits: SpoolLimits) -> Result<Arc<dyn Spool>>;

    /// Looks at the queues that are not in `in_use`: those that nothing was appended to since `cutoff` go, and all
    /// are reported. Blocks.
    ///
    /// # Errors
    ///
    /// When the queues cannot be listed or removed.
    fn tidy(&self, in_use: &[SpoolName], cutoff: SystemTime) -> Result<Vec<AbandonedSpool>>;
}

/// A queue that is not used any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbandonedSpool {
    /// Name of the queue, as [`SpoolName`] spells it
    pub name: String,
    /// Whether the queue was removed
    pub is_removed: bool,
}

/// One queue. Every method may block on the disk for as long as a small write takes; [`sync`](Self::sync) for longer.
pub trait Spool: fmt::Debug + Send + Sync {
    /// Adds a record at the end. Returns how many records had to go for it; a record that is larger than the whole
    /// queue may be goes itself.
    ///
    /// # Errors
    ///
    /// When the record cannot be written. The queue is then as it was, but for records that made room.
    fn append(&self, record: &[u8]) -> Result<u64>;

    /// Makes all that was appended, and all that was removed, durable.
    ///
    /// # Errors
    ///
    /// When a sync fails; a cut of power may then lose what was appended.
    fn sync(&self) -> Result<()>;

    /// The oldest record. Damaged ones are passed over, and logged.
    ///
    /// # Errors
    ///
    /// When the queue cannot be read.
    fn first(&self) -> Result<Option<SpoolEntry>>;

    /// Takes away the entry that [`first`](Self::first) returned. Does nothing when it is no longer the oldest.
    ///
    /// # Errors
    ///
    /// When the place of the removal cannot be written down.
    fn remove(&self, entry: &SpoolEntry) -> Result<()>;

    /// How many records there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether records survive the process.
    fn is_durable(&self) -> bool;
}

/// The oldest record of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolEntry {
    /// Content of the record
    pub record: Bytes,
    /// Segment and offset in it; a running number in memory
    pub(crate) position: (u64, u64),
}
