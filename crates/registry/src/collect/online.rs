//! Collection beside requests: of this process, and of others that share the store.
//!
//! The mark is that of the [module](super), with two differences: what is stored, or linked as a layer, for less than the
//! grace period is kept, because the manifest that needs it may be on its way; and only blobs go, each with the links of
//! layers to it, and links of layers whose bytes another repository needs. Manifests and tags go by [deletions](crate::DeletedKind), which leave a record, and so nothing that a
//! linked manifest names is garbage here, as [`Run::judge`] asks for. The sweep is that of [`Run`].
//!
//! In one process a second run follows the first one at once: it confirms what the first one has doomed.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::TryStreamExt as _;
use parking_lot::Mutex;
use tokio::time::sleep;
use wharf_oci::Digest;
use wharf_storage::{Key, Obstacle, layout};

use super::{
    Collector,
    portion::Portion,
    report::{CollectOptions, Finding, Garbage, RepositoryGarbage, Stored, Swept},
};
use crate::{
    coordination::{Condemned, Run, link_mark},
    error::Result,
    registry::Registry,
};

/// How many digests are swept before requests get their turn.
const STEP: usize = 256;

/// The longest pause between two steps.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// How long a collection waits until it is known what the store honours: a probe takes a minute at most.
const PROBE: Duration = Duration::from_secs(90);

/// An upload of another registry that was touched since then means that it still writes to the store.
const FOREIGN: Duration = Duration::from_secs(24 * 3600);

/// Collects the garbage of the store of a registry, one run at a time. What it learns about manifests, which are immutable, is kept
/// from run to run.
#[derive(Debug)]
pub struct OnlineCollector {
    registry: Arc<Registry>,
    collector: Collector,
    ignores_foreign_writers: bool,
    progress: Mutex<CollectionProgress>,
}

/// How far a collection has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectionProgress {
    /// How many repositories were marked.
    pub repositories: usize,
    /// What was found that nothing needs.
    pub garbage: Swept,
    /// What of it was removed.
    pub removed: Swept,
    /// How many deletions of the trash were given up, because too little space was free.
    pub given_up: usize,
}

/// What became of a collection.
#[derive(Debug)]
pub enum Collected {
    /// It ended.
    Done(CollectionReport),
    /// Another process may be collecting, or died while it did; it is over in some minutes.
    Elsewhere,
    /// Another registry, which knows nothing of the agreement with the collector, wrote to the store at this time.
    ForeignWriter(SystemTime),
}

/// The result of a collection.
#[derive(Debug, Default)]
pub struct CollectionReport {
    /// How many repositories were marked.
    pub repositories: usize,
    /// How many digests are needed.
    pub needed: usize,
    /// What was removed.
    pub removed: Swept,
    /// What nothing needs and a later run removes.
    pub waiting: Swept,
    /// How soon a later run may remove that; `None`: it depends on what clients do.
    pub again: Option<Duration>,
    /// How many records of deletions were older than the retention, and went.
    pub expired: usize,
    /// How many deletions were given up before that, the oldest, because too little space was free.
    pub given_up: usize,
    /// How many records of deletions keep what they name.
    pub records: usize,
    /// Damaged or unknown content that was kept.
    pub findings: Vec<Finding>,
    /// How many links of layers were removed whose bytes stay, because another repository needs them.
    pub links: u64,
    /// How many such links a later run removes.
    pub links_waiting: u64,
    /// How many of the blobs that nothing needs found no room in the run: they are for later ones.
    pub rest: u64,
    /// What is stored after it.
    pub stored: Stored,
}

impl CollectionReport {
    /// Whether a later run removes more.
    fn is_unfinished(&self) -> bool {
        self.waiting.blobs > 0 || self.links_waiting > 0
    }

    /// This report, of the run after that of `earlier`, for both.
    fn after(mut self, earlier: &Self) -> Self {
        self.removed.add(earlier.removed);
        self.links += earlier.links;
        self
    }
}

impl OnlineCollector {
    /// A collector for the store of `registry`. Does no I/O.
    pub fn new(registry: Arc<Registry>, ignores_foreign_writers: bool) -> Self {
        let options = CollectOptions {
            delete_untagged: false,
            trash_retention: registry.options.trash_retention,
            grace: Some(registry.options.collect_grace),
        };
        Self {
            collector: Collector::beside(&registry, options),
            registry,
            ignores_foreign_writers,
            progress: Mutex::default(),
        }
    }

    /// The collector that looks and marks.
    pub fn collector(&self) -> &Collector {
        &self.collector
    }

    /// Whether a collection mostly computes and makes system calls, as on a directory, and does not wait for a store elsewhere.
    pub fn computes(&self) -> bool {
        !self.registry.locks.are_shared()
    }

    /// How far the collection that runs has come, or how far the last one came.
    pub fn progress(&self) -> CollectionProgress {
        *self.progress.lock()
    }

