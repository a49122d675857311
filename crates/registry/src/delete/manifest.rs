//! Deleting a manifest, with all tags that point at it.

use std::time::SystemTime;

use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::{Key, layout};

use super::{
    ATTEMPTS, disturbed,
    refusals::{require_deletable, require_no_index, without_list},
    unknown,
};
use crate::{
    coordination::Watch,
    error::{Error, Result},
    events::{Caller, EventKind},
    locks::TagsLocked,
    registry::Registry,
    tag_rights::{EveryTag, TagRights},
    trash::record::{DeletedKind, Pointers, TrashedLink},
    tree::{parallel::in_parallel, tags::Pointer},
};

impl Registry {
    /// Removes the manifest `digest` from `name`, and every tag that points at it. Its bytes stay until they are
    /// collected; other repositories keep it. Refused when a tagged index lists it (decision D4), unless `force`. Returns
    /// the tags that went with it.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`], [`Error::DeleteDisabled`], [`Error::NeededByIndex`], [`Error::Busy`] and
    /// [`Error::Exhausted`] when other requests keep it waiting for too long; errors of the store.
    pub async fn delete_manifest(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        digest: &Digest,
        force: bool,
    ) -> Result<Vec<Tag>> {
        self.delete_manifest_of(caller, name, digest, force, &EveryTag)
            .await
    }

    /// As [`delete_manifest`](Self::delete_manifest), but only if the client has the `rights` to delete every tag that would go with it. Errors
    /// name no tag that it may not see.
    ///
    /// # Errors
    ///
    /// As there, and [`Error::TagDenied`].
    pub async fn delete_manifest_of(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        digest: &Digest,
        force: bool,
        rights: &dyn TagRights,
    ) -> Result<Vec<Tag>> {
        self.require_delete()?;
        let leaving = self.fallback_turns.leave(name, digest);
        let removed = self.remove_manifest(caller, name, digest, force, rights).await;
        drop(leaving);
        let (tags, subject) = match removed {
            Err(error @ Error::ManifestUnknown { .. }) => return Err(error),
            Err(error) => {
                self.list_again(name, digest).await;
                return Err(error);
            }
            Ok(removed) => removed,
        };
        let deleted = || {
            let tags = tags.iter().cloned().map(|tag| EventKind::TagDeleted { tag });
            let manifest = EventKind::ManifestDeleted { digest: *digest };
            std::iter::once(manifest).chain(tags).collect()
        };
        self.subscribers.changed(caller, name, deleted).await;
        if let Some(subject) = subject {
            // The manifest may have been pushed again, or listed by another process, which does not know that it leaves.
            self.update_fallback_tag(name, &subject).await?;
        }
        Ok(tags)
    }

    /// Lists a manifest whose deletion failed in the fallback tag of its subject, from which it may have been taken before.
    async fn list_again(&self, name: &RepoName, digest: &Digest) {
        let listed = async {
            match self.subject_of(digest).await? {
                Some(subject) => self.update_fallback_tag(name, &subject).await,
                None => Ok(()),
            }
        };
        if let Err(error) = listed.await {
            tracing::warn!(repository = %name, manifest.digest = %digest, %error, "after a deletion that failed, the fallback tag of the subject may not list the manifest; the next push or deletion of a referrer corrects it");
        }
    }

    /// Removes a manifest and its tags, and returns these, and its subject.
    ///
    /// What is to go is found without a lock, under a watch. When the watch was not disturbed before the exclusive lock was
    /// granted, no manifest that names `digest` or an index above it, and no tag of these, has been pushed since, and
    /// none can be while the lock is held. Otherwise the search begins anew. The push that disturbed it may have failed after
    /// it was granted its lock, and so may the next one, for ever: the number of attempts has a limit.
    async fn remove_manifest(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        digest: &Digest,
        force: bool,
        rights: &dyn TagRights,
    ) -> Result<(Vec<Tag>, Option<Digest>)> {
        for _ in 0..ATTEMPTS {
            let (pointers, subject, watch) = self.find_tags_to_delete(name, digest, force, rights).await?;
            // Listings before the lock: what is listed changes only by pushes that disturb the watch.
            let recorded = self.record_manifest(name, digest, &pointers).await?;
            let lock = self.locks.lock_exclusive(digest).await?;
            if watch.is_disturbed() {
                continue;
            }
            // Invariant I3, removal: tags before the revision. A crash in between leaves an untagged manifest.
            let named: Vec<Tag> = pointers.iter().map(|pointer| pointer.tag.clone()).collect();
            let tags = lock.lock_tags(name, named.clone()).await?;
            let record = self
                .trash
                .keep(caller, name, DeletedKind::Manifest, recorded.clone())
                .await?;
            let removed = self.remove_tags_of(digest, pointers, &tags).await?;
            if let Some(record) = record.as_ref().filter(|_| removed.len() < recorded.tags.len()) {
                // A push has moved the others elsewhere in between.
                let mut less = recorded;
                less.tags.retain(|tag| removed.contains(&tag.tag));
                self.trash
                    .narrow(record, caller, name, DeletedKind::Manifest, less)
                    .await?;
            }
            let unlinked = lock.unlink_revision(name).await;
            if !force && self.must_look_again() {
                let needed = self.look_for_index(name, digest, subject.as_ref(), rights).await;
                if let Err(Error::NeededByIndex { .. }) = needed {
                    lock.restore_revision(name, &removed).await?;
                    self.trash.take_back(record.as_ref()).await?;
                }
                needed?;
            }
            unlinked?;
            return Ok((removed, subject));
        }
        Err(disturbed())
    }

