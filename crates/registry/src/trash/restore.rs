//! Taking a deletion back: each manifest of its record is pushed again, by the registry itself.
//!
//! So all that holds for a push holds here: what the manifest names is checked and held under its locks until the pointers are
//! durable, children come before the indexes that list them, other processes are looked at again, fallback tags are
//! brought up to date, and subscribers get events. Beside that, links come back that the manifest needs and that
//! deletions of *this repository* took: those of the record itself, and those of later records that are still in the trash. No other
//! bytes are linked, whether they are stored or not: the repository may never have had a right to them.

use std::{collections::HashSet, time::SystemTime};

use wharf_oci::{Digest, Reference, RepoName, Tag, is_referrers_tag};
use wharf_storage::layout;

use super::{
    record::{TrashId, TrashRecord, TrashedTag},
    roots::{Roots, TrashRoots},
};
use crate::{
    error::{Error, Result},
    events::Caller,
    locks::{Past, Shared},
    manifests::ManifestPush,
    precondition::Precondition,
    registry::Registry,
    tree::{
        manifest::StoredManifest,
        parallel::{PARALLEL, in_parallel},
    },
};

const BUSY: &str = "what is to be restored is being removed as garbage";

/// Outcome of a restore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Tags that point again at what they pointed at before, those among them that another request has restored meanwhile.
    pub tags: Vec<Tag>,
    /// Manifests of the record that the repository has again.
    pub manifests: Vec<Digest>,
    /// How many links of layers were written again.
    pub layers: usize,
    /// Tags that point elsewhere by now, and were left alone.
    pub left_alone: Vec<LeftAlone>,
    /// Content that the store, or the repository, does not have any more. The manifests that need it, and their tags, did not
    /// come back.
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

/// A restore under way.
struct Restore<'a> {
    caller: &'a dyn Caller,
    record: &'a TrashRecord,
    /// What all records of the repository name.
    kept: &'a Roots,
    /// Whether tags are moved that point elsewhere by now.
    force: bool,
    restored: Restored,
}

