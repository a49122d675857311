//! The tags of a repository, with what they point at.

use std::{sync::Arc, time::SystemTime};

use wharf_oci::{Digest, PageRequest, RepoName, Tag};
use wharf_pattern::Pattern;
use wharf_storage::layout;

use super::{
    members::ImageSummary,
    order::{First, Order, Page, Place},
    reads::Reads,
};
use crate::{
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    tag_rights::TagRights,
    tree::{
        histories::{self, Times},
        link,
        parallel::{chunks_of, in_jobs},
        words::Flaw,
    },
};

/// How many names are asked of the store at once, and how many of them are kept while a list is sorted.
const AT_ONCE: usize = 1000;

/// How many names one request looks at before its page ends.
const MOST_NAMES: usize = 100_000;

/// At how many links one call of the store looks: on a file system that takes less than a millisecond.
const LOOKS: usize = 256;

/// Of how many tags it is looked at when each was pushed, to sort by that.
const MOST_SORTED: usize = 100_000;

/// What is wanted of the tags of a repository.
#[derive(Debug, Clone, Copy)]
pub struct TagsWanted<'a> {
    /// The pattern that the names match; `None`: all of them.
    pub matching: Option<&'a Pattern>,
    /// The order of the list.
    pub order: Order,
    /// The place after which the page begins; `None`: at the start.
    pub after: Option<&'a Place>,
    /// How many tags the page has at most.
    pub limit: usize,
}

/// A page of the tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagList {
    /// The tags in their order.
    pub tags: Vec<TagRow>,
    /// The place after which the next page begins; `None` on the last one.
    pub next: Option<Place>,
}

/// A tag, with what it points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    /// The tag.
    pub tag: Tag,
    /// When it was pushed last: the time of its link.
    pub pushed: SystemTime,
    /// Digest of the manifest at which it points; `None` where its link is damaged.
    pub digest: Option<Digest>,
    /// The image.
    pub image: ImageSummary,
}

/// A tag that the store named, with what it told of the tag by the way.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) tag: Tag,
    /// `None`: it told nothing, as a directory does.
    times: Option<Times>,
}

/// A tag, and its link.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) tag: Tag,
    pub(super) pushed: SystemTime,
    /// `None`: the link is damaged.
    pub(super) digest: Option<Digest>,
}

/// When a tag was pushed last, and at which manifest it points, where that is asked for and its link is not damaged.
#[derive(Debug)]
pub(super) struct Tagged {
    pub(super) pushed: SystemTime,
    pub(super) digest: Option<Digest>,
}

impl Registry {
    /// The tags of `name` that are wanted, and that a client with these `rights` may see.
    ///
    /// A page in ascending order of the names reads the links and manifests of its own tags, and names alone of those that do not match. In
    /// another order all names are read, and by time when each tag was pushed.
    ///
    /// # Errors
    ///
    /// [`Error::NameUnknown`] when there is no such repository; [`Error::TooManyToSort`]; [`Error::Exhausted`] when too many lists are being
    /// made; errors of the store.
    pub async fn list_tags(
        &self,
        name: &RepoName,
        wanted: TagsWanted<'_>,
        rights: &dyn TagRights,
    ) -> Result<TagList> {
        let _turn = turn(&self.budget().lists).await?;
        let page = match wanted.order {
            Order::Name => self.first_tags(name, wanted, rights).await?,
            _ => self.sorted_tags(name, wanted, rights).await?,
        };
        let digests: Vec<Digest> = page.entries.iter().filter_map(|located| located.digest).collect();
        let images = self.summaries(name, digests).await?;
        let rows = page.entries.into_iter().map(|located| TagRow {
            image: match &located.digest {
                Some(digest) => images.of(digest),
                None => ImageSummary::broken(Flaw::TagDamaged.into()),
            },
            tag: located.tag,
            pushed: located.pushed,
            digest: located.digest,
        });
        Ok(TagList {
            tags: rows.collect(),
            next: page.next,
        })
    }

