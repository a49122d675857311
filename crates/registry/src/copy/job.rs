//! What all parts of a copy share: the two stores, what is known of them, and the treatment of failures.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use wharf_budget::{HEAVY, Share};
use wharf_oci::Digest;
use wharf_storage::{Error, ErrorKind, Storage};

use super::{
    join::NotListed,
    options::CopyOptions,
    report::{Kind, Progress},
};
use crate::{collect::digests::DigestSet, error::Result, tree::manifest::Manifests};

/// After how many objects in a row that failed for a reason of a store the copy ends: each may have waited for minutes.
const IN_A_ROW: u32 = 32;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) from: Arc<dyn Storage>,
    pub(super) to: Arc<dyn Storage>,
    /// The manifests of the source.
    pub(super) manifests: Manifests,
    pub(super) options: CopyOptions,
    pub(super) progress: Arc<Progress>,
    /// Blobs that the destination has; with `dry_run` those as well that it would get.
    pub(super) stored: Mutex<DigestSet>,
    /// Blobs that could not be copied.
    pub(super) failed: Mutex<HashSet<Digest>>,
    errors_in_a_row: AtomicU32,
}

/// Why an object was not copied.
#[derive(Debug)]
pub(super) enum Failure {
    /// It has been removed from the source since it was listed.
    Gone,
    /// What the source has is wrong; the text says how, and what to do.
    Damaged(String),
    /// The source could not be read.
    Source(Error),
    /// The destination could not be written.
    Destination(Error),
    /// The copy must end.
    Fatal(crate::Error),
}

impl Failure {
    /// Of an object of the source that was listed and then read.
    pub(super) fn reading(error: Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Gone,
            ErrorKind::Damaged | ErrorKind::TooLarge => Self::Damaged(error.to_string()),
            _ => Self::Source(error),
        }
    }

    /// Of a manifest of the source.
    pub(super) fn looking_up(error: crate::Error) -> Self {
        let kind = error.storage_kind().unwrap_or(ErrorKind::Other);
        Self::Source(Error::with_source(kind, "read what it names", error))
    }
}

impl From<NotListed> for Failure {
    fn from(NotListed { is_source, error }: NotListed) -> Self {
        match is_source {
            true => Self::Source(error),
            false => Self::Destination(error),
        }
    }
}

impl Job {
    pub(super) fn new(from: Arc<dyn Storage>, to: Arc<dyn Storage>, options: CopyOptions) -> Self {
        Self {
            manifests: Manifests::new(Arc::clone(&from), Share::new("large_reads", HEAVY)),
            from,
            to,
            options,
            progress: Arc::default(),
            stored: Mutex::default(),
            failed: Mutex::default(),
            errors_in_a_row: AtomicU32::new(0),
        }
    }

    /// Counts an object of the source that is no part of a registry.
    pub(super) fn stranger(&self) {
        self.progress.count(|counts| counts.strangers += 1);
    }

    /// Counts an object of `kind` that was copied.
    pub(super) fn copied(&self, kind: Kind) {
        self.errors_in_a_row.store(0, Relaxed);
        self.progress.copied(kind);
    }

    /// Counts an object of `kind` that the destination already has.
    pub(super) fn there(&self, kind: Kind) {
        self.errors_in_a_row.store(0, Relaxed);
        self.progress.there(kind);
    }

    /// Reports why `what`, an object of `kind` or a repository, was not copied.
    ///
    /// # Errors
    ///
    /// When the copy must end.
    pub(super) fn report(&self, kind: Option<Kind>, what: &str, failure: Failure) -> Result<()> {
        let (error, is_fatal) = match failure {
            Failure::Gone => return Ok(()),
            Failure::Fatal(error) => return Err(error),
            Failure::Damaged(why) => {
                self.failed(kind, format!("{what}: {why}"));
                return Ok(());
            }
            Failure::Source(error) => {
                let is_of_store = error.kind() != ErrorKind::PermissionDenied;
                let is_fatal = is_of_store && self.has_many_errors();
                (error, is_fatal)
            }
            Failure::Destination(error) => {
                let refuses = matches!(
                    error.kind(),
                    ErrorKind::NoSpace
                        | ErrorKind::PermissionDenied
                        | ErrorKind::ReadOnly
                        | ErrorKind::Locked
                );
                (error, refuses || self.has_many_errors())
            }
        };
        if is_fatal {
            return Err(error.into());
        }
        self.failed(kind, format!("{what}: {error}; run this again"));
        Ok(())
    }

    fn failed(&self, kind: Option<Kind>, what: String) {
        match kind {
            Some(kind) => self.progress.failed(kind, what),
            None => self.progress.failed_repository(what),
        }
    }

    fn has_many_errors(&self) -> bool {
        self.errors_in_a_row.fetch_add(1, Relaxed) + 1 >= IN_A_ROW
    }
}
