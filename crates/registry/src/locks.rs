//! The only code that writes and removes pointers: each act is a method of the guard whose lock makes it safe.
//!
//! Every wait for a lock has a limit, and waiting requests get a lock in the order in which they asked for it. A request
//! that is dropped while it waits leaves the queue.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::{ErrorKind, Finished, Key, Put, Puts, Removal, Storage, TreeRemoval, layout};

use crate::{
    coordination::{Coordination, Hold, Pace, Reliance, Run, Watch},
    error::{Error, Result},
    patience::{self, PATIENCE},
    precondition::Observed,
    trash::record::{TrashedEntry, TrashedLayer, TrashedLink, TrashedTag},
    tree::tags::Pointer,
};

/// The steps at which a manifest is published (I3). A history is no pointer that a request follows, so it need not wait for
/// the revision.
const BYTES: usize = 0;
const REVISION: usize = 1;
const HISTORY: usize = 1;
const TAG: usize = 2;
/// How long a request waits before it asks again whether a sweep is over.
const AGAIN: Duration = Duration::from_secs(1);

/// The locks of a store. Cloning them clones handles of the same locks.
#[derive(Debug, Clone)]
pub(crate) struct Locks {
    storage: Arc<dyn Storage>,
    coordination: Coordination,
}

impl Locks {
    /// The locks of `storage`. See [`Coordination::new`] about `grace` and `pace`.
    pub(crate) fn new(storage: Arc<dyn Storage>, grace: Duration, pace: Pace) -> Self {
        Self {
            coordination: Coordination::new(Arc::clone(&storage), grace, pace),
            storage,
        }
    }

    /// Waits until no request of this process removes one of `digests`, and keeps them from being removed, except those that a
    /// sweep is about to remove, or links of `name` to them: they [count as absent](Shared::is_swept).
    ///
    /// Whether the digests are stored is to be looked up under the lock.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when that takes too long; errors of the store.
    pub(crate) async fn lock_shared(&self, name: &RepoName, digests: &[Digest]) -> Result<Shared> {
        let hold = soon(self.coordination.lock_shared(digests)).await?;
        Ok(Shared {
            reliance: self.coordination.rely_on(Some(name), digests).await?,
            locks: self.clone(),
            _hold: hold,
        })
    }

    /// As [`lock_shared`](Self::lock_shared), for a request that stores the bytes of one of `digests`, `own`: it waits until no
    /// sweep is about to remove those.
    ///
    /// # Errors
    ///
    /// As [`lock_shared`](Self::lock_shared).
    pub(crate) async fn lock_to_store(
        &self,
        name: &RepoName,
        own: &Digest,
        digests: &[Digest],
    ) -> Result<Shared> {
        let begun = Instant::now();
        loop {
            let lock = self.lock_shared(name, digests).await?;
            if !lock.is_swept(own) {
                return Ok(lock);
            }
            // The sweep must not wait for this request.
            drop(lock);
            if begun.elapsed() >= PATIENCE {
                return Err(Error::Busy {
                    reason: "the same content is being removed as garbage",
                });
            }
            sleep(AGAIN).await;
        }
    }

    /// What of `digests` a client that pushes to `name` may rely on: see [`Coordination::rely_on`].
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn rely_on(&self, name: &RepoName, digests: &[Digest]) -> Result<Reliance> {
        self.coordination.rely_on(Some(name), digests).await
    }

    /// Whether bytes that are stored under another digest than the one that is relied on may be relied on as well. Whether
    /// they are stored is to be looked up after this.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn may_rely_on_bytes(&self, stored: &Digest) -> Result<bool> {
        let reliance = self
            .coordination
            .rely_on(None, std::slice::from_ref(stored))
            .await?;
        Ok(!reliance.is_swept(stored))
    }

    /// Begins a run of the collector: see [`Coordination::begin_run`].
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn begin_run(&self) -> Result<Option<Run>> {
        self.coordination.begin_run().await
    }

    /// Whether other processes, which do not take these locks, may change the store.
    pub(crate) fn are_shared(&self) -> bool {
        self.coordination.is_shared()
    }

    /// Waits until no request relies on `digest` any more, and keeps it so.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when that takes too long.
    pub(crate) async fn lock_exclusive(&self, digest: &Digest) -> Result<Exclusive> {
        Ok(Exclusive {
            _hold: soon(self.coordination.lock_exclusive(std::slice::from_ref(digest))).await?,
            locks: self.clone(),
            digest: *digest,
        })
    }

    /// As [`lock_exclusive`](Self::lock_exclusive), for some digests that are removed together.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when that takes too long.
    pub(crate) async fn lock_step(&self, digests: &[Digest]) -> Result<ExclusiveStep> {
        Ok(ExclusiveStep {
            _hold: soon(self.coordination.lock_exclusive(digests)).await?,
            storage: Arc::clone(&self.storage),
            digests: digests.to_vec(),
        })
    }

    /// Waits until no request changes one of `tags`, and keeps it so.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when that takes too long.
    pub(crate) async fn lock_tags(&self, name: &RepoName, tags: Vec<Tag>) -> Result<TagsLocked> {
        Ok(TagsLocked {
            _hold: soon(self.coordination.lock_tags(name, &tags)).await?,
            locks: self.clone(),
            name: name.clone(),
            tags,
        })
    }

    /// Watches `digests`: see [`Coordination::watch`].
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when that takes too long.
    pub(crate) async fn watch(&self, digests: &[Digest]) -> Result<Watch> {
        soon(self.coordination.watch(digests)).await
    }
}

