//! The survey of all repositories of a store, or of one; and the search for the images that suffer from damaged blobs.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use wharf_budget::{HEAVY, Share};
use wharf_oci::{Digest, RepoName};
use wharf_storage::{Storage, layout::Repository};

use super::{
    content::{Content, Found},
    finding::{Finding, Images, Problem},
    images::Users,
    judge::{Judgement, judge},
    progress::Progress,
};
use crate::{
    error::{Error, Result},
    registry::Options,
    tree::{
        link::Link,
        manifest::Manifests,
        parallel::failed_job,
        repositories::{self, Blocked, Obstacle, Obstacles},
    },
};

/// How many repositories are read at once.
const REPOSITORIES: usize = 4;

/// How many missing blobs are gathered, to name each once. Those beyond are named once for each repository that needs them.
const MOST: usize = 100_000;

/// How often a repository is read again in which something is wrong.
const LOOKS: usize = 2;

/// A survey of repositories.
#[derive(Debug)]
pub(crate) struct Survey {
    storage: Arc<dyn Storage>,
    manifests: Arc<Manifests>,
    registry: Arc<Options>,
    /// The one repository that is looked at; `None`: all.
    only: Option<RepoName>,
    /// Whether no other process changes the store.
    is_alone: bool,
}

/// What a survey has found of blobs.
#[derive(Debug, Default)]
pub(super) struct Surveyed {
    /// Blobs that are linked and not stored, with the images that need them.
    pub(super) missing: BTreeMap<Digest, Images>,
    /// Blobs that must be hashed to know whether they are damaged, with the images that need them.
    pub(super) suspects: BTreeMap<Digest, Images>,
    /// Digests that the one repository has links of, in ascending order.
    pub(super) linked: Vec<Digest>,
}

impl Survey {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        registry: Options,
        only: Option<RepoName>,
        is_alone: bool,
    ) -> Self {
        Self {
            manifests: manifests(&storage),
            storage,
            registry: Arc::new(registry),
            only,
            is_alone,
        }
    }

    /// Looks at every repository.
    ///
    /// # Errors
    ///
    /// When the store is not available, or the repositories cannot be listed at all.
    pub(super) async fn run(&self, progress: &Progress) -> Result<Surveyed> {
        let mut surveyed = Surveyed::default();
        let obstacles = Arc::new(Obstacles::default());
        let mut judged = walk(&self.storage, self.only.as_ref(), &obstacles)
            .map(|repository| {
                let (storage, manifests) = (Arc::clone(&self.storage), Arc::clone(&self.manifests));
                let (registry, is_alone) = (Arc::clone(&self.registry), self.is_alone);
                tokio::spawn(
                    async move { look(&storage, &manifests, &registry, repository?, is_alone).await },
                )
            })
            .buffered(REPOSITORIES)
            .map(|job| job.map_err(failed_job)?);
        while let Some(judgement) = judged.try_next().await? {
            pass_over(&obstacles, progress);
            let Some(judgement) = judgement else { continue };
            progress.surveyed(judgement.tags, judgement.manifests);
            judgement
                .findings
                .into_iter()
                .for_each(|finding| progress.found(finding));
            for (digest, images) in judgement.missing {
                if surveyed.missing.len() < MOST || surveyed.missing.contains_key(&digest) {
                    surveyed.missing.entry(digest).or_default().extend(images);
                } else {
                    progress.found(Finding::new(Problem::MissingBlob { digest }, images));
                }
            }
            for (digest, images) in judgement.suspects {
                surveyed.suspects.entry(digest).or_default().extend(images);
            }
            if self.only.is_some() {
                surveyed.linked = judgement.linked;
            }
        }
        drop(judged);
        pass_over(&obstacles, progress);
        Ok(surveyed)
    }
}

