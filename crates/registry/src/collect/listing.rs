//! The repositories of a bucket, each as one flat listing of all their objects shows it.
//!
//! On a bucket each link that is read is a request, and a listing has a thousand objects. So the objects of all repositories are
//! listed, one page after the other; those of one repository, without the repositories below it, are neighbours, because
//! only the names of the layout begin with an underscore. What the links hold a listing tells as well, mostly
//! ([`known_links`](super::known_links)).
//!
//! A listing is no snapshot: a page is as old as its request. An object that is there from before the listing begins until after
//! it has ended is in it, as it is in a walk through directories, and no reader of the whole tree may count on more.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use wharf_oci::{Algorithm, Digest};
use wharf_storage::{
    Key, Scanned, Stat, Storage,
    layout::{self, InTree as _, Repository},
};

use super::known_links::ListedLink;
use crate::{
    error::Result,
    tree::{
        repositories,
        scan::{PAGE, below},
    },
};

/// A repository that was found, to be surveyed.
#[derive(Debug)]
pub(crate) enum Found {
    /// A directory in the place of a repository, which is to be read.
    Directory(Repository),
    /// What a listing shows of a repository.
    Listing(Box<Listing>),
}

impl Found {
    /// Path of the repository.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Directory(repository) => repository.path(),
            Self::Listing(listing) => listing.repository.path(),
        }
    }
}

/// All repositories of a store: by a walk through directories, each before those below it, or on a bucket by a listing, in the
/// order of their keys. As [`parents_first`](repositories::parents_first), it fails where it is unknown what a repository has.
pub(crate) fn all(storage: &Arc<dyn Storage>) -> BoxStream<'static, Result<Found>> {
    let storage = Arc::clone(storage);
    match storage.is_shared() {
        true => listings(storage)
            .map(|listing| Ok(Found::Listing(Box::new(listing?))))
            .boxed(),
        false => repositories::parents_first(storage)
            .map(|repository| Ok(Found::Directory(repository?)))
            .boxed(),
    }
}

/// The objects of one repository, without the repositories below it.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(super) repository: Repository,
    /// Directories of tags, by name
    pub(super) tags: BTreeMap<Box<str>, ListedTag>,
    pub(super) revisions: ListedDigests,
    pub(super) layers: ListedDigests,
    /// Whether there are objects in the directory of tags that belong to no tag
    pub(super) has_unknown_entries: bool,
    /// Whether it has a place for manifests or layers
    is_repository: bool,
}

/// A directory of a tag.
#[derive(Debug, Default)]
pub(super) struct ListedTag {
    /// The link of the tag, if there is one
    pub(super) current: Option<Stat>,
    pub(super) history: Vec<Digest>,
    pub(super) has_unknown_history: bool,
}

/// A directory that keeps digests as `<algorithm>/<hex>`.
#[derive(Debug, Default)]
pub(super) struct ListedDigests {
    /// The digests in ascending order, each with its link
    pub(super) links: Vec<ListedLink>,
    pub(super) unknown_algorithms: BTreeSet<Box<str>>,
    /// Links by algorithms that are not supported
    pub(super) unknown_links: Vec<Key>,
    pub(super) has_unknown_entries: bool,
}

/// What each repository has, in the order of the keys.
fn listings(storage: Arc<dyn Storage>) -> impl Stream<Item = Result<Listing>> + Send {
    let pages = Pages {
        storage,
        prefix: layout::repositories(),
        page: VecDeque::new(),
        after: None,
        is_at_end: false,
        open: None,
    };
    futures_util::stream::try_unfold(pages, |mut pages| async move {
        let next = pages.next_listing().await?;
        Ok(next.map(|listing| (listing, pages)))
    })
}

struct Pages {
    storage: Arc<dyn Storage>,
    prefix: Key,
    page: VecDeque<Scanned>,
    /// The key after which reading goes on
    after: Option<Key>,
    is_at_end: bool,
    /// The repository that the last object belonged to
    open: Option<Listing>,
}

