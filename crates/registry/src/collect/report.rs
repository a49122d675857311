//! The findings and results of a collection, as plain values for the sweep and for reports.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use wharf_message::Sentence;
use wharf_oci::Digest;
use wharf_storage::layout::{InTree as _, Repository};

use super::{emptied::Emptied, words::At};

/// Options of a collection.
#[derive(Debug, Clone, Copy, Default)]
pub struct CollectOptions {
    /// Whether manifests that no tag reaches are removed, with their entries in the histories of tags.
    pub delete_untagged: bool,
    /// How long records of deletions keep what they name (`trash.retention`).
    pub trash_retention: Duration,
    /// How old what is stored, or linked as a layer, must be to be garbage; `None`: of any age. For collections beside requests.
    pub grace: Option<Duration>,
}

impl CollectOptions {
    /// Whether something that was written at `modified` is too young to be garbage.
    pub(super) fn is_young(&self, modified: SystemTime) -> bool {
        let age = SystemTime::now().duration_since(modified).unwrap_or_default();
        self.grace.is_some_and(|grace| age < grace)
    }
}

/// The digests that one repository needs, in the order in which they were found.
#[derive(Debug)]
pub struct RepositoryMarks {
    /// The repository's name, or the path of the directory in its place.
    pub name: Box<str>,
    /// The marks; each digest at most once in each form.
    pub marks: Vec<Mark>,
}

/// One digest that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A manifest that is a root, or that refers to a live one.
    Manifest(Digest),
    /// A digest that a live manifest names: a config, a layer, a child.
    Blob(Digest),
}

impl Mark {
    /// The digest that is needed.
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Manifest(digest) | Self::Blob(digest) => digest,
        }
    }
}

/// Garbage that a sweep may remove.
#[derive(Debug)]
pub struct Garbage {
    /// How many digests are needed, stored or not.
    pub marked: usize,
    /// Blobs that no repository needs, in ascending order of their digests.
    pub blobs: Vec<DoomedBlob>,
    /// Blobs that no repository needs, and for which a run beside requests has no room.
    pub rest: Swept,
    /// The repositories that lose something.
    pub repositories: Vec<RepositoryGarbage>,
    /// Directories that hold nothing.
    pub(super) emptied: Emptied,
    /// Damaged or unknown content that was kept.
    pub findings: Vec<Finding>,
    /// How many records of deletions keep what they name.
    pub records: usize,
    /// All that is stored, this garbage included.
    pub(super) stored: Stored,
}

impl Garbage {
    /// How many manifests repositories lose.
    pub fn manifests(&self) -> usize {
        let manifests = self
            .repositories
            .iter()
            .map(|repository| repository.manifests.len());
        manifests.sum()
    }

    /// How many bytes the blobs hold.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }
}

/// A blob that no repository needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoomedBlob {
    /// Digest that the blob is stored under.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
}

/// The garbage of one repository.
#[derive(Debug)]
pub struct RepositoryGarbage {
    pub(super) repository: Repository,
    /// Manifests, in the order in which they may go: an index before its children, a referrer before its subject.
    pub manifests: Vec<DoomedManifest>,
    /// Blobs that the repository may read and does not need.
    pub layers: Vec<Digest>,
    /// Entries of tags' histories that lead to no manifest of the repository, or to one that goes.
    pub history: Vec<(Box<str>, Digest)>,
    /// Whether the repository itself is removed, because nothing is left of it.
    pub vanishes: bool,
}

impl RepositoryGarbage {
    /// The repository's name, or the path of the directory in its place.
    pub fn name(&self) -> &str {
        self.repository.path()
    }
}

/// A manifest that its repository no longer needs; another one may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoomedManifest {
    /// Digest of the manifest.
    pub digest: Digest,
    /// The tags that once pointed at it.
    pub tags: Vec<Box<str>>,
    /// Manifests of the same generation do not name each other; lower generations go first.
    pub(crate) generation: u32,
}

/// Damaged or unknown content that was kept, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The repository's name, or the path of the directory in its place.
    pub repository: Box<str>,
    /// Description: a sentence without a full stop.
    pub what: Sentence,
}

impl Finding {
    /// The finding in words, with the repository.
    pub fn sentence(&self) -> Sentence {
        let repository = self.repository.clone();
        Sentence::from(At::Repository { repository }).explained(self.what.clone())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

/// Blobs that were, or are to be, removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Number of blobs, manifests and layers among them.
    pub blobs: u64,
    /// Number of bytes that they held.
    pub bytes: u64,
}

impl Swept {
    /// Counts those of `other` as well.
    pub(super) fn add(&mut self, other: Self) {
        self.blobs += other.blobs;
        self.bytes += other.bytes;
    }
}

/// What a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Bytes of all blobs, each digest once: of what is needed as manifests state it, and of what is not as it is stored.
    pub bytes: u64,
    /// How many blobs these are, manifests among them.
    pub blobs: u64,
    /// How many repositories there are.
    pub repositories: u64,
}

impl Stored {
    pub(super) fn add(&mut self, blobs: u64, bytes: u64) {
        self.blobs = self.blobs.saturating_add(blobs);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(super) fn remove(&mut self, blobs: u64, bytes: u64) {
        self.blobs = self.blobs.saturating_sub(blobs);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