impl Registry {
    /// Pushes what the deletion `id` took again, with its times where the store keeps times. A tag that points elsewhere by now is
    /// left alone, unless `force`. The record goes when all of it is back; it stays when tags were left alone or content is lost,
    /// and restoring may be repeated.
    ///
    /// # Errors
    ///
    /// [`Error::TrashUnknown`], [`Error::TrashDamaged`]; [`Error::Busy`] and [`Error::Exhausted`] when other requests, or the collector,
    /// keep it waiting for too long; errors of the store.
    pub async fn restore_from_trash(
        &self,
        caller: &dyn Caller,
        id: &TrashId,
        force: bool,
    ) -> Result<Restored> {
        let record = self.trash.read(id).await?;
        let kept = TrashRoots::of_repository(&self.trash, &record.repository).await?;
        let mut restore = Restore {
            caller,
            record: &record,
            kept: &kept,
            force,
            restored: Restored::default(),
        };
        self.restore_layers(&mut restore).await?;
        for digest in self.children_first(&restore).await? {
            self.restore_manifest(&mut restore, digest).await?;
        }
        self.restore_history(&restore).await?;
        let mut restored = restore.restored;
        restored.lost.sort_unstable();
        restored.lost.dedup();
        if restored.left_alone.is_empty() && restored.lost.is_empty() {
            match self.trash.remove(id).await {
                // Another request has restored it as well.
                Ok(()) | Err(Error::TrashUnknown { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(restored)
    }

    /// Links the layers of the record.
    async fn restore_layers(&self, restore: &mut Restore<'_>) -> Result<()> {
        let name = &restore.record.repository;
        for layers in restore.record.pointers.layers.chunks(PARALLEL) {
            let links = layers.iter().map(|layer| {
                let stored = layer.stored.unwrap_or(layer.digest);
                self.relink_layer(name, layer.digest, stored)
            });
            for (layer, linked) in layers.iter().zip(in_parallel::<_, Error, _>(links).await?) {
                match linked {
                    Some(true) => restore.restored.layers += 1,
                    Some(false) => restore.restored.lost.push(layer.digest),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// The manifests of the record, and those below them that later deletions took, each after its children.
    async fn children_first(&self, restore: &Restore<'_>) -> Result<Vec<Digest>> {
        let pointers = &restore.record.pointers;
        let (lists, tags): (Vec<_>, Vec<_>) = pointers
            .tags
            .iter()
            .partition(|tag| is_referrers_tag(tag.tag.as_str()));
        // What a list of referrers names was deleted for its own sake.
        let lists: HashSet<Digest> = lists.into_iter().map(|tag| tag.digest).collect();
        let roots = pointers.manifests.iter().map(|manifest| manifest.digest);
        let roots = roots.chain(tags.into_iter().map(|tag| tag.digest));
        // A manifest is met twice: on the way to its children, and after them.
        let mut ahead: Vec<(Digest, bool)> = roots.map(|root| (root, false)).collect();
        ahead.reverse();
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        while let Some((digest, are_children_done)) = ahead.pop() {
            if are_children_done {
                order.push(digest);
                continue;
            }
            if !seen.insert(digest) {
                continue;
            }
            ahead.push((digest, true));
            let facts = match lists.contains(&digest) {
                true => None,
                false => self.tree.manifests.facts(&digest).await?,
            };
            for child in facts.iter().flat_map(|facts| &facts.children) {
                let was_deleted = restore.kept.manifests.contains(child);
                if was_deleted && !self.has_revision(&restore.record.repository, child).await? {
                    ahead.push((*child, false));
                }
            }
        }
        order.extend(lists.into_iter().filter(|list| seen.insert(*list)));
        Ok(order)
    }

    /// Pushes the manifest `digest` again, by each of its tags in the record.
    async fn restore_manifest(&self, restore: &mut Restore<'_>, digest: Digest) -> Result<()> {
        let (record, name) = (restore.record, &restore.record.repository);
        let Some(manifest) = self.tree.manifests.load(&digest).await? else {
            restore.restored.lost.push(digest);
            return Ok(());
        };
        restore.restored.layers += self.relink_needs(name, &digest, restore.kept).await?;
        let own = record
            .pointers
            .manifests
            .iter()
            .find(|link| link.digest == digest);
        let since = match own {
            Some(link) => Some(link.since),
            None => self.linked_since(name, &digest).await?,
        };
        let tags: Vec<&TrashedTag> = record
            .pointers
            .tags
            .iter()
            .filter(|tag| tag.digest == digest)
            .collect();
        let is_by_digest = tags.is_empty() || own.is_some();
        let mut is_back = false;
        for tag in tags {
            if self.push_again(restore, &manifest, since, Some(tag)).await? {
                restore.restored.tags.push(tag.tag.clone());
                is_back = true;
            }
        }
        // Tags that were left alone, all of them, bring nothing back.
        if !is_back && is_by_digest {
            is_back = self.push_again(restore, &manifest, since, None).await?;
        }
        if is_back && own.is_some() {
            restore.restored.manifests.push(digest);
        }
        Ok(())
    }

    /// Pushes a manifest by its digest or by a tag of the record. Returns whether that was done.
    async fn push_again(
        &self,
        restore: &mut Restore<'_>,
        manifest: &StoredManifest,
        since: Option<SystemTime>,
        tag: Option<&TrashedTag>,
    ) -> Result<bool> {
        let name = &restore.record.repository;
        let reference = tag.map_or_else(
            || Reference::Digest(manifest.digest),
            |tag| Reference::Tag(tag.tag.clone()),
        );
        let push = ManifestPush {
            reference: &reference,
            tags: &[],
            content_type: Some(&manifest.media_type),
            bytes: &manifest.bytes,
            condition: &Precondition::default(),
            creates_only: !restore.force,
        };
        let past = Past {
            revision: since,
            tag: tag.cloned(),
        };
        match self.prepare_manifest(name, push).await {
            Ok(prepared) => {
                self.publish_manifest(restore.caller, prepared.of_the_past(past))
                    .await?;
                Ok(true)
            }
            Err(Error::TagExists { current, .. }) => {
                restore.restored.left_alone.extend(tag.map(|tag| LeftAlone {
                    tag: tag.tag.clone(),
                    deleted: manifest.digest,
                    current,
                }));
                Ok(false)
            }
            Err(Error::ManifestReferencesUnknown(missing)) => {
                // A list of referrers is made anew with each of them.
                if !tag.is_some_and(|tag| is_referrers_tag(tag.tag.as_str())) {
                    restore
                        .restored
                        .lost
                        .extend(missing.iter().map(|missing| missing.digest));
                }
                Ok(false)
            }
            // Of a kind that is served and not taken, such as schema 1.
            Err(Error::ManifestInvalid { .. } | Error::ManifestTooLarge { .. }) => {
                self.link_again(restore, &manifest.digest, since, tag).await
            }
            Err(error) => Err(error),
        }
    }

    /// Links a manifest that no client may push, and a tag of it, as they were.
    async fn link_again(
        &self,
        restore: &mut Restore<'_>,
        digest: &Digest,
        since: Option<SystemTime>,
        tag: Option<&TrashedTag>,
    ) -> Result<bool> {
        let name = &restore.record.repository;
        let facts = self.tree.manifests.facts(digest).await?;
        let named = facts.iter().flat_map(|facts| facts.all()).copied();
        let needs: Vec<Digest> = named.chain([*digest]).collect();
        let lock = self.lock_to_restore(name, &needs).await?;
        if let Err(error) = self.storage.stat(&layout::blob(digest)).await {
            if error.is_not_found() {
                restore.restored.lost.push(*digest);
                return Ok(false);
            }
            return Err(error.into());
        }
        let tags: Vec<Tag> = tag.iter().map(|tag| tag.tag.clone()).collect();
        let tags = lock.lock_tags(name, tags).await?;
        if let Some(tag) = tag {
            let current = self.tree.links.target(&layout::tag_link(name, &tag.tag)).await?;
            if let Some(current) = current.filter(|current| current != digest && !restore.force) {
                restore.restored.left_alone.push(LeftAlone {
                    tag: tag.tag.clone(),
                    deleted: *digest,
                    current,
                });
                return Ok(false);
            }
        }
        let past = Past {
            revision: since,
            tag: tag.cloned(),
        };
        lock.link_manifest(digest, &tags, &past).await?;
        Ok(true)
    }

    /// When the link of the manifest `digest` was written, if there is one.
    pub(crate) async fn linked_since(&self, name: &RepoName, digest: &Digest) -> Result<Option<SystemTime>> {
        Ok(self
            .tree
            .links
            .since(&layout::revision_link(name, digest))
            .await?)
    }

    /// Locks `digests` for a pointer to the last of them, which needs the others.
    async fn lock_to_restore(&self, name: &RepoName, digests: &[Digest]) -> Result<Shared> {
        let lock = self.locks.lock_shared(name, digests).await?;
        match digests.iter().any(|digest| lock.is_swept(digest)) {
            true => Err(Error::Busy { reason: BUSY }),
            false => Ok(lock),
        }
    }

    /// Links the layers again that the manifest `digest` needs and deletions of its repository took. Returns how many these were.
    async fn relink_needs(&self, name: &RepoName, digest: &Digest, kept: &Roots) -> Result<usize> {
        let facts = self.tree.manifests.facts(digest).await?;
        let needs = facts.iter().flat_map(|facts| facts.blobs());
        let taken: Vec<Digest> = needs.filter(|blob| kept.layers.contains(blob)).copied().collect();
        let links = taken.iter().map(|layer| self.relink_layer(name, *layer, *layer));
        let linked: Vec<Option<bool>> = in_parallel::<_, Error, _>(links).await?;
        Ok(linked.into_iter().filter(|linked| *linked == Some(true)).count())
    }

    /// Lets `name` read the blob that is stored under `stored` as `digest` again. `None` when it already may, and false when the
    /// blob is gone.
    async fn relink_layer(&self, name: &RepoName, digest: Digest, stored: Digest) -> Result<Option<bool>> {
        let lock = self.lock_to_restore(name, &[digest, stored]).await?;
        if self
            .tree
            .links
            .target(&layout::layer_link(name, &digest))
            .await?
            .is_some()
        {
            return Ok(None);
        }
        match self.storage.stat(&layout::blob(&stored)).await {
            Ok(_) => {
                lock.link_layer(name, &digest, &stored).await?;
                Ok(Some(true))
            }
            Err(error) if error.is_not_found() => Ok(Some(false)),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the entries of histories again that went without their tags, as far as these are there. An entry that a push has
    /// written meanwhile keeps its time.
    async fn restore_history(&self, restore: &Restore<'_>) -> Result<()> {
        let name = &restore.record.repository;
        for entry in &restore.record.pointers.history {
            let lock = self
                .lock_to_restore(name, std::slice::from_ref(&entry.digest))
                .await?;
            let tags = lock.lock_tags(name, vec![entry.tag.clone()]).await?;
            let tag = layout::tag_link(name, &entry.tag);
            let written = layout::tag_history_link(name, &entry.tag, &entry.digest);
            let is_there = self.tree.links.target(&tag).await?.is_some();
            let is_missing = self.tree.links.since(&written).await?.is_none();
            if is_there && is_missing && self.has_revision(name, &entry.digest).await? {
                lock.link_entry(&tags, entry).await?;
            }
        }
        Ok(())
    }
}