    /// Collects once. May be dropped at any time; the next collection goes on.
    ///
    /// # Errors
    ///
    /// [`Error::NotCollectable`](crate::Error::NotCollectable) where the store does not keep what removals rely on;
    /// [`Error::TrashDamaged`](crate::Error::TrashDamaged) when it is unknown what the trash keeps; errors of listing a directory, and of
    /// the store. Nothing that is needed was removed.
    pub async fn collect(&self) -> Result<Collected> {
        *self.progress.lock() = CollectionProgress::default();
        self.await_probe().await;
        if let Some(at) = self.foreign_writer().await? {
            return Ok(Collected::ForeignWriter(at));
        }
        let expired = self.collector.expire_trash().await?;
        let mut given_up = self.relieve().await?;
        let mut earlier = CollectionReport::default();
        loop {
            let Some(report) = self.round().await? else {
                return Ok(Collected::Elsewhere);
            };
            let mut report = report.after(&earlier);
            // What the oldest deletions kept may not be enough.
            let more = match given_up {
                0 => 0,
                _ => self.relieve().await?,
            };
            if more == 0 {
                (report.expired, report.given_up) = (expired, given_up);
                return Ok(Collected::Done(report));
            }
            given_up += more;
            earlier = report;
        }
    }

    /// Records what a collection, which has just ended, found to be stored.
    ///
    /// # Errors
    ///
    /// As [`Registry::record_growth`].
    pub async fn record_growth(&self, report: &CollectionReport) -> Result<()> {
        self.registry
            .record_growth(SystemTime::now(), report.stored)
            .await
    }

