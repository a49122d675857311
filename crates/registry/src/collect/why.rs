//! Why a digest is kept: what needs it, with the way from there to the digest.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _};
use wharf_message::Sentence;
use wharf_oci::Digest;
use wharf_storage::{
    layout,
    layout::{InTree as _, Repository},
};

use super::{Collector, REPOSITORIES, listing, portion::Portion, survey::Survey};
use crate::{
    error::{Error, Result},
    trash::record::{TrashId, TrashRecord},
    tree::{
        link::Link,
        manifest::{Facts, Stored},
        parallel::failed_job,
    },
};

/// How many tags of one repository are told.
const TAGS: usize = 5;

/// Why a digest is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The digest.
    pub digest: Digest,
    /// Size of its bytes; `None` when they are not stored.
    pub size: Option<u64>,
    /// Whether its bytes are younger than the grace period.
    pub is_young: bool,
    /// What needs it, the most important of each repository first. Nothing: it is garbage.
    pub kept: Vec<Kept>,
}

/// What needs a digest in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The repository's name, or the path of the directory in its place.
    pub repository: Box<str>,
    /// What needs it.
    pub by: Keeper,
    /// From what that names itself to the digest, both among them.
    pub path: Vec<Digest>,
}

/// What needs a digest for its own sake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// A tag.
    Tag(Box<str>),
    /// A manifest that no tag reaches.
    Untagged,
    /// A deletion that can be taken back.
    Trash(TrashId),
    /// The link of a layer, which is younger than the grace period.
    YoungLink,
    /// The repository has a manifest or a link that cannot be read, so all of it is kept; the text says which.
    Unreadable(Sentence),
}

impl Collector {
    /// Why `digest` is kept: in each repository that needs it, and in the trash.
    ///
    /// # Errors
    ///
    /// As [`mark`](Self::mark) and [`Marking::next`](super::Marking::next).
    pub async fn why(&self, digest: &Digest) -> Result<Why> {
        let (digest, options) = (*digest, self.options);
        let examination = self.examination(Arc::new(Portion::all()));
        let by_repository = listing::all(&self.storage)
            .map(move |found| {
                let examination = examination.clone();
                tokio::spawn(async move {
                    let Some(survey) = examination.survey(found?).await? else {
                        return Ok::<_, Error>(Vec::new());
                    };
                    let mut kept = in_repository(&survey, &digest);
                    if kept.is_empty() && survey.layers.binary_search(&digest).is_ok() {
                        let link = survey
                            .layer_times(&examination.storage, vec![digest], true)
                            .await?;
                        if link
                            .iter()
                            .any(|(_, written)| written.is_some_and(|written| options.is_young(written)))
                        {
                            kept.push(kept_by(&survey.repository, Keeper::YoungLink, vec![digest]));
                        }
                    }
                    Ok(kept)
                })
            })
            .buffered(REPOSITORIES)
            .map(|job| job.map_err(failed_job)?);
        let by_repository: Vec<Vec<Kept>> = by_repository.try_collect().await?;
        let mut kept: Vec<Kept> = by_repository.into_iter().flatten().collect();
        kept.extend(self.in_trash(&digest).await?);
        let (size, is_young) = match self.storage.stat(&layout::blob(&digest)).await {
            Ok(stat) => (Some(stat.size), options.is_young(stat.modified)),
            Err(error) if error.is_not_found() => (None, false),
            Err(error) => return Err(error.into()),
        };
        Ok(Why {
            digest,
            size,
            is_young,
            kept,
        })
    }

    /// The deletions that keep `digest`.
    async fn in_trash(&self, digest: &Digest) -> Result<Vec<Kept>> {
        let (ids, _) = self.trash.ids().await?;
        let mut kept = Vec::new();
        for id in ids {
            let record = match self.trash.read(&id).await {
                Err(Error::TrashUnknown { .. }) => continue,
                other => other?,
            };
            if let Some(path) = self.path_from(&record, digest).await {
                let repository = Repository::from(&record.repository);
                kept.push(kept_by(&repository, Keeper::Trash(id), path));
            }
        }
        Ok(kept)
    }

