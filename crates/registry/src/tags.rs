//! The tags of a repository, sorted, in pages.

use std::sync::Arc;

use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::{PageRequest, RepoName, Tag};
use wharf_storage::{Page, Version, layout};

use crate::{Registry, Result, error::Error};

/// How many names are asked of the store at once when all are wanted.
const PAGE: usize = 1000;

/// Some names, in ascending order of their bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamePage {
    /// The names.
    pub names: Vec<Box<str>>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// Which names in a directory of tags are not tags: older registries, when they crash, leave directories of tags that
/// point nowhere. Almost always none. Known per version of the directory; looked at again at each use, because such
/// a tag may come to life without the directory changing.
#[derive(Debug)]
pub(crate) struct UnresolvedTags(Cache<RepoName, Unresolved>);

#[derive(Debug, Clone)]
struct Unresolved {
    /// Of the directory that was looked through.
    version: Version,
    names: Arc<[Box<str>]>,
}

impl UnresolvedTags {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(crate::FEW, 10_000, UnitWeighter))
    }
}

impl Registry {
    /// The tags of `name` after `page.last`: `page.n` of them, or all.
    pub async fn tags(&self, name: &RepoName, page: &PageRequest) -> Result<NamePage> {
        let wanted = page.n.unwrap_or(usize::MAX);
        let mut found = NamePage::default();
        let mut after: Option<Box<str>> = page.last.as_deref().map(Box::from);
        let mut first = true;
        while first || (found.more && found.names.len() < wanted) {
            let listed = self
                .storage
                .list(
                    &layout::tags(name),
                    after.as_deref(),
                    wanted.saturating_sub(found.names.len()),
                )
                .await?;
            if first && listed.entries.is_empty() && !listed.more {
                self.require_repository(name).await?;
            }
            first = false;
            found.more = listed.more;
            after = listed.entries.last().map(|entry| entry.name.clone()).or(after);
            let unresolved = self.unresolved_tags(name, &listed).await?;
            let names = listed
                .entries
                .into_iter()
                .filter(|entry| entry.is_dir)
                .map(|entry| entry.name);
            found
                .names
                .extend(names.filter(|name| !unresolved.contains(name)));
            if wanted == 0 {
                break;
            }
        }
        Ok(found)
    }

    /// Every tag of `name`; none when there is no such repository.
    pub(crate) async fn all_tags(&self, name: &RepoName) -> Result<Vec<Tag>> {
        match self.tags(name, &PageRequest::default()).await {
            Ok(page) => Ok(page.names.iter().filter_map(|name| name.parse().ok()).collect()),
            Err(Error::NameUnknown { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// A repository exists once something was pushed to it, as registry:2 has it: when it has manifests or tags, or had some.
    async fn require_repository(&self, name: &RepoName) -> Result<()> {
        if self.exists(&layout::manifests(name)).await? {
            Ok(())
        } else {
            Err(Error::NameUnknown { name: name.clone() })
        }
    }

    /// The names on `page` (or in the whole directory) that point nowhere at this moment.
    async fn unresolved_tags(&self, name: &RepoName, page: &Page) -> Result<Vec<Box<str>>> {
        let Some(version) = page.version.clone() else {
            return self
                .unresolved_among(name, page.entries.iter().map(|entry| &entry.name))
                .await;
        };
        let known = self
            .unresolved_tags
            .0
            .get(name)
            .filter(|known| known.version == version);
        let candidates = match known {
            Some(known) => known.names,
            None => {
                let names = self.unresolved_in_directory(name, &version).await?;
                self.unresolved_tags.0.insert(
                    name.clone(),
                    Unresolved {
                        version,
                        names: Arc::clone(&names),
                    },
                );
                names
            }
        };
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        self.unresolved_among(name, candidates.iter()).await
    }

    async fn unresolved_in_directory(&self, name: &RepoName, version: &Version) -> Result<Arc<[Box<str>]>> {
        let mut unresolved = Vec::new();
        let mut after: Option<Box<str>> = None;
        loop {
            let page = self
                .storage
                .list(&layout::tags(name), after.as_deref(), PAGE)
                .await?;
            unresolved.extend(
                self.unresolved_among(name, page.entries.iter().map(|entry| &entry.name))
                    .await?,
            );
            // A directory that changes under our hands is read again by the next request: its version differs.
            let changed = page.version.as_ref() != Some(version);
            match page.entries.last() {
                Some(last) if page.more && !changed => after = Some(last.name.clone()),
                _ => return Ok(unresolved.into()),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn unresolved_among(
        &self,
        name: &RepoName,
        names: impl Iterator<Item = &Box<str>>,
    ) -> Result<Vec<Box<str>>> {
        let mut unresolved = Vec::new();
        for candidate in names {
            let resolves = match candidate.parse::<Tag>() {
                Ok(tag) => match self.storage.stat(&layout::tag_link(name, &tag)).await {
                    Ok(stat) => stat.size > 0,
                    Err(error) if error.is_not_found() => false,
                    Err(error) => return Err(error.into()),
                },
                Err(_) => false,
            };
            if !resolves {
                unresolved.push(candidate.clone());
            }
        }
        Ok(unresolved)
    }
}
