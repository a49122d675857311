//! What the manifests of one repository name: how many there are, how large it is, and what cannot be told of it.

use std::{collections::HashSet, mem, sync::Arc};

use parking_lot::Mutex;
use wharf_oci::{Algorithm, Digest, RepoName};
use wharf_storage::layout;

use super::reads::{Reads, Stop};
use crate::{
    error::Result,
    registry::Registry,
    tree::{
        manifest::{Facts, Stored},
        parallel::{in_background, in_jobs},
        scan::{PAGE, below, named},
    },
};

/// How many manifests of one repository are read for its size.
pub(super) const MOST_MANIFESTS: usize = 5_000;

/// How many names are asked of the store at once.
const AT_ONCE: usize = 5_000;

/// How many blobs of one repository are added up.
pub(super) const MOST_BLOBS: usize = 50_000;

/// How many names are looked at among which its manifests are: registry:2 leaves the directories of deleted links behind.
const MOST_NAMES: usize = 200_000;

/// How many digests are added up at a time: others that add to the same sum wait no longer than that takes.
const PIECE: usize = 256;

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
        let mut level: Vec<Digest> = roots.iter().copied().collect();
        let sum = Arc::new(Mutex::new(Sum::below(roots)));
        while !level.is_empty() {
            if sum.lock().lists_too_many() {
                return Ok(None);
            }
            let asked = level.len();
            reads.take(asked)?;
            let present: Vec<Digest> = self.present(name, level).await?.into_iter().collect();
            sum.lock().add_missing(asked.saturating_sub(present.len()));
            self.add_up(present, &sum).await?;
            level = mem::take(&mut sum.lock().next);
        }
        Ok(Some(Sum::total(&sum)))
    }

    /// Adds what the manifests `digests` name to `sum`.
    async fn add_up(&self, digests: Vec<Digest>, sum: &Arc<Mutex<Sum>>) -> Result<()> {
        let (manifests, sum) = (Arc::clone(&self.tree.manifests), Arc::clone(sum));
        let read = in_jobs(digests, move |digest| {
            let (manifests, sum) = (Arc::clone(&manifests), Arc::clone(&sum));
            async move {
                match manifests.look_up_soon(&digest).await? {
                    Stored::Understood(facts) if facts.blobs().count() + facts.children.len() > PIECE => {
                        in_background(move || Sum::add(&sum, &facts)).await?;
                    }
                    Stored::Understood(facts) => Sum::add(&sum, &facts),
                    Stored::Absent | Stored::Unreadable(_) => sum.lock().add_missing(1),
                }
                Ok(())
            }
        });
        read.await?;
        Ok(())
    }

    /// The manifests of `name`; `None`: there are more than `most`, or they are among too many names.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn revisions(&self, name: &RepoName, most: usize) -> Result<Option<Vec<Digest>>> {
        if self.storage.is_shared() {
            return self.listed_revisions(name, most).await;
        }
        let (mut digests, mut passed) = (Vec::new(), 0);
        for algorithm in Algorithm::ALL {
            let (directory, mut after) = (layout::revisions_of(name, algorithm), None::<String>);
            loop {
                let page = self.storage.list(&directory, after.as_deref(), AT_ONCE).await?;
                passed += page.entries.len();
                let named = page.entries.iter();
                let named = named.filter_map(|entry| Digest::from_hex(algorithm, &entry.name));
                // registry:2 leaves the directories of deleted links behind.
                digests.extend(self.present(name, named.collect()).await?);
                if digests.len() > most || passed > MOST_NAMES {
                    return Ok(None);
                }
                after = page.entries.last().map(|entry| entry.name.to_string());
                if !page.more || after.is_none() {
                    break;
                }
            }
        }
        Ok(Some(digests))
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
    blobs: HashSet<Digest>,
    content: Content,
    size: u64,
    /// The manifests that were found so far, where those are followed that others list.
    found: Option<HashSet<Digest>>,
    /// Those of them that are still to be read.
    next: Vec<Digest>,
}

impl Sum {
    /// The sum of what `roots` name, and the manifests below them.
    fn below(roots: HashSet<Digest>) -> Self {
        Self {
            found: Some(roots),
            ..Self::default()
        }
    }

    /// Adds what a manifest names. No more digests are kept than show that there are too many. This computes for long where it names
    /// many, and lets others at the sum meanwhile.
    fn add(sum: &Mutex<Self>, facts: &Facts) {
        {
            let mut sum = sum.lock();
            sum.content.manifests += 1;
            sum.content.unstated += usize::from(!facts.states_sizes);
        }
        let mut blobs = facts.sized_blobs();
        while sum.lock().add_blobs(blobs.by_ref().take(PIECE)) {}
        let mut children = facts.children.iter();
        while sum.lock().add_children(children.by_ref().take(PIECE)) {}
    }

    /// Counts manifests of which nothing is known.
    fn add_missing(&mut self, count: usize) {
        self.content.manifests += count;
        self.content.damaged += count;
    }

    /// Returns whether more may be added.
    fn add_blobs<'a>(&mut self, blobs: impl Iterator<Item = (&'a Digest, u64)>) -> bool {
        let mut more = false;
        for (blob, size) in blobs {
            if self.blobs.len() > MOST_BLOBS {
                return false;
            }
            more = true;
            if self.blobs.insert(*blob) {
                self.size = self.size.saturating_add(size);
            }
        }
        more
    }

    /// Returns whether more may be added.
    fn add_children<'a>(&mut self, children: impl Iterator<Item = &'a Digest>) -> bool {
        let Some(found) = &mut self.found else {
            return false;
        };
        let mut more = false;
        for child in children {
            if found.len() > MOST_MANIFESTS {
                return false;
            }
            more = true;
            if found.insert(*child) {
                self.next.push(*child);
            }
        }
        more
    }

    /// Whether more manifests were found than are read.
    fn lists_too_many(&self) -> bool {
        let found = self.found.as_ref();
        found.is_some_and(|found| found.len() > MOST_MANIFESTS)
    }

    fn total(sum: &Mutex<Self>) -> Content {
        let sum = sum.lock();
        Content {
            size: (sum.blobs.len() <= MOST_BLOBS).then_some(sum.size),
            ..sum.content
        }
    }
}
