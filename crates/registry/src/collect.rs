//! Garbage collection: finds what is not needed any more, shows it, and removes it, pointers first.
//!
//! # Three phases, three types
//!
//! 1. [`Collector::mark`] goes from repository to repository and works out what each one needs. It gives a
//!    [`Marking`], to be followed to its end, where it becomes [`Marked`].
//! 2. [`Collector::garbage`] looks for what is stored and not marked. Up to here nothing has changed; a dry run stops at
//!    this [`Garbage`].
//! 3. [`Collector::sweep`] removes it.
//!
//! # What is live
//!
//! A digest is live in repository R if R's own roots reach it. Roots are what the tags point at, and, unless untagged
//! manifests are to go, all manifests of R. From a live manifest everything that it names is reached, whatever it is:
//! config, layers, the children of an index and theirs, its `subject`; and each manifest of R whose `subject` it is.
//! A layer link of R stays if its digest is live in R; a blob stays if its digest is live anywhere. What a record of the
//! [trash](crate::trash) names is a root of its repository as well, whether that still exists or not.
//!
//! In doubt everything stays, and a [`Finding`] says so: a link that holds no digest keeps what its path names; a tag
//! whose link holds none keeps all of its history; a repository with a manifest that cannot be read, or whose
//! bytes are damaged, is kept whole, because it is unknown what that manifest needs. A manifest of an unknown media type
//! keeps whatever digest stands in it. Only a directory that cannot be *listed*, or whose name no key can have, ends the
//! collection, with nothing removed: its content is unknown, so nothing can be known to be garbage.
//!
//! # Why nothing that is needed goes
//!
//! *Offline* (`garbage-collect`): the caller holds the lock of the store from before the mark begins until the
//! sweep ends, so no other wharf process has the store open, and this one serves no requests. The tree
//! changes by the sweep alone; what was unreachable when it was marked stays so. That also makes it safe to remove the
//! layer link of a blob that no manifest names yet: its push was interrupted, and when the client comes back it
//! asks for the blob again, is told that it is not there, and sends it. (The operator must stop a registry that
//! knows no such lock.)
//!
//! *Online* ([`OnlineCollector`]) the same mark runs beside requests; what it finds is confirmed by a later mark and swept as
//! the [agreement](crate::coordination) of requests and the collector says.
//!
//! # Why a crash leaves nothing dangling
//!
//! The sweep removes pointers before what they point to, and each kind is durable before the next one goes (I3):
//! entries of tags' histories; manifests, an index before its children and a referrer before its subject; layer
//! links; blobs. After a crash what is left is unreferenced, and garbage to the next run.

pub(crate) mod digests;
mod emptied;
pub(crate) mod garbage;
pub(crate) mod known_links;
mod listing;
mod live;
mod mark;
pub(crate) mod needs;
mod online;
mod portion;
mod report;
pub(crate) mod survey;
mod sweep;
mod why;
mod words;

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::Arc,
};

use futures_util::{Stream, StreamExt as _};
use wharf_budget::{HEAVY, Share};
use wharf_oci::Digest;
use wharf_storage::{ErrorKind, Storage};

use self::{
    digests::DigestSet,
    emptied::Emptied,
    known_links::KnownLinks,
    mark::Examined,
    portion::{Portion, Unneeded},
};
use crate::{
    error::{Error, Result},
    registry::Registry,
    trash::{pressure::Pressure, record::TrashId, records::Trash, roots::TrashRoots},
    tree::{manifest::Manifests, parallel::failed_job},
};

pub use self::{
    online::{Collected, CollectionProgress, CollectionReport, OnlineCollector},
    report::{
        CollectOptions, DoomedBlob, DoomedManifest, Finding, Garbage, Mark, RepositoryGarbage,
        RepositoryMarks, Stored, Swept,
    },
    why::{Keeper, Kept, Why},
    words::KeptBecause,
};
pub(crate) use words::At;

/// How many repositories are marked at once. The facts of each are in memory, some hundred bytes a digest.
const REPOSITORIES: usize = 4;

/// Finds and removes the garbage of one store.
#[derive(Debug)]
pub struct Collector {
    storage: Arc<dyn Storage>,
    manifests: Arc<Manifests>,
    /// What links of listings held, from run to run.
    links: Arc<KnownLinks>,
    trash: Arc<Trash>,
    options: CollectOptions,
}

