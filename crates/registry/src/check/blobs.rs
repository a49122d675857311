//! The walk over all stored blobs in the order of their digests, from one of them on.

use std::collections::VecDeque;

use wharf_oci::{Algorithm, Digest};
use wharf_storage::{Entry, Key, Storage, layout};

use super::finding::Problem;
use crate::{
    error::{Error, Result},
    tree::directory::{names, no_key},
};

/// A walk over the stored blobs. What is next depends on no more than the last digest, so a walk can go on in another process.
#[derive(Debug)]
pub(crate) struct Blobs {
    /// The digest after which the walk begins.
    after: Option<Digest>,
    algorithms: VecDeque<Algorithm>,
    /// Algorithm and directories of digests that begin alike, still to be visited.
    prefixes: VecDeque<(Algorithm, Key)>,
    digests: VecDeque<Digest>,
    problems: Vec<Problem>,
}

impl Blobs {
    /// A walk over all blobs after `after`. Does no I/O.
    pub(crate) fn after(after: Option<Digest>) -> Self {
        let mut algorithms = Algorithm::ALL.to_vec();
        algorithms.sort_unstable();
        let is_ahead = |algorithm: &Algorithm| after.is_none_or(|after| *algorithm >= after.algorithm());
        Self {
            algorithms: algorithms.into_iter().filter(is_ahead).collect(),
            after,
            prefixes: VecDeque::new(),
            digests: VecDeque::new(),
            problems: Vec::new(),
        }
    }

    /// The next digest; `None` when all were visited.
    ///
    /// # Errors
    ///
    /// When the store is not available. The walk may be continued.
    pub(crate) async fn next(&mut self, storage: &dyn Storage) -> Result<Option<Digest>> {
        loop {
            if let Some(digest) = self.digests.pop_front() {
                return Ok(Some(digest));
            }
            if let Some((algorithm, directory)) = self.prefixes.front().cloned() {
                let entries = self.list(storage, &directory).await?;
                self.prefixes.pop_front();
                self.add(algorithm, &directory, entries);
            } else if let Some(algorithm) = self.algorithms.front().copied() {
                let directory = layout::blobs().join(algorithm.as_str()).map_err(no_key)?;
                let entries = self.list(storage, &directory).await?;
                self.algorithms.pop_front();
                self.open(algorithm, &directory, entries)?;
            } else {
                return Ok(None);
            }
        }
    }

    /// What was found since the last call that is no blob, or cannot be read.
    pub(crate) fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    async fn list(&mut self, storage: &dyn Storage, directory: &Key) -> Result<Vec<Entry>> {
        match names(storage, directory).await {
            Err(Error::Storage(error)) if !error.is_transient() => {
                self.problems.push(Problem::Unreadable {
                    path: directory.as_str().into(),
                    error: error.to_string(),
                });
                Ok(Vec::new())
            }
            listed => listed,
        }
    }

    fn open(&mut self, algorithm: Algorithm, directory: &Key, entries: Vec<Entry>) -> Result<()> {
        let first = self.after.filter(|after| after.algorithm() == algorithm);
        let first = first.map(|after| after.hex().as_str()[..2].to_owned());
        for entry in entries {
            if !entry.is_dir || entry.name.len() != 2 {
                self.unknown(directory, &entry.name);
            } else if first.as_deref().is_none_or(|first| *entry.name >= *first) {
                let prefix = directory.join(&entry.name).map_err(no_key)?;
                self.prefixes.push_back((algorithm, prefix));
            }
        }
        Ok(())
    }

    fn add(&mut self, algorithm: Algorithm, directory: &Key, entries: Vec<Entry>) {
        for entry in entries {
            match Digest::from_hex(algorithm, &entry.name) {
                Some(digest) if entry.is_dir && entry.name.starts_with(directory.name()) => {
                    if self.after.is_none_or(|after| digest > after) {
                        self.digests.push_back(digest);
                    }
                }
                _ => self.unknown(directory, &entry.name),
            }
        }
    }

    fn unknown(&mut self, above: &Key, name: &str) {
        let path = format!("{above}/{name}").into();
        self.problems.push(Problem::UnknownEntry { path });
    }
}
