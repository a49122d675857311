//! Garbage collection: finds what nothing needs any more, shows it, and takes it away, pointers first.
//!
//! # Three phases, three types
//!
//! 1. [`Collector::mark`] goes from repository to repository and works out what each one needs. It gives a
//!    [`Marking`], to be followed to its end, where it becomes [`Marked`].
//! 2. [`Collector::garbage`] looks for what is stored and not marked. Up to here nothing has changed; whoever only
//!    wants to know stops at this [`Garbage`].
//! 3. [`Collector::sweep`] takes it away.
//!
//! # What is live
//!
//! A digest is live in repository R if R's own roots reach it. Roots are what the tags point at, and, unless untagged
//! manifests are to go, all manifests of R. From a live manifest everything that it names is reached, whatever it is:
//! config, layers, the children of an index and theirs, its `subject`; and each manifest of R whose `subject` it is.
//! A layer link of R stays if its digest is live in R; a blob stays if its digest is live anywhere.
//!
//! In doubt everything stays, and the [`Doubt`] is told: a link that holds no digest keeps what its path names; a tag
//! whose link holds none keeps all of its history; a repository with a manifest that cannot be read, or whose
//! bytes are damaged, is kept whole, because nobody knows what that manifest needs. A manifest of an unknown media type
//! keeps whatever digest stands in it. Only a directory that cannot be *listed*, or whose name no key can have, ends the
//! collection, with nothing removed: what is in it is unknown, so nothing can be known to be garbage.
//!
//! # Why nothing that is needed goes
//!
//! *Offline* (`garbage-collect`): the caller holds the lock of the store from before the mark begins until the
//! sweep ends, so no other wharf process has the store open, and this one serves nobody ([`Alone`]). The tree
//! changes by the sweep alone; what was unreachable when it was marked stays so. That also makes it safe to remove the
//! layer link of a blob that no manifest names yet: its push was interrupted, and when the client comes back it
//! asks for the blob again, is told that it is not there, and sends it. (A registry that knows no such lock
//! must be stopped by whoever runs the collection.)
//!
//! *Online* the same phases run beside requests. Three decision points are there for it, each marked in the code:
//! what is pinned or younger than the grace period is added to the roots (`mark::roots`), and is no garbage
//! (`garbage::doomed`); and every step of the sweep asks its [`Guard`] for leave, which takes the locks of the digests,
//! looks again whether somebody relies on one since the mark, and holds them until the step is durable.
//!
//! # Why a crash leaves nothing dangling
//!
//! The sweep removes pointers before what they point to, and each kind is durable before the next one goes (I3):
//! entries of tags' histories; manifests, an index before its children and a referrer before its subject; layer
//! links; blobs. After a crash what is left is unreferenced, and garbage to the next run.

mod digests;
mod garbage;
mod mark;
mod references;
mod survey;
mod sweep;
mod walk;

use std::{fmt, sync::Arc};

use futures_util::{Stream, StreamExt as _};
use wharf_oci::Digest;
use wharf_storage::{Storage, layout::RepositoryDirectory};

use self::{digests::DigestSet, mark::Examined};
use crate::Result;

pub use self::sweep::{Alone, Guard, Step};

/// How many jobs that read run at once: enough to keep a few threads and a slow disk busy.
const PARALLEL: usize = 8;

/// How many repositories are marked at once. What is known of each is in memory, some hundred bytes a digest.
const REPOSITORIES: usize = 4;

/// What a collection is to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct CollectOptions {
    /// Also manifests that no tag reaches, with their entries in the histories of tags.
    pub delete_untagged: bool,
}

/// Finds and removes the garbage of one store.
#[derive(Debug)]
pub struct Collector {
    storage: Arc<dyn Storage>,
    options: CollectOptions,
}

impl Collector {
    /// For `storage`. Does no I/O.
    pub fn new(storage: Arc<dyn Storage>, options: CollectOptions) -> Self {
        Self { storage, options }
    }

    /// Begins to work out what is needed.
    pub fn mark(&self) -> Marking {
        let (storage, options) = (Arc::clone(&self.storage), self.options);
        let examined = walk::repositories(Arc::clone(&storage))
            .map(move |directory| {
                let storage = Arc::clone(&storage);
                tokio::spawn(async move { mark::examine(storage, directory?, options).await })
            })
            .buffered(REPOSITORIES)
            .map(|job| job.map_err(walk::failed_job)?);
        Marking {
            examined: Box::pin(examined),
            marked: Marked::default(),
        }
    }

