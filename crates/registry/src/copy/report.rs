//! What a copy says of itself: numbers while it runs, problems, and a report at its end.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

/// How many names a list of examples has.
const EXAMPLES: usize = 5;

/// What a copy did, or with [`dry_run`](super::CopyOptions::dry_run) would do.
#[derive(Debug)]
pub struct CopyReport {
    /// Objects of each kind.
    pub counts: Counts,
    /// Repositories of the source in which manifests or tags changed while the copy ran.
    pub changed: Names,
    /// Tags of the destination, `name:tag`, that the source does not have. They stay.
    pub only_at_destination: Names,
    /// Unfinished uploads of the source, which are not copied; `None` when they could not be counted.
    pub unfinished_uploads: Option<u64>,
}

/// How many objects were copied, were there already, or failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Repositories of the source that were looked at.
    pub repositories: u64,
    /// Tags, each with its history.
    pub tags: Tally,
    /// Links of manifests.
    pub manifests: Tally,
    /// Links of layers and configurations.
    pub layers: Tally,
    /// Blobs: the bytes of layers, configurations and manifests.
    pub blobs: Tally,
    /// Bytes of blobs that were copied, those under way included.
    pub bytes: u64,
    /// Bytes of blobs that were there.
    pub bytes_there: u64,
    /// Repositories that could not be read.
    pub failed_repositories: u64,
    /// Links of layers whose bytes the source does not have. They were left out.
    pub dangling: u64,
    /// Files of the source that are no part of a registry. They were left out.
    pub strangers: u64,
}

/// The objects of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects that the destination got.
    pub copied: u64,
    /// Objects that the destination already had.
    pub there: u64,
    /// Objects that were left out, for a reason that a [`Problem`] says.
    pub failed: u64,
}

impl Counts {
    /// Objects that are not at the destination although they should be, because copying them failed.
    pub fn failed(&self) -> u64 {
        let kinds = [self.tags, self.manifests, self.layers, self.blobs];
        kinds.iter().map(|tally| tally.failed).sum::<u64>() + self.failed_repositories
    }

    fn of(&mut self, kind: Kind) -> &mut Tally {
        match kind {
            Kind::Tag => &mut self.tags,
            Kind::Manifest => &mut self.manifests,
            Kind::Layer => &mut self.layers,
            Kind::Blob => &mut self.blobs,
        }
    }
}

/// A kind of object of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tag,
    Manifest,
    Layer,
    Blob,
}

/// Something that went wrong with one object, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether something that clients can see at the source is missing at the destination.
    pub is_failure: bool,
    /// Description for the operator.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.is_failure { "failed" } else { "warning" };
        write!(f, "{level}: {}", self.what)
    }
}

/// Some names, of which the first few are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// How many there are.
    pub count: u64,
    /// The first few.
    pub examples: Vec<String>,
}

impl Names {
    pub(super) fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(name());
        }
    }
}

/// The examples, separated by commas, and a word when there are more.
impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, example) in self.examples.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}`{example}`")?;
        }
        match self.count > self.examples.len() as u64 {
            true => f.write_str(", …"),
            false => Ok(()),
        }
    }
}

/// How far a copy is.
#[derive(Debug, Default)]
pub struct Progress {
    counts: Mutex<Counts>,
    bytes: AtomicU64,
    problems: Mutex<Vec<Problem>>,
    only_at_destination: Mutex<Names>,
}

impl Progress {
    /// The numbers so far.
    pub fn counts(&self) -> Counts {
        Counts {
            bytes: self.bytes.load(Relaxed),
            ..*self.counts.lock()
        }
    }

    /// The problems since the last call.
    pub fn take_problems(&self) -> Vec<Problem> {
        std::mem::take(&mut self.problems.lock())
    }

    pub(super) fn only_at_destination(&self) -> Names {
        self.only_at_destination.lock().clone()
    }

    pub(super) fn copied(&self, kind: Kind) {
        self.counts.lock().of(kind).copied += 1;
    }

    pub(super) fn there(&self, kind: Kind) {
        self.counts.lock().of(kind).there += 1;
    }

    pub(super) fn failed(&self, kind: Kind, what: String) {
        self.counts.lock().of(kind).failed += 1;
        self.add_problem(true, what);
    }

    pub(super) fn failed_repository(&self, what: String) {
        self.counts.lock().failed_repositories += 1;
        self.add_problem(true, what);
    }

    pub(super) fn warned(&self, what: String) {
        self.add_problem(false, what);
    }

    fn add_problem(&self, is_failure: bool, what: String) {
        self.problems.lock().push(Problem { is_failure, what });
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock());
    }

    /// Bytes that are on their way.
    pub(super) fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Bytes that turned out to be for nothing.
    pub(super) fn took_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn found_only_at_destination(&self, name: impl FnOnce() -> String) {
        self.only_at_destination.lock().add(name);
    }
}