    /// Whether nothing keeps a collection from removing: the store honours what removals rely on, and no other registry writes to it.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn may_remove(&self) -> Result<bool> {
        self.await_probe().await;
        let is_able = self.registry.storage.obstacle().is_none();
        Ok(is_able && self.foreign_writer().await?.is_none())
    }

    /// Whether less space is free than should be, and the trash has deletions that a collection would give up for that.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn is_pressed(&self) -> Result<bool> {
        let pressure = self.registry.options.trash_pressure;
        self.collector.trash.is_pressed(pressure).await
    }

    /// Gives the oldest deletions of the trash up, if less space is free than should be. Returns how many these were.
    async fn relieve(&self) -> Result<usize> {
        let pressure = self.registry.options.trash_pressure;
        let given_up = self.collector.relieve_trash(pressure).await?;
        self.progress.lock().given_up += given_up;
        Ok(given_up)
    }

    /// Finds garbage, and removes what may go; `None` when another run may be under way.
    async fn round(&self) -> Result<Option<CollectionReport>> {
        let Some(mut report) = self.run().await? else {
            return Ok(None);
        };
        // In one process the next run removes at once what this one has doomed. If there was more than one run has room for,
        // another pair of runs follows.
        while report.is_unfinished() && !self.registry.locks.are_shared() {
            let Some(next) = self.run().await? else {
                return Ok(None);
            };
            let is_over = next.removed.blobs == 0 || next.rest == 0;
            report = next.after(&report);
            if is_over {
                break;
            }
            let Some(next) = self.run().await? else {
                return Ok(None);
            };
            report = next.after(&report);
        }
        Ok(Some(report))
    }

    /// Waits until it is known what the store honours, or can be expected to be known.
    async fn await_probe(&self) {
        let end = tokio::time::Instant::now() + PROBE;
        while self.registry.storage.obstacle() == Some(Obstacle::Unknown) && tokio::time::Instant::now() < end
        {
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// When another registry last wrote to the store, if that is not long ago.
    async fn foreign_writer(&self) -> Result<Option<SystemTime>> {
        if self.ignores_foreign_writers || !self.registry.locks.are_shared() {
            return Ok(None);
        }
        let mut uploads = self.registry.storage.list_uploads().await?;
        let mut last = None;
        while let Some(upload) = uploads.try_next().await? {
            if upload.is_foreign() {
                last = last.max(Some(upload.touched()));
            }
        }
        let is_recent = |at: &SystemTime| at.elapsed().is_ok_and(|age| age < FOREIGN);
        Ok(last.filter(is_recent))
    }

    /// One run of the protocol; `None` when another one may be under way.
    async fn run(&self) -> Result<Option<CollectionReport>> {
        let Some(mut run) = self.registry.begin_collection().await? else {
            return Ok(None);
        };
        // A run that failed keeps the lease: the next one finds out what became of it.
        let report = self.run_as(&mut run).await?;
        run.end().await?;
        Ok(Some(report))
    }

    async fn run_as(&self, run: &mut Run) -> Result<CollectionReport> {
        let mut report = CollectionReport::default();
        let before = self.progress.lock().removed;
        let portion = Arc::new(Portion::of_run(run.doomed().await?, run.most_dooms()));
        let mut marking = run
            .during(self.collector.mark_portion(Arc::clone(&portion)))
            .await?;
        loop {
            let begun = Instant::now();
            if run.during(marking.next()).await?.is_none() {
                break;
            }
            report.repositories += 1;
            self.progress.lock().repositories = report.repositories;
            self.rest(begun).await;
        }
        let marked = run.during(marking.finish()).await?;
        let garbage = run.during(self.collector.garbage(marked)).await?;
        report.needed = garbage.marked;
        report.records = garbage.records;
        report.stored = garbage.stored;
        report.rest = garbage.rest.blobs;
        let mut found = garbage.rest;
        found.add(Swept {
            blobs: garbage.blobs.len() as u64,
            bytes: garbage.bytes(),
        });
        self.progress.lock().garbage = found;
        let links = dead_links(&garbage);
        let blobs = garbage.blobs.iter().map(|blob| &blob.digest);
        let digests: Vec<Digest> = blobs.chain(links.keys()).copied().collect();
        let mut confirmed = run.judge(&digests).await?;
        // What goes was doomed before the run began, so the links to it are known.
        confirmed.retain(|digest| portion.may_go(digest));
        // Pointers first: a link by SHA-512 may be one to bytes that go as well.
        let (confirmed_links, confirmed) = confirmed
            .into_iter()
            .partition(|digest| links.contains_key(digest));
        let confirmed_links = condemned_links(&links, confirmed_links);
        let confirmed = condemned(&garbage, confirmed);
        for some in confirmed_links.chunks(STEP).chain(confirmed.chunks(STEP)) {
            let begun = Instant::now();
            let gone = run.sweep(some).await?;
            for digest in gone {
                match garbage.blobs.binary_search_by(|blob| blob.digest.cmp(&digest)) {
                    Ok(place) => report.removed.add(Swept {
                        blobs: 1,
                        bytes: garbage.blobs[place].size,
                    }),
                    Err(_) => report.links += 1,
                }
            }
            let mut removed = before;
            removed.add(report.removed);
            self.progress.lock().removed = removed;
            self.rest(begun).await;
        }
        report.stored.remove(report.removed.blobs, report.removed.bytes);
        report.links_waiting = (links.len() as u64).saturating_sub(report.links);
        garbage.emptied.remove(&self.registry.storage).await?;
        report.waiting = Swept {
            blobs: found.blobs.saturating_sub(report.removed.blobs),
            bytes: found.bytes.saturating_sub(report.removed.bytes),
        };
        report.again =
            (report.is_unfinished() && self.registry.locks.are_shared()).then(|| run.again_after());
        report.findings = garbage.findings;
        Ok(report)
    }

    /// Leaves the machine to requests that change the store, for as long as the step took that was `begun`.
    async fn rest(&self, begun: Instant) {
        match self.registry.budget().work.used() {
            0 => tokio::task::yield_now().await,
            _ => sleep(begun.elapsed().min(LONGEST_REST)).await,
        }
    }
}

/// The links of layers that their repositories do not need, and whose bytes stay, by the digests that stand for them.
fn dead_links(garbage: &Garbage) -> BTreeMap<Digest, Key> {
    let goes = |layer: &Digest| {
        let place = garbage.blobs.binary_search_by(|blob| blob.digest.cmp(layer));
        place.is_ok()
    };
    let mut links = BTreeMap::new();
    for RepositoryGarbage {
        repository, layers, ..
    } in &garbage.repositories
    {
        for layer in layers.iter().filter(|layer| !goes(layer)) {
            let key = layout::layer_link(repository, layer);
            links.insert(link_mark(repository, layer), key);
        }
    }
    links
}

/// What goes with each of the `confirmed` digests that stand for `links`. In the order of the links, so that neighbours in a
/// directory go together.
fn condemned_links(links: &BTreeMap<Digest, Key>, confirmed: Vec<Digest>) -> Vec<Condemned> {
    let mut condemned: Vec<Condemned> = confirmed
        .into_iter()
        .map(|digest| Condemned {
            digest,
            keys: links.get(&digest).cloned().into_iter().collect(),
        })
        .collect();
    condemned.sort_unstable_by(|one, other| one.keys.cmp(&other.keys));
    condemned
}

/// What goes with each of the `confirmed` digests: the links of layers to it, then its bytes. In the order of the digests, so that
/// neighbours in a directory go together.
fn condemned(garbage: &Garbage, mut confirmed: Vec<Digest>) -> Vec<Condemned> {
    confirmed.sort_unstable();
    let mut condemned: Vec<Condemned> = confirmed
        .into_iter()
        .map(|digest| Condemned {
            digest,
            keys: Vec::new(),
        })
        .collect();
    for repository in &garbage.repositories {
        for layer in &repository.layers {
            if let Ok(place) = condemned.binary_search_by(|condemned| condemned.digest.cmp(layer)) {
                condemned[place]
                    .keys
                    .push(layout::layer_link(&repository.repository, layer));
            }
        }
    }
    for condemned in &mut condemned {
        condemned.keys.push(layout::blob(&condemned.digest));
    }
    condemned
}
