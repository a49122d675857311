//! What requests of processes that share a store look at again after they have acted, because no lock stands between
//! them.
//!
//! # A deletion against a push that needs what is deleted
//!
//! A push of an index finds its child in the repository, and publishes the index and its tag. A deletion of the child
//! finds no tagged index that lists it, and removes the link of the child. In one process the locks put one before the
//! other. Between two processes both may look before either has acted. So each looks again after it has acted:
//!
//! - the deletion, once the link is gone, looks whether a tagged index lists the child. If so, it writes the link again,
//!   and is refused;
//! - the push, once the tag is there, looks whether the links are there on which it relied. If one is not, it writes it
//!   again.
//!
//! Whichever of both acts comes last, the look after it sees the other act: if the link went before the tag came, the
//! push looks for the link later still and finds it gone; if the tag came before the link went, the deletion looks for
//! tags later still and finds that one. Then the link is there in the end. That the deletion may have succeeded, and the
//! child is there because the push brought it back, is as if it had been pushed again in between.
//!
//! The same holds for a manifest that is deleted and pushed again under a tag: the deletion, by a [plan](crate::plan), looks once
//! more for tags that point at it, and the push for the link of the manifest itself. And it holds for a blob that is deleted
//! from a repository, and a push of a manifest that names it. The bytes of what is linked again are there: the push relied on
//! them, and the [marks](crate::coordination) keep them.
//!
//! It holds as well for the entry of a history that goes because it is old, and a push by which the tag comes to point at that
//! manifest again: the deletion looks at the tag once more, and the push at the entry. Deletions by digest find tags by their
//! entries.
//!
//! Where deleting is switched off, nothing but the collector removes links, and pushes do not look again.
//!
//! # What remains
//!
//! A replica that dies between the removal and its second look leaves an index without a child, if the index was tagged
//! in just that moment; so does a removal that the store carries out long after the request was given up, or was answered
//! after it had been repeated. A push of the
//! child, or of the index after it, heals that. A deletion of all tags of a manifest reads each tag just before it
//! removes it: a push that moves the tag elsewhere in between those two requests, on another replica, loses the tag.

use wharf_oci::{Descriptor, Digest, RepoName, Tag};
use wharf_storage::{Key, Put, layout};

use crate::{
    error::{Error, ReferenceRole, Result},
    registry::Registry,
    tree::parallel::in_parallel,
};

impl Registry {
    /// Whether requests of other processes may remove what this one relies on, or rely on what it removes.
    pub(crate) fn must_look_again(&self) -> bool {
        self.options.delete_enabled && self.locks.are_shared()
    }

    /// Writes the links to `references` again that another process has removed since a push of `name` found them, which is visible
    /// by now.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when it is unknown which link it was; errors of the store.
    pub(crate) async fn restore_links(
        &self,
        name: &RepoName,
        references: &[(ReferenceRole, Descriptor)],
    ) -> Result<()> {
        let lost = references.iter().map(|(role, descriptor)| async {
            let links = links(name, *role, descriptor);
            for link in &links {
                if self.tree.links.target(link).await?.is_some() {
                    return Ok(None);
                }
            }
            Ok::<_, Error>(Some((links, descriptor.digest)))
        });
        let lost: Vec<Option<(Vec<Key>, Digest)>> = in_parallel(lost).await?;
        let mut puts = Vec::new();
        for (links, digest) in lost.into_iter().flatten() {
            let is_stored = self.storage.stat(&layout::blob(&digest)).await.is_ok();
            match <[Key; 1]>::try_from(links) {
                Ok([link]) if is_stored => puts.push(Put::new(link, layout::link_content(&digest))),
                _ => {
                    return Err(Error::Busy {
                        reason: "content that the manifest names was deleted while the manifest was being pushed",
                    });
                }
            }
        }
        if !puts.is_empty() {
            tracing::info!(repository = %name, links = puts.len(), "content was deleted while a manifest that names it was being pushed; the links are there again");
            self.storage.publish(&puts).await?;
        }
        Ok(())
    }

    /// Writes the entries for `digest` in the histories of `tags` again that another process has removed since a push of `name` wrote
    /// them; the tags are visible by now.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn restore_entries(&self, name: &RepoName, digest: &Digest, tags: &[Tag]) -> Result<()> {
        let lost = tags.iter().map(|tag| async move {
            let entry = layout::tag_history_link(name, tag, digest);
            if self.tree.links.since(&entry).await?.is_some() {
                return Ok(None);
            }
            // A tag that was deleted lost its history with it.
            let target = self.tree.links.target(&layout::tag_link(name, tag)).await?;
            Ok::<_, Error>((target == Some(*digest)).then(|| Put::new(entry, layout::link_content(digest))))
        });
        let puts: Vec<Put> = in_parallel(lost).await?.into_iter().flatten().collect();
        if !puts.is_empty() {
            self.storage.publish(&puts).await?;
        }
        Ok(())
    }
}

/// The links by one of which a push finds what it refers to.
fn links(name: &RepoName, role: ReferenceRole, descriptor: &Descriptor) -> Vec<Key> {
    let digest = &descriptor.digest;
    let (layer, revision) = (
        layout::layer_link(name, digest),
        layout::revision_link(name, digest),
    );
    match role {
        ReferenceRole::Config | ReferenceRole::Layer => vec![layer],
        ReferenceRole::Manifest if !descriptor.media_type.is_empty() => vec![revision],
        ReferenceRole::Manifest => vec![revision, layer],
        ReferenceRole::ListedBlob => vec![layer, revision],
    }
}