impl Collector {
    /// A collector for `storage`. Does no I/O.
    pub fn new(storage: Arc<dyn Storage>, options: CollectOptions) -> Self {
        let large_reads = Share::new("large_reads", HEAVY);
        let trash = Trash::new(Arc::clone(&storage), options.trash_retention, large_reads.clone());
        Self {
            trash: Arc::new(trash),
            manifests: Arc::new(Manifests::new(Arc::clone(&storage), large_reads)),
            links: Arc::new(KnownLinks::new(Arc::clone(&storage))),
            storage,
            options,
        }
    }

    /// A collector for the store of `registry`, which shares what it knows of manifests. Does no I/O.
    fn beside(registry: &Registry, options: CollectOptions) -> Self {
        Self {
            manifests: Arc::clone(&registry.tree.manifests),
            ..Self::new(Arc::clone(&registry.storage), options)
        }
    }

    /// Removes the records of the trash that are older than the retention, and returns how many these were.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn expire_trash(&self) -> Result<usize> {
        self.trash.expire().await
    }

    /// Removes the oldest records of the trash, if less space is free than `pressure` wants, and returns how many these were. What
    /// they kept comes free with a collection.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    async fn relieve_trash(&self, pressure: Pressure) -> Result<usize> {
        let Some((given_up, space)) = self.trash.relieve(pressure).await? else {
            return Ok(0);
        };
        let newest = given_up.last().map(TrashId::as_str).unwrap_or_default();
        tracing::warn!(
            deletions = given_up.len(),
            newest,
            free_bytes = space.free,
            total_bytes = space.total,
            "the file system is nearly full (`trash.pressure`): gave the oldest deletions in the trash up, up to the newest that is named; they cannot be restored any more"
        );
        Ok(given_up.len())
    }

    /// Begins to mark what is needed.
    ///
    /// # Errors
    ///
    /// [`Error::TrashDamaged`] when a record of the trash cannot be read: it is unknown what it keeps. Errors of the store.
    pub async fn mark(&self) -> Result<Marking> {
        self.mark_portion(Arc::new(Portion::all())).await
    }

    /// As [`mark`](Self::mark), for a run that deals with a `portion` of the garbage.
    async fn mark_portion(&self, portion: Arc<Portion>) -> Result<Marking> {
        let trash = Arc::new(TrashRoots::read(&self.trash).await?);
        let examination = self.examination(portion);
        let (examine, roots) = (examination.clone(), Arc::clone(&trash));
        let examined = listing::all(&self.storage)
            .map(move |found| {
                let (examine, roots) = (examine.clone(), Arc::clone(&roots));
                tokio::spawn(async move {
                    let found = found?;
                    let roots = roots.of(found.path());
                    examine.repository(found, &roots).await
                })
            })
            .buffered(REPOSITORIES)
            .map(|job| job.map_err(failed_job)?);
        Ok(Marking {
            examined: Box::pin(examined),
            unseen: trash.repositories().map(Box::from).collect(),
            trash,
            records: Arc::clone(&self.trash),
            marked: Marked {
                live: DigestSet::default(),
                portion: Arc::clone(&examination.portion),
                repositories: Vec::new(),
                findings: Vec::new(),
                emptied: Emptied::default(),
                records: 0,
                stored: Stored::default(),
            },
            examination,
        })
    }

    fn examination(&self, portion: Arc<Portion>) -> mark::Examination {
        mark::Examination {
            storage: Arc::clone(&self.storage),
            manifests: Arc::clone(&self.manifests),
            links: Arc::clone(&self.links),
            portion,
            options: self.options,
        }
    }

    /// Looks for what is stored and not marked.
    ///
    /// # Errors
    ///
    /// Errors of listing the blobs.
    pub async fn garbage(&self, marked: Marked) -> Result<Garbage> {
        let live = Arc::new(marked.live);
        let Unneeded {
            blobs,
            rest,
            young,
            emptied: of_blobs,
        } = garbage::blobs(&self.storage, &live, &marked.portion, self.options).await?;
        let mut stored = marked.stored;
        for unneeded in [rest, young, sum(&blobs)] {
            stored.add(unneeded.blobs, unneeded.bytes);
        }
        let mut emptied = marked.emptied;
        emptied.extend(of_blobs);
        Ok(Garbage {
            marked: live.len(),
            blobs,
            rest,
            repositories: marked.repositories,
            emptied,
            findings: marked.findings,
            records: marked.records,
            stored,
        })
    }

    /// Removes `garbage`. No other process uses the store since before the mark began, and this one serves no requests. May be
    /// repeated after an error or a crash, from the mark on.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn sweep(&self, garbage: &Garbage) -> Result<Swept> {
        sweep::sweep(&self.storage, garbage).await
    }
}