/// What `wait` waits for, unless that takes too long.
async fn soon<T>(wait: impl Future<Output = T>) -> Result<T> {
    let reason = "other requests are using the same tag or content, and this one waited too long for them";
    patience::soon(wait, reason).await
}

/// Shared locks on some digests: no request removes them, and pointers to them may be written.
pub(crate) struct Shared {
    locks: Locks,
    reliance: Reliance,
    _hold: Hold,
}

impl Shared {
    /// Whether `digest` counts as absent, whatever is stored: the collector is about to remove it.
    pub(crate) fn is_swept(&self, digest: &Digest) -> bool {
        self.reliance.is_swept(digest)
    }

    /// Locks tags in addition.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when that takes too long.
    pub(crate) async fn lock_tags(&self, name: &RepoName, tags: Vec<Tag>) -> Result<TagsLocked> {
        self.locks.lock_tags(name, tags).await
    }

    /// Lets `name` read, as `digest`, the blob that is stored under `stored`.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn link_layer(&self, name: &RepoName, digest: &Digest, stored: &Digest) -> Result<()> {
        let link = Put::new(layout::layer_link(name, digest), layout::link_content(stored));
        Ok(self.locks.storage.publish(&[link]).await?)
    }

    /// Lets the repository of `tags` read the manifest `digest` again, whose bytes are stored, and points the tag of the `past`
    /// at it, which is locked.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when the locks were taken too long ago for what the collector waits for; errors of the store.
    pub(crate) async fn link_manifest(&self, digest: &Digest, tags: &TagsLocked, past: &Past) -> Result<()> {
        self.publish_as(digest, None, tags, &Observed::default(), past)
            .await
    }

    /// Writes an entry in the history of a locked tag again.
    ///
    /// # Errors
    ///
    /// As [`link_manifest`](Self::link_manifest).
    pub(crate) async fn link_entry(&self, tags: &TagsLocked, entry: &TrashedEntry) -> Result<()> {
        let key = layout::tag_history_link(&tags.name, &entry.tag, &entry.digest);
        let put = Put::new(key, layout::link_content(&entry.digest));
        let publish = async { Ok(self.locks.storage.publish(&[put.at(entry.since)]).await?) };
        self.reliance.publish(publish).await
    }

    /// Makes an upload the blob `digest`, and lets `name` read it.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn publish_blob(
        &self,
        name: &RepoName,
        digest: &Digest,
        finished: Box<dyn Finished>,
    ) -> wharf_storage::Result<()> {
        let link = Put::new(layout::layer_link(name, digest), layout::link_content(digest));
        finished.publish(&layout::blob(digest), &[link]).await
    }

    /// Makes `digest` a manifest of the repository of `tags`, and points these at it, in the order that never lets a
    /// pointer dangle (invariant I3): the bytes, then the revision and the history of each tag, then the tags. Without `bytes`
    /// they are stored already. The pointer of `reference`, the tag or the revision itself, is written only if it is
    /// still as it was `observed`. What comes back from the `past` has the times that it had.
    ///
    /// A push by tag that is refused there, because a writer that does not take these locks was first, has written the bytes
    /// and the revision already, and maybe the history of the tag. They stay: the manifest is untagged, or has its other
    /// tags, and the collector may remove it. A history that has more digests than the tag had does no harm.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when the locks were taken too long ago for what the collector waits for; errors of the store.
    pub(crate) async fn publish_manifest(
        &self,
        digest: &Digest,
        bytes: Option<Bytes>,
        tags: &TagsLocked,
        observed: &Observed,
        past: &Past,
    ) -> Result<()> {
        self.publish_as(digest, bytes, tags, observed, past).await
    }

    async fn publish_as(
        &self,
        digest: &Digest,
        bytes: Option<Bytes>,
        tags: &TagsLocked,
        observed: &Observed,
        past: &Past,
    ) -> Result<()> {
        let (name, link) = (&tags.name, layout::link_content(digest));
        let mut puts = Puts::default();
        if let Some(bytes) = bytes {
            puts.add(BYTES, Put::new(layout::blob(digest), bytes));
        }
        let revision = Put::new(layout::revision_link(name, digest), link.clone());
        puts.add(REVISION, observed.apply(written_at(revision, past.revision)));
        for tag in &tags.tags {
            let deleted = past.tag.as_ref().filter(|deleted| deleted.tag == *tag);
            let mut since = deleted.map(|deleted| deleted.since);
            for entry in deleted.into_iter().flat_map(|deleted| &deleted.history) {
                if entry.digest == *digest {
                    since = Some(entry.since);
                    continue;
                }
                let key = layout::tag_history_link(name, tag, &entry.digest);
                let put = Put::new(key, layout::link_content(&entry.digest));
                puts.add(HISTORY, put.at(entry.since));
            }
            let history = layout::tag_history_link(name, tag, digest);
            puts.add(HISTORY, written_at(Put::new(history, link.clone()), since));
            let pointer = Put::new(layout::tag_link(name, tag), link.clone());
            let moved = deleted.map(|deleted| deleted.since);
            puts.add(TAG, observed.apply(written_at(pointer, moved)));
        }
        let publish = async { Ok(self.locks.storage.publish_all(&puts).await?) };
        self.reliance.publish(publish).await
    }
}

