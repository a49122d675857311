//! Deleting a blob from a repository.

use wharf_oci::{Digest, RepoName};
use wharf_storage::layout;

use super::{ATTEMPTS, disturbed, refusals::images};
use crate::{
    blobs::blob_unknown,
    coordination::Watch,
    error::{Error, Result},
    events::{Caller, EventKind},
    patience::turn,
    registry::Registry,
    tag_rights::{EveryTag, TagRights},
    trash::record::{DeletedKind, Pointers, TrashId, TrashedLayer},
    tree::parallel::{PARALLEL, in_parallel},
};

impl Registry {
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
        self.unlink_blob(caller, name, digest, force, rights).await?;
        let deleted = || vec![EventKind::BlobDeleted { digest: *digest }];
        self.subscribers.changed(caller, name, deleted).await;
        Ok(())
    }

    /// What needs the blob is looked for without a lock, under a watch, as in [`remove_manifest`](Self::remove_manifest):
    /// a push of a manifest that names it locks it, and so disturbs the watch, and one of an index above such a manifest
    /// locks that.
    async fn unlink_blob(
        &self,
        caller: &dyn Caller,
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
            let record = self.record_layer(caller, name, digest).await?;
            let unlinked = lock.unlink_layer(name).await;
            if let Some(stored) = stored {
                let needing = self.manifests_above(name, digest).await?;
                if let Err(needed) = self.require_untagged(name, digest, &needing, rights).await {
                    lock.restore_layer(name, &stored).await?;
                    self.trash.take_back(record.as_ref()).await?;
                    return Err(needed);
                }
            }
            return unlinked.map_err(|error| blob_unknown(error, digest));
        }
        Err(disturbed())
    }

    /// Records the deletion of the link of the layer `digest`.
    async fn record_layer(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        digest: &Digest,
    ) -> Result<Option<TrashId>> {
        if !self.trash.is_kept() {
            return Ok(None);
        }
        let link = layout::layer_link(name, digest);
        let Some(stored) = self.tree.links.target(&link).await? else {
            return Ok(None);
        };
        let Some(since) = self.tree.links.since(&link).await? else {
            return Ok(None);
        };
        let pointers = Pointers {
            layers: vec![TrashedLayer {
                digest: *digest,
                stored: (stored != *digest).then_some(stored),
                since,
            }],
            ..Pointers::default()
        };
        self.trash.keep(caller, name, DeletedKind::Blob, pointers).await
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
        let (needing, watch) = self.watch_with(std::slice::from_ref(digest), above).await?;
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
}