    /// What the trash is to say of the manifest `digest`, and of the tags that were found to point at it.
    async fn record_manifest(
        &self,
        name: &RepoName,
        digest: &Digest,
        pointers: &[Pointer],
    ) -> Result<Pointers> {
        if !self.trash.is_kept() {
            return Ok(Pointers::default());
        }
        let link = layout::revision_link(name, digest);
        // Without a link it was deleted meanwhile.
        let since = self
            .tree
            .links
            .since(&link)
            .await?
            .unwrap_or_else(SystemTime::now);
        let tags: Vec<(Tag, Digest)> = pointers
            .iter()
            .map(|pointer| (pointer.tag.clone(), *digest))
            .collect();
        Ok(Pointers {
            tags: self.record_tags(name, &tags).await?,
            manifests: vec![TrashedLink {
                digest: *digest,
                since,
            }],
            ..Pointers::default()
        })
    }

    /// Refuses the deletion of the manifest `digest`, which is gone with its tags, if a tagged index needs it by now
    /// ([`again`](crate::again)).
    async fn look_for_index(
        &self,
        name: &RepoName,
        digest: &Digest,
        subject: Option<&Digest>,
        rights: &dyn TagRights,
    ) -> Result<()> {
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        let ancestors = self.ancestors(name, std::slice::from_ref(digest), &graph).await?;
        let tags = self.tags_of(name, &ancestors).await?;
        require_no_index(name, digest, &without_list(tags, subject), rights)
    }

    /// Removes those of the locked tags that point at `digest`, and returns them.
    ///
    /// They were found without a lock, so a push may have moved one elsewhere since. One whose link has the version that it
    /// had when it was found still points at `digest`; the others are looked at again. A link that was written anew with the
    /// same digest has a new version: it is removed in the next round.
    async fn remove_tags_of(
        &self,
        digest: &Digest,
        pointers: Vec<Pointer>,
        lock: &TagsLocked,
    ) -> Result<Vec<Tag>> {
        let (mut left, unknown): (Vec<_>, Vec<_>) = pointers
            .into_iter()
            .partition(|pointer| pointer.version.is_some());
        left.extend(self.still_pointing_at(digest, unknown, lock.name()).await?);
        let mut removed = Vec::new();
        for _ in 0..ATTEMPTS {
            if left.is_empty() {
                return Ok(removed);
            }
            let went = lock.remove_unchanged(&left).await?;
            let mut changed = Vec::new();
            for (pointer, went) in left.into_iter().zip(went) {
                match went {
                    true => removed.push(pointer.tag),
                    false => changed.push(pointer),
                }
            }
            left = self.still_pointing_at(digest, changed, lock.name()).await?;
        }
        Err(disturbed())
    }

    /// Those of `pointers` that point at `digest` at this moment, with the versions that they have now.
    async fn still_pointing_at(
        &self,
        digest: &Digest,
        pointers: Vec<Pointer>,
        name: &RepoName,
    ) -> Result<Vec<Pointer>> {
        let links: Vec<Key> = pointers
            .iter()
            .map(|pointer| layout::tag_link(name, &pointer.tag))
            .collect();
        let targets = in_parallel(links.iter().map(|link| self.tree.links.look_up(link))).await?;
        let pointers = pointers.into_iter().zip(targets);
        let still = pointers.filter_map(|(pointer, target)| {
            let (target, version) = target?;
            let tag = pointer.tag;
            (target == *digest).then_some(Pointer { tag, version })
        });
        Ok(still.collect())
    }

    /// The tags of `name` that point at the manifest `digest`, if it may be deleted, and its subject, whose fallback tag does not
    /// list it any more. As long as the watch is not disturbed, no other tag does, and no tagged index needs it.
    async fn find_tags_to_delete(
        &self,
        name: &RepoName,
        digest: &Digest,
        force: bool,
        rights: &dyn TagRights,
    ) -> Result<(Vec<Pointer>, Option<Digest>, Watch)> {
        let above = || async {
            if !self.has_revision(name, digest).await? {
                let hint = self.owner_of(name, digest, rights).await?;
                return Err(unknown(name, digest.to_string(), hint));
            }
            if force {
                return Ok(Vec::new());
            }
            let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
            self.ancestors(name, std::slice::from_ref(digest), &graph).await
        };
        let (ancestors, watch) = self.watch_with(std::slice::from_ref(digest), above).await?;
        let mut all = ancestors;
        all.push(*digest);
        let mut tags = self.tags_of(name, &all).await?;
        let own = tags.remove(digest).unwrap_or_default();
        require_deletable(own.iter().map(|pointer| &pointer.tag), rights)?;
        // Without `force` the manifest has been read for the graph.
        let subject = match !force || self.has_fallback_tags(name).await? {
            true => self.subject_of(digest).await?,
            false => None,
        };
        require_no_index(name, digest, &without_list(tags, subject.as_ref()), rights)?;
        if let Some(subject) = &subject {
            self.update_fallback_tag(name, subject).await?;
        }
        Ok((own, subject, watch))
    }

    /// The subject of the manifest `digest`. One that cannot be read may be deleted, so it counts as having none.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] and [`Error::Exhausted`] when other requests keep it waiting for too long.
    pub(crate) async fn subject_of(&self, digest: &Digest) -> Result<Option<Digest>> {
        match self.tree.manifests.facts(digest).await {
            Ok(facts) => Ok(facts.and_then(|facts| facts.subject)),
            Err(Error::Storage(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
