//! What a check says of itself while it runs: numbers, and the findings so far.

use parking_lot::Mutex;
use wharf_oci::Digest;

use super::{
    finding::{Finding, Severity},
    position::{CheckTotals, thousandths},
};

/// How much a check has looked at, and how much it has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Repositories.
    pub repositories: u64,
    /// Tags that point at a manifest.
    pub tags: u64,
    /// Manifests.
    pub manifests: u64,
    /// Blobs that were hashed.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Findings of [`Severity::Broken`].
    pub broken: u64,
    /// Findings of [`Severity::Untidy`].
    pub untidy: u64,
    /// Findings of [`Severity::Unknown`].
    pub unknown: u64,
    /// The digest after which the check went on, because an earlier one did not end.
    pub goes_on_after: Option<Digest>,
}

impl Counts {
    /// The numbers that are noted of a whole check.
    pub(super) fn totals(&self) -> CheckTotals {
        CheckTotals {
            repositories: self.repositories,
            tags: self.tags,
            manifests: self.manifests,
            broken: self.broken,
            untidy: self.untidy,
            unknown: self.unknown,
        }
    }
}

/// How far a check is.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    done: u16,
    findings: Vec<Finding>,
}

impl Progress {
    /// The numbers so far.
    pub fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    /// How many thousandths of the blobs were hashed, about: 0 until the repositories were looked at.
    pub fn done(&self) -> u16 {
        self.0.lock().done
    }

    /// The findings since the last call.
    pub fn take_findings(&self) -> Vec<Finding> {
        std::mem::take(&mut self.0.lock().findings)
    }

    pub(super) fn found(&self, finding: Finding) {
        let mut state = self.0.lock();
        let counts = &mut state.counts;
        *match finding.severity() {
            Severity::Broken => &mut counts.broken,
            Severity::Untidy => &mut counts.untidy,
            Severity::Unknown => &mut counts.unknown,
        } += 1;
        state.findings.push(finding);
    }

    pub(super) fn goes_on_after(&self, last: Option<Digest>) {
        self.0.lock().counts.goes_on_after = last;
    }

    pub(super) fn reached(&self, digest: &Digest) {
        self.0.lock().done = thousandths(digest);
    }

    pub(super) fn surveyed(&self, tags: usize, manifests: usize) {
        let counts = &mut self.0.lock().counts;
        counts.repositories += 1;
        counts.tags += tags as u64;
        counts.manifests += manifests as u64;
    }

    pub(super) fn hashed(&self, bytes: u64) {
        let counts = &mut self.0.lock().counts;
        counts.blobs += 1;
        counts.bytes += bytes;
    }
}
