//! How requests of all processes over one store, and the collector, agree on the use and the removal of digests.
//!
//! # Three agreements
//!
//! - Requests of one process take [locks](stripes). A directory belongs to one process.
//! - Requests of processes that share a bucket look again after they have acted: [`again`](crate::again).
//! - Requests and the collector agree by marks, the same protocol on both engines. On a bucket the marks are
//!   [objects](in_store), on a directory they are [in memory](in_memory).
//!
//! # The marks
//!
//! Bytes may go only when nothing needs them, and a request that found them may make something need them a moment later.
//! No lock can stand between a request of one replica and the collector of another. Instead:
//!
//! - **The request**, before it lets a client that pushes rely on a digest (the end of an upload, a mount, a `HEAD` of a
//!   blob, the check of a manifest): it reads whether the digest is *doomed*, which on a bucket a [listing](snapshot) of
//!   the last minutes says. If not, it goes on. If so, it writes a *pin*, and then reads whether the *flag* of a sweep
//!   is raised that names the digest. If not, it goes on. If so, the digest counts as absent; an upload of it waits. Only
//!   then it looks whether the bytes are there. A manifest is visible within 21 minutes of that, or not at all.
//! - **The collector** marks what is needed, and *dooms* what is not. A later run, whose mark began at least 30 minutes
//!   after the doom was written, confirms it. It raises a flag that names what it is about to remove, and *then* lists the
//!   pins; it skips what is pinned, and removes the rest. A doom goes when its digest is found needed or pinned, or is gone;
//!   the flag is lowered when no removal can take effect any more. Each sweep has a flag of its own name, so that a
//!   request to raise or lower that of another one, which comes late, does not touch it.
//!
//! # Why no acknowledged manifest loses a blob
//!
//! A manifest needs D. The check of the manifest read the doom of D at some time τ.
//!
//! 1. *D was not doomed.* The manifest is visible by τ + 21 min. What is removed after τ was doomed after τ (a doom does
//!    not go before the removal that it is for is over), and confirmed by a mark that began 30 min later: that mark saw
//!    the manifest. What was removed before τ, the check did not find.
//! 2. *D was doomed, and the flag was not raised.* The pin was written before the flag was read, that was before the flag
//!    was raised, and that before the pins were listed. So the collector sees the pin. Or the flag was lowered before:
//!    then nothing of that sweep was under way any more when the check looked for the bytes, and before the next sweep it
//!    is as above. A pin that is too old to count was written 30 min before the mark began, which therefore saw the
//!    manifest.
//! 3. *D was doomed, and the flag was raised.* The request was refused.
//!
//! That is what the manifest names itself. Of its child M it relies on M, not on the layers of M. So what a linked manifest
//! names is never garbage, needed or not ([`Run::judge`]): as long as the link of M is there its layers are not doomed, and
//! a push that makes M needed again is in time for them.
//!
//! Bytes that are uploaded during a sweep come after it, because the upload waits. (Were they removed all the same, the
//! manifest would be refused.)
//!
//! # Links
//!
//! A link of a layer that its repository does not need goes as well where the bytes stay; [`link_marks`] says how the same marks
//! stand for links.
//!
//! # Why no removal comes too late
//!
//! A removal may be delayed, by the network or because its process was stopped, beyond the sweep that it belongs to. So
//! every removal carries a time after which the store refuses it
//! ([`remove_until`](wharf_storage::Objects::remove_until)): a minute after its run last saw that it has the lease, by
//! the clock of the store. A run that takes the lease waits for as long as the run before may have removals under way, a
//! renewal that was on its way included, and five minutes more for the store itself, before it removes anything, dooms and
//! flags included. When the outcome of a removal is not known, the run waits as long, and looks; so a removal is not
//! repeated whose first request may still be on its way. Writes of a dead run may arrive at any time: a doom delays a
//! digest that may be needed by one run; a flag refuses pushes of what it names until the next run lowers it.
//!
//! A request that was stopped, with its process or its machine, finds out by the clocks of both kinds that it is too late
//! ([`moment`]), before it sends what is left.
//!
//! A run renews the lease at least every half minute, and stops when it finds the name of another run in it. Where the
//! store ignores conditions, a renewal may overwrite the lease of a run that has just taken it; that run then finds out
//! before it removes anything, because it waits and looks. A renewal that took longer than a minute, in which another
//! run may have waited already, counts as lost.
//!
//! # One process
//!
//! The same steps, in memory. In place of the 30 minutes the collector waits for the shared locks of those digests that
//! it has doomed, which requests hold from before they read the marks until they have published. That keeps every manifest
//! whole. The half hour also gives clients time between the answer that a layer is there and the push of the manifest; in its
//! place each such answer is [remembered](recent) for the grace period, and what is remembered counts as needed.
//!
//! # What is checked
//!
//! `model` explores every order of these steps, with a crash and a successor, by the functions in [`decisions`], which
//! the code uses as well; and that an image is lost without any one of: the pin, the flag, the wait, its last minute, the
//! fence, the wait of the successor, the wait for an unknown outcome, the names of pins, the limit for publishing.
//! `interleavings` tries every order in which the real locks and the marks in memory can be taken by pushes, a deletion and a
//! collection, and finds what is lost without each of them.
//! `tests/registry/collector.rs` runs registries and collectors over one slow bucket.