/// The blobs in numbers.
fn sum(blobs: &[DoomedBlob]) -> Swept {
    Swept {
        blobs: blobs.len() as u64,
        bytes: blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add),
    }
}

/// A mark under way, repository by repository.
pub struct Marking {
    examined: std::pin::Pin<Box<dyn Stream<Item = Result<Option<Examined>>> + Send>>,
    /// What the trash named before the first repository was read.
    trash: Arc<TrashRoots>,
    /// Repositories of which the trash has records, and that were not found until now.
    unseen: BTreeSet<Box<str>>,
    records: Arc<Trash>,
    examination: mark::Examination,
    marked: Marked,
}

impl Marking {
    /// What the next repository needs; `None` when it was the last one. Repositories that only the trash knows come last.
    ///
    /// # Errors
    ///
    /// Errors of listing a directory. Nothing may be removed then: the content of the directory is unknown.
    pub async fn next(&mut self) -> Result<Option<RepositoryMarks>> {
        while let Some(examined) = self.examined.next().await.transpose().map_err(explain)? {
            let Some(examined) = examined else { continue };
            self.unseen.remove(&examined.name);
            self.marked.stored.repositories += 1;
            return Ok(Some(self.add(examined)));
        }
        while let Some(name) = self.unseen.pop_first() {
            let roots = self.trash.of(&name);
            if let Some(examined) = self.examination.deleted(&name, &roots).await? {
                return Ok(Some(self.add(examined)));
            }
        }
        Ok(None)
    }

    /// Marks all remaining repositories: a digest is garbage only if no repository at all needs it.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next), and of [`Collector::mark`].
    pub async fn finish(mut self) -> Result<Marked> {
        while self.next().await?.is_some() {}
        // What was deleted since the first reading (`trash` has the argument).
        let new = self.trash.since(&self.records).await?;
        for name in new.repositories() {
            if let Some(examined) = self.examination.deleted(name, &new.of(name)).await? {
                let RepositoryMarks { name, marks } = self.add(examined);
                // The repository may have been examined after that deletion, without what a restore needs there.
                let needed: HashSet<&Digest> = marks.iter().map(Mark::digest).collect();
                let found = self.marked.repositories.iter_mut();
                for garbage in found.filter(|garbage| garbage.name() == &*name) {
                    garbage.layers.retain(|layer| !needed.contains(layer));
                }
            }
        }
        self.marked.records = self.trash.records() + new.records();
        Ok(self.marked)
    }

    fn add(&mut self, examined: Examined) -> RepositoryMarks {
        let Examined {
            name,
            marks,
            sizes,
            garbage,
            findings,
            emptied,
        } = examined;
        for (mark, size) in marks.iter().zip(sizes) {
            if self.marked.live.adds(mark.digest()) {
                self.marked.stored.add(1, size);
            }
        }
        self.marked.repositories.extend(garbage);
        self.marked.findings.extend(findings);
        self.marked.emptied.extend(emptied);
        RepositoryMarks { name, marks }
    }
}

impl fmt::Debug for Marking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marking")
            .field("marked", &self.marked)
            .finish_non_exhaustive()
    }
}

/// Says what follows, and what to do, where a directory could not be read for lack of a right.
fn explain(error: Error) -> Error {
    if error.storage_kind() != Some(ErrorKind::PermissionDenied) {
        return error;
    }
    let context = "look at what a repository needs, without which nothing may be removed (give its files to the user that runs this process)";
    wharf_storage::Error::with_source(ErrorKind::PermissionDenied, context, error).into()
}

/// The needs of all repositories, and the garbage of some of them.
#[derive(Debug)]
pub struct Marked {
    live: DigestSet,
    portion: Arc<Portion>,
    repositories: Vec<RepositoryGarbage>,
    findings: Vec<Finding>,
    emptied: Emptied,
    /// How many records of deletions the trash has.
    records: usize,
    /// The repositories that are there, and what they and the trash need.
    stored: Stored,
}