/// The pointers that a manifest had before it was deleted, and that come back with it.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// When the link of the manifest was written.
    pub(crate) revision: Option<SystemTime>,
    /// The tag by which it is pushed again, with its history.
    pub(crate) tag: Option<TrashedTag>,
}

/// `put` of an object that was written at `time` before, if that is known.
fn written_at(put: Put, time: Option<SystemTime>) -> Put {
    match time {
        Some(time) => put.at(time),
        None => put,
    }
}

/// The exclusive lock on a digest: it may be removed.
pub(crate) struct Exclusive {
    locks: Locks,
    digest: Digest,
    _hold: Hold,
}

impl Exclusive {
    /// Locks tags in addition.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when that takes too long.
    pub(crate) async fn lock_tags(&self, name: &RepoName, tags: Vec<Tag>) -> Result<TagsLocked> {
        self.locks.lock_tags(name, tags).await
    }

    /// Removes the layer link of the digest from `name`.
    ///
    /// # Errors
    ///
    /// Errors of the store; not found when there is no link.
    pub(crate) async fn unlink_layer(&self, name: &RepoName) -> wharf_storage::Result<()> {
        let link = layout::layer_link(name, &self.digest);
        self.locks.storage.remove(&link, &layout::layers(name)).await
    }

    /// Removes the revision link of the digest from `name`, if it is still there.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn unlink_revision(&self, name: &RepoName) -> wharf_storage::Result<()> {
        let link = Removal {
            key: layout::revision_link(name, &self.digest),
            keep: layout::revisions(name),
        };
        self.locks.storage.remove_many(&[link]).await
    }

    /// Writes the layer link again that [`unlink_layer`](Self::unlink_layer) removed.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn restore_layer(&self, name: &RepoName, stored: &Digest) -> wharf_storage::Result<()> {
        let link = layout::layer_link(name, &self.digest);
        let put = Put::new(link, layout::link_content(stored));
        self.locks.storage.publish(&[put]).await
    }

    /// Writes the revision link again that [`unlink_revision`](Self::unlink_revision) removed, and then the tags of it that
    /// [went](TagsLocked::remove), unless they are there again. Of their histories only this manifest comes back.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn restore_revision(&self, name: &RepoName, tags: &[Tag]) -> wharf_storage::Result<()> {
        let link = layout::link_content(&self.digest);
        let revision = Put::new(layout::revision_link(name, &self.digest), link.clone());
        self.locks.storage.publish(&[revision]).await?;
        for tag in tags {
            let history = Put::new(layout::tag_history_link(name, tag, &self.digest), link.clone());
            let pointer = Put::new(layout::tag_link(name, tag), link.clone()).if_absent();
            match self.locks.storage.publish(&[history, pointer]).await {
                Err(error) if error.kind() != ErrorKind::Precondition => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The exclusive lock on some digests: they may be removed, all at once.
pub(crate) struct ExclusiveStep {
    storage: Arc<dyn Storage>,
    digests: Vec<Digest>,
    _hold: Hold,
}

impl ExclusiveStep {
    /// Removes the revision links of `digests` from `name`, as far as they are there.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn unlink_revisions(
        &self,
        name: &RepoName,
        digests: &[Digest],
    ) -> wharf_storage::Result<()> {
        let keys = digests.iter().map(|digest| layout::revision_link(name, digest));
        self.unlink(digests, keys, &layout::revisions(name)).await
    }

    /// Removes the layer links of `digests` from `name`, as far as they are there.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn unlink_layers(
        &self,
        name: &RepoName,
        digests: &[Digest],
    ) -> wharf_storage::Result<()> {
        let keys = digests.iter().map(|digest| layout::layer_link(name, digest));
        self.unlink(digests, keys, &layout::layers(name)).await
    }

    async fn unlink(
        &self,
        digests: &[Digest],
        keys: impl Iterator<Item = Key>,
        keep: &Key,
    ) -> wharf_storage::Result<()> {
        let are_locked = digests.iter().all(|digest| self.digests.contains(digest));
        debug_assert!(are_locked, "a digest of the step is not locked");
        let keep = || keep.clone();
        let links: Vec<Removal> = keys.map(|key| Removal { key, keep: keep() }).collect();
        self.storage.remove_many(&links).await
    }

    /// Writes revision links again that [`unlink_revisions`](Self::unlink_revisions) removed.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn restore_revisions(
        &self,
        name: &RepoName,
        links: &[TrashedLink],
    ) -> wharf_storage::Result<()> {
        let puts = links.iter().map(|TrashedLink { digest, since }| {
            let link = layout::revision_link(name, digest);
            Put::new(link, layout::link_content(digest)).at(*since)
        });
        self.storage.publish(&puts.collect::<Vec<_>>()).await
    }

    /// Writes layer links again that [`unlink_layers`](Self::unlink_layers) removed.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn restore_layers(
        &self,
        name: &RepoName,
        layers: &[TrashedLayer],
    ) -> wharf_storage::Result<()> {
        let puts = layers.iter().map(|layer| {
            let stored = layer.stored.unwrap_or(layer.digest);
            let link = layout::layer_link(name, &layer.digest);
            Put::new(link, layout::link_content(&stored)).at(layer.since)
        });
        self.storage.publish(&puts.collect::<Vec<_>>()).await
    }
}

