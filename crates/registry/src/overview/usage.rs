//! The disk use of repositories: the bytes that only one of them needs, and those that it shares.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    pin::pin,
    sync::Arc,
};

use futures_util::TryStreamExt as _;
use parking_lot::Mutex;
use wharf_message::Sentence;
use wharf_oci::{Digest, RepoName};
use wharf_storage::{
    Space,
    layout::{InTree as _, Repository},
};

use super::words::LeftOut;
use crate::{
    collect::survey::look_up_all,
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    trash::roots::TrashRoots,
    tree::{
        manifest::{Facts, Stored},
        parallel::{in_background, in_jobs},
        repositories,
    },
};

/// How many manifests are read for one answer.
const MANIFESTS: usize = 50_000;

/// How many blobs are added up for one answer.
const BLOBS: usize = 200_000;

/// How many repositories are added up for one answer.
const REPOSITORIES: usize = 20_000;

/// The disk use of a store, as its manifests state the sizes of what they name. Manifests themselves are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The repositories that have manifests, the largest first.
    pub repositories: Vec<RepositoryUsage>,
    /// How many there are; where something was left out, how many were read.
    pub total: usize,
    /// Bytes of all that they need, each digest once, as far as they state it.
    pub size: u64,
    /// How many manifests are damaged or missing, or do not state all sizes: then all sizes are lower bounds, and bytes that are no
    /// repository's own may count as unique.
    pub uncounted: usize,
    /// Bytes of blobs that only deletions in the trash need; `None` where not all of them were read.
    pub trash: Option<u64>,
    /// The space of the file system; `None` where there is no such limit.
    pub space: Option<Space>,
    /// Why something is left out.
    pub problem: Option<Sentence>,
}

/// The disk use of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryUsage {
    /// Its name.
    pub name: RepoName,
    /// How many manifests it has.
    pub manifests: usize,
    /// How many of them are damaged or missing; what these name is not counted.
    pub damaged: usize,
    /// How many of them do not state all sizes; what they leave out is not counted.
    pub unstated: usize,
    /// Bytes of all that it needs, each digest once.
    pub size: u64,
    /// Bytes that no other repository needs; `None` where not all of them were read.
    pub unique: Option<u64>,
}

/// What is known of the blobs of a store while its repositories are read, one after the other.
#[derive(Debug, Default)]
struct Blobs {
    blobs: HashMap<Digest, Blob>,
    /// Number of the repository that is being read.
    current: u32,
    /// Bytes that this one needs.
    size: u64,
    damaged: usize,
    unstated: usize,
    is_full: bool,
}

#[derive(Debug, Clone, Copy)]
struct Blob {
    size: u64,
    /// Number of the repository that named it first.
    first: u32,
    /// Number of the one that named it last.
    last: u32,
}

impl Registry {
    /// The disk use of the `limit` largest repositories, and of all of them together.
    ///
    /// Every manifest of the store is looked at, as far as the bounds of one answer go. What manifests say is remembered, so a later
    /// answer costs less.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when too many requests read all manifests; errors of the store.
    pub async fn usage(&self, limit: usize) -> Result<Usage> {
        let _turn = turn(&self.budget().graphs).await?;
        let blobs = Arc::new(Mutex::new(Blobs::default()));
        let mut found: Vec<RepositoryUsage> = Vec::new();
        let (mut read, mut problem) = (0, None::<Sentence>);
        let walk = repositories::readable(Arc::clone(&self.storage), Arc::clone(&self.tree.unreadable));
        let mut walk = pin!(walk);
        while let Some(repository) = walk.try_next().await? {
            let Some(name) = name_of(&repository) else {
                continue;
            };
            let room = MANIFESTS - read;
            let Some(digests) = self.revisions(&name, room).await? else {
                problem = Some(LeftOut::StoreManifests { n: MANIFESTS }.into());
                break;
            };
            if digests.is_empty() {
                continue;
            }
            read += digests.len();
            let manifests = digests.len();
            self.add_usage(&blobs, digests).await?;
            let mut blobs = blobs.lock();
            found.push(RepositoryUsage {
                name,
                manifests,
                damaged: std::mem::take(&mut blobs.damaged),
                unstated: std::mem::take(&mut blobs.unstated),
                size: std::mem::take(&mut blobs.size),
                unique: None,
            });
            blobs.current += 1;
            if blobs.is_full {
                problem = Some(LeftOut::StoreBlobs { n: BLOBS }.into());
                found.pop();
                break;
            }
            if found.len() == REPOSITORIES {
                problem = Some(LeftOut::StoreRepositories { n: REPOSITORIES }.into());
                break;
            }
        }
        let are_all = problem.is_none();
        let trash = match are_all {
            true => self.only_in_trash(&blobs).await?,
            false => None,
        };
        let sorted = in_background(move || {
            let size = blobs.lock().sum(&mut found, are_all);
            found.sort_unstable_by(|one, other| {
                other.size.cmp(&one.size).then_with(|| one.name.cmp(&other.name))
            });
            (found, size)
        });
        let (mut found, size) = sorted.await?;
        let total = found.len();
        let uncounted: usize = found.iter().map(|row| row.damaged + row.unstated).sum();
        if uncounted > 0 {
            let reason = LeftOut::Uncounted { n: uncounted };
            problem = Some(problem.unwrap_or_default().and(reason));
        }
        found.truncate(limit);
        Ok(Usage {
            repositories: found,
            total,
            size,
            uncounted,
            trash,
            space: self.storage.space().await?,
            problem,
        })
    }

