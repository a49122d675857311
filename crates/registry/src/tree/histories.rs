//! The histories of tags: every digest at which a tag pointed, and since when last.

use std::{cmp::Ordering, collections::HashMap, time::SystemTime};

use wharf_oci::{Algorithm, Digest, RepoName, Tag};
use wharf_storage::{Found, Key, Scanned, Stat, Storage, Version, layout};

use super::{parallel::in_parallel, scan::PAGE};
use crate::{
    error::{Error, Result},
    trash::record::TrashedLink,
};

/// Of how many tags the directories are listed one by one.
const FEW: usize = 4;

/// How many entries of the history of a tag a listing of names is asked to tell by the way: those of most tags; then their links need not
/// be read.
pub(crate) const KEPT: usize = 32;

/// When a tag was moved last, and its history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// When the link of the tag was written; `None` when there is none.
    pub(crate) moved: Option<SystemTime>,
    /// The version of that link, if the store told one.
    pub(crate) version: Option<Version>,
    /// The history, in ascending order of the digests.
    pub(crate) history: Vec<TrashedLink>,
}

/// The times of `tags` of `name`. A tag that is not there has none.
///
/// On a bucket the keys of tags that are neighbours are listed together, so that some tens of tags cost one request.
///
/// # Errors
///
/// Errors of the store.
pub(crate) async fn of_tags(
    storage: &dyn Storage,
    name: &RepoName,
    tags: &[Tag],
) -> Result<HashMap<Tag, Times>> {
    if storage.is_shared() && tags.len() > FEW {
        return of_neighbours(storage, name, tags).await;
    }
    let times = tags.iter().map(|tag| async move {
        let times = of_tag(storage, name, tag).await?;
        Ok::<_, Error>((tag.clone(), times))
    });
    let times: Vec<(Tag, Times)> = in_parallel(times).await?;
    Ok(times.into_iter().collect())
}

async fn of_tag(storage: &dyn Storage, name: &RepoName, tag: &Tag) -> Result<Times> {
    let (directory, mut after) = (layout::tag(name, tag), None);
    let mut times = Times::default();
    loop {
        let page = storage.scan(&directory, after.as_ref(), PAGE).await?;
        for object in &page.objects {
            times.add(object, &layout::tag_link(name, tag));
        }
        after = page.objects.last().map(|object| object.key.clone());
        if !page.more || after.is_none() {
            return Ok(times);
        }
    }
}

/// As [`of_tags`], by listing the directory of all tags from the first to the last one, and passing over what lies between.
async fn of_neighbours(storage: &dyn Storage, name: &RepoName, tags: &[Tag]) -> Result<HashMap<Tag, Times>> {
    // In the order of their keys, in which the directory `a-b` comes before `a`.
    let mut wanted: Vec<(Key, &Tag)> = tags.iter().map(|tag| (layout::tag(name, tag), tag)).collect();
    wanted.sort_by(|(one, _), (other, _)| by_content(one, other));
    let all = layout::tags(name);
    let mut times: HashMap<Tag, Times> = HashMap::new();
    let (mut next, mut after) = (0, None);
    while let Some((directory, _)) = wanted.get(next) {
        let from = after.take().or_else(|| before_content(directory));
        let page = storage.scan(&all, from.as_ref(), PAGE).await?;
        for object in &page.objects {
            while wanted
                .get(next)
                .is_some_and(|(directory, _)| is_past(&object.key, directory))
            {
                next += 1;
            }
            let Some((directory, tag)) = wanted.get(next) else {
                break;
            };
            if is_below(&object.key, directory) {
                let times = times.entry((*tag).clone()).or_default();
                times.add(object, &layout::tag_link(name, *tag));
            }
        }
        match page.objects.last() {
            Some(last) if page.more => {
                // The history of the tag goes on, or others lie before the next one.
                let goes_on = wanted
                    .get(next)
                    .is_some_and(|(directory, _)| is_below(&last.key, directory));
                after = goes_on.then(|| last.key.clone());
            }
            _ => break,
        }
    }
    Ok(times)
}

impl Times {
    /// What a listing of names told of the tag `found` by the way, of its history at most [`KEPT`] entries; `None` when it told nothing.
    pub(crate) fn told(found: Found) -> Option<Self> {
        let history = found.others.into_iter().filter_map(|(path, since)| {
            let digest = digest_of(&Key::new(&*path).ok()?)?;
            Some(TrashedLink { digest, since })
        });
        Some(Self {
            moved: Some(found.modified?),
            version: found.version,
            history: history.collect(),
        })
    }

    /// What a look at the link of a tag tells: all but the history.
    pub(crate) fn of(link: Stat) -> Self {
        Self {
            moved: Some(link.modified),
            version: link.version,
            history: Vec::new(),
        }
    }

    /// Notes an object in the directory of the tag with this `link`.
    fn add(&mut self, object: &Scanned, link: &Key) {
        if object.key == *link {
            self.moved = Some(object.stat.modified);
            self.version.clone_from(&object.stat.version);
        } else if let Some(digest) = digest_of(&object.key) {
            self.history.push(TrashedLink {
                digest,
                since: object.stat.modified,
            });
        }
    }
}

/// The digest that the key of a link in a history names.
pub(crate) fn digest_of(link: &Key) -> Option<Digest> {
    let directory = link.parent()?;
    let algorithm: Algorithm = directory.parent()?.name().parse().ok()?;
    Digest::from_hex(algorithm, directory.name())
}

/// The order of the keys below two directories.
fn by_content(one: &Key, other: &Key) -> Ordering {
    let with_slash = |key: &Key| key.as_str().bytes().chain(*b"/").collect::<Vec<u8>>();
    with_slash(one).cmp(&with_slash(other))
}

/// A key that comes before those of the layout below `directory`, and after those of its neighbours.
fn before_content(directory: &Key) -> Option<Key> {
    directory.join("-").ok()
}

fn is_below(key: &Key, directory: &Key) -> bool {
    let rest = key.as_str().strip_prefix(directory.as_str());
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Whether `key` comes after everything below `directory`.
fn is_past(key: &Key, directory: &Key) -> bool {
    !is_below(key, directory) && by_content(directory, key) == Ordering::Less
}
