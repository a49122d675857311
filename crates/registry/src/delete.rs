//! Deleting tags, manifests and blobs: pointers first, then what they pointed at; never what a tagged manifest needs.

use std::collections::{HashMap, HashSet};

use wharf_oci::{Digest, RepoName, Tag, referrers_tag};
use wharf_storage::{Key, layout};

use crate::{
    blobs::blob_unknown,
    coordination::Watch,
    error::{Error, Result},
    events::{Caller, EventKind},
    locks::TagsLocked,
    patience::turn,
    registry::Registry,
    tag_rights::{EveryTag, TagRights},
    tree::{
        graph::Graph,
        parallel::{PARALLEL, in_parallel},
        tags::Pointer,
    },
};

/// How often a deletion begins anew because other requests disturbed its watch. More often than a push does: a client that
/// pushes the same content one time after the other disturbs about every second watch.
const ATTEMPTS: usize = 32;

/// How many manifests are searched for the one that a wrong digest belongs to.
const HINT_LIMIT: usize = 1000;

impl Registry {
    /// Removes one tag and its history. Other tags of the same manifest stay, and so does the manifest.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`] when there is no such tag, [`Error::DeleteDisabled`]; errors of the store.
    pub async fn delete_tag(&self, caller: &dyn Caller, name: &RepoName, tag: &Tag) -> Result<()> {
        self.require_delete()?;
        self.remove_tag(name, tag).await?;
        let deleted = || vec![EventKind::TagDeleted { tag: tag.clone() }];
        self.subscribers.changed(caller, name, deleted).await;
        Ok(())
    }

