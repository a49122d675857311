//! Copying a whole registry from one store into another one: a directory into a bucket, and back.
//!
//! # What the destination shows meanwhile
//!
//! Nothing that is not whole. Blobs go first, each hashed on its way and published only if its bytes have its digest. Then
//! each repository gets its links: those of layers, those of manifests (children before the indexes that name them),
//! and its tags at last, each after its history (I3). What cannot be copied is reported, and so is each manifest that
//! needs it, and each tag of such a manifest: these are left out. A manifest that names what the source does not link
//! either is copied as it is, because foreign layers and sparse indexes are like that.
//!
//! # Beside a server that uses the source
//!
//! Pointers are *read* in the order opposite to that in which they are written: tags, then manifests, then layers. A server
//! writes a tag after all that it needs, so what a tag needs was there when the tag was read, and is among what is listed after
//! it. Its blobs may be younger than the list of blobs; those are copied when a link to them is found. At the end the
//! manifests and tags of the source are listed once more, and the repositories in which they changed are named.
//! Nothing is ever written to the source.
//!
//! # Doing it again
//!
//! What the destination already has is passed over: a blob of the same size, because it was published with the digest that its key
//! names; a link of the same size whose content follows from its key; any other link of the same content. So
//! a copy that ended in any way is completed by the next one, which sends only what is missing. Nothing is
//! removed from the destination.
//!
//! # What is not copied
//!
//! Unfinished uploads, and all that lies below `wharf/`: it belongs to one server, or is derived. Links of layers whose
//! bytes the source does not have, which the collector of registry:2 leaves behind, are counted and left out.
//!
//! # Limits
//!
//! In memory are a digest for each blob, and the keys of the links of four repositories, some hundred bytes each.
//! Of blobs [`CopyOptions::at_once`] are on their way, of links sixteen for each repository.

mod blobs;
mod job;
mod join;
mod links;
mod options;
mod report;
mod repository;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use wharf_storage::{
    Storage,
    layout::{InTree as _, Repository},
};

use self::{job::Job, repository::Seen};
use crate::{
    coordination::{Coordination, Pace},
    error::{Error, Result},
    transfer,
    tree::{parallel::failed_job, repositories, unreadable::Unreadable},
};

pub use self::options::CopyOptions;
pub use self::report::{CopyReport, Counts, Names, Problem, Progress, Tally};

/// How many repositories are copied at once.
const REPOSITORIES: usize = 4;

/// Copies the registry in one store into another store; see the [module](self).
#[derive(Debug)]
pub struct Copier {
    job: Arc<Job>,
}

impl Copier {
    /// A copy of what is in `from` into `to`. Does no I/O.
    pub fn new(from: Arc<dyn Storage>, to: Arc<dyn Storage>, options: CopyOptions) -> Self {
        Self {
            job: Arc::new(Job::new(from, to, options)),
        }
    }

    /// How far it is, to be looked at while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.job.progress)
    }

    /// Copies. A bucket has no other collector meanwhile: what it has already is passed over, and must not be garbage to a server
    /// that does not see yet what is to need it. What goes wrong with one object is a [`Problem`], and the others are copied nevertheless.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when a collector is at work on the destination. When going on makes no sense: the blobs cannot be listed, the destination is full or refuses to be written, or
    /// many objects in a row failed for reasons of a store. What was copied stays, and the next copy goes on from there.
    pub async fn run(self) -> Result<CopyReport> {
        if self.job.options.dry_run || !self.job.to.is_shared() {
            return self.copy().await;
        }
        let coordination = Coordination::new(Arc::clone(&self.job.to), Duration::ZERO, Pace::Safe);
        // Nothing of a run that has ended is under way, and one that died can remove nothing any more when its lease is stale. What
        // it has doomed is spared by the next run, which begins after this one and sees what was copied. Another copy that runs ends.
        let Some(mut run) = coordination.hold_off_collector().await? else {
            return Err(Error::Busy {
                reason: "a server collects the garbage of the store to copy into, or ended while it did; that is over in minutes",
            });
        };
        let copied = run.during(self.copy()).await;
        if let Err(error) = run.end().await {
            tracing::warn!(%error, "the lease of the collector could not be given back; the destination is collected again in ten minutes");
        }
        copied
    }

    async fn copy(&self) -> Result<CopyReport> {
        blobs::copy_all(&self.job).await?;
        let unreadable = Arc::new(Unreadable::default());
        let seen = self.copy_repositories(&unreadable).await?;
        for name in unreadable.names() {
            let what = format!(
                "the repository `{name}` may not be read; run this as the user of the registry, or give its files to this user"
            );
            self.job.progress.failed_repository(what);
        }
        if !self.job.options.dry_run {
            transfer::clean(&*self.job.to).await;
        }
        Ok(CopyReport {
            changed: match self.job.options.dry_run {
                true => Names::default(),
                false => self.changed(seen).await?,
            },
            only_at_destination: self.job.progress.only_at_destination(),
            unfinished_uploads: self.unfinished_uploads().await,
            counts: self.job.progress.counts(),
        })
    }

    /// Copies the links of all repositories. Returns what was seen of each.
    async fn copy_repositories(&self, unreadable: &Arc<Unreadable>) -> Result<HashMap<Repository, Seen>> {
        let mut copies = self.each(unreadable, repository::copy);
        let mut seen = HashMap::new();
        while let Some(copied) = copies.try_next().await? {
            seen.extend(copied);
        }
        Ok(seen)
    }

    /// The repositories of which manifests or tags have changed since they were `seen`.
    async fn changed(&self, mut seen: HashMap<Repository, Seen>) -> Result<Names> {
        let mut looks = self.each(&Arc::default(), repository::look);
        let mut changed = Names::default();
        while let Some((repository, now)) = looks.try_next().await? {
            let before = seen.remove(&repository).unwrap_or(Seen::NOTHING);
            // One that cannot be listed any more is reported.
            if now.is_some_and(|now| !now.is_same(&before)) {
                changed.add(|| repository.path().to_owned());
            }
        }
        // The rest are repositories that are gone.
        seen.retain(|_, before| !before.is_same(&Seen::NOTHING));
        for repository in seen.keys() {
            changed.add(|| repository.path().to_owned());
        }
        Ok(changed)
    }

    /// Does `work` with each repository of the source, in tasks of their own.
    fn each<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        unreadable: &Arc<Unreadable>,
        work: impl Fn(Arc<Job>, Repository) -> F + Copy + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let job = Arc::clone(&self.job);
        repositories::readable(Arc::clone(&job.from), Arc::clone(unreadable))
            .map(move |repository| {
                let job = Arc::clone(&job);
                tokio::spawn(async move { work(job, repository?).await })
            })
            .buffer_unordered(REPOSITORIES)
            .map(|ended| ended.map_err(failed_job)?)
            .boxed()
    }

    /// How many uploads of the source are unfinished, remnants aside; `None` when that cannot be told.
    async fn unfinished_uploads(&self) -> Option<u64> {
        let uploads = self.job.from.list_uploads().await.ok()?;
        let counted = uploads.try_fold(0, |count, upload| async move {
            Ok(count + u64::from(!upload.is_remnant()))
        });
        counted.await.ok()
    }
}
