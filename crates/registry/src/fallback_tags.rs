//! Fallback tags (the specification's "Referrers Tag Schema"): an index under a tag made of a digest lists what refers to that
//! digest, for registries and clients without the referrers API.
//!
//! wharf finds referrers in the tree, and tells clients so, which therefore write no such tags. An operator who goes back to an older
//! registry writes them before, from what the tree has; with [`Options::referrers_tags`] they are always there.
//!
//! # A fallback tag never goes stale
//!
//! - **A push of a referrer** is acknowledged after the tag of its subject lists it: if there is one, or the option wants one. A push
//!   of the tag itself, by a client that keeps such tags, is completed with the referrers that it leaves out.
//! - **A deletion of a referrer** takes it from the list first: nothing ever points at a manifest that is gone (invariant I3).
//!   The list needs its referrers only as long as they are there, so it does not keep them from being deleted. No update lists what is
//!   being deleted; when the deletion has ended, well or not, the list is brought up to date again.
//! - **An entry that is no referrer**, which only a client can have put there, stays as long as its content is in the
//!   repository. A tag that is no index stays as it is. A tag whose last referrer went keeps an empty index: it is still kept
//!   up to date.
//!
//! No lock is held while the referrers are looked for. A list is written on condition that the tag still points at what it
//! pointed at *before* they were looked for, and all that it names is checked under the locks of any push. So of two writers, in one
//! process or in two, the second one fails and looks again, and sees what the first one saw, and its own referrer. After a
//! write the writer looks once more, because a manifest may have been removed by another process meanwhile.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use wharf_budget::Permit;
use wharf_oci::{
    Algorithm, Descriptor, Digest, ManifestKind, ManifestView, Reference, RepoName, Tag, media_type,
    referrers_subject, referrers_tag,
};
use wharf_storage::layout;

use crate::{
    error::{Error, Result},
    manifests::ManifestPush,
    patience::turn,
    precondition::{Matching, Precondition},
    registry::Registry,
    tree::{
        manifest::{INLINE, StoredManifest},
        parallel::{PARALLEL, in_parallel, in_turn},
    },
};

#[cfg(doc)]
use crate::registry::Options;

/// How often a tag is written anew because what it is to list changed meanwhile.
const ATTEMPTS: usize = 32;

/// How many times the size of its entries it takes to make an index: descriptors, and their text.
const EXPANSION: usize = 3;