    async fn remove_tag(&self, name: &RepoName, tag: &Tag) -> Result<()> {
        let lock = self.locks.lock_tags(name, vec![tag.clone()]).await?;
        self.require_tag(name, tag).await?;
        Ok(lock.remove(tag).await?)
    }

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
        let removed = self.remove_manifest(name, digest, force, rights).await;
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
        name: &RepoName,
        digest: &Digest,
        force: bool,
        rights: &dyn TagRights,
    ) -> Result<(Vec<Tag>, Option<Digest>)> {
        for _ in 0..ATTEMPTS {
            let (pointers, subject, watch) = self.find_tags_to_delete(name, digest, force, rights).await?;
            let lock = self.locks.lock_exclusive(digest).await?;
            if watch.is_disturbed() {
                continue;
            }
            // Invariant I3, removal: tags before the revision. A crash in between leaves an untagged manifest.
            let tags = pointers.iter().map(|pointer| pointer.tag.clone()).collect();
            let tags = lock.lock_tags(name, tags).await?;
            let removed = self.remove_tags_of(digest, pointers, &tags).await?;
            let unlinked = lock.unlink_revision(name).await;
            if !force && self.must_look_again() {
                let needed = self.look_for_index(name, digest, subject.as_ref(), rights).await;
                if let Err(Error::NeededByIndex { .. }) = needed {
                    lock.restore_revision(name, &removed).await?;
                }
                needed?;
            }
            unlinked?;
            return Ok((removed, subject));
        }
        Err(disturbed())
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
        let (ancestors, watch) = self.watch_with(digest, above).await?;
        let mut all = ancestors;
        all.push(*digest);
        let mut tags = self.tags_of(name, &all).await?;
        let own = tags.remove(digest).unwrap_or_default();
        require_deletable(&own, rights)?;
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
    async fn subject_of(&self, digest: &Digest) -> Result<Option<Digest>> {
        match self.tree.manifests.facts(digest).await {
            Ok(facts) => Ok(facts.and_then(|facts| facts.subject)),
            Err(Error::Storage(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Watches `digest` and all manifests above it, which `above` finds, and answers these. As long as the watch is not
    /// disturbed, there are no others: a tag of a manifest comes with a push of that manifest, which only a watch over it
    /// sees, and so what is found is watched before it is judged.
    async fn watch_with<F: Future<Output = Result<Vec<Digest>>>>(
        &self,
        digest: &Digest,
        above: impl Fn() -> F,
    ) -> Result<(Vec<Digest>, Watch)> {
        let mut watched = vec![*digest];
        let mut is_watched = HashSet::from([*digest]);
        for _ in 0..ATTEMPTS {
            let watch = self.locks.watch(&watched).await?;
            let found = above().await?;
            let before = watched.len();
            watched.extend(found.iter().filter(|manifest| is_watched.insert(**manifest)));
            if watched.len() == before {
                return Ok((found, watch));
            }
        }
        Err(disturbed())
    }

    /// Removes the blob `digest` from `name`. Other repositories keep it; its bytes stay until they are collected. Refused
    /// when a tagged manifest needs it (decision D4), itself or as a child of a tagged index, unless `force`: a client that pushes
    /// the image again would ask for the manifest only, find it, and leave the image broken.
    ///
    /// A client that deletes a whole image deletes its tags or its manifest first, as the specification's conformance suite
    /// does: then nothing needs the blobs any more. What only untagged manifests name may go, because these are
    /// garbage themselves.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`] when `name` does not have it, [`Error::DeleteDisabled`], [`Error::BlobNeeded`], [`Error::Busy`] and
    /// [`Error::Exhausted`] when other requests keep it waiting for too long; errors of the store.
    pub async fn delete_blob(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        digest: &Digest,
        force: bool,
    ) -> Result<()> {
        self.delete_blob_of(caller, name, digest, force, &EveryTag).await
    }

    /// As [`delete_blob`](Self::delete_blob), for a client with these `rights`: errors name no tag that it may not see.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn delete_blob_of(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        digest: &Digest,
        force: bool,
        rights: &dyn TagRights,
    ) -> Result<()> {
        self.require_delete()?;
        self.unlink_blob(name, digest, force, rights).await?;
        let deleted = || vec![EventKind::BlobDeleted { digest: *digest }];
        self.subscribers.changed(caller, name, deleted).await;
        Ok(())
    }

    /// What needs the blob is looked for without a lock, under a watch, as in [`remove_manifest`](Self::remove_manifest):
    /// a push of a manifest that names it locks it, and so disturbs the watch, and one of an index above such a manifest
    /// locks that.
    async fn unlink_blob(
        &self,
        name: &RepoName,
        digest: &Digest,
        force: bool,
        rights: &dyn TagRights,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let watch = if force {
                None
            } else {
                Some(self.require_not_needed(name, digest, rights).await?)
            };
            let lock = self.locks.lock_exclusive(digest).await?;
            if let Some(watch) = watch
                && watch.is_disturbed()
            {
                continue;
            }
            let looks_again = !force && self.must_look_again();
            let link = layout::layer_link(name, digest);
            let stored = match looks_again {
                true => self.tree.links.target(&link).await?,
                false => None,
            };
            let unlinked = lock.unlink_layer(name).await;
            if let Some(stored) = stored {
                let needing = self.manifests_above(name, digest).await?;
                if let Err(needed) = self.require_untagged(name, digest, &needing, rights).await {
                    lock.restore_layer(name, &stored).await?;
                    return Err(needed);
                }
            }
            return unlinked.map_err(|error| blob_unknown(error, digest));
        }
        Err(disturbed())
    }

    /// Checks that no tagged manifest of `name` needs the blob `digest`. That holds as long as the watch is not disturbed.
    async fn require_not_needed(
        &self,
        name: &RepoName,
        digest: &Digest,
        rights: &dyn TagRights,
    ) -> Result<Watch> {
        let above = || async {
            let link = layout::layer_link(name, digest);
            if self.tree.links.target(&link).await?.is_none() {
                return Err(Error::BlobUnknown { digest: *digest });
            }
            self.manifests_above(name, digest).await
        };
        let (needing, watch) = self.watch_with(digest, above).await?;
        self.require_untagged(name, digest, &needing, rights).await?;
        Ok(watch)
    }

    /// Refuses the deletion of the blob `digest` if one of the manifests `needing` has a tag.
    async fn require_untagged(
        &self,
        name: &RepoName,
        digest: &Digest,
        needing: &[Digest],
        rights: &dyn TagRights,
    ) -> Result<()> {
        if needing.is_empty() {
            return Ok(());
        }
        let (manifests, hides) = images(name, &self.tags_of(name, needing).await?, rights);
        if manifests.is_empty() && !hides {
            return Ok(());
        }
        Err(Error::BlobNeeded {
            digest: *digest,
            manifests,
            hides,
            may_force: rights.may_force(),
        })
    }

    /// The manifests of `name` that name the blob `digest`, and the indexes above them. The facts of manifests are remembered, so
    /// that this asks the store for next to nothing.
    async fn manifests_above(&self, name: &RepoName, digest: &Digest) -> Result<Vec<Digest>> {
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        // After the graph, which takes a turn of its own when it is read.
        let _turn = turn(&self.budget().graphs).await?;
        let mut found: Vec<Digest> = Vec::new();
        for manifests in graph.digests().chunks(PARALLEL) {
            let names_it = |manifest| self.has_manifest_naming(name, manifest, digest);
            let naming: Vec<bool> = in_parallel(manifests.iter().map(names_it)).await?;
            let naming = manifests.iter().zip(naming).filter(|(_, names_it)| *names_it);
            found.extend(naming.map(|(manifest, _)| *manifest));
        }
        let above = self.ancestors(name, &found, &graph).await?;
        found.extend(above);
        found.sort_unstable();
        Ok(found)
    }

    /// Whether `name` has the manifest `manifest`, and that names the blob `digest`.
    async fn has_manifest_naming(&self, name: &RepoName, manifest: &Digest, digest: &Digest) -> Result<bool> {
        let Some(facts) = self.tree.manifests.facts(manifest).await? else {
            return Ok(false);
        };
        // An entry of an index that has no media type may be a blob, too.
        let mut named = facts.blobs().chain(&facts.children);
        Ok(named.any(|named| named == digest) && self.has_revision(name, manifest).await?)
    }

    /// What the tag `tag` of `name` points at.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`] when there is no such tag; errors of the store.
    pub(crate) async fn require_tag(&self, name: &RepoName, tag: &Tag) -> Result<Digest> {
        let target = self.tree.links.target(&layout::tag_link(name, tag)).await?;
        target.ok_or_else(|| unknown(name, tag.as_str().to_owned(), None))
    }

    /// The tags of `name` that point at one of `digests`.
    async fn tags_of(&self, name: &RepoName, digests: &[Digest]) -> Result<HashMap<Digest, Vec<Pointer>>> {
        self.tree.tags.pointing_at(name, digests, &self.tree.links).await
    }

    /// The indexes of `name` that list one of `digests`, themselves or through an index between; each once, and none of
    /// `digests`.
    async fn ancestors(&self, name: &RepoName, digests: &[Digest], graph: &Graph) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        let mut seen: HashSet<Digest> = digests.iter().copied().collect();
        let mut next: Vec<Digest> = digests.iter().flat_map(|digest| graph.parents(digest)).collect();
        while let Some(parent) = next.pop() {
            if !seen.insert(parent) || !self.has_revision(name, &parent).await? {
                continue;
            }
            found.push(parent);
            next.extend(graph.parents(&parent));
        }
        Ok(found)
    }

    /// What the caller most likely wanted when `digest` is no manifest: older notes take the digest of the config for
    /// that of the image.
    async fn owner_of(
        &self,
        name: &RepoName,
        digest: &Digest,
        rights: &dyn TagRights,
    ) -> Result<Option<String>> {
        if !rights.may_see_repository() {
            return Ok(None);
        }
        let link = layout::layer_link(name, digest);
        if self.tree.links.target(&link).await?.is_none() {
            return Ok(None);
        }
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        let mut manifests = graph.digests();
        manifests.truncate(HINT_LIMIT);
        for manifests in manifests.chunks(PARALLEL) {
            let facts = in_parallel(manifests.iter().map(|digest| self.tree.manifests.facts(digest))).await?;
            for (manifest, facts) in manifests.iter().zip(facts) {
                let Some(facts) = facts else { continue };
                let is_config = facts.config.as_ref() == Some(digest);
                let is_part = is_config || facts.blobs().any(|blob| blob == digest);
                if !is_part || !self.has_revision(name, manifest).await? {
                    continue;
                }
                let role = if is_config { "config" } else { "layer" };
                let tags = self.tags_of(name, std::slice::from_ref(manifest)).await?;
                let tags = tags.get(manifest).map(Vec::as_slice).unwrap_or_default();
                let image = match tags.iter().find(|pointer| rights.may_see(&pointer.tag)) {
                    Some(Pointer { tag, .. }) => format!("`{name}:{tag}`"),
                    None => format!("an image of `{name}`"),
                };
                return Ok(Some(format!(
                    "that digest is a {role} of {image}; its manifest is `{manifest}`"
                )));
            }
        }
        Ok(Some(
            "that digest is a blob of this repository, not a manifest".to_owned(),
        ))
    }
}

/// `tags` without the list of the referrers of `subject`, which needs each only as long as it is there.
fn without_list(
    mut tags: HashMap<Digest, Vec<Pointer>>,
    subject: Option<&Digest>,
) -> HashMap<Digest, Vec<Pointer>> {
    let list = subject.map(referrers_tag);
    for tags in tags.values_mut() {
        tags.retain(|pointer| Some(&pointer.tag) != list.as_ref());
    }
    tags
}

/// Refuses a deletion with which one of these tags would go that the client may not delete. It is named if the client may see it.
fn require_deletable(tags: &[Pointer], rights: &dyn TagRights) -> Result<()> {
    let mut denied = tags.iter().map(|pointer| &pointer.tag);
    match denied.find(|tag| !rights.may_delete(tag)) {
        None => Ok(()),
        Some(tag) => Err(Error::TagDenied {
            tag: rights.may_see(tag).then(|| tag.clone()),
        }),
    }
}

/// Refuses the deletion of the manifest `digest` if there is one of these tags, which are those of indexes above it.
fn require_no_index(
    name: &RepoName,
    digest: &Digest,
    tags: &HashMap<Digest, Vec<Pointer>>,
    rights: &dyn TagRights,
) -> Result<()> {
    match images(name, tags, rights) {
        (indexes, false) if indexes.is_empty() => Ok(()),
        (indexes, hides) => Err(Error::NeededByIndex {
            digest: *digest,
            indexes,
            hides,
            may_force: rights.may_force(),
        }),
    }
}

/// The images that tags of `name` name, in ascending order, and whether there are others, with tags that are hidden from the client.
fn images(
    name: &RepoName,
    tags: &HashMap<Digest, Vec<Pointer>>,
    rights: &dyn TagRights,
) -> (Vec<String>, bool) {
    let (seen, hidden): (Vec<_>, Vec<_>) = tags
        .values()
        .flatten()
        .partition(|pointer| rights.may_see(&pointer.tag));
    let mut images: Vec<String> = seen
        .iter()
        .map(|pointer| format!("{name}:{}", pointer.tag))
        .collect();
    images.sort_unstable();
    (images, !hidden.is_empty())
}

fn disturbed() -> Error {
    Error::Busy {
        reason: "what is to be deleted is being pushed again and again",
    }
}

fn unknown(name: &RepoName, reference: String, hint: Option<String>) -> Error {
    Error::ManifestUnknown {
        name: name.clone(),
        reference,
        hint,
    }
}
