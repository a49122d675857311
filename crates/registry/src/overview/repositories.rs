//! The repositories, with what is in them.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use wharf_message::Sentence;
use wharf_oci::{Digest, PageRequest, RepoName, Tag};
use wharf_pattern::Pattern;

use super::{
    content::{Content, MOST_BLOBS, MOST_MANIFESTS},
    order::{First, Order, Page, Place},
    reads::{LISTING, Reads, Stop},
    tags::{Named, TagWalk, Tagged},
    words::LeftOut,
};
use crate::{
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    tree::{parallel::in_parallel, tags::NamePage},
};

/// How many tags of one repository are counted.
const MOST_TAGS: usize = 10_000;

/// How many names of tags of one repository are looked at, also of those that the client may not see.
const MOST_NAMES: usize = 100_000;

/// How many names of tags are looked at to sort the repositories by time; to ask for those of one repository counts as [`LISTING`] of them.
/// On a bucket each time of asking is a request, on a directory a few calls of the system.
const MOST_SORTED: usize = 20_000;
const MOST_SORTED_IN_DIRECTORY: usize = 200_000;

/// How many tags and manifests are looked at for one page. It ends before a repository for which there is not enough left; the first one
/// has as many as a repository may have.
const MOST_OF_PAGE: usize = 20_000;

/// How many names are asked of the store at once.
const AT_ONCE: usize = 1000;

/// How many repositories are looked into at once.
const GROUP: usize = 4;

/// What a client may see of repositories.
pub trait RepositorySight: Sync {
    /// Whether it may know of the repository, and, if `tag` is given, of that tag.
    fn sees(&self, name: &RepoName, tag: Option<&Tag>) -> bool;

    /// Whether it may know of everything in the repository, if it may know of that: also of manifests that no tag needs, and how often
    /// images of all tags were pulled.
    fn sees_all_of(&self, name: &RepoName) -> bool;

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

impl RepositoriesWanted<'_> {
    /// The beginning that all wanted names have in common: no other name is looked at.
    fn beginning(&self) -> &str {
        self.matching.map_or("", Pattern::literal_prefix)
    }

    /// The place at which a walk in the order of the names begins, which has to pass `after`.
    fn start(&self, after: &str) -> Box<str> {
        let start = RepoName::just_before(self.beginning());
        if *start > *after {
            start.into()
        } else {
            after.into()
        }
    }

    /// Whether no name after `last` is wanted.
    fn is_past(&self, last: &str) -> bool {
        last > self.beginning() && !last.starts_with(self.beginning())
    }

    /// How many names are asked of the store at once, of which `missing` are missing.
    fn at_once(&self, missing: usize) -> usize {
        match self.matching {
            // It, and the name behind it, which ends the walk.
            Some(pattern) if pattern.is_literal() => 2,
            Some(_) => AT_ONCE,
            None => missing.clamp(AT_ONCE / 10, AT_ONCE),
        }
    }
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
    /// How many tags it has that the client may see; `None`: they are, or are among, too many to be counted.
    pub tags: Option<usize>,
    /// When one of these was pushed last; `None` without any, and where there are too many.
    pub pushed: Option<SystemTime>,
    /// How many manifests it has, of those that the client may see: all, or those that these tags need. `None`: too many.
    pub manifests: Option<usize>,
    /// Bytes of what these manifests name, each digest once, as far as they state it; `None` where there are too many, and where nothing is
    /// stated.
    pub size: Option<u64>,
    /// How many of them are damaged or missing; what these name is not in the size.
    pub damaged: usize,
    /// Whether the client may see everything that is in the repository.
    pub is_whole: bool,
    /// Why something is left out.
    pub problem: Option<Sentence>,
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

/// The tags of a repository, as far as they are looked at.
#[derive(Debug, Default)]
struct Tags {
    count: usize,
    pushed: Option<SystemTime>,
    are_too_many: bool,
    /// The manifests at which they point, where these are asked for.
    roots: HashSet<Digest>,
}

/// What of the tags of a repository is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Times,
    Roots,
}

