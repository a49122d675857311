//! The repositories, with what is in them.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use wharf_oci::{Algorithm, Digest, PageRequest, RepoName, Tag};
use wharf_pattern::Pattern;
use wharf_storage::layout;

use super::{
    order::{First, Order, Place},
    tags::TagWalk,
};
use crate::{
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    tree::{
        manifest::Stored,
        parallel::{in_jobs, in_parallel},
        scan::{PAGE, below, named},
        tags::NamePage,
    },
};

/// How many tags of one repository are counted.
const MOST_TAGS: usize = 10_000;

/// How many manifests of one repository are read for its size.
const MOST_MANIFESTS: usize = 5_000;

/// How many blobs of one repository are added up.
const MOST_BLOBS: usize = 50_000;

/// How many tags and manifests are looked at for one page. It ends earlier when the next repository has more.
const MOST_OF_PAGE: usize = 50_000;

/// How many names are asked of the store at once.
const AT_ONCE: usize = 1000;

/// How many repositories are looked into at once.
const GROUP: usize = 4;

/// What a client may see of repositories.
pub trait RepositorySight: Sync {
    /// Whether it may know of the repository, and, if `tag` is given, of that tag.
    fn sees(&self, name: &RepoName, tag: Option<&Tag>) -> bool;

    /// The place at which a walk in the order of the names goes on that has passed `after` and all before: there, or after a text behind
    /// which the next name comes that may be visible. `None`: there is none.
    fn go_on_after(&self, after: &str) -> Option<Box<str>>;
}

/// What is wanted of the repositories.
#[derive(Debug, Clone, Copy)]
pub struct RepositoriesWanted<'a> {
    /// The pattern that the names match; `None`: all of them.
    pub matching: Option<&'a Pattern>,
    /// The order of the list.
    pub order: Order,
    /// The place after which the page begins; `None`: at the start.
    pub after: Option<&'a Place>,
    /// How many repositories the page has at most.
    pub limit: usize,
}

/// A page of the repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryList {
    /// The repositories in their order.
    pub repositories: Vec<RepositoryRow>,
    /// The place after which the next page begins; `None` on the last one.
    pub next: Option<Place>,
}

/// A repository, with what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRow {
    /// Its name.
    pub name: RepoName,
    /// How many tags it has that the client may see; `None`: too many to be counted.
    pub tags: Option<usize>,
    /// When one of these was pushed last; `None` without any, and where there are too many.
    pub pushed: Option<SystemTime>,
    /// How many manifests it has; `None`: too many.
    pub manifests: Option<usize>,
    /// Bytes of what its manifests name, each digest once, as they state it; `None` where there are too many manifests.
    pub size: Option<u64>,
    /// How many of its manifests are damaged or missing; what these name is not in the size.
    pub damaged: usize,
    /// Why something is left out.
    pub problem: Option<String>,
}

/// A repository of a page.
#[derive(Debug)]
struct Listed {
    name: RepoName,
    /// When a tag was pushed last, in an order of times.
    pushed: Option<SystemTime>,
}

impl Listed {
    fn place(&self, order: Order) -> Place {
        let pushed = self.pushed.unwrap_or(SystemTime::UNIX_EPOCH);
        order.place_of(self.name.as_str(), pushed)
    }
}

/// The tags of a repository, as far as they are counted.
#[derive(Debug, Default, Clone, Copy)]
struct Tags {
    count: usize,
    pushed: Option<SystemTime>,
    are_too_many: bool,
}

/// What the manifests of a repository name.
#[derive(Debug, Default)]
struct Content {
    manifests: usize,
    damaged: usize,
    /// `None`: there is too much of it.
    size: Option<u64>,
}

impl Registry {
    /// The repositories that are wanted and visible in `sight`.
    ///
    /// A page in an order of names looks into its own repositories, and at the names alone of those that do not match. In an order of times
    /// the tags of all repositories are looked at, and when each was pushed.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when too many lists are being made; errors of the store.
    pub async fn list_repositories(
        &self,
        wanted: RepositoriesWanted<'_>,
        sight: &dyn RepositorySight,
    ) -> Result<RepositoryList> {
        let _turn = turn(&self.budget().lists).await?;
        let (entries, mut more) = match wanted.order {
            Order::Name => self.first_repositories(wanted, sight).await?,
            _ => self.sorted_repositories(wanted, sight).await?,
        };
        let mut rows: Vec<RepositoryRow> = Vec::with_capacity(entries.len());
        let mut work = 0;
        for group in entries.chunks(GROUP) {
            let group = group.iter().map(|entry| self.repository_row(entry, sight));
            for row in in_parallel(group).await? {
                let tags = row.tags.unwrap_or(MOST_TAGS);
                work += tags + row.manifests.unwrap_or(MOST_MANIFESTS);
                rows.push(row);
            }
            if work > MOST_OF_PAGE {
                break;
            }
        }
        more |= rows.len() < entries.len();
        let last = rows.len().checked_sub(1).and_then(|last| entries.get(last));
        let next = last.filter(|_| more).map(|last| last.place(wanted.order));
        Ok(RepositoryList {
            repositories: rows,
            next,
        })
    }

