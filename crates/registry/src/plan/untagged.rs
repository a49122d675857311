//! The manifests of a repository that no tag reaches, and what else leads to them.

use std::{
    collections::{HashMap, HashSet},
    time::SystemTime,
};

use wharf_message::Sentence;
use wharf_oci::{Digest, RepoName, Tag};

use super::{
    Staying,
    content::{Content, TagObject, each_tag_object},
    selection::{Needs, Wish, select},
    words::Unshown,
};
use crate::{
    error::Result,
    patience::turn,
    registry::Registry,
    tag_rights::{EveryTag, TagRights},
    tree::parallel::in_background,
};

/// How many indexes, and how many tags, are named for one manifest.
const NAMED: usize = 10;

/// A manifest that no tag reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreachedManifest {
    pub(crate) digest: Digest,
    /// When it came into the repository.
    pub(crate) since: SystemTime,
    /// The manifest that it is about.
    pub(crate) subject: Option<Digest>,
    /// Indexes that list it, which no tag reaches either: the first of them.
    pub(crate) listed_by: Vec<Digest>,
    /// How many manifests are about it.
    pub(crate) referrers: usize,
    /// Tags that pointed at it: the first of them.
    pub(crate) left_by: Vec<Tag>,
}

/// What no tag of a repository reaches.
#[derive(Debug, Default)]
pub(crate) struct Unreached {
    pub(crate) manifests: Vec<UnreachedManifest>,
    /// Why some may be missing.
    pub(crate) problem: Option<Sentence>,
}

impl Registry {
    /// The manifests of `name` that no tag reaches, in no order. Of the tags that pointed at them those are named that a client with these
    /// `rights` may see.
    ///
    /// # Errors
    ///
    /// [`Error::NameUnknown`](crate::Error::NameUnknown) when there is no such repository; [`Error::Exhausted`](crate::Error::Exhausted) when
    /// others read repositories for too long; errors of the store.
    pub(crate) async fn unreached(&self, name: &RepoName, rights: &dyn TagRights) -> Result<Unreached> {
        let _turn = turn(&self.budget().plans).await?;
        let content = Content::read(self, name).await?;
        let (mut manifests, problem) = in_background(move || gathered(&content)).await?;
        each_tag_object(&*self.storage, name, |tag, object, _since| {
            if let TagObject::Entry(digest) = object
                && let Some(manifest) = manifests.get_mut(&digest)
                && manifest.left_by.len() < NAMED
                && rights.may_see(tag)
            {
                manifest.left_by.push(tag.clone());
            }
        })
        .await?;
        Ok(Unreached {
            manifests: manifests.into_values().collect(),
            problem,
        })
    }
}

/// The manifests that no tag reaches, and why some may be missing.
fn gathered(content: &Content) -> (HashMap<Digest, UnreachedManifest>, Option<Sentence>) {
    let needs = Needs::of(content);
    let nothing_more = HashMap::new();
    let wish = Wish::TagsAndUntagged(&[], &nothing_more);
    let selection = select(content, &needs, &wish, &EveryTag);
    // Tags that are made of the digest of a manifest would go with it, and are tags all the same.
    let tagged: HashSet<&Digest> = selection.tags.values().collect();
    let unreached = selection
        .manifests
        .iter()
        .filter(|digest| !tagged.contains(digest));
    let manifests = unreached.map(|digest| UnreachedManifest {
        digest: *digest,
        since: content.since(digest),
        subject: content.facts(digest).and_then(|facts| facts.subject),
        listed_by: needs.listing(digest).take(NAMED).copied().collect(),
        referrers: needs.referrers_of(digest),
        left_by: Vec::new(),
    });
    let is_general = |staying: &&Staying| staying.tag.is_none() && staying.digest.is_none();
    let unknown = selection.stays.iter().find(is_general);
    (
        manifests.map(|manifest| (manifest.digest, manifest)).collect(),
        unknown.map(|staying| Sentence::from(Unshown::NotAll).explained(staying.why.clone())),
    )
}
