//! The graph of the manifests of one repository: children, parents, referrers.
//!
//! Which manifests a repository has is remembered only as long as the versions of its directories of revisions say that
//! none was added or removed. The references of a manifest are immutable: after a push only the new one is looked up.
//!
//! A client decides how large a graph is, so a graph is compact (each digest is stored once, and references are numbers),
//! each repository has one reader at a time, and what takes long to compute is computed on other threads.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Instant,
};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use wharf_budget::{Permit, Share};
use wharf_oci::{Algorithm, Digest, RepoName};
use wharf_storage::{Storage, Version, layout};

use super::{
    directory::digests_of,
    manifest::{Facts, Manifests},
    parallel::{in_parallel, in_turn},
};
use crate::{
    cache::FEW,
    error::Result,
    patience::{soon, turn},
};

/// How many bytes of graphs are remembered, beside the newest one.
const IN_MEMORY: u64 = 16 << 20;

/// The largest graph that is remembered at all: of some 700,000 images.
const LARGEST: u64 = 64 << 20;

/// The manifests of a repository by digest. A manifest may be in here although its revision link is gone
/// (registry:2 leaves the directory behind): look at the link before relying on one.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Every digest that occurs, once, in ascending order. Its place is its number.
    digests: Box<[Digest]>,
    /// The manifests, in ascending order.
    nodes: Box<[Node]>,
    /// The children of all nodes, one after the other.
    children: Box<[u32]>,
    /// Pairs of a subject and a manifest that refers to it, in ascending order.
    by_subject: Box<[(u32, u32)]>,
    /// Pairs of a child and an index that lists it, in ascending order.
    by_child: Box<[(u32, u32)]>,
    /// Whether there are manifests that could not be read. They are tried again each time: a push heals them, and
    /// does not change the directory.
    incomplete: bool,
    /// Versions of the directories of revisions before they were read; `None` where the store could not tell them.
    versions: Option<Vec<Version>>,
}

/// One manifest.
#[derive(Debug)]
struct Node {
    digest: u32,
    subject: Option<u32>,
    /// End of its children in [`Graph::children`]; they begin where those of the node before end.
    end: u32,
    /// Estimated size of its entry in a list of referrers.
    entry_size: u32,
}

/// References of one manifest to other manifests.
#[derive(Debug)]
struct References {
    subject: Option<Digest>,
    children: Box<[Digest]>,
    entry_size: u32,
}

/// A manifest that refers to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Referrer {
    /// Its digest.
    pub(crate) digest: Digest,
    /// Estimated size in bytes of its entry in a list of referrers; never much too small.
    pub(crate) entry_size: usize,
}

impl Graph {
    /// The manifests after the digest `after` that refer to `subject`, in ascending order.
    pub(crate) fn referrers(
        &self,
        subject: &Digest,
        after: Option<&Digest>,
    ) -> impl Iterator<Item = Referrer> {
        let pairs = self.of(&self.by_subject, subject);
        let passed = |manifest: u32| after.is_some_and(|after| self.digests[manifest as usize] <= *after);
        let first = pairs.partition_point(|(_, manifest)| passed(*manifest));
        pairs[first..].iter().filter_map(|(_, manifest)| {
            let place = self.nodes.binary_search_by_key(manifest, |node| node.digest);
            let node = self.nodes.get(place.ok()?)?;
            Some(Referrer {
                digest: self.digest(node.digest),
                entry_size: node.entry_size as usize,
            })
        })
    }

    /// The indexes that list `child`, in ascending order.
    pub(crate) fn parents(&self, child: &Digest) -> Vec<Digest> {
        let pairs = self.of(&self.by_child, child).iter();
        pairs.map(|(_, parent)| self.digest(*parent)).collect()
    }

