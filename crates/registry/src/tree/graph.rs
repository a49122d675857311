//! The graph of the manifests of one repository: children, parents, referrers.
//!
//! Which manifests a repository has is remembered only as long as the versions of its directories of revisions say that
//! none was added or removed. The references of a manifest are immutable: after a push only the new one is looked up.

use std::{collections::HashMap, sync::Arc};

use quick_cache::{Weighter, sync::Cache};
use wharf_oci::{Algorithm, Digest, RepoName};
use wharf_storage::{Storage, Version, layout};

use super::{
    directory::digests_of,
    manifest::{Facts, Manifests},
    parallel::in_parallel,
};
use crate::{cache::FEW, error::Result};

/// How many bytes of graphs are remembered, estimated.
const IN_MEMORY: u64 = 16 << 20;

/// The manifests of a repository by digest. A manifest may be in here although its revision link is gone
/// (registry:2 leaves the directory behind): look at the link before relying on one.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: HashMap<Digest, Arc<Node>>,
    /// Whether there are manifests that could not be read. They are tried again each time: a push heals them, and
    /// does not change the directory.
    incomplete: bool,
    versions: Vec<Version>,
}

/// References of one manifest to other manifests.
#[derive(Debug)]
struct Node {
    subject: Option<Digest>,
    children: Box<[Digest]>,
}

impl Graph {
    /// The manifests that refer to `subject`, in ascending order.
    pub(crate) fn referrers(&self, subject: &Digest) -> Vec<Digest> {
        self.select(|node| node.subject.as_ref() == Some(subject))
    }

    /// The indexes that list `child`, in ascending order.
    pub(crate) fn parents(&self, child: &Digest) -> Vec<Digest> {
        self.select(|node| node.children.contains(child))
    }

    /// All manifests, in ascending order.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.select(|_| true)
    }

    fn select(&self, wanted: impl Fn(&Node) -> bool) -> Vec<Digest> {
        let mut found: Vec<Digest> = self
            .nodes
            .iter()
            .filter(|(_, node)| wanted(node))
            .map(|(digest, _)| *digest)
            .collect();
        found.sort_unstable();
        found
    }
}

impl From<&Facts> for Node {
    fn from(facts: &Facts) -> Self {
        Self {
            subject: facts.subject,
            children: facts.entries().copied().collect(),
        }
    }
}

/// The graphs of the repositories that were asked for last.
#[derive(Debug)]
pub(crate) struct Graphs {
    storage: Arc<dyn Storage>,
    cache: Cache<RepoName, Arc<Graph>, ByMemory>,
}

#[derive(Debug, Clone)]
struct ByMemory;

impl Weighter<RepoName, Arc<Graph>> for ByMemory {
    fn weight(&self, _: &RepoName, graph: &Arc<Graph>) -> u64 {
        let children: usize = graph.nodes.values().map(|node| node.children.len()).sum();
        256 + 256 * graph.nodes.len() as u64 + 65 * children as u64
    }
}

impl Graphs {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            cache: Cache::with_weighter(FEW, IN_MEMORY, ByMemory),
        }
    }

    /// The graph of the manifests of `name` at this moment.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn of(&self, name: &RepoName, manifests: &Manifests) -> Result<Arc<Graph>> {
        let known = self.cache.get(name);
        let mut versions = Vec::new();
        let mut stable = true;
        for algorithm in Algorithm::ALL {
            let directory = layout::revisions_of(name, algorithm);
            let page = self.storage.list(&directory, None, 0).await?;
            // A directory that is not there has no version, and no entries either.
            stable &= page.version.is_some() || !page.more;
            versions.extend(page.version);
        }
        let current = |known: &&Arc<Graph>| stable && !known.incomplete && known.versions == versions;
        if let Some(known) = known.as_ref().filter(current) {
            return Ok(Arc::clone(known));
        }
        let graph = self.read(name, manifests, known.as_deref(), versions).await?;
        let graph = Arc::new(graph);
        // The versions were taken before the names were read: a change in between gives a new version, and so another
        // reading. The other way round it could be missed.
        if stable {
            self.cache.insert(name.clone(), Arc::clone(&graph));
        }
        Ok(graph)
    }

    async fn read(
        &self,
        name: &RepoName,
        manifests: &Manifests,
        known: Option<&Graph>,
        versions: Vec<Version>,
    ) -> Result<Graph> {
        let mut digests = Vec::new();
        for algorithm in Algorithm::ALL {
            let directory = layout::revisions_of(name, algorithm);
            digests_of(&*self.storage, &directory, algorithm, &mut digests).await?;
        }
        let mut graph = Graph {
            versions,
            ..Graph::default()
        };
        if let Some(known) = known {
            let kept = digests
                .iter()
                .filter_map(|digest| Some((*digest, Arc::clone(known.nodes.get(digest)?))));
            graph.nodes.extend(kept);
        }
        digests.retain(|digest| !graph.nodes.contains_key(digest));
        let facts = in_parallel(digests.iter().map(|digest| manifests.facts(digest))).await?;
        for (digest, facts) in digests.into_iter().zip(facts) {
            match facts {
                Some(facts) => drop(graph.nodes.insert(digest, Arc::new(Node::from(&*facts)))),
                None => graph.incomplete = true,
            }
        }
        Ok(graph)
    }
}