mod decisions;
#[cfg(test)]
mod deletion_model;
#[cfg(test)]
mod explorer;
mod in_memory;
mod in_store;
#[cfg(test)]
mod interleavings;
mod link_marks;
mod marks;
#[cfg(test)]
mod model;
mod moment;
mod recent;
mod relying;
mod run;
mod snapshot;
mod stripes;

use std::{sync::Arc, time::Duration};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::Storage;

use self::{decisions::Timing, in_memory::InMemory, in_store::InStore, marks::Marks, stripes::Stripes};
use crate::error::{Error, Result};

pub use self::run::{Condemned, Run};
pub(crate) use self::{
    link_marks::link_mark,
    relying::Reliance,
    stripes::{Hold, Watch},
};

/// How much time the agreement of several processes and the collector leaves the store. All processes of a store have the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    /// Minutes, for any store.
    #[default]
    Safe,
    /// Seconds. No setting leads to it: it is for tests, on a store that they start themselves on the same machine.
    Quick,
}

/// The locks and the marks of a store. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Coordination {
    storage: Arc<dyn Storage>,
    stripes: Arc<Stripes>,
    marks: Arc<dyn Marks>,
}

impl Coordination {
    /// The coordination of the users of `storage`, at this `pace` if other processes share it. Does no I/O.
    /// In one process, what a client was told that it may rely on is kept for `grace`.
    pub(crate) fn new(storage: Arc<dyn Storage>, grace: Duration, pace: Pace) -> Self {
        let timing = match pace {
            Pace::Safe => &Timing::SHARED,
            Pace::Quick => &Timing::QUICK,
        };
        let marks: Arc<dyn Marks> = match storage.is_shared() {
            true => Arc::new(InStore::new(Arc::clone(&storage), timing)),
            false => Arc::new(InMemory::new(grace)),
        };
        Self {
            storage,
            stripes: Arc::new(Stripes::new()),
            marks,
        }
    }

    /// Keeps the requests and the collector of this process from removing any of `digests`.
    pub(crate) async fn lock_shared(&self, digests: &[Digest]) -> Hold {
        self.stripes.lock_shared(digests).await
    }

    /// Keeps other requests of this process from relying on any of `digests` anew.
    pub(crate) async fn lock_exclusive(&self, digests: &[Digest]) -> Hold {
        self.stripes.lock_exclusive(digests).await
    }

    /// Keeps other requests of this process from changing `tags` of `name`; see [`Stripes::lock_tags`].
    pub(crate) async fn lock_tags(&self, name: &RepoName, tags: &[Tag]) -> Hold {
        self.stripes.lock_tags(name, tags).await
    }

    /// Watches `digests`: see [`Stripes::watch`].
    pub(crate) async fn watch(&self, digests: &[Digest]) -> Watch {
        self.stripes.watch(digests).await
    }

    /// What of `digests` a client that pushes to `repository` may rely on, bytes and links; without a repository, bytes. To be called under the shared lock on them, and before it is looked up
    /// whether they are stored.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn rely_on(
        &self,
        repository: Option<&RepoName>,
        digests: &[Digest],
    ) -> Result<Reliance> {
        Reliance::on(&self.marks, repository, digests).await
    }

    /// Begins a run of the collector; `None` when another one may be under way.
    ///
    /// # Errors
    ///
    /// [`Error::NotCollectable`] where the store does not keep what removals rely on; errors of the store.
    pub(crate) async fn begin_run(&self) -> Result<Option<Run>> {
        match self.storage.obstacle() {
            Some(obstacle) => Err(Error::NotCollectable(obstacle)),
            None => self.begin(true).await,
        }
    }

    /// Begins a run that is to remove nothing, so that there is no other one meanwhile; `None` as in [`begin_run`](Self::begin_run).
    /// It takes the place of another one of that kind, which then ends with an error.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn hold_off_collector(&self) -> Result<Option<Run>> {
        self.begin(false).await
    }

    async fn begin(&self, collects: bool) -> Result<Option<Run>> {
        let (storage, marks) = (Arc::clone(&self.storage), Arc::clone(&self.marks));
        Run::begin(storage, marks, Arc::clone(&self.stripes), collects).await
    }

    /// Whether other processes may change the store.
    pub(crate) fn is_shared(&self) -> bool {
        self.storage.is_shared()
    }
}