impl Registry {
    /// The repositories that are wanted and visible in `sight`.
    ///
    /// A page in an order of names looks into its own repositories, and at the names alone of those that do not match. In an order of times
    /// the tags of all repositories are looked at, and when each was pushed.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyToSort`]; [`Error::Exhausted`] when too many lists are being made; errors of the store.
    pub async fn list_repositories(
        &self,
        wanted: RepositoriesWanted<'_>,
        sight: &dyn RepositorySight,
    ) -> Result<RepositoryList> {
        let _turn = turn(&self.budget().lists).await?;
        let page = match wanted.order {
            Order::Name => self.first_repositories(wanted, sight).await?,
            _ => self.sorted_repositories(wanted, sight).await?,
        };
        let entries = page.entries;
        let mut rows: Vec<RepositoryRow> = Vec::with_capacity(entries.len());
        let reads = Reads::new(MOST_OF_PAGE);
        // A page has at least one row, however much there is in it.
        let first = Reads::new(usize::MAX);
        'page: for (number, group) in entries.chunks(GROUP).enumerate() {
            let group = group.iter().enumerate().map(|(place, entry)| {
                let is_first = (number, place) == (0, 0);
                self.row_within(entry, sight, if is_first { &first } else { &reads })
            });
            for row in in_parallel(group).await? {
                let Some(row) = row else { break 'page };
                if rows.is_empty() {
                    _ = reads.take(usize::MAX - first.left());
                }
                rows.push(row);
            }
            if reads.are_spent() {
                break;
            }
        }
        let next = match rows.len() < entries.len() {
            true => rows
                .len()
                .checked_sub(1)
                .and_then(|last| entries.get(last))
                .map(|last| last.place(wanted.order)),
            false => page.next,
        };
        Ok(RepositoryList {
            repositories: rows,
            next,
        })
    }

