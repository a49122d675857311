//! Fallback tags (the specification's "Referrers Tag Schema"): an index under a tag made of a digest lists what refers to that
//! digest, for registries and clients without the referrers API.
//!
//! wharf finds referrers in the tree, and tells clients so, which therefore write no such tags. An operator who goes back to an older
//! registry writes them before, from what the tree has.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Serialize;
use wharf_oci::{
    Algorithm, Descriptor, Digest, ManifestKind, ManifestView, Reference, RepoName, Tag, media_type,
};

use crate::{
    error::{Error, Result},
    events::Caller,
    manifests::ManifestPush,
    precondition::Precondition,
    registry::Registry,
    tree::parallel::{PARALLEL, in_parallel},
};

/// The most characters of the digits of a digest in a fallback tag.
const DIGITS: usize = 64;

/// A fallback tag, and what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackTag {
    /// The tag, such as `sha256-` and 64 hex digits.
    pub tag: Tag,
    /// The manifests that it is to list.
    pub referrers: Vec<Descriptor>,
    /// The tag as it is now.
    pub state: FallbackState,
}

/// The state of a fallback tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackState {
    /// It lists what it is to list.
    Current,
    /// There is no such tag.
    Missing,
    /// It lists other manifests.
    Stale,
    /// It points at something that is no index, and stays as it is.
    Foreign,
}

impl FallbackTag {
    /// Whether it is to be written.
    pub fn is_due(&self) -> bool {
        matches!(self.state, FallbackState::Missing | FallbackState::Stale)
    }
}

impl Registry {
    /// The fallback tags that `name` is to have, and those that it has, in ascending order of the digests that they are made of. What a tag
    /// lists already stays listed as long as it is in the repository.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn fallback_tags(&self, name: &RepoName) -> Result<Vec<FallbackTag>> {
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        let mut subjects = BTreeSet::new();
        for manifests in graph.digests().chunks(4 * PARALLEL) {
            let facts = in_parallel(manifests.iter().map(|digest| self.tree.manifests.facts(digest))).await?;
            subjects.extend(facts.into_iter().flatten().filter_map(|facts| facts.subject));
        }
        let tags = self.tree.tags.all(name).await?;
        subjects.extend(tags.iter().filter_map(subject_of));
        let mut found = Vec::new();
        for subject in subjects {
            if let Some(tag) = tag_of(&subject) {
                found.extend(self.fallback_tag(name, &subject, tag).await?);
            }
        }
        Ok(found)
    }

    /// Points the tag at an index of its referrers.
    ///
    /// # Errors
    ///
    /// As [`put_manifest`](Self::put_manifest): of very many referrers the index is too large for a manifest.
    pub async fn write_fallback_tag(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        fallback: &FallbackTag,
    ) -> Result<()> {
        let index = Index {
            schema_version: 2,
            media_type: media_type::OCI_INDEX,
            manifests: &fallback.referrers,
        };
        let bytes = serde_json::to_vec(&index).map_err(|error| Error::ManifestInvalid {
            reason: error.to_string(),
        })?;
        let push = ManifestPush {
            reference: &Reference::Tag(fallback.tag.clone()),
            tags: &[],
            content_type: Some(media_type::OCI_INDEX),
            bytes: &Bytes::from(bytes),
            condition: &Precondition::default(),
        };
        self.put_manifest(caller, name, push).await.map(drop)
    }

    /// The fallback tag of `subject`; `None` when there is none and nothing to list.
    async fn fallback_tag(&self, name: &RepoName, subject: &Digest, tag: Tag) -> Result<Option<FallbackTag>> {
        let mut referrers = self.all_referrers(name, subject).await?;
        let state = match self.manifest(name, &Reference::Tag(tag.clone())).await {
            Err(Error::ManifestUnknown { .. }) if referrers.is_empty() => return Ok(None),
            Err(Error::ManifestUnknown { .. }) => FallbackState::Missing,
            Err(error) => return Err(error),
            Ok(manifest) => match ManifestView::parse_stored(&manifest.bytes) {
                Ok(view) if view.kind == ManifestKind::Index => {
                    self.add_listed(name, &view.manifests, &mut referrers).await?;
                    let digests = |list: &[Descriptor]| -> BTreeSet<Digest> {
                        list.iter().map(|descriptor| descriptor.digest).collect()
                    };
                    match digests(&view.manifests) == digests(&referrers) {
                        true => FallbackState::Current,
                        false => FallbackState::Stale,
                    }
                }
                _ => FallbackState::Foreign,
            },
        };
        Ok(Some(FallbackTag {
            tag,
            referrers,
            state,
        }))
    }

    async fn all_referrers(&self, name: &RepoName, subject: &Digest) -> Result<Vec<Descriptor>> {
        let mut found: Vec<Descriptor> = Vec::new();
        loop {
            let after = found.last().map(|descriptor| descriptor.digest);
            let page = self.referrers(name, subject, None, after.as_ref()).await?;
            found.extend(page.descriptors);
            if !page.more {
                return Ok(found);
            }
        }
    }

    /// Adds what a fallback tag lists already, and what is in the repository: a client may have put it there for a reason.
    async fn add_listed(
        &self,
        name: &RepoName,
        listed: &[Descriptor],
        referrers: &mut Vec<Descriptor>,
    ) -> Result<()> {
        for descriptor in listed {
            let is_new = referrers.iter().all(|known| known.digest != descriptor.digest);
            if is_new && self.has_revision(name, &descriptor.digest).await? {
                referrers.push(descriptor.clone());
            }
        }
        Ok(())
    }
}

/// The index under a fallback tag.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'a str,
    manifests: &'a [Descriptor],
}

/// The fallback tag of `subject`: `<algorithm>-<digits>`, cut off after 64 digits.
fn tag_of(subject: &Digest) -> Option<Tag> {
    let hex = subject.hex();
    let digits = hex.as_str();
    let digits = &digits[..digits.len().min(DIGITS)];
    format!("{}-{digits}", subject.algorithm()).parse().ok()
}

/// The digest that a fallback tag is made of, if it is one, and not cut off.
fn subject_of(tag: &Tag) -> Option<Digest> {
    let digits = tag.as_str().strip_prefix("sha256-")?;
    format!("{}:{digits}", Algorithm::Sha256).parse().ok()
}
