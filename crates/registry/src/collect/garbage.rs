//! Finding garbage: what is stored and not needed, in one repository, and among all blobs.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use wharf_oci::{Algorithm, Digest};
use wharf_storage::{Key, Scanned, Storage, layout};

use super::{
    digests::DigestSet,
    emptied::Emptied,
    live::Live,
    portion::{Gathered, Portion, Unneeded},
    report::{CollectOptions, DoomedBlob, DoomedManifest, RepositoryGarbage},
    survey::Survey,
};
use crate::{
    error::Result,
    tree::{
        directory::{names, no_key},
        link::Link,
        parallel::in_jobs,
        scan::Scan,
    },
};

/// The garbage of a repository, everything that is not `live` in it; `None` when there is none.
pub(super) fn of_repository(
    survey: &Survey,
    live: &Live,
    dead_layers: &[Digest],
    options: CollectOptions,
) -> Option<RepositoryGarbage> {
    // What the bytes of a live layer are stored under is live, too.
    let layers = dead_layers.iter().filter(|digest| !live.contains(digest));
    let layers: Vec<Digest> = layers.copied().collect();
    let is_dead = |digest: &&Digest| !live.contains(digest);
    let mut history = Vec::new();
    if options.delete_untagged {
        for tag in &survey.tags {
            let entries = tag.history.iter().filter(is_dead);
            history.extend(entries.map(|digest| (tag.name.clone(), *digest)));
        }
    }
    // Without `delete_untagged` all manifests are roots.
    let manifests = doomed_manifests(survey, survey.revisions.iter().filter(is_dead), &history);
    let has_tags = survey.tags.iter().any(|tag| tag.current != Link::Absent);
    let is_used =
        survey.revisions.len() > manifests.len() || survey.layers.iter().any(|layer| live.contains(layer));
    let garbage = RepositoryGarbage {
        repository: survey.repository.clone(),
        vanishes: !has_tags && !is_used && !survey.has_unknown_entries,
        manifests,
        layers,
        history,
    };
    let loses_something = garbage.vanishes
        || !(garbage.manifests.is_empty() && garbage.layers.is_empty() && garbage.history.is_empty());
    loses_something.then_some(garbage)
}

/// The layers that are not `live`, each with the time of its link. registry:2 leaves the directories of deleted links behind.
///
/// # Errors
///
/// When a task did not end; beside requests, errors of the store.
pub(super) async fn dead_layers(
    storage: &Arc<dyn Storage>,
    survey: &Survey,
    live: &Live,
    options: CollectOptions,
) -> Result<Vec<(Digest, Option<SystemTime>)>> {
    let dead = survey.layers.iter().filter(|digest| !live.contains(digest));
    // A link whose state is unknown is removed as well, but not beside requests.
    let despite_errors = options.grace.is_none();
    survey
        .layer_times(storage, dead.copied().collect(), despite_errors)
        .await
}

/// The directories of a repository that hold nothing: of `unlinked` layers, which have no link, of manifests without one, and all of a
/// repository that has nothing.
pub(super) fn emptied(survey: &Survey, unlinked: &[Digest]) -> Emptied {
    let mut emptied = Emptied::default();
    let repository = &survey.repository;
    let (layers, revisions) = (layout::layers(repository), layout::revisions(repository));
    for layer in unlinked {
        emptied.note(&layout::layer_link(repository, layer), &layers);
    }
    for revision in &survey.unlinked {
        emptied.note(&layout::revision_link(repository, revision), &revisions);
    }
    if survey.has_nothing(unlinked.len()) {
        let mut directories = Vec::new();
        for algorithm in Algorithm::ALL {
            directories.push(layout::revisions_of(repository, algorithm));
            directories.extend(layers.join(algorithm.as_str()));
        }
        directories.extend([revisions, layers, layout::tags(repository)]);
        directories.extend([layout::manifests(repository), layout::uploads(repository)]);
        directories.push(layout::repository(repository));
        for directory in directories {
            emptied.note_directory(&directory, &layout::repositories());
        }
    }
    emptied
}

/// The manifests that go, in the order in which they may: what names another one goes before it, so that what is left
/// after a crash names nothing that is gone. A referrer goes after the indexes that list its subject: as long as one of these may
/// stay, so may the subject, and with it the referrer.
pub(crate) fn doomed_manifests<'a>(
    survey: &Survey,
    dead: impl Iterator<Item = &'a Digest>,
    history: &[(Box<str>, Digest)],
) -> Vec<DoomedManifest> {
    let mut named: HashMap<Digest, u32> = dead.map(|digest| (*digest, 0)).collect();
    let dead: Vec<Digest> = named.keys().copied().collect();
    let referrers = plain_referrers(survey, &dead);
    let names = |digest: &Digest| {
        let facts = survey.manifests.get(digest).into_iter();
        let children = facts.clone().flat_map(|facts| &facts.children);
        let about_children = children.filter_map(|child| referrers.get(child)).flatten();
        facts
            .flat_map(|facts| facts.all())
            .chain(about_children)
            .copied()
            .collect::<Vec<Digest>>()
    };
    for other in dead.iter().flat_map(names) {
        if let Some(count) = named.get_mut(&other) {
            *count += 1;
        }
    }
    let mut tags: HashMap<Digest, Vec<Box<str>>> = HashMap::new();
    for (tag, digest) in history {
        tags.entry(*digest).or_default().push(tag.clone());
    }
    let mut doomed = Vec::with_capacity(named.len());
    let mut free: Vec<Digest> = named
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(digest, _)| *digest)
        .collect();
    let mut generation = 0;
    while !named.is_empty() {
        if free.is_empty() {
            // A circle of digests cannot be made; if there is one nevertheless, it is removed as a whole.
            free = named.keys().copied().collect();
        }
        free.sort_unstable();
        for digest in &free {
            named.remove(digest);
        }
        let mut next = Vec::new();
        for digest in free {
            for other in names(&digest) {
                if let Some(count) = named.get_mut(&other) {
                    *count -= 1;
                    next.extend((*count == 0).then_some(other));
                }
            }
            doomed.push(DoomedManifest {
                digest,
                tags: tags.remove(&digest).unwrap_or_default(),
                generation,
            });
        }
        free = next;
        generation += 1;
    }
    doomed
}

