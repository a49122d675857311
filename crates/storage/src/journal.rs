//! Journals: logs of lines in one directory of the store, which each process appends to and readers merge.
//!
//! A journal is a directory of segments, which are named by the time of their first line, so that their names sort by
//! time. A process appends to segments of its own, so two processes never write to one; it begins another one when it
//! starts, when the last one is full, and once a day, so that [`trim`] can remove what is old. On a file system a segment
//! is a file that grows. A bucket has no appends: there a segment is an object that is replaced by a longer one, and small
//! enough for that.
//!
//! [`Journal::append`] is durable. A line that a crash has torn is the last one of its segment, because the next process
//! begins a segment of its own; readers know it by its missing end.

mod objects;

pub use objects::{ObjectJournal, ObjectJournals};

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Key, Objects, Removal, Result};

/// How long a process appends to one segment.
const LONGEST_SEGMENT: Duration = Duration::from_secs(24 * 3600);

/// Segments on one page of a listing.
const PAGE: usize = 1000;

/// Segments that a journal may have: there are many small ones where processes are started often.
const MOST_SEGMENTS: usize = 5000;

/// A place for journals.
pub trait Journals: fmt::Debug + Send + Sync {
    /// The journal in `directory`, whose segments have about `segment_bytes`. Nothing is written yet.
    fn journal(&self, directory: Key, segment_bytes: u64) -> Arc<dyn Journal>;
}

/// A journal that this process appends to.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Appends `lines`, each with its line feed, durably. Returns whether they began a segment.
    ///
    /// One call at a time: a second one waits for the first.
    ///
    /// # Errors
    ///
    /// When they cannot be written. None of them is in the journal then, as far as that can be told: an append that is
    /// repeated after a failed sync, or after a lost answer, may in rare cases write them twice.
    async fn append(&self, lines: Bytes) -> Result<bool>;
}

/// The bounds of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLimits {
    /// Bytes of all segments together
    pub bytes: u64,
    /// Time after which a segment goes to which nothing was appended
    pub age: Duration,
}

/// A part of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Key of the segment
    pub key: Key,
    /// Size in bytes
    pub size: u64,
    /// When it was appended to last
    pub modified: SystemTime,
}

/// The segments of the journal in `directory`, in the order of their beginnings.
///
/// # Errors
///
/// Those of the store.
pub async fn segments(objects: &dyn Objects, directory: &Key) -> Result<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::new();
    loop {
        let after = segments.last().map(|segment| segment.key.clone());
        let page = objects.scan(directory, after.as_ref(), PAGE).await?;
        segments.extend(page.objects.into_iter().map(|found| Segment {
            key: found.key,
            size: found.stat.size,
            modified: found.stat.modified,
        }));
        if !page.more {
            return Ok(segments);
        }
    }
}

/// The bytes of a segment from `offset` on, also those that came after it was listed. `None` when it has been removed.
///
/// # Errors
///
/// Those of the store.
pub async fn read(objects: &dyn Objects, segment: &Key, offset: u64) -> Result<Option<Bytes>> {
    let blob = match objects.open_parts(segment).await {
        Err(error) if error.is_not_found() => return Ok(None),
        opened => opened?,
    };
    let size = blob.stat().size;
    let mut bytes = BytesMut::new();
    if offset < size {
        let mut pieces = blob.stream(offset..size);
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
    }
    Ok(Some(bytes.freeze()))
}

/// Removes the oldest segments of the journal in `directory` until the others are within `limits`. Returns how many went.
///
/// # Errors
///
/// Those of the store.
pub async fn trim(
    objects: &dyn Objects,
    directory: &Key,
    limits: JournalLimits,
    now: SystemTime,
) -> Result<usize> {
    let segments = segments(objects, directory).await?;
    let is_old = |segment: &Segment| {
        now.duration_since(segment.modified)
            .is_ok_and(|age| age > limits.age)
    };
    let mut bytes: u64 = 0;
    let mut removals = Vec::new();
    for (number, segment) in segments.iter().rev().enumerate() {
        bytes = bytes.saturating_add(segment.size);
        if bytes > limits.bytes || number >= MOST_SEGMENTS || is_old(segment) {
            removals.push(Removal {
                key: segment.key.clone(),
                keep: directory.clone(),
            });
        }
    }
    if !removals.is_empty() {
        objects.remove_many(&removals).await?;
    }
    Ok(removals.len())
}

/// The names of the segments of one writer.
#[derive(Debug)]
pub(crate) struct Names {
    writer: Uuid,
    number: u64,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self {
            writer: Uuid::new_v4(),
            number: 0,
        }
    }

    /// The name of a segment that begins now. Names sort by time, to the microsecond.
    pub(crate) fn next(&mut self, now: SystemTime) -> String {
        let time = Timestamp::try_from(now).unwrap_or_default();
        let writer = self.writer.simple().to_string();
        self.number += 1;
        format!(
            "{}-{}-{}.jsonl",
            time.strftime("%Y%m%dT%H%M%S%.6fZ"),
            &writer[..12],
            self.number
        )
    }
}

/// Whether a segment that began at `began` is to be followed by another one.
pub(crate) fn is_over(began: SystemTime, now: SystemTime) -> bool {
    // A clock that was set back ends a segment as well, so that its name is no lie.
    now.duration_since(began)
        .map_or(true, |age| age > LONGEST_SEGMENT)
}