/// The images of all repositories, or of `only` one, that need any of `digests`.
///
/// # Errors
///
/// When the store is not available, or the repositories cannot be listed at all.
pub(crate) async fn suffering(
    storage: &Arc<dyn Storage>,
    only: Option<&RepoName>,
    digests: Vec<Digest>,
) -> Result<BTreeMap<Digest, Images>> {
    let digests: Arc<HashSet<Digest>> = Arc::new(digests.into_iter().collect());
    let (obstacles, manifests) = (Arc::new(Obstacles::default()), manifests(storage));
    let mut found = walk(storage, only, &obstacles)
        .map(|repository| {
            let (storage, manifests) = (Arc::clone(storage), Arc::clone(&manifests));
            let digests = Arc::clone(&digests);
            tokio::spawn(async move {
                let content = Content::read(&storage, &manifests, repository?).await?;
                let found = content.map_or_else(Vec::new, |content| images(&content, &digests));
                Ok::<_, Error>(found)
            })
        })
        .buffered(REPOSITORIES)
        .map(|job| job.map_err(failed_job)?);
    let mut all: BTreeMap<Digest, Images> = BTreeMap::new();
    while let Some(found) = found.try_next().await? {
        for (digest, images) in found {
            all.entry(digest).or_default().extend(images);
        }
    }
    Ok(all)
}

/// The images of one repository that need any of `digests`.
fn images(content: &Content, digests: &HashSet<Digest>) -> Vec<(Digest, Images)> {
    // What manifests call by SHA-512 may be stored under the SHA-256 that the link holds.
    let aliases = content.layers.iter().filter_map(|(digest, found)| match found {
        Found::Read(Link::Points(target)) if target != digest && digests.contains(target) => {
            Some((*target, *digest))
        }
        _ => None,
    });
    let named = content.named();
    let own = digests
        .iter()
        .filter(|digest| named.contains(digest) || content.has_revision(digest))
        .map(|digest| (*digest, *digest));
    let wanted: Vec<(Digest, Digest)> = own.chain(aliases).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let users = Users::of(content);
    let found = wanted.iter();
    found
        .map(|(stored, digest)| (*stored, users.images(digest)))
        .collect()
}

/// Looks at one repository, and again if something is wrong with it.
async fn look(
    storage: &Arc<dyn Storage>,
    manifests: &Arc<Manifests>,
    registry: &Options,
    repository: Repository,
    is_alone: bool,
) -> Result<Option<Judgement>> {
    let once = async || {
        let content = Content::read(storage, manifests, repository.clone()).await?;
        match content {
            Some(content) => judge(storage, content, registry).await.map(Some),
            None => Ok(None),
        }
    };
    let Some(mut judgement) = once().await? else {
        return Ok(None);
    };
    for _ in 0..LOOKS {
        if is_alone || judgement.is_clean() {
            break;
        }
        // One that was removed meanwhile has nothing wrong.
        let Some(mut again) = once().await? else {
            return Ok(None);
        };
        again.confirm(&judgement);
        judgement = again;
    }
    Ok(Some(judgement))
}

/// The repositories to look at.
fn walk(
    storage: &Arc<dyn Storage>,
    only: Option<&RepoName>,
    obstacles: &Arc<Obstacles>,
) -> BoxStream<'static, Result<Repository>> {
    match only {
        Some(name) => stream::iter([Ok(Repository::from(name))]).boxed(),
        None => repositories::despite(Arc::clone(storage), Arc::clone(obstacles)).boxed(),
    }
}

fn pass_over(obstacles: &Obstacles, progress: &Progress) {
    for Obstacle { path, why } in obstacles.take() {
        let problem = match why {
            Blocked::Unreadable(error) => Problem::Unreadable {
                path,
                error: error.to_string(),
            },
            Blocked::OutOfReach => Problem::UnreachableRepository { path },
            Blocked::Foreign => Problem::UnknownEntry { path },
            Blocked::Loop => Problem::Loop { path },
        };
        progress.found(Finding::new(problem, Images::default()));
    }
}

/// A reader of manifests of its own, which remembers little, and goes with the survey.
fn manifests(storage: &Arc<dyn Storage>) -> Arc<Manifests> {
    Arc::new(Manifests::new(
        Arc::clone(storage),
        Share::new("large_reads", HEAVY),
    ))
}