    /// The page in ascending order of the names. It ends early where few of very many names are wanted.
    async fn first_tags(
        &self,
        name: &RepoName,
        wanted: TagsWanted<'_>,
        rights: &dyn TagRights,
    ) -> Result<Page<Located>> {
        let mut walk = TagWalk::new(name, wanted.after.map(|place| &*place.name));
        let (mut tags, mut passed, mut last_visible) = (Vec::new(), 0, None);
        // One more than a page has shows that there is another one.
        while tags.len() <= wanted.limit {
            let missing = wanted.limit + 1 - tags.len();
            // Where few of the names are wanted, or visible, few listings find them.
            let at_once = match wanted.matching {
                Some(_) => AT_ONCE,
                None => missing.clamp(AT_ONCE / 10, AT_ONCE),
            };
            let Some(names) = self.next_tags(&mut walk, at_once).await? else {
                break;
            };
            passed += names.len();
            let visible = names.into_iter().filter(|name| rights.may_see(&name.tag));
            let mut visible = visible.peekable();
            let mut names = Vec::new();
            while let Some(name) = visible.next() {
                if visible.peek().is_none() {
                    last_visible = Some(name.tag.clone());
                }
                names.extend(Some(name).filter(|name| matches(&name.tag, wanted)));
            }
            if names.len() > missing {
                names.truncate(missing);
                last_visible = names.last().map(|name| name.tag.clone());
                walk.go_back_to(last_visible.as_ref());
            }
            tags.extend(self.locate(name, names).await?);
            // The place at which the next page begins is a name that the client may see.
            if passed >= MOST_NAMES
                && tags.len() <= wanted.limit
                && let Some(last) = &last_visible
            {
                return Ok(Page {
                    entries: tags,
                    next: Some(wanted.order.place_of(last.as_str(), SystemTime::UNIX_EPOCH)),
                });
            }
        }
        Ok(Page::of(tags, wanted.limit, |last| {
            wanted.order.place_of(last.tag.as_str(), last.pushed)
        }))
    }

    /// The page in another order.
    async fn sorted_tags(
        &self,
        name: &RepoName,
        wanted: TagsWanted<'_>,
        rights: &dyn TagRights,
    ) -> Result<Page<Located>> {
        let is_wanted = |tag: &Tag| rights.may_see(tag) && matches(tag, wanted);
        let mut walk = TagWalk::new(name, None);
        if wanted.order.is_by_time() {
            let reads = Reads::new(MOST_SORTED);
            let mut first = First::new(wanted.order, wanted.after, wanted.limit);
            while let Some(names) = self.next_tags(&mut walk, AT_ONCE).await? {
                let names = names.into_iter().filter(|name| is_wanted(&name.tag));
                let names: Vec<Named> = names.collect();
                let too_many = |_spent| Error::TooManyToSort;
                reads.take(names.len()).map_err(too_many)?;
                for located in self.locate(name, names).await? {
                    let place = wanted.order.place_of(located.tag.as_str(), located.pushed);
                    first.add(place, located);
                }
            }
            return Ok(first.page());
        }
        let mut first = First::new(wanted.order, wanted.after, wanted.limit);
        while let Some(names) = self.next_tags(&mut walk, AT_ONCE).await? {
            for name in names.into_iter().filter(|name| is_wanted(&name.tag)) {
                let place = wanted.order.place_of(name.tag.as_str(), SystemTime::UNIX_EPOCH);
                first.add(place, name);
            }
        }
        let Page { entries, next } = first.page();
        let mut tags = self.locate(name, entries).await?;
        let place = |located: &Located| {
            wanted
                .order
                .place_of(located.tag.as_str(), SystemTime::UNIX_EPOCH)
        };
        tags.sort_unstable_by(|one, other| wanted.order.compare(&place(one), &place(other)));
        Ok(Page { entries: tags, next })
    }

    /// The next tags of a walk through all of them, and perhaps none of a page; `None` at its end.
    pub(super) async fn next_tags(
        &self,
        walk: &mut TagWalk<'_>,
        at_once: usize,
    ) -> Result<Option<Vec<Named>>> {
        if walk.is_at_end {
            return Ok(None);
        }
        let request = PageRequest {
            n: Some(at_once),
            last: walk.after.as_deref().map(str::to_owned),
        };
        let page = self.found_tags(walk.name, &request, histories::KEPT).await?;
        let page = page.ok_or_else(|| Error::NameUnknown {
            name: walk.name.clone(),
        })?;
        walk.is_at_end = !page.more || page.found.is_empty();
        walk.after = page.found.last().map(|found| found.name.clone());
        let named = page.found.into_iter().filter_map(|found| {
            Some(Named {
                tag: found.name.parse().ok()?,
                times: Times::told(found),
            })
        });
        Ok(Some(named.collect()))
    }

