//! The history of a tag: the manifests at which it pointed, and the way back to one of them.
//!
//! Each push of a tag writes a link into the tag's history, so the time of that link is when the tag last came to point at its
//! digest: in whole seconds on a bucket. A history ends with its tag. A manifest of a history is kept like any other untagged
//! manifest, so it may be gone.

use std::{cmp::Reverse, collections::BinaryHeap, time::SystemTime};

use wharf_oci::{Digest, Reference, RepoName, Tag};
use wharf_storage::layout;

use crate::{
    error::{Error, Result},
    events::Caller,
    manifests::{ManifestPush, PushedManifest},
    precondition::Precondition,
    registry::Registry,
    tree::{histories::digest_of, parallel::in_parallel},
};

/// How many links are asked of the store at once.
const PAGE: usize = 1000;

/// The newest part of the history of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The manifests at which the tag pointed, the latest first.
    pub entries: Vec<PastManifest>,
    /// At how many it pointed in all.
    pub total: usize,
}

/// A manifest at which a tag points, or pointed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastManifest {
    /// Digest of the manifest.
    pub digest: Digest,
    /// When the tag last came to point at it.
    pub since: SystemTime,
    /// Whether the tag points at it now.
    pub is_current: bool,
    /// Whether the repository still has it.
    pub is_there: bool,
}

impl Registry {
    /// At which manifests `tag` of `name` points, and pointed before: the `limit` latest.
    ///
    /// Reads the whole history, and keeps no more of it in memory than it answers.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`] when there is no such tag; errors of the store.
    pub async fn tag_history(&self, name: &RepoName, tag: &Tag, limit: usize) -> Result<History> {
        let current = self.require_tag(name, tag).await?;
        let mut newest = Newest::of(limit);
        let mut has_current = false;
        let (directory, mut after) = (layout::tag_history(name, tag), None);
        loop {
            let page = self.storage.scan(&directory, after.as_ref(), PAGE).await?;
            for link in &page.objects {
                let Some(digest) = digest_of(&link.key) else {
                    continue;
                };
                has_current |= digest == current;
                newest.add(digest, link.stat.modified, digest == current);
            }
            after = page.objects.last().map(|link| link.key.clone());
            if !page.more || after.is_none() {
                break;
            }
        }
        if !has_current {
            // Other tools write tags without a history.
            let link = self.storage.stat(&layout::tag_link(name, tag)).await?;
            newest.add(current, link.modified, true);
        }
        let total = newest.total;
        let entries = newest.latest_first();
        let there = entries
            .iter()
            .map(|(_, _, digest)| self.has_revision(name, digest));
        let there: Vec<bool> = in_parallel(there).await?;
        let entries = entries.into_iter().zip(there);
        let entries = entries.map(|((since, is_current, digest), is_there)| PastManifest {
            digest,
            since,
            is_current,
            is_there,
        });
        Ok(History {
            entries: entries.collect(),
            total,
        })
    }

    /// Lets `tag` of `name` point again at `digest`, at which it pointed before, if it now points at what `condition` demands. It is a
    /// push like any other, with its checks and its event.
    ///
    /// # Errors
    ///
    /// [`Error::NotInHistory`] when the tag never pointed at it; [`Error::ManifestUnknown`] when there is no such tag, or the manifest
    /// is gone; those of
    /// [`put_manifest`](Self::put_manifest).
    pub async fn restore_tag(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        (tag, digest): (&Tag, &Digest),
        condition: &Precondition,
        creates_only: bool,
    ) -> Result<PushedManifest> {
        match self
            .storage
            .stat(&layout::tag_history_link(name, tag, digest))
            .await
        {
            Err(error) if error.is_not_found() => {
                self.require_tag(name, tag).await?;
                return Err(Error::NotInHistory {
                    name: name.clone(),
                    tag: tag.clone(),
                    digest: *digest,
                });
            }
            found => found?,
        };
        let manifest = self.manifest(name, &Reference::Digest(*digest)).await?;
        let push = ManifestPush {
            reference: &Reference::Tag(tag.clone()),
            tags: &[],
            content_type: Some(&manifest.media_type),
            bytes: &manifest.bytes,
            condition,
            creates_only,
        };
        self.put_manifest(caller, name, push).await
    }
}

/// The latest of some digests, with their times.
struct Newest {
    limit: usize,
    total: usize,
    /// The current one is later than all others of its second.
    heap: BinaryHeap<Reverse<(SystemTime, bool, Digest)>>,
}

impl Newest {
    fn of(limit: usize) -> Self {
        Self {
            limit,
            total: 0,
            heap: BinaryHeap::new(),
        }
    }

    fn add(&mut self, digest: Digest, since: SystemTime, is_current: bool) {
        self.total += 1;
        self.heap.push(Reverse((since, is_current, digest)));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }

    fn latest_first(self) -> Vec<(SystemTime, bool, Digest)> {
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().map(|Reverse(entry)| entry).collect()
    }
}
