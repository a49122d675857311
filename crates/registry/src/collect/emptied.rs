//! Empty directories that crashes, and deletions by registry:2, leave on a file system.
//!
//! A removal takes the file first and its directories then, and a write makes its directories first; a process that dies in between
//! leaves them empty. They do no harm but for what it takes to look at them. A collection meets those of blobs, of
//! layers and of manifests while it marks, and removes them at its end.
//!
//! It removes nothing else: what is asked to go is a name that no object has, and with it the directories above it *as far as they
//! are empty*, which the engine decides in the same step. A directory that a request has filled meanwhile stays, and one that a
//! request is about to fill is made again by that request.

use std::sync::Arc;

use wharf_storage::{Key, Removal, Storage};

use crate::error::Result;

/// How many directories one collection removes; the next one goes on.
const MOST: usize = 10_000;

/// How many are removed in one step.
const STEP: usize = 256;

/// The name in each of them that no object has.
const NOTHING: &str = "nothing";

/// Directories that were found to be empty.
#[derive(Debug, Default)]
pub(super) struct Emptied(Vec<Removal>);

impl Emptied {
    /// Notes the directory in which the object at `key` would lie, and those above it below `keep`.
    pub(super) fn note(&mut self, key: &Key, keep: &Key) {
        let directory = key.parent().and_then(|directory| directory.join(NOTHING).ok());
        if let Some(key) = directory.filter(|_| self.0.len() < MOST) {
            let keep = keep.clone();
            self.0.push(Removal { key, keep });
        }
    }

    /// Notes `directory`, and those above it below `keep`.
    pub(super) fn note_directory(&mut self, directory: &Key, keep: &Key) {
        if let Ok(key) = directory.join(NOTHING) {
            self.note(&key, keep);
        }
    }

    /// Adds those of `other`.
    pub(super) fn extend(&mut self, other: Self) {
        let room = MOST - self.0.len();
        self.0.extend(other.0.into_iter().take(room));
    }

    /// Removes the directories that still are empty.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn remove(&self, storage: &Arc<dyn Storage>) -> Result<()> {
        for some in self.0.chunks(STEP) {
            storage.remove_many(some).await?;
        }
        Ok(())
    }
}
