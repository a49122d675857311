//! Removing the layer links of a repository that is deleted, and the directories that are left of it.

use std::collections::HashSet;

use wharf_oci::{Digest, RepoName};
use wharf_storage::{Key, Removal, layout};

use super::{
    Applied, Staying,
    making::{LayerLink, Made},
    words::Stays,
};
use crate::{
    delete::ATTEMPTS,
    error::{Error, Result},
    registry::Registry,
    trash::TrashedLayer,
    tree::{
        directory::{by_digest, names},
        parallel::{PARALLEL, in_parallel},
    },
};

/// How many links go at once.
const STEP: usize = 64;

impl Registry {
    /// Removes the layer links of a plan, as far as they are as old as the plan and no manifest of the repository names them.
    ///
    /// The argument is that of a deletion of a blob: a push of a manifest takes the shared lock on all that it names before it looks
    /// for it, and so does an upload or a mount, which writes the link anew. What was granted its lock before the watch began
    /// is seen, what comes later disturbs the watch, or finds the link gone and sends the blob again. A link that was written since the
    /// plan was made belongs to a push whose manifest is still to come, and stays. Returns the links that went.
    ///
    /// # Errors
    ///
    /// Errors of the store; [`Error::Busy`] when other requests keep it waiting for too long.
    pub(super) async fn remove_planned_layers(
        &self,
        made: &Made,
        applied: &mut Applied,
    ) -> Result<Vec<TrashedLayer>> {
        let name = &made.plan.repository;
        let mut gone = Vec::new();
        for step in made.layers.chunks(STEP) {
            gone.extend(self.remove_layer_step(name, step).await?);
        }
        applied.layers = gone.len();
        let n = made.layers.len() - gone.len();
        if n > 0 {
            applied.stayed.push(Staying::other(Stays::LayersInUse { n }));
        }
        Ok(gone)
    }

    async fn remove_layer_step(&self, name: &RepoName, step: &[LayerLink]) -> Result<Vec<TrashedLayer>> {
        let digests: Vec<Digest> = step.iter().map(|link| link.layer.digest).collect();
        for _ in 0..ATTEMPTS {
            let watch = self.locks.watch(&digests).await?;
            let named = self.named_by_now(name, &digests).await?;
            let lock = self.locks.lock_step(&digests).await?;
            if watch.is_disturbed() {
                continue;
            }
            let unchanged = in_parallel(step.iter().map(|link| self.is_unchanged(name, link))).await?;
            let going = step.iter().zip(unchanged);
            let going =
                going.filter(|(link, is_unchanged)| *is_unchanged && !named.contains(&link.layer.digest));
            let mut gone: Vec<TrashedLayer> = going.map(|(link, _)| link.layer.clone()).collect();
            let going: Vec<Digest> = gone.iter().map(|layer| layer.digest).collect();
            lock.unlink_layers(name, &going).await?;
            if self.must_look_again() {
                let named = self.named_by_now(name, &going).await?;
                let (needed, rest) = gone.into_iter().partition(|layer| named.contains(&layer.digest));
                let needed: Vec<TrashedLayer> = needed;
                lock.restore_layers(name, &needed).await?;
                gone = rest;
            }
            return Ok(gone);
        }
        Ok(Vec::new())
    }

    /// Whether the link of a layer is the one that the plan saw.
    async fn is_unchanged(&self, name: &RepoName, link: &LayerLink) -> Result<bool> {
        match self
            .storage
            .stat(&layout::layer_link(name, &link.layer.digest))
            .await
        {
            Ok(stat) => Ok(match (&stat.version, &link.version) {
                (Some(now), Some(before)) => now == before,
                _ => stat.modified == link.layer.since,
            }),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Those of `digests` that a manifest of `name` names at this moment.
    async fn named_by_now(&self, name: &RepoName, digests: &[Digest]) -> Result<HashSet<Digest>> {
        let wanted: HashSet<Digest> = digests.iter().copied().collect();
        let mut named = HashSet::new();
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        for manifests in graph.digests().chunks(PARALLEL) {
            let facts = manifests.iter().map(|digest| async {
                match self.has_revision(name, digest).await? {
                    true => self.tree.manifests.facts(digest).await,
                    false => Ok::<_, Error>(None),
                }
            });
            for facts in in_parallel(facts).await?.into_iter().flatten() {
                named.extend(facts.all().filter(|digest| wanted.contains(digest)).copied());
            }
        }
        Ok(named)
    }

    /// Removes the directories of a repository that has nothing any more, as far as they are empty. Its unfinished uploads stay, and
    /// so do repositories below it.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn remove_empty_directories(&self, name: &RepoName) -> Result<()> {
        let mut empty = vec![
            layout::tags(name),
            layout::uploads(name),
            layout::repository(name),
        ];
        for links in [layout::revisions(name), layout::layers(name)] {
            // registry:2 leaves the directory of a link behind that it removes.
            let found = by_digest(&*self.storage, &links).await?;
            for digest in &found.digests {
                let algorithm = links.join(digest.algorithm().as_str());
                empty.extend(algorithm.and_then(|algorithm| algorithm.join(digest.hex().as_str())));
            }
            for algorithm in names(&*self.storage, &links).await? {
                empty.extend(links.join(&algorithm.name));
            }
            empty.push(links);
        }
        // There is nothing at these keys: it is the directories above them that go.
        let nothing = |directory: Key| directory.join("nothing").ok();
        for key in empty.into_iter().filter_map(nothing) {
            let keep = layout::repositories();
            self.storage.remove_many(&[Removal { key, keep }]).await?;
        }
        Ok(())
    }
}
