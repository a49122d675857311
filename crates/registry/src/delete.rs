//! Deleting tags, manifests and blobs: pointers first, then what they pointed at; never what a tagged manifest needs.

mod blob;
mod hints;
mod manifest;
pub(crate) mod refusals;

use std::{
    collections::{HashMap, HashSet},
    time::SystemTime,
};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::layout;

use crate::{
    coordination::Watch,
    error::{Error, Result},
    events::{Caller, EventKind},
    registry::Registry,
    trash::record::{DeletedKind, Pointers, TrashId, TrashedTag},
    tree::{
        graph::Graph,
        histories::{self, Times},
        tags::Pointer,
    },
};

/// How often a deletion begins anew because other requests disturbed its watch. More often than a push does: a client that
/// pushes the same content one time after the other disturbs about every second watch.
pub(crate) const ATTEMPTS: usize = 32;

impl Registry {
    /// Removes one tag and its history. Other tags of the same manifest stay, and so does the manifest.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`] when there is no such tag, [`Error::DeleteDisabled`], [`Error::Busy`] when other requests keep it
    /// waiting for too long; errors of the store.
    pub async fn delete_tag(&self, caller: &dyn Caller, name: &RepoName, tag: &Tag) -> Result<()> {
        self.require_delete()?;
        self.remove_tag(caller, name, tag).await?;
        let deleted = || vec![EventKind::TagDeleted { tag: tag.clone() }];
        self.subscribers.changed(caller, name, deleted).await;
        Ok(())
    }

    /// Removes a tag as it was recorded: the record names what goes, also when another process moves the tag at that moment.
    async fn remove_tag(&self, caller: &dyn Caller, name: &RepoName, tag: &Tag) -> Result<()> {
        let lock = self.locks.lock_tags(name, vec![tag.clone()]).await?;
        let link = layout::tag_link(name, tag);
        for _ in 0..ATTEMPTS {
            let found = self.tree.links.look_up(&link).await?;
            let (digest, version) = found.ok_or_else(|| unknown(name, tag.as_str().to_owned(), None))?;
            let record = self.record_tag(caller, name, tag, digest).await?;
            let tag = tag.clone();
            if lock
                .remove_unchanged(&[Pointer { tag, version }])
                .await?
                .contains(&true)
            {
                return Ok(());
            }
            // Another process, which takes no lock of this one, has moved the tag since: the record would name what is not removed.
            self.trash.take_back(record.as_ref()).await?;
        }
        Err(disturbed())
    }

    /// Records the deletion of `tag`, which points at `digest`.
    async fn record_tag(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        tag: &Tag,
        digest: Digest,
    ) -> Result<Option<TrashId>> {
        if !self.trash.is_kept() {
            return Ok(None);
        }
        let pointers = Pointers {
            tags: self.record_tags(name, &[(tag.clone(), digest)]).await?,
            ..Pointers::default()
        };
        self.trash.keep(caller, name, DeletedKind::Tags, pointers).await
    }

    /// What a record says of `tags`, which point at these digests.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn record_tags(
        &self,
        name: &RepoName,
        tags: &[(Tag, Digest)],
    ) -> Result<Vec<TrashedTag>> {
        let names: Vec<Tag> = tags.iter().map(|(tag, _)| tag.clone()).collect();
        let mut times = histories::of_tags(&*self.storage, name, &names).await?;
        let now = SystemTime::now();
        let recorded = tags.iter().map(|(tag, digest)| {
            let Times { moved, history, .. } = times.remove(tag).unwrap_or_default();
            TrashedTag {
                tag: tag.clone(),
                digest: *digest,
                since: moved.unwrap_or(now),
                history,
            }
        });
        Ok(recorded.collect())
    }

    /// Watches `digests` and all manifests above them, which `above` finds, and answers these. As long as the watch is not
    /// disturbed, there are no others: a tag of a manifest comes with a push of that manifest, which only a watch over it
    /// sees, and so what is found is watched before it is judged.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when there are others time after time; errors of `above`.
    pub(crate) async fn watch_with<F: Future<Output = Result<Vec<Digest>>>>(
        &self,
        digests: &[Digest],
        above: impl Fn() -> F,
    ) -> Result<(Vec<Digest>, Watch)> {
        let mut watched = digests.to_vec();
        let mut is_watched: HashSet<Digest> = digests.iter().copied().collect();
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
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn tags_of(
        &self,
        name: &RepoName,
        digests: &[Digest],
    ) -> Result<HashMap<Digest, Vec<Pointer>>> {
        self.tree.tags.pointing_at(name, digests, &self.tree.links).await
    }

    /// The indexes of `name` that list one of `digests`, themselves or through an index between; each once, and none of
    /// `digests`.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn ancestors(
        &self,
        name: &RepoName,
        digests: &[Digest],
        graph: &Graph,
    ) -> Result<Vec<Digest>> {
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
}

fn disturbed() -> Error {
    Error::Busy {
        reason: "what is to be deleted is being pushed again and again",
    }
}

pub(crate) fn unknown(name: &RepoName, reference: String, hint: Option<String>) -> Error {
    Error::ManifestUnknown {
        name: name.clone(),
        reference,
        hint,
    }
}