    /// The way from what a record names to `digest`.
    async fn path_from(&self, record: &TrashRecord, digest: &Digest) -> Option<Vec<Digest>> {
        let layers = &record.pointers.layers;
        if layers
            .iter()
            .any(|layer| layer.digest == *digest || layer.stored == Some(*digest))
        {
            return Some(vec![*digest]);
        }
        let mut above: HashMap<Digest, Option<Digest>> = HashMap::new();
        let mut ahead: VecDeque<Digest> = VecDeque::new();
        for root in record.pointers.named_manifests() {
            if above.insert(root, None).is_none() {
                ahead.push_back(root);
            }
        }
        while let Some(next) = ahead.pop_front() {
            if next == *digest {
                return Some(way(&above, next));
            }
            let Stored::Understood(facts) = self.manifests.look_up(&next).await else {
                continue;
            };
            if facts.blobs().any(|blob| blob == digest) {
                let mut path = way(&above, next);
                path.push(*digest);
                return Some(path);
            }
            for child in &facts.children {
                above.entry(*child).or_insert_with(|| {
                    ahead.push_back(*child);
                    Some(next)
                });
            }
        }
        None
    }
}

/// What needs `digest` in one repository, the shortest ways first: tags; or else manifests without tags.
fn in_repository(survey: &Survey, digest: &Digest) -> Vec<Kept> {
    let mut named_by: HashMap<Digest, Vec<Digest>> = HashMap::new();
    let mut relate = |named: &Digest, by: &Digest| named_by.entry(*named).or_default().push(*by);
    for (manifest, facts) in &survey.manifests {
        let facts: &Facts = facts;
        facts
            .blobs()
            .chain(&facts.children)
            .for_each(|named| relate(named, manifest));
        if let Some(subject) = &facts.subject {
            // Each keeps the other.
            relate(manifest, subject);
            relate(subject, manifest);
        }
    }
    let mut tags: HashMap<Digest, Vec<&str>> = HashMap::new();
    for tag in &survey.tags {
        if let Link::Points(target) = &tag.current {
            tags.entry(*target).or_default().push(&tag.name);
        }
    }
    // From the digest up: below which digest each one was found.
    let mut below: HashMap<Digest, Option<Digest>> = HashMap::from([(*digest, None)]);
    let mut ahead = VecDeque::from([*digest]);
    let (mut kept, mut untagged) = (Vec::new(), None);
    while let Some(next) = ahead.pop_front() {
        let path = || {
            let mut path = way(&below, next);
            path.reverse();
            path
        };
        for tag in tags.get(&next).into_iter().flatten() {
            kept.push(kept_by(&survey.repository, Keeper::Tag((*tag).into()), path()));
            if kept.len() == TAGS {
                return kept;
            }
        }
        if survey.has_revision(&next) {
            // The highest one is what keeps the others.
            untagged = Some(path());
        }
        let mut seen = HashSet::new();
        for by in named_by.get(&next).into_iter().flatten() {
            if seen.insert(*by) && !below.contains_key(by) {
                below.insert(*by, Some(next));
                ahead.push_back(*by);
            }
        }
    }
    if !kept.is_empty() {
        return kept;
    }
    let is_here = survey.has_revision(digest) || survey.layers.binary_search(digest).is_ok();
    if let Some(finding) = survey
        .findings
        .first()
        .filter(|_| survey.is_kept_whole && is_here)
    {
        let keeper = Keeper::Unreadable(finding.what.clone());
        return vec![kept_by(&survey.repository, keeper, vec![*digest])];
    }
    let untagged = untagged.map(|path| kept_by(&survey.repository, Keeper::Untagged, path));
    untagged.into_iter().collect()
}

fn kept_by(repository: &Repository, by: Keeper, path: Vec<Digest>) -> Kept {
    Kept {
        repository: repository.path().into(),
        by,
        path,
    }
}

/// The digests from the one that has nothing before it to `last`.
fn way(before: &HashMap<Digest, Option<Digest>>, last: Digest) -> Vec<Digest> {
    let mut way = vec![last];
    let mut next = before.get(&last).copied().flatten();
    while let Some(digest) = next {
        way.push(digest);
        next = before.get(&digest).copied().flatten();
    }
    way.reverse();
    way
}
