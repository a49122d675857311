//! The tags of a repository as requests list them: sorted, in pages, without those that point nowhere.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::{Digest, PageRequest, RepoName, Tag};
use wharf_storage::{Key, Page, Storage, Version, layout};

use super::{directory::exists, link::Links, parallel::in_parallel};
use crate::{cache::FEW, error::Result};

/// How many repositories are remembered.
const CAPACITY: u64 = 10_000;

/// How many names are asked of the store at once when all are wanted.
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

/// Lists tags, and remembers which names in a directory of tags are not tags: older registries, when they crash, leave
/// directories of tags that point nowhere. Almost always there are none. Kept per version of the directory; checked
/// again at each use, because such a tag may come to life without the directory changing.
#[derive(Debug)]
pub(crate) struct Tags {
    storage: Arc<dyn Storage>,
    unresolved: Cache<RepoName, Unresolved>,
}

#[derive(Debug, Clone)]
struct Unresolved {
    /// Version of the directory that was looked through.
    version: Version,
    names: Arc<[Box<str>]>,
}

impl Tags {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            unresolved: Cache::with_weighter(FEW, CAPACITY, UnitWeighter),
        }
    }

    /// The tags of `name` after `page.last` that are `shown`: `page.n` of them, or all. `None` when there is no such repository:
    /// one exists once something was pushed to it, as registry:2 has it, so when it has manifests or tags, or had some.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn page(
        &self,
        name: &RepoName,
        page: &PageRequest,
        shown: fn(&str) -> bool,
    ) -> Result<Option<NamePage>> {
        let wanted = page.n.unwrap_or(usize::MAX);
        let directory = layout::tags(name);
        let mut found = NamePage::default();
        let mut after: Option<Box<str>> = page.last.as_deref().map(Box::from);
        let mut first = true;
        while first || (found.more && found.names.len() < wanted) {
            let missing = wanted.saturating_sub(found.names.len());
            // What is left out may be most of the directory.
            let limit = if first { missing } else { missing.max(PAGE) };
            let listed = self.storage.list(&directory, after.as_deref(), limit).await?;
            if first
                && listed.entries.is_empty()
                && !listed.more
                && !exists(&*self.storage, &layout::manifests(name)).await?
            {
                return Ok(None);
            }
            first = false;
            found.more = listed.more;
            after = listed.entries.last().map(|entry| entry.name.clone()).or(after);
            let unresolved = self.unresolved_on(name, &listed).await?;
            let names = listed
                .entries
                .into_iter()
                .filter(|entry| entry.is_dir && shown(&entry.name))
                .map(|entry| entry.name);
            found
                .names
                .extend(names.filter(|name| unresolved.binary_search(name).is_err()));
            found.more |= found.names.len() > wanted;
            found.names.truncate(wanted);
            if wanted == 0 {
                break;
            }
        }
        Ok(Some(found))
    }

    /// Every tag of `name`; none when there is no such repository.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn all(&self, name: &RepoName) -> Result<Vec<Tag>> {
        let page = self.page(name, &PageRequest::default(), |_| true).await?;
        let names = page.unwrap_or_default().names;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
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
    /// Of a few digests, read are only those tags that have one of them in their history, which is written before a tag
    /// points anywhere (invariant I3). Which these are, the store says in one operation, which looks for each digest in each
    /// tag. Of many digests all tags are read, because that costs less.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn pointing_at(
        &self,
        name: &RepoName,
        digests: &[Digest],
        links: &Links,
    ) -> Result<HashMap<Digest, Vec<Tag>>> {
        let names = if digests.len() <= FEW_DIGESTS {
            let histories: Vec<Key> = digests.iter().map(layout::in_tag_history).collect();
            self.storage.names_with(&layout::tags(name), &histories).await?
        } else {
            let listed = self.storage.list(&layout::tags(name), None, usize::MAX).await?;
            let tags = listed.entries.into_iter().filter(|entry| entry.is_dir);
            tags.map(|entry| entry.name).collect()
        };
        let digests: HashSet<&Digest> = digests.iter().collect();
        let tags: Vec<Tag> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let targets = in_parallel(tags.iter().map(|tag| {
            let link = layout::tag_link(name, tag);
            async move { links.target(&link).await }
        }));
        let mut found: HashMap<Digest, Vec<Tag>> = HashMap::new();
        for (tag, target) in tags.iter().zip(targets.await?) {
            if let Some(digest) = target.filter(|target| digests.contains(target)) {
                found.entry(digest).or_default().push(tag.clone());
            }
        }
        Ok(found)
    }

    /// The names on `page` (or in the whole directory) that point nowhere at this moment, in ascending order.
    async fn unresolved_on(&self, name: &RepoName, page: &Page) -> Result<Vec<Box<str>>> {
        let Some(version) = &page.version else {
            return self.unresolved_among(name, &names_of(page)).await;
        };
        let known = self.unresolved.get(name);
        let candidates = match known.filter(|known| known.version == *version) {
            Some(known) => known.names,
            None => self.look_through(name, version).await?,
        };
        self.unresolved_among(name, &candidates).await
    }

    /// The names in the whole directory that point nowhere, remembered for its `version`.
    async fn look_through(&self, name: &RepoName, version: &Version) -> Result<Arc<[Box<str>]>> {
        let directory = layout::tags(name);
        let mut unresolved = Vec::new();
        let mut after: Option<Box<str>> = None;
        loop {
            let page = self.storage.list(&directory, after.as_deref(), PAGE).await?;
            unresolved.extend(self.unresolved_among(name, &names_of(&page)).await?);
            // A directory that changes meanwhile is read again by the next request: its version differs.
            let changed = page.version.as_ref() != Some(version);
            match page.entries.last() {
                Some(last) if page.more && !changed => after = Some(last.name.clone()),
                _ => break,
            }
        }
        let unresolved = Unresolved {
            version: version.to_owned(),
            names: unresolved.into(),
        };
        self.unresolved.insert(name.clone(), unresolved.clone());
        Ok(unresolved.names)
    }

    async fn unresolved_among(&self, name: &RepoName, names: &[Box<str>]) -> Result<Vec<Box<str>>> {
        let resolved = in_parallel(names.iter().map(|tag| self.resolves(name, tag))).await?;
        let unresolved = names.iter().zip(resolved).filter(|(_, resolves)| !resolves);
        Ok(unresolved.map(|(name, _)| name.clone()).collect())
    }

    async fn resolves(&self, name: &RepoName, tag: &str) -> Result<bool> {
        let Ok(tag) = tag.parse::<Tag>() else {
            return Ok(false);
        };
        match self.storage.stat(&layout::tag_link(name, &tag)).await {
            Ok(stat) => Ok(stat.size > 0),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn names_of(page: &Page) -> Vec<Box<str>> {
    page.entries.iter().map(|entry| entry.name.clone()).collect()
}