/// A fallback tag, and what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackTag {
    /// The tag, such as `sha256-` and 64 hex digits.
    pub tag: Tag,
    /// The manifests that it is to list.
    pub referrers: Vec<Descriptor>,
    /// Whether further manifests are left out, because the index of all of them would be too large for a manifest.
    pub is_cut: bool,
    /// The tag as it is now.
    pub state: FallbackState,
    /// What the tag pointed at before its referrers were looked for.
    current: Option<Digest>,
    /// The index of the referrers.
    index: Bytes,
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
        subjects.extend(tags.iter().filter_map(referrers_subject));
        let mut found = Vec::new();
        for subject in subjects {
            let charges = &mut Vec::new();
            found.extend(
                self.fallback_tag(name, &subject, &HashSet::new(), charges)
                    .await?,
            );
        }
        Ok(found)
    }

    /// Points the tag at an index of its referrers. That is no event: the pushes of the referrers were.
    ///
    /// # Errors
    ///
    /// As [`prepare_manifest`](Self::prepare_manifest): [`Error::PreconditionFailed`] when the tag has moved since it was looked
    /// at, [`Error::ManifestReferencesUnknown`] when a referrer has gone since.
    pub async fn write_fallback_tag(&self, name: &RepoName, fallback: &FallbackTag) -> Result<()> {
        let mut condition = Precondition::default();
        match fallback.current {
            Some(digest) => condition.if_match = Some(Matching::These(vec![digest])),
            None => condition.if_none_match = Some(Matching::Any),
        }
        let push = ManifestPush {
            reference: &Reference::Tag(fallback.tag.clone()),
            tags: &[],
            content_type: Some(media_type::OCI_INDEX),
            bytes: &fallback.index,
            condition: &condition,
            creates_only: false,
        };
        let prepared = self.prepare_manifest(name, push).await?;
        let index = self.publish_silently(prepared).await?;
        if self.must_look_again() {
            let tag = std::slice::from_ref(&fallback.tag);
            self.restore_entries(name, &index.digest, tag).await?;
        }
        Ok(())
    }

    /// Brings the fallback tags up to date that a push of a manifest may leave stale: that of its `subject`, and those among its own
    /// `tags`. For other manifests that is no work at all.
    ///
    /// # Errors
    ///
    /// As [`update_fallback_tag`](Self::update_fallback_tag).
    pub(crate) async fn update_fallback_tags(
        &self,
        name: &RepoName,
        subject: Option<&Digest>,
        tags: &[Tag],
    ) -> Result<()> {
        let own = tags.iter().filter_map(referrers_subject);
        for subject in own.chain(subject.copied()) {
            self.update_fallback_tag(name, &subject).await?;
        }
        Ok(())
    }

    /// Brings the fallback tag of `subject` up to date, if there is one or there is to be one. It does not list manifests
    /// that are [leaving](crate::fallback_turns::FallbackTurns::leave).
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] and [`Error::Exhausted`] when other requests keep it waiting for too long; errors of the store.
    pub(crate) async fn update_fallback_tag(&self, name: &RepoName, subject: &Digest) -> Result<()> {
        if !self.options.referrers_tags && !self.has_fallback_tag(name, subject).await? {
            return Ok(());
        }
        let Some(turn) = self.fallback_turns.take(name, subject).await? else {
            return Ok(());
        };
        Box::pin(self.write_until_current(name, subject)).await?;
        turn.succeed(name, subject);
        Ok(())
    }

    /// Whether `name` has fallback tags, or is to have them.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn has_fallback_tags(&self, name: &RepoName) -> Result<bool> {
        if self.options.referrers_tags {
            return Ok(true);
        }
        for algorithm in Algorithm::ALL {
            if self
                .tree
                .tags
                .any_begins_with(name, &format!("{algorithm}-"))
                .await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn has_fallback_tag(&self, name: &RepoName, subject: &Digest) -> Result<bool> {
        let link = layout::tag_link(name, &referrers_tag(subject));
        Ok(self.tree.links.target(&link).await?.is_some())
    }

    /// Writes the fallback tag of `subject` until a look finds that nothing is to be done.
    async fn write_until_current(&self, name: &RepoName, subject: &Digest) -> Result<()> {
        let mut gone = HashSet::new();
        for _ in 0..ATTEMPTS {
            let mut charges = Vec::new();
            let omitted = &self.fallback_turns.leaving(name) | &gone;
            let found = self.fallback_tag(name, subject, &omitted, &mut charges).await?;
            let Some(fallback) = found.filter(FallbackTag::is_due) else {
                return Ok(());
            };
            // A client deleted the tag meanwhile.
            if fallback.current.is_none() && !self.options.referrers_tags {
                return Ok(());
            }
            match self.write_fallback_tag(name, &fallback).await {
                Ok(()) if fallback.is_cut => tracing::warn!(
                    repository = %name,
                    tag = %fallback.tag,
                    listed = fallback.referrers.len(),
                    "a fallback tag cannot list all referrers, because the index would be too large for a manifest; registries without the referrers API will not find the rest"
                ),
                Ok(()) | Err(Error::PreconditionFailed { .. }) => {}
                // Removed meanwhile, or damaged, and so absent as well.
                Err(Error::ManifestReferencesUnknown(missing)) => {
                    gone.extend(missing.iter().map(|missing| missing.digest));
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Busy {
            reason: "the list of referrers of the same manifest is being changed again and again",
        })
    }

    /// The fallback tag of `subject`, without the manifests in `omitted`; `None` when there is none and nothing to list. What
    /// it takes is charged to the budget until `charges` are dropped.
    async fn fallback_tag(
        &self,
        name: &RepoName,
        subject: &Digest,
        omitted: &HashSet<Digest>,
        charges: &mut Vec<Permit>,
    ) -> Result<Option<FallbackTag>> {
        let tag = referrers_tag(subject);
        // Before the referrers: then a change by another writer makes the write fail, and the list not incomplete.
        let current = self.tree.links.target(&layout::tag_link(name, &tag)).await?;
        let (mut referrers, is_cut) = self.all_referrers(name, subject, charges).await?;
        referrers.retain(|referrer| !omitted.contains(&referrer.digest));
        let listed = match &current {
            Some(digest) => self.listed_by(name, digest).await?,
            None => Listed::Nothing,
        };
        let before = match listed {
            Listed::Nothing if referrers.is_empty() => return Ok(None),
            Listed::Nothing | Listed::Foreign => None,
            Listed::Entries(ref index, ref digests) => {
                let others = self.others(name, index, digests, &referrers, omitted).await?;
                referrers.extend(others);
                Some(digests.iter().copied().collect::<HashSet<Digest>>())
            }
        };
        let count = referrers.len();
        let (referrers, index) = self.index(referrers).await?;
        let is_listed = |before: &HashSet<Digest>| {
            before.len() == referrers.len()
                && referrers.iter().all(|referrer| before.contains(&referrer.digest))
        };
        let state = match (&listed, &before) {
            (Listed::Foreign, _) => FallbackState::Foreign,
            (_, None) => FallbackState::Missing,
            (_, Some(before)) if is_listed(before) => FallbackState::Current,
            (_, Some(_)) => FallbackState::Stale,
        };
        Ok(Some(FallbackTag {
            tag,
            is_cut: is_cut || referrers.len() < count,
            referrers,
            state,
            current,
            index,
        }))
    }

    /// What the manifest `digest`, at which a fallback tag points, lists.
    async fn listed_by(&self, name: &RepoName, digest: &Digest) -> Result<Listed> {
        let index = match self.manifest(name, &Reference::Digest(*digest)).await {
            Ok(index) => index,
            Err(Error::ManifestUnknown { .. }) => return Ok(Listed::Nothing),
            Err(error) => return Err(error),
        };
        if ManifestKind::of(&index.media_type) != ManifestKind::Index {
            return Ok(Listed::Foreign);
        }
        let facts = self.tree.manifests.facts(digest).await?;
        Ok(facts.map_or(Listed::Foreign, |facts| {
            Listed::Entries(index, facts.entries().copied().collect())
        }))
    }

    /// The referrers of `subject`, and whether there are more than fit into a manifest: these are left out.
    async fn all_referrers(
        &self,
        name: &RepoName,
        subject: &Digest,
        charges: &mut Vec<Permit>,
    ) -> Result<(Vec<Descriptor>, bool)> {
        let (mut found, mut size): (Vec<Descriptor>, usize) = Default::default();
        loop {
            let after = found.last().map(|descriptor| descriptor.digest);
            let mut page = self.referrers(name, subject, None, after.as_ref()).await?;
            let added: usize = page.descriptors.iter().map(least_size).sum();
            if added > INLINE {
                charges.push(self.budget().bodies.take(EXPANSION * added)?);
            }
            size += added;
            found.append(&mut page.descriptors);
            if !page.more || size > self.options.manifest_limit {
                return Ok((found, page.more));
            }
        }
    }

    /// The entries of `index`, whose digests are `listed`, that are not among `referrers` and in the repository: a client may have
    /// put them there for a reason.
    async fn others(
        &self,
        name: &RepoName,
        index: &StoredManifest,
        listed: &[Digest],
        referrers: &[Descriptor],
        omitted: &HashSet<Digest>,
    ) -> Result<Vec<Descriptor>> {
        let known: HashSet<Digest> = referrers.iter().map(|referrer| referrer.digest).collect();
        let others = listed
            .iter()
            .filter(|digest| !known.contains(digest) && !omitted.contains(digest));
        let others: Vec<Digest> = others.copied().collect();
        let present: Vec<bool> =
            in_parallel(others.iter().map(|digest| self.has_content(name, digest))).await?;
        let present = others.iter().zip(present).filter(|(_, is_present)| *is_present);
        let mut wanted: HashSet<Digest> = present.map(|(digest, _)| *digest).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = index.bytes.clone();
        let view = if bytes.len() > INLINE {
            let turn = turn(&self.budget().large_reads).await?;
            in_turn(turn, move || ManifestView::parse_stored(&bytes)).await?
        } else {
            ManifestView::parse_stored(&bytes)
        };
        // Each once, where it occurs first.
        let entries = view.map(|view| view.manifests).unwrap_or_default().into_iter();
        Ok(entries.filter(|entry| wanted.remove(&entry.digest)).collect())
    }

    /// Whether `name` has the manifest or the blob `digest`.
    async fn has_content(&self, name: &RepoName, digest: &Digest) -> Result<bool> {
        let layer = layout::layer_link(name, digest);
        Ok(self.has_revision(name, digest).await? || self.tree.links.target(&layer).await?.is_some())
    }

    /// The index of as many of `referrers` as fit into a manifest, with these.
    async fn index(&self, mut referrers: Vec<Descriptor>) -> Result<(Vec<Descriptor>, Bytes)> {
        let limit = self.options.manifest_limit;
        let is_large = referrers.iter().map(least_size).sum::<usize>() > INLINE;
        let write = move || {
            let (index, listed) = write_index(&referrers, limit)?;
            referrers.truncate(listed);
            Ok((referrers, index))
        };
        let written: serde_json::Result<_> = if is_large {
            let turn = turn(&self.budget().large_reads).await?;
            in_turn(turn, write).await?
        } else {
            write()
        };
        written.map_err(|error| Error::ManifestInvalid {
            reason: error.to_string(),
        })
    }
}

/// What the manifest at which a fallback tag points lists.
enum Listed {
    /// There is no such manifest.
    Nothing,
    /// It is no index.
    Foreign,
    /// The entries of an index, each once.
    Entries(Arc<StoredManifest>, Vec<Digest>),
}

/// The index of the first of `referrers`, as many as fit into `limit` bytes, with their number.
fn write_index(referrers: &[Descriptor], limit: usize) -> serde_json::Result<(Bytes, usize)> {
    let end = "]}";
    let mut index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":["#,
        media_type::OCI_INDEX
    );
    let mut listed = 0;
    for referrer in referrers {
        let entry = serde_json::to_string(referrer)?;
        if index.len() + 1 + entry.len() + end.len() > limit {
            break;
        }
        if listed > 0 {
            index.push(',');
        }
        index.push_str(&entry);
        listed += 1;
    }
    index.push_str(end);
    Ok((Bytes::from(index), listed))
}

/// A size that the entry of a referrer in an index has at least, in bytes.
fn least_size(referrer: &Descriptor) -> usize {
    let pairs = referrer.annotations.iter().flatten();
    let annotations: usize = pairs.map(|(key, value)| key.len() + value.len()).sum();
    let artifact_type = referrer.artifact_type.as_ref().map_or(0, String::len);
    100 + referrer.media_type.len() + artifact_type + annotations
}