    /// All manifests, in ascending order.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.nodes.iter().map(|node| self.digest(node.digest)).collect()
    }

    fn digest(&self, number: u32) -> Digest {
        self.digests[number as usize]
    }

    fn number(&self, digest: &Digest) -> Option<u32> {
        let place = self.digests.binary_search(digest).ok()?;
        u32::try_from(place).ok()
    }

    /// The pairs that begin with `digest`.
    fn of<'a>(&self, pairs: &'a [(u32, u32)], digest: &Digest) -> &'a [(u32, u32)] {
        let Some(number) = self.number(digest) else {
            return &[];
        };
        let start = pairs.partition_point(|(first, _)| *first < number);
        let length = pairs[start..].partition_point(|(first, _)| *first == number);
        &pairs[start..start + length]
    }

    /// The references of the manifest `digest`, if it is in the graph.
    fn references(&self, digest: &Digest) -> Option<References> {
        let number = self.number(digest)?;
        let place = self
            .nodes
            .binary_search_by_key(&number, |node| node.digest)
            .ok()?;
        let node = &self.nodes[place];
        let start = place.checked_sub(1).map_or(0, |before| self.nodes[before].end);
        let children = &self.children[start as usize..node.end as usize];
        Some(References {
            subject: node.subject.map(|subject| self.digest(subject)),
            children: children.iter().map(|child| self.digest(*child)).collect(),
            entry_size: node.entry_size,
        })
    }

    /// The graph of `manifests`, which are in ascending order.
    fn new(manifests: &[(Digest, References)]) -> Self {
        let named = manifests.iter().flat_map(|(digest, references)| {
            let named = references.children.iter().chain(&references.subject);
            named.copied().chain([*digest])
        });
        let mut digests: Vec<Digest> = named.collect();
        digests.sort_unstable();
        digests.dedup();
        let mut graph = Self {
            digests: digests.into(),
            ..Self::default()
        };
        let (mut nodes, mut children) = (Vec::with_capacity(manifests.len()), Vec::new());
        let (mut by_subject, mut by_child) = (Vec::new(), Vec::new());
        for (digest, references) in manifests {
            // Every digest is in the list, and four billion of them are not in memory.
            let Some(digest) = graph.number(digest) else {
                continue;
            };
            let subject = references.subject.and_then(|subject| graph.number(&subject));
            by_subject.extend(subject.map(|subject| (subject, digest)));
            let first = children.len();
            children.extend(references.children.iter().filter_map(|child| graph.number(child)));
            by_child.extend(children[first..].iter().map(|child| (*child, digest)));
            nodes.push(Node {
                digest,
                subject,
                end: u32::try_from(children.len()).unwrap_or(u32::MAX),
                entry_size: references.entry_size,
            });
        }
        by_subject.sort_unstable();
        by_child.sort_unstable();
        graph.nodes = nodes.into();
        graph.children = children.into();
        graph.by_subject = by_subject.into();
        graph.by_child = by_child.into();
        graph
    }

    /// Its size in memory.
    fn weight(&self) -> u64 {
        let sizes = [
            size_of_val(&*self.digests),
            size_of_val(&*self.nodes),
            size_of_val(&*self.children),
            size_of_val(&*self.by_subject),
            size_of_val(&*self.by_child),
        ];
        256 + sizes.iter().sum::<usize>() as u64
    }
}

impl From<&Facts> for References {
    fn from(facts: &Facts) -> Self {
        Self {
            subject: facts.subject,
            children: facts.entries().copied().collect(),
            entry_size: u32::try_from(facts.entry_size()).unwrap_or(u32::MAX),
        }
    }
}

/// The graphs of the repositories that were asked for last.
#[derive(Debug)]
pub(crate) struct Graphs {
    storage: Arc<dyn Storage>,
    /// Graphs that are being read.
    reads: Share,
    cache: Cache<RepoName, Arc<Graph>, ByMemory>,
    /// The graph that was read last: kept although it may be larger than the cache.
    newest: Mutex<Option<(RepoName, Arc<Graph>)>>,
    /// Held by the one request that reads the graph of a repository.
    readers: Mutex<HashMap<RepoName, Weak<Reader>>>,
}

/// The right to read the graph of one repository, with the graph that was read last and the time when that began.
type Reader = tokio::sync::Mutex<Option<(Instant, Arc<Graph>)>>;

#[derive(Debug, Clone)]
struct ByMemory;

impl Weighter<RepoName, Arc<Graph>> for ByMemory {
    fn weight(&self, _: &RepoName, graph: &Arc<Graph>) -> u64 {
        graph.weight()
    }
}