    /// The row of a repository; `None`: the page has read as much as it may.
    async fn row_within(
        &self,
        entry: &Listed,
        sight: &dyn RepositorySight,
        reads: &Reads,
    ) -> Result<Option<RepositoryRow>> {
        match self.repository_row(entry, sight, reads).await {
            Ok(row) => Ok(Some(row)),
            Err(Stop::Spent) => Ok(None),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// The names of the page in ascending order.
    async fn first_repositories(
        &self,
        wanted: RepositoriesWanted<'_>,
        sight: &dyn RepositorySight,
    ) -> Result<Page<Listed>> {
        let mut after = wanted.start(wanted.after.map_or("", |place| &place.name));
        let mut entries = Vec::new();
        while entries.len() <= wanted.limit {
            let missing = wanted.limit + 1 - entries.len();
            let at_once = wanted.at_once(missing);
            let Some(page) = self.next_repositories(&mut after, at_once, sight).await? else {
                break;
            };
            let visible = visible(&page, wanted, sight).map(|name| Listed { name, pushed: None });
            entries.extend(visible.take(missing));
            if !page.more || wanted.is_past(&after) {
                break;
            }
        }
        Ok(Page::of(entries, wanted.limit, |entry| entry.place(wanted.order)))
    }

    /// The names of the page in another order.
    async fn sorted_repositories(
        &self,
        wanted: RepositoriesWanted<'_>,
        sight: &dyn RepositorySight,
    ) -> Result<Page<Listed>> {
        let reads = Reads::new(match self.storage.is_shared() {
            true => MOST_SORTED,
            false => MOST_SORTED_IN_DIRECTORY,
        });
        let mut first = First::new(wanted.order, wanted.after, wanted.limit);
        let mut after = wanted.start("");
        while let Some(page) = self
            .next_repositories(&mut after, wanted.at_once(AT_ONCE), sight)
            .await?
        {
            let names: Vec<RepoName> = visible(&page, wanted, sight).collect();
            let times: Vec<Option<SystemTime>> = match wanted.order.is_by_time() {
                true => self.last_pushes(&names, sight, &reads).await?,
                false => vec![None; names.len()],
            };
            for (name, pushed) in names.into_iter().zip(times) {
                let entry = Listed { name, pushed };
                first.add(entry.place(wanted.order), entry);
            }
            if !page.more || wanted.is_past(&after) {
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
        reads: &Reads,
    ) -> Result<RepositoryRow, Stop> {
        let is_whole = sight.sees_all_of(name);
        let wish = if is_whole { Wish::Times } else { Wish::Roots };
        let mut tags = self.look_at_tags(name, (MOST_TAGS, wish), sight, reads).await?;
        let content = match (is_whole, tags.are_too_many) {
            (true, _) => self.whole_content(name, reads).await?,
            (false, false) => {
                let roots = std::mem::take(&mut tags.roots);
                self.content_below(name, roots, reads).await?
            }
            (false, true) => None,
        };
        let size = content.and_then(|content| content.size);
        Ok(RepositoryRow {
            name: name.clone(),
            tags: (!tags.are_too_many).then_some(tags.count),
            pushed: pushed.or(tags.pushed.filter(|_| !tags.are_too_many)),
            manifests: content.map(|content| content.manifests),
            size: size.filter(|size| *size > 0 || content.is_some_and(|content| content.unstated == 0)),
            damaged: content.map_or(0, |content| content.damaged),
            is_whole,
            problem: problem(&tags, content, is_whole),
        })
    }

    /// When a tag of each of `names` was pushed last, of those that are visible: of a few repositories at once.
    async fn last_pushes(
        &self,
        names: &[RepoName],
        sight: &dyn RepositorySight,
        reads: &Reads,
    ) -> Result<Vec<Option<SystemTime>>> {
        let mut times = Vec::with_capacity(names.len());
        for group in names.chunks(GROUP) {
            let group = group.iter().map(|name| self.last_push(name, sight, reads));
            times.extend(in_parallel(group).await?);
        }
        Ok(times)
    }

    /// When a tag of `name` was pushed last, of those that are visible.
    async fn last_push(
        &self,
        name: &RepoName,
        sight: &dyn RepositorySight,
        reads: &Reads,
    ) -> Result<Option<SystemTime>> {
        let tags = self.look_at_tags(name, (usize::MAX, Wish::Times), sight, reads);
        match tags.await {
            Ok(tags) => Ok(tags.pushed),
            Err(Stop::Spent) => Err(Error::TooManyToSort),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// The tags of `name` that are visible, and when one was pushed last; of more than `most`, or of very many names, some.
    async fn look_at_tags(
        &self,
        name: &RepoName,
        (most, wish): (usize, Wish),
        sight: &dyn RepositorySight,
        reads: &Reads,
    ) -> Result<Tags, Stop> {
        let mut walk = TagWalk::new(name, None);
        let (mut tags, mut passed) = (Tags::default(), 0);
        loop {
            let names = match self.next_tags(&mut walk, AT_ONCE).await {
                Ok(Some(names)) => names,
                Ok(None) => break,
                // A repository of blobs alone, or one that has gone since it was listed.
                Err(Error::NameUnknown { .. }) => {
                    reads.take(LISTING)?;
                    break;
                }
                Err(error) => return Err(Stop::Failed(error)),
            };
            // Those that are hidden cost as much.
            reads.take(LISTING + names.len())?;
            passed += names.len();
            let visible = names
                .into_iter()
                .filter(|named| sight.sees(name, Some(&named.tag)));
            let visible: Vec<Named> = visible.collect();
            for Tagged { pushed, digest } in self.pushed(name, visible, wish == Wish::Roots).await? {
                tags.count += 1;
                tags.pushed = tags.pushed.max(Some(pushed));
                tags.roots.extend(digest);
            }
            if tags.count > most || passed > MOST_NAMES {
                tags.are_too_many = true;
                break;
            }
        }
        Ok(tags)
    }
}

/// Why something is left out of the row of a repository. Where tags are hidden from the client, no number tells how many.
fn problem(tags: &Tags, content: Option<Content>, is_whole: bool) -> Option<Sentence> {
    let reason = match (tags.are_too_many, content) {
        (true, _) if !is_whole => LeftOut::TooManyToTell,
        (true, _) => LeftOut::TooManyTags { n: MOST_TAGS },
        (false, None) => LeftOut::TooManyManifests { n: MOST_MANIFESTS },
        (false, Some(Content { size: None, .. })) => LeftOut::TooManyBlobs { n: MOST_BLOBS },
        (false, Some(Content { unstated: n, .. })) if n > 0 => LeftOut::Unstated { n },
        (false, Some(_)) => return None,
    };
    Some(reason.into())
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