    /// The names of the page in ascending order, and whether there is another one.
    async fn first_repositories(
        &self,
        wanted: RepositoriesWanted<'_>,
        sight: &dyn RepositorySight,
    ) -> Result<(Vec<Listed>, bool)> {
        let mut after: Box<str> = wanted.after.map_or_else(Box::default, |place| place.name.clone());
        let mut entries = Vec::new();
        while entries.len() <= wanted.limit {
            let missing = wanted.limit + 1 - entries.len();
            let at_once = match wanted.matching {
                Some(_) => AT_ONCE,
                None => missing.clamp(AT_ONCE / 10, AT_ONCE),
            };
            let Some(page) = self.next_repositories(&mut after, at_once, sight).await? else {
                break;
            };
            let visible = visible(&page, wanted, sight).map(|name| Listed { name, pushed: None });
            entries.extend(visible.take(missing));
            if !page.more {
                break;
            }
        }
        let more = entries.len() > wanted.limit;
        entries.truncate(wanted.limit);
        Ok((entries, more))
    }

    /// The names of the page in another order, and whether there is another one.
    async fn sorted_repositories(
        &self,
        wanted: RepositoriesWanted<'_>,
        sight: &dyn RepositorySight,
    ) -> Result<(Vec<Listed>, bool)> {
        let mut first = First::new(wanted.order, wanted.after, wanted.limit);
        let mut after = Box::default();
        while let Some(page) = self.next_repositories(&mut after, AT_ONCE, sight).await? {
            let names: Vec<RepoName> = visible(&page, wanted, sight).collect();
            let times: Vec<Option<SystemTime>> = match wanted.order.is_by_time() {
                true => {
                    let tags = names.iter().map(|name| self.count_tags(name, usize::MAX, sight));
                    let tags: Vec<Tags> = in_parallel(tags).await?;
                    tags.into_iter().map(|tags| tags.pushed).collect()
                }
                false => vec![None; names.len()],
            };
            for (name, pushed) in names.into_iter().zip(times) {
                let entry = Listed { name, pushed };
                first.add(entry.place(wanted.order), entry);
            }
            if !page.more {
                break;
            }
        }
        Ok(first.page())
    }

    /// The next names of a walk through the catalogue; `None` where no visible name follows.
    pub(super) async fn next_repositories(
        &self,
        after: &mut Box<str>,
        at_once: usize,
        sight: &dyn RepositorySight,
    ) -> Result<Option<Arc<NamePage>>> {
        let Some(place) = sight.go_on_after(after) else {
            return Ok(None);
        };
        let request = PageRequest {
            n: Some(at_once),
            last: Some(place.into()),
        };
        let page = self.catalog(&request).await?;
        match page.names.last() {
            Some(last) => after.clone_from(last),
            None => return Ok(None),
        }
        Ok(Some(page))
    }

    async fn repository_row(
        &self,
        Listed { name, pushed }: &Listed,
        sight: &dyn RepositorySight,
    ) -> Result<RepositoryRow> {
        let tags = self.count_tags(name, MOST_TAGS, sight).await?;
        let content = self.content_of(name).await?;
        let problem = match (tags.are_too_many, &content) {
            (false, Some(Content { size: Some(_), .. })) => None,
            (true, _) => Some(format!(
                "it has more than {MOST_TAGS} tags, which are not counted"
            )),
            (false, None) => Some(format!(
                "it has more than {MOST_MANIFESTS} manifests, of which the size is not added up"
            )),
            (false, Some(_)) => Some(format!(
                "it has more than {MOST_BLOBS} blobs, of which the size is not added up"
            )),
        };
        Ok(RepositoryRow {
            name: name.clone(),
            tags: (!tags.are_too_many).then_some(tags.count),
            pushed: pushed.or(tags.pushed.filter(|_| !tags.are_too_many)),
            manifests: content.as_ref().map(|content| content.manifests),
            size: content.as_ref().and_then(|content| content.size),
            damaged: content.map_or(0, |content| content.damaged),
            problem,
        })
    }