impl Graphs {
    /// Reads `storage`, as many graphs at once as `reads` permits.
    pub(crate) fn new(storage: Arc<dyn Storage>, reads: Share) -> Self {
        Self {
            storage,
            reads,
            cache: Cache::with_weighter(FEW, IN_MEMORY, ByMemory),
            newest: Mutex::default(),
            readers: Mutex::default(),
        }
    }

    /// The graph of the manifests of `name` at this moment.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`](crate::Error::Busy) and [`Error::Exhausted`](crate::Error::Exhausted) when it cannot be read soon; errors of the store.
    pub(crate) async fn of(&self, name: &RepoName, manifests: &Manifests) -> Result<Arc<Graph>> {
        let called = Instant::now();
        let versions = self.versions(name).await?;
        if let Some(current) = self.current(name, versions.as_deref()) {
            return Ok(current);
        }
        let reader = self.reader(name);
        let reason = "other requests are reading the manifests of this repository, and this one waited too long for them";
        let mut last = soon(reader.lock(), reason).await?;
        // A reading that began after this request came is as good as another one.
        match &*last {
            Some((began, graph)) if *began >= called => return Ok(Arc::clone(graph)),
            _ => {}
        }
        let began = Instant::now();
        // The versions are taken before the names are read: a change in between gives a new version, and so another
        // reading. The other way round it could be missed.
        let versions = self.versions(name).await?;
        if let Some(current) = self.current(name, versions.as_deref()) {
            return Ok(current);
        }
        let turn = Arc::new(turn(&self.reads).await?);
        let graph = self.read(name, manifests, versions, &turn).await?;
        let graph = Arc::new(graph);
        self.remember(name, &graph);
        *last = Some((began, Arc::clone(&graph)));
        Ok(graph)
    }

    /// The versions of the directories of revisions; `None` if the store cannot tell them.
    async fn versions(&self, name: &RepoName) -> Result<Option<Vec<Version>>> {
        let mut versions = Vec::new();
        for algorithm in Algorithm::ALL {
            let directory = layout::revisions_of(name, algorithm);
            let page = self.storage.list(&directory, None, 0).await?;
            // A directory that is not there has no version, and no entries either.
            if page.version.is_none() && page.more {
                return Ok(None);
            }
            versions.extend(page.version);
        }
        Ok(Some(versions))
    }

    fn known(&self, name: &RepoName) -> Option<Arc<Graph>> {
        let newest = self.newest.lock();
        match &*newest {
            Some((newest, graph)) if newest == name => Some(Arc::clone(graph)),
            _ => self.cache.get(name),
        }
    }

    /// The graph that is remembered, if nothing changed since.
    fn current(&self, name: &RepoName, versions: Option<&[Version]>) -> Option<Arc<Graph>> {
        let versions = versions?;
        self.known(name)
            .filter(|known| !known.incomplete && known.versions.as_deref() == Some(versions))
    }

    fn remember(&self, name: &RepoName, graph: &Arc<Graph>) {
        if graph.weight() <= LARGEST {
            *self.newest.lock() = Some((name.clone(), Arc::clone(graph)));
            self.cache.insert(name.clone(), Arc::clone(graph));
        }
    }

    /// The lock of the one reader of the graph of `name`.
    fn reader(&self, name: &RepoName) -> Arc<Reader> {
        let mut readers = self.readers.lock();
        if let Some(reader) = readers.get(name).and_then(Weak::upgrade) {
            return reader;
        }
        readers.retain(|_, reader| reader.strong_count() > 0);
        let reader = Arc::default();
        readers.insert(name.clone(), Arc::downgrade(&reader));
        reader
    }

