//! What an operation on a backup says of itself: numbers while it runs, problems, and a report at its end.

use parking_lot::Mutex;
use serde::Serialize;

use crate::copy::Problem;

/// How far an operation is.
#[derive(Debug, Default)]
pub struct Progress {
    counts: Mutex<Counts>,
    problems: Mutex<Vec<Problem>>,
}

/// Numbers of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Repositories that were gone through.
    pub repositories: u64,
    /// Tags in the backup that are whole.
    pub tags: u64,
    /// Manifests in the backup that are whole.
    pub manifests: u64,
    /// Blobs that were written, or when a backup is verified, read.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Blobs that were there already.
    pub blobs_there: u64,
    /// Images, tags and repositories that are not whole, and so left out.
    pub left_out: u64,
    /// Links of layers whose bytes are not there, and that no image needs.
    pub dangling: u64,
}

/// What a backup has, once it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TakeReport {
    /// The snapshot.
    pub snapshot: String,
    /// Numbers.
    pub counts: Counts,
    /// How many files of the server it has.
    pub settings: u64,
}

/// What is wrong with a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The snapshots that were looked at.
    pub snapshots: Vec<String>,
    /// Numbers.
    pub counts: Counts,
    /// Everything that is wrong, whether an image needs it or not.
    pub problems: u64,
}

/// What a restore did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// The snapshot; `None`: a tar of a data directory.
    pub snapshot: Option<String>,
    /// Numbers.
    pub counts: Counts,
    /// Tags that were written.
    pub restored: u64,
    /// Tags that pointed where the backup has them already.
    pub unchanged: u64,
    /// Tags that point elsewhere by now, and were left alone.
    pub newer: u64,
    /// Objects of the store that were there already, and were left alone.
    pub kept: u64,
}

impl Progress {
    /// The numbers so far.
    pub fn counts(&self) -> Counts {
        *self.counts.lock()
    }

    /// The problems since the last call.
    pub fn take_problems(&self) -> Vec<Problem> {
        std::mem::take(&mut self.problems.lock())
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock());
    }

    /// Something of the source is not in the destination.
    pub(super) fn failed(&self, what: String) {
        self.count(|counts| counts.left_out += 1);
        self.problem(true, what);
    }

    pub(super) fn warned(&self, what: String) {
        self.problem(false, what);
    }

    pub(super) fn problem(&self, is_failure: bool, what: String) {
        self.problems.lock().push(Problem { is_failure, what });
    }
}
