//! Journals of objects that are replaced by longer ones, for stores without appends.

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;

use super::{Journal, Journals, Names, is_over};
use crate::{Key, Objects, Put, Result};

/// The most bytes of a segment that is written anew with each append.
const LARGEST_SEGMENT: u64 = 256 << 10;

/// A place for journals in any store.
#[derive(Debug, Clone)]
pub struct ObjectJournals {
    objects: Arc<dyn Objects>,
}

/// A journal in any store. A segment is in memory as long as it grows, and is written whole with each append.
pub struct ObjectJournal {
    objects: Arc<dyn Objects>,
    directory: Key,
    segment_bytes: u64,
    writing: Mutex<Writing>,
}

struct Writing {
    names: Names,
    segment: Option<Growing>,
}

struct Growing {
    key: Key,
    began: SystemTime,
    content: Vec<u8>,
}

impl ObjectJournals {
    /// Journals in `objects`.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }
}

impl Journals for ObjectJournals {
    fn journal(&self, directory: Key, segment_bytes: u64) -> Arc<dyn Journal> {
        Arc::new(ObjectJournal::new(
            Arc::clone(&self.objects),
            directory,
            segment_bytes,
        ))
    }
}

impl ObjectJournal {
    /// The journal in `directory`, whose segments have about `segment_bytes`, and 256 KiB at most.
    pub fn new(objects: Arc<dyn Objects>, directory: Key, segment_bytes: u64) -> Self {
        Self {
            objects,
            directory,
            segment_bytes: segment_bytes.min(LARGEST_SEGMENT),
            writing: Mutex::new(Writing {
                names: Names::new(),
                segment: None,
            }),
        }
    }
}

#[async_trait]
impl Journal for ObjectJournal {
    async fn append(&self, lines: Bytes) -> Result<bool> {
        let Writing { names, segment } = &mut *self.writing.lock().await;
        let now = SystemTime::now();
        let is_done = |segment: &Growing| {
            segment.content.len() as u64 >= self.segment_bytes || is_over(segment.began, now)
        };
        if segment.as_ref().is_none_or(is_done) {
            *segment = Some(Growing {
                key: self.directory.join(&names.next(now)).map_err(invalid)?,
                began: now,
                content: Vec::new(),
            });
        }
        let Some(segment) = segment else { return Ok(false) };
        let content: Bytes = [&segment.content, &lines[..]].concat().into();
        self.objects
            .publish(&[Put::new(segment.key.clone(), content)])
            .await?;
        let is_first = segment.content.is_empty();
        segment.content.extend_from_slice(&lines);
        Ok(is_first)
    }
}

fn invalid(error: crate::KeyError) -> crate::Error {
    crate::Error::with_source(crate::ErrorKind::Other, "name a segment of a journal", error)
}

impl fmt::Debug for ObjectJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectJournal")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