    /// When each of `tags` was pushed last, and at which manifest it points, if that is asked for. Those that are gone meanwhile are left
    /// out.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn pushed(
        &self,
        name: &RepoName,
        tags: Vec<Named>,
        with_digests: bool,
    ) -> Result<Vec<Tagged>> {
        if with_digests {
            let located = self.locate(name, tags).await?.into_iter();
            let tagged = located.map(|Located { pushed, digest, .. }| Tagged { pushed, digest });
            return Ok(tagged.collect());
        }
        let tagged = |pushed| Tagged { pushed, digest: None };
        let timed = self.timed(name, tags).await?.into_iter();
        Ok(timed.filter_map(|(_, times)| times.moved).map(tagged).collect())
    }

    /// What the links of `tags` hold, and since when, in the order of the names. Those that are gone meanwhile are left out.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn locate(&self, name: &RepoName, tags: Vec<Named>) -> Result<Vec<Located>> {
        let tags = self.timed(name, tags).await?;
        let (name, links) = (name.clone(), Arc::clone(&self.tree.links));
        let located = in_jobs(tags, move |(tag, times)| {
            let (key, links) = (layout::tag_link(&name, &tag), Arc::clone(&links));
            async move {
                let Times {
                    moved,
                    version,
                    history,
                } = times;
                let Some(pushed) = moved else {
                    return Ok(None);
                };
                let told = link::told(version.as_ref(), history.iter().map(|entry| &entry.digest));
                let remembered = || links.remembered_as(&key, version.as_ref()?);
                if let Some(digest) = told.or_else(remembered) {
                    let digest = Some(digest);
                    return Ok(Some(Located { tag, pushed, digest }));
                }
                let read = links.observe(&key).await?;
                Ok(read.map(|(digest, _)| Located { tag, pushed, digest }))
            }
        });
        Ok(located.await?.into_iter().flatten().collect())
    }

    /// When each of `tags` was pushed last: as the store told it with the name, or else by a look at its link, and then without its history.
    async fn timed(&self, name: &RepoName, tags: Vec<Named>) -> Result<Vec<(Tag, Times)>> {
        let chunks: Vec<Vec<Named>> = chunks_of(LOOKS, tags);
        let (storage, directory) = (Arc::clone(&self.storage), layout::tags(name));
        let timed = in_jobs(chunks, move |chunk| {
            let (storage, directory) = (Arc::clone(&storage), directory.clone());
            async move {
                let untold = chunk.iter().filter(|named| named.times.is_none());
                let untold: Vec<Box<str>> = untold.map(|named| named.tag.as_str().into()).collect();
                let looked = match untold.is_empty() {
                    true => Vec::new(),
                    false => {
                        storage
                            .stat_below(&directory, &untold, &layout::in_tag_link())
                            .await?
                    }
                };
                let mut looked = looked.into_iter();
                let times = chunk.into_iter().map(|Named { tag, times }| {
                    let times =
                        times.unwrap_or_else(|| looked.next().flatten().map(Times::of).unwrap_or_default());
                    (tag, times)
                });
                Ok(times.collect::<Vec<_>>())
            }
        });
        Ok(timed.await?.into_iter().flatten().collect())
    }
}

fn matches(tag: &Tag, wanted: TagsWanted<'_>) -> bool {
    let matches = |pattern: &Pattern| pattern.matches(tag.as_str(), None);
    wanted.matching.is_none_or(matches)
}

/// A walk through the tags of a repository, in ascending order of their names.
#[derive(Debug)]
pub(super) struct TagWalk<'a> {
    name: &'a RepoName,
    after: Option<Box<str>>,
    is_at_end: bool,
}

impl<'a> TagWalk<'a> {
    pub(super) fn new(name: &'a RepoName, after: Option<&str>) -> Self {
        Self {
            name,
            after: after.map(Into::into),
            is_at_end: false,
        }
    }

    /// Goes on after `tag`, one of those that the walk passed last.
    fn go_back_to(&mut self, tag: Option<&Tag>) {
        if let Some(tag) = tag {
            (self.after, self.is_at_end) = (Some(tag.as_str().into()), false);
        }
    }
}
