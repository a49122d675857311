//! The tags of a repository as requests list them: sorted, in pages, without those that point nowhere.

use std::{collections::HashMap, sync::Arc};

use wharf_oci::{Digest, PageRequest, RepoName, Tag};
use wharf_storage::{Fingerprint, Found, FoundPage, Key, Storage, Version, Wanted, layout};

use super::{
    directory::exists,
    link::{Links, fingerprint},
    parallel::in_parallel,
};
use crate::error::Result;

/// How many names are asked of the store at once when many of them may be left out.
const PAGE: usize = 1000;

/// Of how many digests the tags are looked for by their histories.
const FEW_DIGESTS: usize = 8;

/// Some names, in ascending order of their bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamePage {
    /// The names.
    pub names: Vec<Box<str>>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// A tag that points at a manifest.
#[derive(Debug, Clone)]
pub(crate) struct Pointer {
    /// The tag.
    pub(crate) tag: Tag,
    /// The version of its link, if the store can promise that it stands for that content.
    pub(crate) version: Option<Version>,
}

/// Lists tags. Directories of tags that point nowhere, which older registries leave behind when they crash, are not among
/// them.
#[derive(Debug)]
pub(crate) struct Tags {
    storage: Arc<dyn Storage>,
}

impl Tags {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    /// The tags of `name` after `page.last` that are `shown`: `page.n` of them, or all, with what the store tells of their links, and of
    /// so many `others` of their objects, by the way. `None` when there is no such repository: one exists once something was pushed to
    /// it, as registry:2 has it, so when it has manifests or tags, or had some.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn page(
        &self,
        name: &RepoName,
        page: &PageRequest,
        shown: fn(&str) -> bool,
        others: usize,
    ) -> Result<Option<FoundPage>> {
        let wanted = page.n.unwrap_or(usize::MAX);
        let mut found = FoundPage::default();
        let mut after: Option<Box<str>> = page.last.as_deref().map(Box::from);
        let mut limit = wanted;
        let mut first = true;
        loop {
            let listed = self.pointing(name, &[], others, after.as_deref(), limit).await?;
            if first
                && listed.found.is_empty()
                && !listed.more
                && !exists(&*self.storage, &layout::manifests(name)).await?
            {
                return Ok(None);
            }
            first = false;
            found.more = listed.more;
            after = listed.found.last().map(|tag| tag.name.clone()).or(after);
            let listed = listed.found.into_iter();
            found
                .found
                .extend(listed.filter(|tag| is_tag(&tag.name) && shown(&tag.name)));
            found.more |= found.found.len() > wanted;
            found.found.truncate(wanted);
            if !found.more || found.found.len() == wanted {
                return Ok(Some(found));
            }
            // What is left out may be most of the directory.
            limit = (wanted - found.found.len()).max(PAGE);
        }
    }

    /// Every tag of `name`; none when there is no such repository.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn all(&self, name: &RepoName) -> Result<Vec<Tag>> {
        let listed = self.pointing(name, &[], 0, None, usize::MAX).await?;
        Ok(listed
            .found
            .iter()
            .filter_map(|tag| tag.name.parse().ok())
            .collect())
    }

    /// Whether `name` may have tags that begin with `start` and go on.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn any_begins_with(&self, name: &RepoName, start: &str) -> Result<bool> {
        let page = self.storage.list(&layout::tags(name), Some(start), 1).await?;
        let first = page.entries.first();
        Ok(first.is_some_and(|entry| entry.name.starts_with(start)))
    }

    /// The tags of `name` that point at one of `digests`, by digest, each list in ascending order.
    ///
    /// Of a few digests, looked at are only those tags that have one of them in their history, which is written before a tag
    /// points anywhere (invariant I3). Which these are, the store says in one operation. Of many digests all tags are
    /// looked at, because that costs less. A link is not read if the store told its version, and that says what it holds.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn pointing_at(
        &self,
        name: &RepoName,
        digests: &[Digest],
        links: &Links,
    ) -> Result<HashMap<Digest, Vec<Pointer>>> {
        if digests.is_empty() {
            return Ok(HashMap::new());
        }
        let listed = if digests.len() <= FEW_DIGESTS {
            let histories: Vec<Key> = digests.iter().map(layout::in_tag_history).collect();
            self.pointing(name, &histories, 0, None, usize::MAX).await?
        } else {
            self.pointing(name, &[], 0, None, usize::MAX).await?
        };
        let digests: HashMap<Fingerprint, Digest> = digests
            .iter()
            .map(|digest| (fingerprint(digest), *digest))
            .collect();
        let pointers = listed.found.iter().map(|tag| pointer(name, tag, &digests, links));
        let mut found: HashMap<Digest, Vec<Pointer>> = HashMap::new();
        for (digest, pointer) in in_parallel(pointers).await?.into_iter().flatten() {
            if digests.contains_key(&fingerprint(&digest)) {
                found.entry(digest).or_default().push(pointer);
            }
        }
        Ok(found)
    }

    /// The names after `after` in the directory of tags whose link is there and not empty, and that have one of
    /// `histories`, if there are any.
    async fn pointing(
        &self,
        name: &RepoName,
        histories: &[Key],
        others: usize,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FoundPage> {
        let link = layout::in_tag_link();
        let wanted = Wanted {
            object: &link,
            besides: histories,
            others,
        };
        let tags = layout::tags(name);
        Ok(self.storage.names_with(&tags, wanted, after, limit).await?)
    }
}

/// Whether a name in the directory of tags is that of a tag.
pub(crate) fn is_tag(name: &str) -> bool {
    name.parse::<Tag>().is_ok()
}

/// What a name in the directory of tags points at.
async fn pointer(
    name: &RepoName,
    found: &Found,
    digests: &HashMap<Fingerprint, Digest>,
    links: &Links,
) -> Result<Option<(Digest, Pointer)>> {
    let Ok(tag) = found.name.parse::<Tag>() else {
        return Ok(None);
    };
    let link = layout::tag_link(name, &tag);
    if let Some(version) = &found.version {
        let told = version
            .fingerprint()
            .and_then(|fingerprint| digests.get(&fingerprint).copied());
        if let Some(digest) = told.or_else(|| links.remembered_as(&link, version)) {
            let version = Some(version.clone());
            return Ok(Some((digest, Pointer { tag, version })));
        }
    }
    let target = links.look_up(&link).await?;
    Ok(target.map(|(digest, version)| (digest, Pointer { tag, version })))
}