impl Pages {
    async fn next_listing(&mut self) -> Result<Option<Listing>> {
        loop {
            self.fill().await?;
            let Some(Scanned { key, stat }) = self.page.pop_front() else {
                return Ok(self.open.take().filter(|listing| listing.is_repository));
            };
            let place = below(&self.prefix, &key).and_then(layout::repository_of);
            let Some((name, path)) = place else { continue };
            if let Some(open) = &mut self.open
                && open.repository.path() == name
            {
                open.note(path, &key, stat);
                continue;
            }
            // A longer name is that of no repository.
            let Ok(repository) = Repository::at(name) else {
                continue;
            };
            let mut next = Listing::new(repository);
            next.note(path, &key, stat);
            let whole = self.open.replace(next);
            if let Some(whole) = whole.filter(|listing| listing.is_repository) {
                return Ok(Some(whole));
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        while self.page.is_empty() && !self.is_at_end {
            let page = self.storage.scan(&self.prefix, self.after.as_ref(), PAGE).await?;
            self.is_at_end = !page.more;
            let last = page.objects.last().map(|object| object.key.clone());
            self.after = last.or(self.after.take());
            self.page.extend(page.objects);
        }
        Ok(())
    }
}

impl Listing {
    fn new(repository: Repository) -> Self {
        Self {
            repository,
            tags: BTreeMap::new(),
            revisions: ListedDigests::default(),
            layers: ListedDigests::default(),
            has_unknown_entries: false,
            is_repository: false,
        }
    }

    /// Notes the object at `key`, whose path in the repository is `path`.
    fn note(&mut self, path: &str, key: &Key, stat: Stat) {
        let Some((kind, path)) = path.split_once('/') else {
            return;
        };
        match (kind, path.split_once('/')) {
            ("_layers", _) => self.layers.note(path, key, stat),
            ("_manifests", Some(("revisions", path))) => self.revisions.note(path, key, stat),
            ("_manifests", Some(("tags", path))) => self.note_tag(path, stat),
            ("_manifests", _) => {}
            _ => return,
        }
        self.is_repository = true;
    }

    fn note_tag(&mut self, path: &str, stat: Stat) {
        let Some((name, path)) = path.split_once('/') else {
            self.has_unknown_entries = true;
            return;
        };
        if !self.tags.contains_key(name) {
            self.tags.insert(name.into(), ListedTag::default());
        }
        let Some(tag) = self.tags.get_mut(name) else {
            return;
        };
        if path == layout::in_tag_link().as_str() {
            tag.current = Some(stat);
        } else if let Some(path) = path.strip_prefix("index/") {
            let named = path.split_once('/').and_then(|(algorithm, path)| {
                let (hex, _) = path.split_once('/')?;
                Digest::from_hex(algorithm.parse().ok()?, hex)
            });
            match named {
                Some(digest) if tag.history.last() == Some(&digest) => {}
                Some(digest) => tag.history.push(digest),
                None => tag.has_unknown_history = true,
            }
        }
    }
}

impl ListedDigests {
    /// Notes the object at `key`, whose path in the directory is `path`.
    fn note(&mut self, path: &str, key: &Key, stat: Stat) {
        let Some((algorithm, path)) = path.split_once('/') else {
            self.has_unknown_entries = true;
            return;
        };
        let (hex, object) = path.split_once('/').unwrap_or((path, ""));
        let Ok(known) = algorithm.parse::<Algorithm>() else {
            self.has_unknown_entries = true;
            if !self.unknown_algorithms.contains(algorithm) {
                self.unknown_algorithms.insert(algorithm.into());
            }
            self.unknown_links.extend((object == "link").then(|| key.clone()));
            return;
        };
        let Some(digest) = Digest::from_hex(known, hex) else {
            self.has_unknown_entries = true;
            return;
        };
        if self.links.last().is_none_or(|last| last.digest != digest) {
            self.links.push(ListedLink::absent(digest));
        }
        if let Some(link) = self.links.last_mut().filter(|_| object == "link") {
            link.found(stat);
        }
    }
}