/// The referrers among `dead`, by their subjects. Those that list children are left out: one of these may be an index that lists
/// the subject, and nothing could go first then. One without children can only be below what lists its subject.
fn plain_referrers(survey: &Survey, dead: &[Digest]) -> HashMap<Digest, Vec<Digest>> {
    let mut referrers: HashMap<Digest, Vec<Digest>> = HashMap::new();
    for digest in dead {
        let facts = survey.manifests.get(digest);
        if let Some(facts) = facts.filter(|facts| facts.children.is_empty())
            && let Some(subject) = facts.subject
        {
            referrers.entry(subject).or_default().push(*digest);
        }
    }
    referrers
}

/// All blobs that are stored and not `live`, as far as the `portion` has room for them.
///
/// # Errors
///
/// Errors of listing a directory, and of the lookup of a blob.
pub(super) async fn blobs(
    storage: &Arc<dyn Storage>,
    live: &Arc<DigestSet>,
    portion: &Arc<Portion>,
    options: CollectOptions,
) -> Result<Unneeded> {
    let found = Arc::new(Gathered::new(Arc::clone(portion)));
    match storage.is_shared() {
        true => scan_blobs(&**storage, live, &found, options).await?,
        false => walk_blobs(storage, live, &found, options).await?,
    }
    Ok(found.take())
}

/// Adds the blobs of a bucket that are not `live`, and not too young, as a flat listing shows them.
async fn scan_blobs(
    storage: &dyn Storage,
    live: &DigestSet,
    found: &Gathered,
    options: CollectOptions,
) -> Result<()> {
    let all = layout::blobs();
    let mut scan = Scan::new(storage, &all);
    while let Some(Scanned { key, stat }) = scan.next().await? {
        let Some(digest) = layout::blob_at(&key) else {
            continue;
        };
        if live.contains(&digest) {
            continue;
        }
        match options.is_young(stat.modified) {
            true => found.pass_over(stat.size),
            false => found.add(DoomedBlob {
                digest,
                size: stat.size,
            }),
        }
    }
    Ok(())
}

/// Adds the blobs of a directory that are not `live`, and not too young.
async fn walk_blobs(
    storage: &Arc<dyn Storage>,
    live: &Arc<DigestSet>,
    found: &Arc<Gathered>,
    options: CollectOptions,
) -> Result<()> {
    let mut prefixes = Vec::new();
    for algorithm in Algorithm::ALL {
        let below = layout::blobs().join(algorithm.as_str()).map_err(no_key)?;
        for prefix in names(&**storage, &below).await? {
            if prefix.is_dir {
                prefixes.push((algorithm, below.join(&prefix.name).map_err(no_key)?));
            }
        }
    }
    let (storage, live, found) = (Arc::clone(storage), Arc::clone(live), Arc::clone(found));
    in_jobs(prefixes, move |(algorithm, directory)| {
        let (storage, live, found) = (Arc::clone(&storage), Arc::clone(&live), Arc::clone(&found));
        doomed(storage, live, found, options, algorithm, directory)
    })
    .await
    .map(drop)
}

/// Adds the blobs in one directory that are not `live`, and not too young.
async fn doomed(
    storage: Arc<dyn Storage>,
    live: Arc<DigestSet>,
    found: Arc<Gathered>,
    options: CollectOptions,
    algorithm: Algorithm,
    directory: Key,
) -> Result<()> {
    let names = names(&*storage, &directory).await?.into_iter();
    let digests = names.filter_map(|entry| {
        let digest = Digest::from_hex(algorithm, &entry.name)?;
        (entry.name.starts_with(directory.name()) && !live.contains(&digest)).then_some(digest)
    });
    let jobs = in_jobs(digests.collect(), move |digest| {
        let (storage, gathered) = (Arc::clone(&storage), Arc::clone(&found));
        async move {
            match storage.stat(&layout::blob(&digest)).await {
                Ok(stat) if options.is_young(stat.modified) => {
                    gathered.pass_over(stat.size);
                    Ok(())
                }
                Ok(stat) => {
                    gathered.add(DoomedBlob {
                        digest,
                        size: stat.size,
                    });
                    Ok(())
                }
                // An empty directory that a crash left.
                Err(error) if error.is_not_found() => {
                    gathered.note_empty(&digest);
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        }
    });
    jobs.await.map(drop)
}
