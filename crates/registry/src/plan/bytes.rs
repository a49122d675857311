//! The bytes of what a plan removes: those that come free, and those that something else needs.

use std::collections::{HashMap, HashSet};

use wharf_oci::{Algorithm, Digest, RepoName};
use wharf_storage::layout;

use super::{
    Deletion, Plan, PlannedBytes,
    content::Content,
    making::{LayerLink, Made},
};
use crate::{
    collect::{needs, survey},
    error::{Error, Result},
    registry::Registry,
    tag_rights::TagRights,
    tree::{link::Link, manifest::Facts, parallel::in_parallel},
};

/// What the bytes of a plan depend on: the blobs that its repository would not need any more, and those that it does.
///
/// Both are the digests under which the blobs are stored.
#[derive(Debug)]
pub(super) struct Loss {
    repository: RepoName,
    wanted: HashSet<Digest>,
    kept: HashSet<Digest>,
}

impl Loss {
    /// The same where nothing goes after all.
    pub(super) fn of_nothing(mut self) -> Self {
        self.kept.extend(self.wanted.drain());
        self
    }

    /// How many digests it has in memory.
    pub(super) fn size(&self) -> usize {
        self.wanted.len() + self.kept.len()
    }
}

impl Registry {
    /// The plan of `deletion`, and what the repository would not need any more. The caller has its turn at plans.
    ///
    /// # Errors
    ///
    /// As [`plan_deletion`](Self::plan_deletion).
    pub(super) async fn plan_and_loss(
        &self,
        name: &RepoName,
        deletion: &Deletion,
        rights: &dyn TagRights,
    ) -> Result<(Plan, Loss)> {
        let (made, content) = self.make_plan(name, deletion, rights).await?;
        let Made { plan, layers, .. } = made;
        let loss = self.loss_of(&plan, &content, &layers).await?;
        Ok((plan, loss))
    }

    /// What the repository of `plan` would not need any more.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    async fn loss_of(&self, plan: &Plan, content: &Content, layers: &[LayerLink]) -> Result<Loss> {
        let name = &plan.repository;
        let going: HashSet<Digest> = plan.manifests.iter().map(|manifest| manifest.digest).collect();
        let staying = content
            .survey
            .revisions
            .iter()
            .filter(|digest| !going.contains(digest));
        let mut wanted = named(content, going.iter());
        wanted.extend(layers.iter().map(|link| link.layer.digest));
        let kept = named(content, staying);
        let elsewhere = self.stored_elsewhere(name, wanted.iter().chain(&kept)).await?;
        Ok(Loss {
            repository: name.clone(),
            wanted: stored(&wanted, &elsewhere),
            kept: stored(&kept, &elsewhere),
        })
    }

    /// The bytes of several plans that are applied together, and how many of them come free for each.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn bytes_of(&self, losses: &[Loss]) -> Result<(PlannedBytes, Vec<u64>)> {
        let wanted: HashSet<Digest> = losses
            .iter()
            .flat_map(|loss| loss.wanted.iter().copied())
            .collect();
        let sizes = self.stored_sizes(wanted).await?;
        let of = |digests: &mut dyn Iterator<Item = &Digest>| -> u64 {
            digests.filter_map(|digest| sizes.get(digest)).sum()
        };
        let is_kept = |digest: &Digest| losses.iter().any(|loss| loss.kept.contains(digest));
        let (here, wanted): (HashSet<Digest>, HashSet<Digest>) = sizes.keys().copied().partition(is_kept);
        let names = losses.iter().map(|loss| loss.repository.as_str().into());
        let needs = needs::of(
            &self.storage,
            &self.tree.manifests,
            &self.trash,
            names.collect(),
            wanted.clone(),
        )
        .await;
        let is_free = |digest: &Digest| !needs.shared.contains(digest) && !needs.in_trash.contains(digest);
        let free: HashSet<Digest> = wanted.into_iter().filter(is_free).collect();
        let of_each = losses
            .iter()
            .map(|loss| of(&mut loss.wanted.iter().filter(|digest| free.contains(digest))));
        let of_each = of_each.collect();
        let bytes = PlannedBytes {
            free: of(&mut free.iter()),
            blobs: free.len(),
            shared: of(&mut here.iter()) + of(&mut needs.shared.iter()),
            shared_with: needs.repositories,
            in_trash: of(&mut needs.in_trash.iter()),
            uncertain: needs.uncertain,
        };
        Ok((bytes, of_each))
    }

    /// The digests under which `named` are stored, where these are others: registry:2 stores by SHA-256 what it was sent by SHA-512.
    async fn stored_elsewhere(
        &self,
        name: &RepoName,
        named: impl Iterator<Item = &Digest>,
    ) -> Result<HashMap<Digest, Digest>> {
        let named = named.filter(|digest| digest.algorithm() == Algorithm::Sha512);
        let named: HashSet<Digest> = named.copied().collect();
        let repository = name.clone();
        let links = survey::links(&self.storage, named.into_iter().collect(), move |digest| {
            layout::layer_link(&repository, digest)
        });
        let elsewhere = links.await?.into_iter().filter_map(|(digest, link)| match link {
            Link::Points(stored) if stored != digest => Some((digest, stored)),
            Link::Points(_) | Link::Absent | Link::Damaged(_) => None,
        });
        Ok(elsewhere.collect())
    }

    /// The sizes of those of `blobs` that are stored.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn stored_sizes(&self, blobs: HashSet<Digest>) -> Result<HashMap<Digest, u64>> {
        let sizes = in_parallel(blobs.into_iter().map(|digest| async move {
            match self.storage.stat(&layout::blob(&digest)).await {
                Ok(stat) => Ok(Some((digest, stat.size))),
                Err(error) if error.is_not_found() => Ok::<_, Error>(None),
                Err(error) => Err(error.into()),
            }
        }));
        Ok(sizes.await?.into_iter().flatten().collect())
    }
}

/// Some manifests of a repository, and all that they name.
fn named<'a>(content: &Content, manifests: impl Iterator<Item = &'a Digest>) -> HashSet<Digest> {
    let mut named = HashSet::new();
    for digest in manifests {
        named.insert(*digest);
        let facts = content.survey.manifests.get(digest);
        named.extend(facts.into_iter().flat_map(|facts| needed(facts)));
    }
    named
}

/// What a manifest cannot be used without. It can without its subject.
fn needed(facts: &Facts) -> impl Iterator<Item = Digest> {
    facts.children.iter().chain(facts.blobs()).copied()
}

/// The digests that hold the bytes of `named`: those themselves, and where they are stored under another digest.
fn stored(named: &HashSet<Digest>, elsewhere: &HashMap<Digest, Digest>) -> HashSet<Digest> {
    let targets = named.iter().filter_map(|digest| elsewhere.get(digest));
    named.iter().chain(targets).copied().collect()
}
