//! What is attached to the images of a list: signatures, SBOMs and the like, found by few requests for all of them.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::try_join;
use wharf_oci::{Digest, RepoName, Tag, referrers_subject};
use wharf_storage::layout;

use super::tags::TagWalk;
use crate::{
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    tag_rights::TagRights,
    tree::{graph::Graph, manifest::Purpose},
};

/// How many manifests a repository may have in which it is looked for: all of them are read, and remembered.
const MOST_MANIFESTS: usize = 2000;

/// How many artifacts are looked at, and how many of one image.
const ARTIFACTS: usize = 2000;
const OF_ONE: usize = 20;

/// How many tags are looked at that are made of digests.
const TAGS: usize = 1000;

/// What is attached to an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// The types of artifacts that refer to it.
    pub types: Vec<String>,
    /// The tags that are made of its digest, with an end such as `.sig`.
    pub tags: Vec<Tag>,
    /// Whether it is an index that lists attestations beside its images.
    pub has_attestations: bool,
}

/// What refers to the images of a repository.
#[derive(Debug)]
pub struct Attachments {
    graph: Arc<Graph>,
    /// Visible tags that are made of digests, by these.
    tags: HashMap<Digest, Vec<Tag>>,
}

impl Registry {
    /// What refers to the images of `name`, as far as a client with these `rights` may see it. `None`: the repository has too many manifests to
    /// look for it.
    ///
    /// On a bucket that takes listings of the manifests, and one of tags, however many images there are.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when too many lists are being made, or too many manifests are being read; errors of the store.
    pub async fn attachments(&self, name: &RepoName, rights: &dyn TagRights) -> Result<Option<Attachments>> {
        let _turn = turn(&self.budget().lists).await?;
        if !self.tree.graphs.is_small(name, MOST_MANIFESTS).await? {
            return Ok(None);
        }
        let graph = self.tree.graphs.of(name, &self.tree.manifests);
        let (graph, found) = try_join(graph, self.tags_of_digests(name)).await?;
        let mut tags: HashMap<Digest, Vec<Tag>> = HashMap::new();
        for tag in found.into_iter().filter(|tag| rights.may_see(tag)) {
            if let Some(digest) = subject_of(&tag) {
                tags.entry(digest).or_default().push(tag);
            }
        }
        Ok(Some(Attachments { graph, tags }))
    }

    /// What of `attachments` is attached to those of the manifests `digests` of `name` that have something.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn attached(
        &self,
        name: &RepoName,
        digests: &[Digest],
        attachments: &Attachments,
    ) -> Result<HashMap<Digest, Attached>> {
        let (mut attached, mut left) = (HashMap::new(), ARTIFACTS);
        for digest in digests {
            if attached.contains_key(digest) {
                continue;
            }
            let facts = self.tree.manifests.facts(digest).await?;
            let mut found = Attached {
                types: Vec::new(),
                tags: attachments.tags.get(digest).cloned().unwrap_or_default(),
                has_attestations: facts.is_some_and(|facts| facts.purposes.contains(&Purpose::Attestation)),
            };
            for referrer in attachments.graph.referrers(digest, None).take(OF_ONE.min(left)) {
                left -= 1;
                found.types.extend(self.type_of(name, &referrer.digest).await?);
            }
            if found != Attached::default() {
                attached.insert(*digest, found);
            }
        }
        Ok(attached)
    }

    /// The type of an artifact that refers to something; `None`: the repository has it no more.
    async fn type_of(&self, name: &RepoName, digest: &Digest) -> Result<Option<String>> {
        // On a bucket the listing has shown the link itself; on a directory, registry:2 leaves one without it.
        if !self.storage.is_shared() {
            let link = layout::revision_link(name, digest);
            if self.tree.links.target(&link).await?.is_none() {
                return Ok(None);
            }
        }
        let facts = self.tree.manifests.facts(digest).await?;
        let referrer = facts.as_ref().and_then(|facts| facts.referrer.as_deref());
        Ok(referrer.map(|referrer| referrer.artifact_type.clone().unwrap_or_default()))
    }

    /// The first tags that are made of digests: neighbours in the order of the names.
    async fn tags_of_digests(&self, name: &RepoName) -> Result<Vec<Tag>> {
        let mut walk = TagWalk::new(name, Some(BEFORE));
        let names = match self.next_tags(&mut walk, TAGS).await {
            Ok(names) => names.unwrap_or_default(),
            Err(Error::NameUnknown { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let tags = names.into_iter().map(|named| named.tag);
        Ok(tags.take_while(|tag| tag.as_str().starts_with(BEFORE)).collect())
    }
}

/// The beginning of tags that are made of digests.
const BEFORE: &str = "sha256-";

/// The digest that a tag such as `sha256-….sig` is made of.
fn subject_of(tag: &Tag) -> Option<Digest> {
    let (stem, _end) = tag.as_str().split_once('.')?;
    referrers_subject(&stem.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_with_an_end_is_made_of_a_digest() {
        let digest = Digest::sha256_of(b"image");
        let subject = |text: String| subject_of(&text.parse().unwrap());
        assert_eq!(subject(format!("sha256-{}.sig", digest.hex())), Some(digest));
        assert_eq!(
            subject(format!("sha256-{}", digest.hex())),
            None,
            "the list of referrers"
        );
        assert_eq!(subject("sha256-abc.sig".to_owned()), None);
        assert_eq!(subject("1.0".to_owned()), None);
    }
}
