//! What a repository has, as plans are made of it: read tolerantly, and with the times of its links.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::{
    Key, Stat, Storage,
    layout::{self, Repository},
};

use crate::{
    collect::{
        CollectOptions,
        known_links::KnownLinks,
        survey::{Survey, look_up_all},
    },
    error::{Error, Result},
    registry::Registry,
    tree::{
        histories::digest_of,
        link::Link,
        manifest::{Facts, Stored},
    },
};

/// How many objects are asked of the store at once.
const PAGE: usize = 1000;

/// The content of a repository.
pub(super) struct Content {
    /// Everything that the survey of the repository found.
    pub(super) survey: Survey,
    /// Tags that point at a manifest.
    pub(super) tags: BTreeMap<Tag, Digest>,
    /// Manifests at which names point that no tag can have.
    pub(super) strangers: Vec<Digest>,
    /// Facts of manifests that the repository has no link of, and at which a tag points, or below one of these.
    pub(super) unlinked: HashMap<Digest, Arc<Facts>>,
    /// Manifests that the repository has no link of, at which a tag points, and that cannot be read.
    pub(super) unreadable: HashSet<Digest>,
    /// The links of manifests, as they were before everything else was read.
    pub(super) links: HashMap<Digest, Stat>,
}

impl Content {
    /// Reads what `name` has.
    ///
    /// # Errors
    ///
    /// [`Error::NameUnknown`] when there is no such repository; errors of the store.
    pub(super) async fn read(registry: &Registry, name: &RepoName) -> Result<Self> {
        let storage = &registry.storage;
        let links = stats_below(&**storage, &layout::revisions(name)).await?;
        let manifests = &registry.tree.manifests;
        let repository = Repository::from(name);
        let options = CollectOptions::default();
        let known = Arc::new(KnownLinks::new(Arc::clone(storage)));
        let survey = Survey::take(storage, manifests, &known, repository, options).await?;
        let survey = survey.ok_or_else(|| Error::NameUnknown { name: name.clone() })?;
        let (mut tags, mut strangers) = (BTreeMap::new(), Vec::new());
        for found in &survey.tags {
            let Link::Points(digest) = &found.current else {
                continue;
            };
            match found.name.parse() {
                Ok(tag) => _ = tags.insert(tag, *digest),
                Err(_no_tag) => strangers.push(*digest),
            }
        }
        let mut content = Self {
            survey,
            tags,
            strangers,
            unlinked: HashMap::new(),
            unreadable: HashSet::new(),
            links,
        };
        content.read_unlinked(registry).await?;
        Ok(content)
    }

    async fn read_unlinked(&mut self, registry: &Registry) -> Result<()> {
        let targets = self.tags.values().chain(&self.strangers);
        let mut wanted: HashSet<Digest> = targets
            .filter(|digest| !self.is_linked(digest))
            .copied()
            .collect();
        let tagged = wanted.clone();
        while !wanted.is_empty() {
            let mut next = HashSet::new();
            let found = look_up_all(&registry.tree.manifests, wanted.into_iter().collect());
            for (digest, stored) in found.await? {
                let facts = match stored {
                    Stored::Understood(facts) => facts,
                    Stored::Unreadable(_) if tagged.contains(&digest) => {
                        self.unreadable.insert(digest);
                        continue;
                    }
                    // No client can pull anything through it in this repository.
                    Stored::Absent | Stored::Unreadable(_) => continue,
                };
                let children = facts.children.iter().filter(|child| !self.is_linked(child));
                next.extend(
                    children
                        .filter(|child| !self.unlinked.contains_key(child))
                        .copied(),
                );
                self.unlinked.insert(digest, facts);
            }
            next.retain(|digest| !self.unlinked.contains_key(digest));
            wanted = next;
        }
        Ok(())
    }

    /// Whether the repository has the manifest `digest`.
    pub(super) fn is_linked(&self, digest: &Digest) -> bool {
        self.survey.has_revision(digest)
    }

    /// The facts of a manifest that a tag may reach.
    pub(super) fn facts(&self, digest: &Digest) -> Option<&Arc<Facts>> {
        let linked = self.survey.manifests.get(digest);
        linked.or_else(|| self.unlinked.get(digest))
    }

