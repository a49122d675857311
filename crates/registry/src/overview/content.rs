//! What the manifests of one repository name: how many there are, how large it is, and what cannot be told of it.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use wharf_oci::{Algorithm, Digest, RepoName};
use wharf_storage::layout;

use super::reads::{Reads, Stop};
use crate::{
    error::Result,
    registry::Registry,
    tree::{
        manifest::{Facts, Stored},
        parallel::in_jobs,
        scan::{PAGE, below, named},
    },
};

/// How many manifests of one repository are read for its size.
pub(super) const MOST_MANIFESTS: usize = 5_000;

/// How many blobs of one repository are added up.
pub(super) const MOST_BLOBS: usize = 50_000;

/// What manifests of a repository name.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) manifests: usize,
    /// How many of them are damaged or missing.
    pub(super) damaged: usize,
    /// How many of them do not state all sizes.
    pub(super) unstated: usize,
    /// Bytes of what they name, each digest once, as far as they state it; `None`: there is too much of it.
    pub(super) size: Option<u64>,
}

impl Registry {
    /// What all manifests of `name` name; `None`: it has too many of them.
    ///
    /// # Errors
    ///
    /// [`Stop`].
    pub(super) async fn whole_content(
        &self,
        name: &RepoName,
        reads: &Reads,
    ) -> Result<Option<Content>, Stop> {
        let Some(digests) = self.revisions(name, MOST_MANIFESTS).await? else {
            reads.take(MOST_MANIFESTS)?;
            return Ok(None);
        };
        reads.take(digests.len())?;
        let sum = Arc::default();
        self.add_up(digests, &sum).await?;
        Ok(Some(Sum::total(&sum)))
    }

    /// What the manifests `roots` of `name` and those that they list name; `None`: there are too many of them.
    ///
    /// # Errors
    ///
    /// [`Stop`].
    pub(super) async fn content_below(
        &self,
        name: &RepoName,
        roots: HashSet<Digest>,
        reads: &Reads,
    ) -> Result<Option<Content>, Stop> {
        let sum = Arc::default();
        let mut level: Vec<Digest> = roots.iter().copied().collect();
        let mut seen = roots;
        while !level.is_empty() {
            if seen.len() > MOST_MANIFESTS {
                return Ok(None);
            }
            reads.take(level.len())?;
            let present = self.present(name, level).await?.into_iter().collect();
            let children = self.add_up(present, &sum).await?;
            level = children.into_iter().filter(|child| seen.insert(*child)).collect();
        }
        Ok(Some(Sum::total(&sum)))
    }

    /// Adds what the manifests `digests` name to `sum`. Returns the manifests that they list.
    async fn add_up(&self, digests: Vec<Digest>, sum: &Arc<Mutex<Sum>>) -> Result<Vec<Digest>> {
        let (manifests, sum) = (Arc::clone(&self.tree.manifests), Arc::clone(sum));
        let read = in_jobs(digests, move |digest| {
            let (manifests, sum) = (Arc::clone(&manifests), Arc::clone(&sum));
            async move {
                let stored = manifests.look_up_soon(&digest).await?;
                sum.lock().add(&stored);
                Ok(match stored {
                    Stored::Understood(facts) => facts.children.to_vec(),
                    Stored::Absent | Stored::Unreadable(_) => Vec::new(),
                })
            }
        });
        Ok(read.await?.into_iter().flatten().collect())
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

/// What manifests name, added up as they are read.
#[derive(Debug, Default)]
struct Sum {
    seen: HashSet<Digest>,
    content: Content,
    size: u64,
}

impl Sum {
    /// Adds what a manifest names. No more digests are kept than show that there are too many.
    fn add(&mut self, stored: &Stored) {
        self.content.manifests += 1;
        match stored {
            Stored::Understood(facts) => self.add_blobs(facts),
            Stored::Absent | Stored::Unreadable(_) => self.content.damaged += 1,
        }
    }

    fn add_blobs(&mut self, facts: &Facts) {
        self.content.unstated += usize::from(!facts.states_sizes);
        for (blob, size) in facts.sized_blobs() {
            if self.seen.len() > MOST_BLOBS {
                return;
            }
            if self.seen.insert(*blob) {
                self.size = self.size.saturating_add(size);
            }
        }
    }

    fn total(sum: &Mutex<Self>) -> Content {
        let sum = sum.lock();
        Content {
            size: (sum.seen.len() <= MOST_BLOBS).then_some(sum.size),
            ..sum.content
        }
    }
}