    /// Bytes of the blobs that deletions in the trash need and none of the `blobs` of repositories is; `None`: there are too many, or a
    /// record cannot be read.
    async fn only_in_trash(&self, blobs: &Arc<Mutex<Blobs>>) -> Result<Option<u64>> {
        let roots = match TrashRoots::read(&self.trash).await {
            Ok(roots) => roots,
            Err(Error::TrashDamaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut manifests, mut wanted) = (HashSet::new(), HashSet::new());
        for name in roots.repositories() {
            let roots = roots.of(name);
            manifests.extend(&roots.manifests);
            wanted.extend(&roots.layers);
        }
        if manifests.len() > MANIFESTS || wanted.len() > BLOBS {
            return Ok(None);
        }
        let is_manifest = manifests.clone();
        for (_, stored) in look_up_all(&self.tree.manifests, manifests.into_iter().collect()).await? {
            if let Stored::Understood(facts) = stored {
                wanted.extend(facts.blobs().copied());
            }
            if wanted.len() > BLOBS {
                return Ok(None);
            }
        }
        let known = Arc::clone(blobs);
        let wanted = in_background(move || {
            let known = known.lock();
            let is_only_there =
                |digest: &Digest| !known.blobs.contains_key(digest) && !is_manifest.contains(digest);
            wanted.retain(is_only_there);
            wanted
        });
        let sizes = self.stored_sizes(wanted.await?).await?;
        Ok(Some(sizes.into_values().fold(0, u64::saturating_add)))
    }

    /// Adds what the manifests `digests` of one repository name.
    async fn add_usage(&self, blobs: &Arc<Mutex<Blobs>>, digests: Vec<Digest>) -> Result<()> {
        let (manifests, blobs) = (Arc::clone(&self.tree.manifests), Arc::clone(blobs));
        let read = in_jobs(digests, move |digest| {
            let (manifests, blobs) = (Arc::clone(&manifests), Arc::clone(&blobs));
            async move {
                let stored = manifests.look_up_soon(&digest).await?;
                let mut blobs = blobs.lock();
                match stored {
                    Stored::Understood(facts) => blobs.add(&facts),
                    Stored::Absent | Stored::Unreadable(_) => blobs.damaged += 1,
                }
                Ok(())
            }
        });
        read.await?;
        Ok(())
    }
}

impl Blobs {
    fn add(&mut self, facts: &Facts) {
        self.unstated += usize::from(!facts.states_sizes);
        for (digest, size) in facts.sized_blobs() {
            let is_full = self.blobs.len() >= BLOBS;
            match self.blobs.entry(*digest) {
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    if known.last == self.current {
                        continue;
                    }
                    known.last = self.current;
                    self.size = self.size.saturating_add(known.size);
                }
                Entry::Vacant(_) if is_full => {
                    self.is_full = true;
                    return;
                }
                Entry::Vacant(new) => {
                    new.insert(Blob {
                        size,
                        first: self.current,
                        last: self.current,
                    });
                    self.size = self.size.saturating_add(size);
                }
            }
        }
    }

    /// The bytes of all blobs; if all repositories were read, also those that each of them needs alone.
    fn sum(&self, repositories: &mut [RepositoryUsage], are_all: bool) -> u64 {
        if are_all {
            let mut unique = vec![0_u64; repositories.len()];
            for blob in self.blobs.values().filter(|blob| blob.first == blob.last) {
                if let Some(unique) = unique.get_mut(blob.first as usize) {
                    *unique = unique.saturating_add(blob.size);
                }
            }
            for (repository, unique) in repositories.iter_mut().zip(unique) {
                repository.unique = Some(unique);
            }
        }
        let sizes = self.blobs.values().map(|blob| blob.size);
        sizes.fold(0, u64::saturating_add)
    }
}

fn name_of(repository: &Repository) -> Option<RepoName> {
    repository.path().parse().ok()
}