/// The locks of some tags of a repository: they may be moved and removed.
pub(crate) struct TagsLocked {
    locks: Locks,
    name: RepoName,
    tags: Vec<Tag>,
    _hold: Hold,
}

impl TagsLocked {
    /// The repository of the tags.
    pub(crate) fn name(&self) -> &RepoName {
        &self.name
    }

    /// Removes one of the locked tags, with its history.
    ///
    /// # Errors
    ///
    /// Errors of the store; not found when there is no such tag.
    pub(crate) async fn remove(&self, tag: &Tag) -> wharf_storage::Result<()> {
        debug_assert!(self.tags.contains(tag), "the tag `{tag}` is not locked");
        let directory = layout::tag(&self.name, tag);
        self.locks.storage.remove_tree(&directory).await
    }

    /// Removes those of the locked tags, with their histories, whose links still have the version that is known of them, and
    /// those of which none is known. Returns of each whether it was there and went.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn remove_unchanged(&self, pointers: &[Pointer]) -> wharf_storage::Result<Vec<bool>> {
        let trees = pointers.iter().map(|Pointer { tag, version }| {
            debug_assert!(self.tags.contains(tag), "the tag `{tag}` is not locked");
            let link = version
                .clone()
                .map(|version| (layout::tag_link(&self.name, tag), version));
            TreeRemoval {
                dir: layout::tag(&self.name, tag),
                unless_changed: link,
            }
        });
        let trees: Vec<TreeRemoval> = trees.collect();
        self.locks.storage.remove_trees(&trees).await
    }

    /// Removes entries from the histories of locked tags, as far as they are there.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn remove_entries(&self, entries: &[&TrashedEntry]) -> wharf_storage::Result<()> {
        let removals = entries.iter().map(|entry| Removal {
            key: layout::tag_history_link(&self.name, &entry.tag, &entry.digest),
            keep: layout::tag(&self.name, &entry.tag),
        });
        let removals: Vec<Removal> = removals.collect();
        self.locks.storage.remove_many(&removals).await
    }

    /// Writes entries again that [`remove_entries`](Self::remove_entries) removed.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn restore_entries(&self, entries: &[&TrashedEntry]) -> wharf_storage::Result<()> {
        let puts = entries.iter().map(|entry| {
            let key = layout::tag_history_link(&self.name, &entry.tag, &entry.digest);
            Put::new(key, layout::link_content(&entry.digest)).at(entry.since)
        });
        self.locks.storage.publish(&puts.collect::<Vec<_>>()).await
    }
}
