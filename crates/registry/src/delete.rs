//! Taking away tags and manifests: pointers first, then what they pointed at; never what a tagged index needs.

use std::collections::{HashMap, HashSet};

use wharf_oci::{Digest, ManifestView, RepoName, Tag};
use wharf_storage::{Key, layout};

use crate::{Error, Registry, Result};

/// How many manifests are searched for the one that a wrong digest belongs to.
const HINT_LIMIT: usize = 1000;

impl Registry {
    /// Removes one tag and its history. Other tags of the same manifest stay, and so does the manifest.
    pub async fn delete_tag(&self, name: &RepoName, tag: &Tag) -> Result<()> {
        self.require_delete()?;
        let _lock = self.locks.tags(name, std::slice::from_ref(tag)).await;
        if self.link(&layout::tag_link(name, tag)).await?.is_none() {
            return Err(unknown(name, tag.as_str().to_owned(), None));
        }
        Ok(self.storage.remove_tree(&layout::tag(name, tag)).await?)
    }

    /// Removes the manifest `digest` from `name`, and every tag that points at it. Its bytes stay until they are
    /// collected; other repositories keep it.
    ///
    /// Refused when a tagged index lists it (decision D4), unless `force`. Returns the tags that went with it.
    pub async fn delete_manifest(&self, name: &RepoName, digest: &Digest, force: bool) -> Result<Vec<Tag>> {
        self.require_delete()?;
        let _lock = self.locks.take_away(digest).await;
        let link = layout::revision_link(name, digest);
        if self.link(&link).await?.is_none() {
            let hint = self.owner_of(name, digest).await?;
            return Err(unknown(name, digest.to_string(), hint));
        }
        let mut tags = self.tags_by_digest(name).await?;
        if !force {
            let indexes = self.tagged_ancestors(name, digest, &tags).await?;
            if !indexes.is_empty() {
                return Err(Error::NeededByIndex {
                    digest: *digest,
                    indexes,
                });
            }
        }
        // Invariant I3, removal: tags before the revision. A crash in between leaves an untagged manifest.
        let mut removed = Vec::new();
        for tag in tags.remove(digest).unwrap_or_default() {
            let _lock = self.locks.tags(name, std::slice::from_ref(&tag)).await;
            // Looked at again under its lock: a push may have moved it elsewhere since.
            if self.link(&layout::tag_link(name, &tag)).await?.as_ref() == Some(digest) {
                ignore_absent(self.storage.remove_tree(&layout::tag(name, &tag)).await)?;
                removed.push(tag);
            }
        }
        ignore_absent(self.storage.remove(&link, &layout::revisions(name)).await)?;
        Ok(removed)
    }

    /// What every tag of `name` points at.
    pub(crate) async fn tags_by_digest(&self, name: &RepoName) -> Result<HashMap<Digest, Vec<Tag>>> {
        let mut tags: HashMap<Digest, Vec<Tag>> = HashMap::new();
        for tag in self.all_tags(name).await? {
            if let Some(digest) = self.link(&layout::tag_link(name, &tag)).await? {
                tags.entry(digest).or_default().push(tag);
            }
        }
        Ok(tags)
    }

    /// The tagged indexes that list `digest`, themselves or through an index between, as `name:tag`.
    async fn tagged_ancestors(
        &self,
        name: &RepoName,
        digest: &Digest,
        tags: &HashMap<Digest, Vec<Tag>>,
    ) -> Result<Vec<String>> {
        let graph = self.graph(name).await?;
        let mut found = Vec::new();
        let mut seen = HashSet::from([*digest]);
        let mut next = graph.parents(digest);
        while let Some(parent) = next.pop() {
            if !seen.insert(parent) || self.revision(name, &parent).await?.is_none() {
                continue;
            }
            found.extend(
                tags.get(&parent)
                    .into_iter()
                    .flatten()
                    .map(|tag| format!("{name}:{tag}")),
            );
            next.extend(graph.parents(&parent));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// What the caller most likely wanted when `digest` is no manifest: older notes take the digest of the config for
    /// that of the image.
    async fn owner_of(&self, name: &RepoName, digest: &Digest) -> Result<Option<String>> {
        if self.link(&layout::layer_link(name, digest)).await?.is_none() {
            return Ok(None);
        }
        let tags = self.tags_by_digest(name).await?;
        for manifest in self.graph(name).await?.digests().into_iter().take(HINT_LIMIT) {
            let Some(stored) = self.revision(name, &manifest).await? else {
                continue;
            };
            let Ok(view) = ManifestView::parse_stored(&stored.bytes) else {
                continue;
            };
            let is_config = view
                .config
                .as_ref()
                .is_some_and(|config| config.digest == *digest);
            if is_config || view.layers.iter().any(|layer| layer.digest == *digest) {
                let role = if is_config { "config" } else { "layer" };
                let image = tags.get(&manifest).and_then(|tags| tags.first());
                let image = image.map_or_else(
                    || format!("an untagged image of {name}"),
                    |tag| format!("{name}:{tag}"),
                );
                return Ok(Some(format!(
                    "that digest is a {role} of `{image}`; its manifest is `{manifest}`"
                )));
            }
        }
        Ok(Some(
            "that digest is a blob of this repository, not a manifest".to_owned(),
        ))
    }

    /// Whether anything is at or below `directory`.
    pub(crate) async fn exists(&self, directory: &Key) -> Result<bool> {
        let page = self.storage.list(directory, None, 1).await?;
        Ok(!page.entries.is_empty())
    }
}

fn unknown(name: &RepoName, reference: String, hint: Option<String>) -> Error {
    Error::ManifestUnknown {
        name: name.clone(),
        reference,
        hint,
    }
}

/// Somebody else removed it first: what was wanted is so.
fn ignore_absent(result: wharf_storage::Result<()>) -> Result<()> {
    match result {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}