    /// When the manifest `digest` came into the repository.
    pub(super) fn since(&self, digest: &Digest) -> SystemTime {
        // One that came while the repository was read is as young as can be.
        let link = self.links.get(digest);
        link.map_or_else(SystemTime::now, |link| link.modified)
    }
}

/// The objects below a directory that keeps links by digest, each by the digest of its key.
///
/// # Errors
///
/// Errors of the store.
pub(super) async fn stats_below(storage: &dyn Storage, directory: &Key) -> Result<HashMap<Digest, Stat>> {
    let (mut found, mut after) = (HashMap::new(), None);
    loop {
        let page = storage.scan(directory, after.as_ref(), PAGE).await?;
        after = page.objects.last().map(|object| object.key.clone());
        let links = page.objects.into_iter();
        found.extend(links.filter_map(|link| Some((digest_of(&link.key)?, link.stat))));
        if !page.more || after.is_none() {
            return Ok(found);
        }
    }
}

/// What an object below the directory of a tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagObject {
    /// The link of the tag itself.
    Current,
    /// The entry of its history that leads to this manifest.
    Entry(Digest),
}

/// Shows the links of all tags of `name`, and the entries of their histories, to `look`, each with its time: when the tag last came to
/// point there. Keeps a page of them in memory.
///
/// # Errors
///
/// Errors of the store.
pub(super) async fn each_tag_object(
    storage: &dyn Storage,
    name: &RepoName,
    mut look: impl FnMut(&Tag, TagObject, SystemTime) + Send,
) -> Result<()> {
    let tags = layout::tags(name);
    let mut after = None;
    loop {
        let page = storage.scan(&tags, after.as_ref(), PAGE).await?;
        for object in &page.objects {
            if let Some((tag, what)) = tag_object(&tags, &object.key) {
                look(&tag, what, object.stat.modified);
            }
        }
        after = page.objects.last().map(|object| object.key.clone());
        if !page.more || after.is_none() {
            return Ok(());
        }
    }
}

/// The tag at `key`, and what the object is; `None`: something else is there.
fn tag_object(tags: &Key, key: &Key) -> Option<(Tag, TagObject)> {
    let below = key.as_str().strip_prefix(tags.as_str())?.strip_prefix('/')?;
    let (tag, rest) = below.split_once('/')?;
    let what = match rest {
        "current/link" => TagObject::Current,
        _ if rest.starts_with("index/") => TagObject::Entry(digest_of(key)?),
        _ => return None,
    };
    Some((tag.parse().ok()?, what))
}

/// A manifest at which a tag pointed, or points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    pub(super) digest: Digest,
    /// When the tag last came to point at it.
    pub(super) since: SystemTime,
    /// When the tag left it: when it came to point at the next one. The latest has its own time.
    pub(super) left: SystemTime,
}

/// Shows the histories of all tags of `name` to `look`, one tag at a time. Keeps a page of objects and one history in memory.
///
/// # Errors
///
/// Errors of the store.
pub(super) async fn each_history(
    storage: &dyn Storage,
    name: &RepoName,
    mut look: impl FnMut(&Tag, &[Past]) + Send,
) -> Result<()> {
    let mut current: Option<(Tag, Vec<Past>)> = None;
    each_tag_object(storage, name, |tag, object, since| {
        let TagObject::Entry(digest) = object else {
            return;
        };
        let past = Past {
            digest,
            since,
            left: since,
        };
        match &mut current {
            Some((of, history)) if of == tag => history.push(past),
            // The objects of one tag follow each other.
            _ => {
                if let Some((of, history)) = current.replace((tag.clone(), vec![past])) {
                    look(&of, &with_leaving(history));
                }
            }
        }
    })
    .await?;
    if let Some((of, history)) = current {
        look(&of, &with_leaving(history));
    }
    Ok(())
}

fn with_leaving(mut history: Vec<Past>) -> Vec<Past> {
    history.sort_unstable_by_key(|past| (past.since, past.digest));
    for index in 1..history.len() {
        history[index - 1].left = history[index].since;
    }
    history
}
