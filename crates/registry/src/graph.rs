//! How the manifests of one repository hang together: who is whose child, who refers to whom.
//!
//! Worked out from the tree, and remembered only as long as the tree's own directory says that no manifest
//! came or went. Manifests are immutable, so after a push only the new one is read.

use std::{collections::HashMap, sync::Arc};

use quick_cache::{Weighter, sync::Cache};
use wharf_oci::{Algorithm, Digest, ManifestView, RepoName};
use wharf_storage::{Version, layout};

use crate::{Registry, Result};

/// How many bytes of graphs are remembered, estimated.
const CACHE_BYTES: u64 = 16 << 20;
/// How many names are asked of the store at once.
const PAGE: usize = 1000;

/// The manifests of a repository by digest. A manifest may be in here although its revision link is gone
/// (registry:2 leaves the directory behind): ask [`Registry::revision`] before relying on one.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: HashMap<Digest, Arc<Node>>,
    /// Whether there are manifests that could not be read. They are tried again each time: a push heals them, and
    /// does not change the directory.
    incomplete: bool,
    versions: Vec<Version>,
}

/// What one manifest says of others.
#[derive(Debug)]
pub(crate) struct Node {
    /// The manifest that it refers to.
    pub(crate) subject: Option<Digest>,
    /// The manifests that it lists, if it is an index.
    pub(crate) children: Box<[Digest]>,
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

#[derive(Debug)]
pub(crate) struct GraphCache(Cache<RepoName, Arc<Graph>, BySize>);

#[derive(Debug, Clone)]
struct BySize;

impl Weighter<RepoName, Arc<Graph>> for BySize {
    fn weight(&self, _: &RepoName, graph: &Arc<Graph>) -> u64 {
        let children: usize = graph.nodes.values().map(|node| node.children.len()).sum();
        256 + 256 * graph.nodes.len() as u64 + 65 * children as u64
    }
}

impl GraphCache {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(crate::FEW, CACHE_BYTES, BySize))
    }
}

impl Registry {
    /// How the manifests of `name` hang together at this moment.
    pub(crate) async fn graph(&self, name: &RepoName) -> Result<Arc<Graph>> {
        let known = self.graphs.0.get(name);
        let mut versions = Vec::new();
        let mut stable = true;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let page = self
                .storage
                .list(&layout::revisions_of(name, algorithm), None, 0)
                .await?;
            // A directory that is not there has no version, and no entries either.
            stable &= page.version.is_some() || !page.more;
            versions.extend(page.version);
        }
        let current = |known: &&Arc<Graph>| stable && !known.incomplete && known.versions == versions;
        if let Some(known) = known.as_ref().filter(current) {
            return Ok(Arc::clone(known));
        }
        let graph = Arc::new(self.read_graph(name, known.as_deref(), versions).await?);
        // The versions were taken before the names were read: a change in between gives a new version, and so another
        // reading. The other way round it could be missed.
        if stable {
            self.graphs.0.insert(name.clone(), Arc::clone(&graph));
        }
        Ok(graph)
    }

    async fn read_graph(
        &self,
        name: &RepoName,
        known: Option<&Graph>,
        versions: Vec<Version>,
    ) -> Result<Graph> {
        let mut graph = Graph {
            versions,
            ..Graph::default()
        };
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let directory = layout::revisions_of(name, algorithm);
            let mut after: Option<Box<str>> = None;
            loop {
                let page = self.storage.list(&directory, after.as_deref(), PAGE).await?;
                for entry in &page.entries {
                    let Ok(digest) = format!("{algorithm}:{}", entry.name).parse::<Digest>() else {
                        continue;
                    };
                    let node = match known.and_then(|known| known.nodes.get(&digest)) {
                        Some(node) => Some(Arc::clone(node)),
                        None => self.read_node(&digest).await?.map(Arc::new),
                    };
                    match node {
                        Some(node) => drop(graph.nodes.insert(digest, node)),
                        None => graph.incomplete = true,
                    }
                }
                match page.entries.last() {
                    Some(last) if page.more => after = Some(last.name.clone()),
                    _ => break,
                }
            }
        }
        Ok(graph)
    }

    async fn read_node(&self, digest: &Digest) -> Result<Option<Node>> {
        let Some(manifest) = self.load_manifest(digest).await? else {
            return Ok(None);
        };
        let Ok(view) = ManifestView::parse_stored(&manifest.bytes) else {
            return Ok(None);
        };
        let children = view.manifests.iter().map(|child| child.digest).collect();
        Ok(Some(Node {
            subject: view.subject.map(|subject| subject.digest),
            children,
        }))
    }
}
