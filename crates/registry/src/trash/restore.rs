//! Taking a deletion back: the pointers of its record are written again, what is pointed at before what points to it.

use std::collections::{HashMap, HashSet};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::layout;

use super::{TrashId, TrashRecord, TrashedTag};
use crate::{
    error::{Error, Result},
    events::{Caller, EventKind},
    locks::Shared,
    registry::Registry,
    tree::{
        manifest::{Facts, Stored},
        parallel::{PARALLEL, in_parallel},
    },
};

const BUSY: &str = "what is to be restored is being removed as garbage";

/// Outcome of a restore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Tags that point again at what they pointed at before, those among them that another request has restored meanwhile.
    pub tags: Vec<Tag>,
    /// Manifests that the repository has again.
    pub manifests: Vec<Digest>,
    /// How many links of layers were written again.
    pub layers: usize,
    /// Tags that point elsewhere by now, and were left alone.
    pub left_alone: Vec<LeftAlone>,
    /// Content that the store does not have any more.
    pub lost: Vec<Digest>,
}

/// A tag that was pushed again since it was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAlone {
    /// The tag.
    pub tag: Tag,
    /// At what it pointed when it was deleted.
    pub deleted: Digest,
    /// At what it points now.
    pub current: Digest,
}

impl Registry {
    /// Writes the pointers of the deletion `id` again, with their times where the store keeps times. A tag that points
    /// elsewhere by now is left alone, unless `force`. The record goes when all of it is back; it stays when tags were left alone
    /// or content is lost, and restoring may be repeated.
    ///
    /// Each manifest is linked as a push of it would link it: under the locks on all that it names, children before the indexes
    /// that list them.
    ///
    /// # Errors
    ///
    /// [`Error::TrashUnknown`], [`Error::TrashDamaged`]; [`Error::Busy`] when other requests, or the collector, keep it waiting for too
    /// long; errors of the store.
    pub async fn restore_from_trash(
        &self,
        caller: &dyn Caller,
        id: &TrashId,
        force: bool,
    ) -> Result<Restored> {
        let record = self.trash.read(id).await?;
        let name = &record.repository;
        let mut restored = Restored::default();
        for layers in record.pointers.layers.chunks(PARALLEL) {
            let links = layers.iter().map(|layer| {
                let stored = layer.stored.unwrap_or(layer.digest);
                self.relink_layer(name, layer.digest, stored)
            });
            for (layer, linked) in layers.iter().zip(in_parallel::<_, Error, _>(links).await?) {
                restored.count(layer.digest, linked);
            }
        }
        self.relink_manifests(&record, &mut restored).await?;
        for tag in &record.pointers.tags {
            self.relink_tag(name, tag, force, &mut restored).await?;
        }
        self.relink_history(&record).await?;
        self.report_restored(caller, &record, &restored).await?;
        if restored.left_alone.is_empty() && restored.lost.is_empty() {
            match self.trash.remove(id).await {
                // Another request has restored it as well.
                Ok(()) | Err(Error::TrashUnknown { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(restored)
    }

    /// Links the manifests of `record`, and whatever of their children and blobs the repository has lost since.
    async fn relink_manifests(&self, record: &TrashRecord, restored: &mut Restored) -> Result<()> {
        let pointers = &record.pointers;
        let tagged = pointers.tags.iter().map(|tag| tag.digest);
        let roots: Vec<Digest> = pointers
            .manifests
            .iter()
            .map(|link| link.digest)
            .chain(tagged)
            .collect();
        let times: HashMap<Digest, _> = pointers
            .manifests
            .iter()
            .map(|link| (link.digest, link.since))
            .collect();
        let own: HashSet<Digest> = times.keys().copied().collect();
        for digest in self.children_first(roots).await? {
            let name = &record.repository;
            if self.has_revision(name, &digest).await? {
                if own.contains(&digest) {
                    restored.manifests.push(digest);
                }
                continue;
            }
            let facts = match self.tree.manifests.look_up(&digest).await {
                Stored::Absent => {
                    restored.lost.push(digest);
                    continue;
                }
                // The repository had it although it cannot be read; a push heals it.
                Stored::Unreadable(_) => None,
                Stored::Understood(facts) => Some(facts),
            };
            let needs: Vec<Digest> = match &facts {
                Some(facts) => facts.all().chain([&digest]).copied().collect(),
                None => vec![digest],
            };
            let lock = self.lock_to_restore(&needs).await?;
            restored.layers += self.relink_blobs(name, facts.as_deref(), &lock).await?;
            lock.link_revision(name, &digest, times.get(&digest).copied())
                .await?;
            restored.manifests.push(digest);
        }
        Ok(())
    }

    /// `roots` and all manifests below them, each after its children. Those that are not stored are among them.
    async fn children_first(&self, roots: Vec<Digest>) -> Result<Vec<Digest>> {
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        // A manifest is met twice: on the way to its children, and after them.
        let mut ahead: Vec<(Digest, bool)> = roots.into_iter().rev().map(|root| (root, false)).collect();
        while let Some((digest, are_children_done)) = ahead.pop() {
            if are_children_done {
                order.push(digest);
                continue;
            }
            if !seen.insert(digest) {
                continue;
            }
            ahead.push((digest, true));
            if let Stored::Understood(facts) = self.tree.manifests.look_up(&digest).await {
                for child in &facts.children {
                    // An index may name children that were never here.
                    let is_stored = self.storage.stat(&layout::blob(child)).await;
                    match is_stored {
                        Ok(_) => ahead.push((*child, false)),
                        Err(error) if error.is_not_found() => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(order)
    }

    /// Locks `digests` for a pointer to the last of them, which needs the others.
    async fn lock_to_restore(&self, digests: &[Digest]) -> Result<Shared> {
        let lock = self.locks.lock_shared(digests).await?;
        match digests.iter().any(|digest| lock.is_swept(digest)) {
            true => Err(Error::Busy { reason: BUSY }),
            false => Ok(lock),
        }
    }

    /// Links the blobs that a manifest names and the repository does not have, as far as they are stored. Returns how many these
    /// were.
    async fn relink_blobs(&self, name: &RepoName, facts: Option<&Facts>, lock: &Shared) -> Result<usize> {
        let blobs: Vec<Digest> = facts.into_iter().flat_map(Facts::blobs).copied().collect();
        let linked = in_parallel(blobs.iter().map(|digest| async move {
            if self
                .tree
                .links
                .target(&layout::layer_link(name, digest))
                .await?
                .is_some()
            {
                return Ok(false);
            }
            match self.storage.stat(&layout::blob(digest)).await {
                Ok(_) => {
                    lock.link_layer(name, digest, digest).await?;
                    Ok::<_, Error>(true)
                }
                // It was not there before either, or lies under another digest, and its link comes with the record.
                Err(error) if error.is_not_found() => Ok(false),
                Err(error) => Err(error.into()),
            }
        }));
        let linked: Vec<bool> = linked.await?;
        Ok(linked.into_iter().filter(|linked| *linked).count())
    }

    /// Lets `name` read the blob that is stored under `stored` as `digest` again. `None` when it already may, and false when the
    /// blob is gone.
    async fn relink_layer(&self, name: &RepoName, digest: Digest, stored: Digest) -> Result<Option<bool>> {
        if self
            .tree
            .links
            .target(&layout::layer_link(name, &digest))
            .await?
            .is_some()
        {
            return Ok(None);
        }
        let lock = self.lock_to_restore(&[digest, stored]).await?;
        match self.storage.stat(&layout::blob(&stored)).await {
            Ok(_) => {
                lock.link_layer(name, &digest, &stored).await?;
                Ok(Some(true))
            }
            Err(error) if error.is_not_found() => Ok(Some(false)),
            Err(error) => Err(error.into()),
        }
    }

    /// Points a tag again at what it pointed at, with its history, unless it points elsewhere by now.
    async fn relink_tag(
        &self,
        name: &RepoName,
        deleted: &TrashedTag,
        force: bool,
        restored: &mut Restored,
    ) -> Result<()> {
        let TrashedTag { tag, digest, .. } = deleted;
        let lock = self.lock_to_restore(std::slice::from_ref(digest)).await?;
        let tags = lock.lock_tags(name, vec![tag.clone()]).await?;
        let current = self.tree.links.target(&layout::tag_link(name, tag)).await?;
        if let Some(current) = current.filter(|current| current != digest && !force) {
            restored.left_alone.push(LeftAlone {
                tag: tag.clone(),
                deleted: *digest,
                current,
            });
            return Ok(());
        }
        if !self.has_revision(name, digest).await? {
            // It is among what is lost.
            return Ok(());
        }
        let is_there = current == Some(*digest);
        lock.link_tag(&tags, deleted, is_there).await?;
        restored.tags.push(tag.clone());
        Ok(())
    }

    /// Writes the entries of histories again that went without their tags, as far as these are there.
    async fn relink_history(&self, record: &TrashRecord) -> Result<()> {
        let name = &record.repository;
        for entry in &record.pointers.history {
            let lock = self.lock_to_restore(std::slice::from_ref(&entry.digest)).await?;
            let tags = lock.lock_tags(name, vec![entry.tag.clone()]).await?;
            let is_there = self
                .tree
                .links
                .target(&layout::tag_link(name, &entry.tag))
                .await?
                .is_some();
            if is_there && self.has_revision(name, &entry.digest).await? {
                lock.link_entry(&tags, entry).await?;
            }
        }
        Ok(())
    }

    /// Reports what came back, as pushes.
    async fn report_restored(
        &self,
        caller: &dyn Caller,
        record: &TrashRecord,
        restored: &Restored,
    ) -> Result<()> {
        let digest_of: HashMap<&Tag, &Digest> = record
            .pointers
            .tags
            .iter()
            .map(|tag| (&tag.tag, &tag.digest))
            .collect();
        let tagged = restored.tags.iter().filter_map(|tag| {
            let digest = digest_of.get(tag)?;
            Some((**digest, Some(tag.clone())))
        });
        let with_tags: HashSet<Digest> = tagged.clone().map(|(digest, _)| digest).collect();
        let untagged = restored
            .manifests
            .iter()
            .filter(|digest| !with_tags.contains(digest));
        let untagged = untagged.map(|digest| (*digest, None));
        for (digest, tag) in untagged.chain(tagged) {
            let Some(manifest) = self.tree.manifests.load(&digest).await? else {
                continue;
            };
            let pushed = || vec![EventKind::ManifestPushed { manifest, tag }];
            self.subscribers.changed(caller, &record.repository, pushed).await;
        }
        Ok(())
    }
}

impl Restored {
    /// Counts a layer that was linked again, was there, or is lost.
    fn count(&mut self, digest: Digest, linked: Option<bool>) {
        match linked {
            Some(true) => self.layers += 1,
            Some(false) => self.lost.push(digest),
            None => {}
        }
    }
}