    /// Looks for what is stored and not marked.
    pub async fn garbage(&self, marked: Marked) -> Result<Garbage> {
        let live = Arc::new(marked.live);
        let blobs = garbage::blobs(&self.storage, &live).await?;
        Ok(Garbage {
            marked: live.len(),
            blobs,
            repositories: marked.repositories,
            doubts: marked.doubts,
        })
    }

    /// Removes `garbage`, as far as `guard` gives leave. May be repeated after an error or a crash, from the mark on.
    pub async fn sweep<G: Guard>(&self, garbage: &Garbage, guard: &G) -> Result<Swept> {
        sweep::sweep(&self.storage, garbage, guard).await
    }
}

/// A mark under way, repository by repository.
pub struct Marking {
    examined: std::pin::Pin<Box<dyn Stream<Item = Result<Examined>> + Send>>,
    marked: Marked,
}

impl Marking {
    /// What the next repository needs; `None` when it was the last one.
    pub async fn next(&mut self) -> Result<Option<RepositoryMarks>> {
        let Some(examined) = self.examined.next().await.transpose()? else {
            return Ok(None);
        };
        let Examined {
            name,
            marks,
            garbage,
            doubts,
        } = examined;
        for mark in &marks {
            self.marked.live.insert(mark.digest());
        }
        self.marked.repositories.extend(garbage);
        self.marked.doubts.extend(doubts);
        Ok(Some(RepositoryMarks { name, marks }))
    }

    /// Goes on to the end: only what all repositories need tells what nobody needs.
    pub async fn finish(mut self) -> Result<Marked> {
        while self.next().await?.is_some() {}
        Ok(self.marked)
    }
}

impl fmt::Debug for Marking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marking")
            .field("marked", &self.marked)
            .finish_non_exhaustive()
    }
}

/// What one repository needs, in the order in which it was found.
#[derive(Debug)]
pub struct RepositoryMarks {
    /// The repository's name, or the path of what stands in its place.
    pub name: Box<str>,
    /// Each digest at most once in each form.
    pub marks: Vec<Mark>,
}

/// One thing that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A manifest that is a root, or that refers to a live one.
    Manifest(Digest),
    /// Whatever a live manifest names: a config, a layer, a child.
    Blob(Digest),
}

impl Mark {
    /// Of what is needed.
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Manifest(digest) | Self::Blob(digest) => digest,
        }
    }
}

/// What all repositories need, and what some of them need no more.
#[derive(Debug, Default)]
pub struct Marked {
    live: DigestSet,
    repositories: Vec<RepositoryGarbage>,
    doubts: Vec<Doubt>,
}

/// What may go. Nothing has been removed yet.
#[derive(Debug)]
pub struct Garbage {
    /// How many digests are needed, stored or not.
    pub marked: usize,
    /// In ascending order of their digests.
    pub blobs: Vec<DoomedBlob>,
    /// Only repositories that lose something.
    pub repositories: Vec<RepositoryGarbage>,
    /// What was kept because it is not understood.
    pub doubts: Vec<Doubt>,
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
    /// Which one.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// What one repository loses.
#[derive(Debug)]
pub struct RepositoryGarbage {
    directory: RepositoryDirectory,
    /// In the order in which they may go: an index before its children, a referrer before its subject.
    pub manifests: Vec<DoomedManifest>,
    /// Blobs that it may read and has no use for.
    pub layers: Vec<Digest>,
    /// Entries of tags' histories that lead to no manifest of the repository, or to one that goes.
    pub history: Vec<(Box<str>, Digest)>,
    /// Whether nothing is left of it, and so the repository itself goes.
    pub vanishes: bool,
}

impl RepositoryGarbage {
    /// The repository's name, or the path of what stands in its place.
    pub fn name(&self) -> &str {
        self.directory.name()
    }
}

/// A manifest that its repository no longer needs; another one may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoomedManifest {
    /// Which one.
    pub digest: Digest,
    /// The tags that once pointed at it.
    pub tags: Vec<Box<str>>,
    /// Those of the same generation do not name each other; lower ones go first.
    generation: u32,
}

/// Something that was kept because it is not understood, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The repository's name, or the path of what stands in its place.
    pub repository: Box<str>,
    /// A sentence without a full stop.
    pub what: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository `{}`: {}", self.repository, self.what)
    }
}

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs, manifests and layers among them.
    pub blobs: u64,
    /// What they held.
    pub bytes: u64,
}