    /// The tags of `name` that are visible, and when one was pushed last; of more than `most`, some.
    async fn count_tags(&self, name: &RepoName, most: usize, sight: &dyn RepositorySight) -> Result<Tags> {
        let mut walk = TagWalk::new(name, None);
        let mut tags = Tags::default();
        loop {
            let names = match self.next_tags(&mut walk, AT_ONCE).await {
                Ok(Some(names)) => names,
                // A repository of blobs alone, or one that has gone since it was listed.
                Ok(None) | Err(Error::NameUnknown { .. }) => break,
                Err(error) => return Err(error),
            };
            let names = names.into_iter().filter(|tag| sight.sees(name, Some(tag)));
            for pushed in self.pushed(name, names.collect()).await? {
                tags.count += 1;
                tags.pushed = tags.pushed.max(Some(pushed));
            }
            if tags.count > most {
                tags.are_too_many = true;
                break;
            }
        }
        Ok(tags)
    }

    /// What the manifests of `name` name; `None`: it has too many of them.
    async fn content_of(&self, name: &RepoName) -> Result<Option<Content>> {
        let Some(digests) = self.revisions(name, MOST_MANIFESTS).await? else {
            return Ok(None);
        };
        let count = digests.len();
        let sum = Arc::new(Mutex::new(Sum::default()));
        let (manifests, adding) = (Arc::clone(&self.tree.manifests), Arc::clone(&sum));
        let read = in_jobs(digests, move |digest| {
            let (manifests, sum) = (Arc::clone(&manifests), Arc::clone(&adding));
            async move {
                let stored = manifests.look_up_soon(&digest).await?;
                sum.lock().add(&stored);
                Ok(())
            }
        });
        read.await?;
        let sum = sum.lock();
        Ok(Some(Content {
            manifests: count,
            damaged: sum.damaged,
            size: (sum.seen.len() <= MOST_BLOBS).then_some(sum.size),
        }))
    }

    /// The manifests of `name`; `None`: there are more than `most`.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn revisions(&self, name: &RepoName, most: usize) -> Result<Option<Vec<Digest>>> {
        if self.storage.is_shared() {
            return self.listed_revisions(name, most).await;
        }
        let mut digests = Vec::new();
        for algorithm in Algorithm::ALL {
            let directory = layout::revisions_of(name, algorithm);
            let page = self.storage.list(&directory, None, most + 1).await?;
            let names = page.entries.iter();
            digests.extend(names.filter_map(|entry| Digest::from_hex(algorithm, &entry.name)));
        }
        if digests.len() > most {
            return Ok(None);
        }
        // registry:2 leaves the directories of deleted links behind.
        let present = self.present(name, digests).await?;
        Ok(Some(present.into_iter().collect()))
    }

    async fn listed_revisions(&self, name: &RepoName, most: usize) -> Result<Option<Vec<Digest>>> {
        let (directory, mut after) = (layout::revisions(name), None);
        let mut digests = Vec::new();
        loop {
            let page = self.storage.scan(&directory, after.as_ref(), PAGE).await?;
            let links = page.objects.iter().filter(|object| object.stat.size > 0);
            digests.extend(links.filter_map(|link| named(below(&directory, &link.key)?)));
            after = page.objects.last().map(|object| object.key.clone());
            match page.more && after.is_some() {
                _ if digests.len() > most => return Ok(None),
                true => {}
                false => return Ok(Some(digests)),
            }
        }
    }
}

/// What the manifests of a repository name, added up as they are read.
#[derive(Debug, Default)]
struct Sum {
    seen: HashSet<Digest>,
    size: u64,
    damaged: usize,
}

impl Sum {
    /// Adds what a manifest names. No more digests are kept than show that there are too many.
    fn add(&mut self, stored: &Stored) {
        let Stored::Understood(facts) = stored else {
            self.damaged += 1;
            return;
        };
        for (blob, size) in facts.sized_blobs() {
            if self.seen.len() > MOST_BLOBS {
                return;
            }
            if self.seen.insert(*blob) {
                self.size = self.size.saturating_add(size);
            }
        }
    }
}

/// The names of a page of the catalogue that are wanted and visible.
fn visible<'a>(
    page: &'a NamePage,
    wanted: RepositoriesWanted<'a>,
    sight: &'a dyn RepositorySight,
) -> impl Iterator<Item = RepoName> + 'a {
    let names = page.names.iter().filter_map(|name| name.parse::<RepoName>().ok());
    names.filter(move |name| {
        let matches = |pattern: &Pattern| pattern.matches(name.as_str(), None);
        wanted.matching.is_none_or(matches) && sight.sees(name, None)
    })
}