    /// Reads the graph in `turn`, which work on other threads keeps until it ends: a request that is dropped meanwhile
    /// gives nothing back that is still in use.
    async fn read(
        &self,
        name: &RepoName,
        manifests: &Manifests,
        versions: Option<Vec<Version>>,
        turn: &Arc<Permit>,
    ) -> Result<Graph> {
        let mut digests = Vec::new();
        for algorithm in Algorithm::ALL {
            let directory = layout::revisions_of(name, algorithm);
            digests_of(&*self.storage, &directory, algorithm, &mut digests).await?;
        }
        let known = self.known(name).unwrap_or_default();
        let divided = in_turn(Arc::clone(turn), move || divide(digests, &known));
        let (mut found, new) = divided.await?;
        let references = new.iter().map(|digest| references_of(manifests, digest));
        let references = in_parallel(references).await?;
        let incomplete = references.iter().any(Option::is_none);
        let graph = in_turn(Arc::clone(turn), move || {
            let new = new.into_iter().zip(references);
            found.extend(new.filter_map(|(digest, references)| Some((digest, references?))));
            found.sort_unstable_by_key(|(digest, _)| *digest);
            Graph::new(&found)
        });
        Ok(Graph {
            incomplete,
            versions,
            ..graph.await?
        })
    }
}

/// Divides `digests` into those whose references are `known`, with these, and the others.
fn divide(digests: Vec<Digest>, known: &Graph) -> (Vec<(Digest, References)>, Vec<Digest>) {
    let (mut found, mut new) = (Vec::new(), Vec::new());
    for digest in digests {
        match known.references(&digest) {
            Some(references) => found.push((digest, references)),
            None => new.push(digest),
        }
    }
    (found, new)
}

/// The references of the manifest `digest`; `None` if it cannot be read. Facts, which are larger, are not held.
async fn references_of(manifests: &Manifests, digest: &Digest) -> Result<Option<References>> {
    let facts = manifests.facts(digest).await?;
    Ok(facts.as_deref().map(References::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::sha256_of(text.as_bytes())
    }

    fn sorted(texts: &[&str]) -> Vec<Digest> {
        let mut digests: Vec<Digest> = texts.iter().map(|text| digest(text)).collect();
        digests.sort_unstable();
        digests
    }

    fn graph(manifests: &[(&str, Option<&str>, &[&str])]) -> Graph {
        let mut manifests: Vec<(Digest, References)> = manifests
            .iter()
            .map(|(name, subject, children)| {
                let references = References {
                    subject: subject.map(digest),
                    children: children.iter().map(|child| digest(child)).collect(),
                    entry_size: 7,
                };
                (digest(name), references)
            })
            .collect();
        manifests.sort_unstable_by_key(|(digest, _)| *digest);
        Graph::new(&manifests)
    }

    #[test]
    fn references_are_found_in_both_directions() {
        let graph = graph(&[
            ("index", None, &["a", "b"]),
            ("other", Some("index"), &["b", "missing"]),
            ("a", None, &[]),
            ("signature", Some("index"), &[]),
        ]);
        assert_eq!(graph.digests(), sorted(&["index", "other", "a", "signature"]));
        assert_eq!(graph.parents(&digest("b")), sorted(&["index", "other"]));
        assert_eq!(graph.parents(&digest("missing")), sorted(&["other"]));
        assert!(graph.parents(&digest("index")).is_empty() && graph.parents(&digest("strange")).is_empty());
        let index = digest("index");
        let referrers = |after| -> Vec<Digest> {
            let referrers = graph.referrers(&index, after);
            referrers
                .inspect(|referrer| assert_eq!(referrer.entry_size, 7))
                .map(|referrer| referrer.digest)
                .collect()
        };
        let both = sorted(&["other", "signature"]);
        assert_eq!(referrers(None), both);
        assert_eq!(referrers(Some(&both[0])), both[1..]);
        assert!(referrers(Some(&both[1])).is_empty());
        let other = graph.references(&digest("other")).unwrap();
        assert_eq!(other.subject, Some(digest("index")));
        assert_eq!(*other.children, [digest("b"), digest("missing")]);
        assert!(
            graph.references(&digest("missing")).is_none(),
            "it is no manifest here"
        );
    }

    #[test]
    fn a_graph_of_many_images_is_small() {
        let names: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let images: Vec<_> = names.iter().map(|name| (name.as_str(), None, &[][..])).collect();
        let weight = graph(&images).weight();
        assert!(weight < 100 * 1000, "{weight}");
        // An index of all of them names each by four bytes, and is found by eight more.
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let index = [images.as_slice(), &[("index", None, all.as_slice())]].concat();
        let more = graph(&index).weight() - weight;
        assert!(more < 13 * 1000, "{more}");
    }
}
