//! The manifests of a repository that no tag reaches, as a list shows them.

use std::time::SystemTime;

use wharf_message::Sentence;
use wharf_oci::{Digest, RepoName, Tag};

use super::{
    members::ImageSummary,
    order::{First, Order, Page, Place},
};
use crate::{
    error::Result, patience::turn, plan::UnreachedManifest, registry::Registry, tag_rights::TagRights,
};

/// The order of the list: names of manifests say nothing to their readers.
const ORDER: Order = Order::PushedDescending;

/// What is wanted of the manifests of a repository that no tag reaches.
#[derive(Debug, Clone, Copy)]
pub struct UntaggedWanted<'a> {
    /// The place after which the page begins; `None`: at the start. Places are those of [`Order::PushedDescending`].
    pub after: Option<&'a Place>,
    /// How many manifests the page has at most.
    pub limit: usize,
}

/// A page of the manifests of a repository that no tag reaches, those that came last first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntaggedList {
    /// The manifests.
    pub manifests: Vec<UntaggedRow>,
    /// How many there are on all pages.
    pub total: usize,
    /// The place after which the next page begins; `None` on the last one.
    pub next: Option<Place>,
    /// Why some are left out.
    pub problem: Option<Sentence>,
}

/// A manifest that no tag reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntaggedRow {
    /// Digest of the manifest.
    pub digest: Digest,
    /// When it came into the repository.
    pub pushed: SystemTime,
    /// The image.
    pub image: ImageSummary,
    /// The manifest that it is about: it is a signature of that, or the like.
    pub subject: Option<Digest>,
    /// Indexes that list it, which no tag reaches either: the first of them.
    pub listed_by: Vec<Digest>,
    /// How many manifests are about it.
    pub referrers: usize,
    /// Tags that pointed at it, and that the client may see: the first of them.
    pub left_by: Vec<Tag>,
}

impl Registry {
    /// The manifests of `name` that no tag reaches, for a client with these `rights`.
    ///
    /// All manifests of the repository are looked at, as by a deletion that is planned; what they say is remembered.
    ///
    /// # Errors
    ///
    /// [`Error::NameUnknown`](crate::Error::NameUnknown) when there is no such repository; [`Error::Exhausted`](crate::Error::Exhausted) when
    /// too many lists are being made; errors of the store.
    pub async fn list_untagged(
        &self,
        name: &RepoName,
        wanted: UntaggedWanted<'_>,
        rights: &dyn TagRights,
    ) -> Result<UntaggedList> {
        let unreached = self.unreached(name, rights).await?;
        let total = unreached.manifests.len();
        let mut first = First::new(ORDER, wanted.after, wanted.limit);
        for manifest in unreached.manifests {
            first.add(
                ORDER.place_of(&manifest.digest.to_string(), manifest.since),
                manifest,
            );
        }
        let Page { entries, next } = first.page();
        let _turn = turn(&self.budget().lists).await?;
        let digests = entries.iter().map(|manifest| manifest.digest).collect();
        let images = self.summaries(name, digests).await?;
        let rows = entries.into_iter().map(|manifest| {
            let UnreachedManifest {
                digest,
                since,
                subject,
                listed_by,
                referrers,
                left_by,
            } = manifest;
            UntaggedRow {
                image: images.of(&digest),
                digest,
                pushed: since,
                subject,
                listed_by,
                referrers,
                left_by,
            }
        });
        Ok(UntaggedList {
            manifests: rows.collect(),
            total,
            next,
            problem: unreached.problem,
        })
    }
}
