//! The graph of the manifests of one repository: children, parents, referrers.
//!
//! Which manifests a repository has is remembered only as long as the versions of its directories of revisions say that
//! none was added or removed. The references of a manifest are immutable: after a push only the new one is looked up.
//!
//! A client decides how large a graph is, so a graph is compact (each digest is stored once, and references are numbers),
//! what is read for one is charged to the budget, each repository has one reader at a time, and what takes long to compute
//! is computed on other threads.

mod digests;
mod reading;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Instant,
};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use wharf_budget::{Budget, Exhausted, Permit, Share};
use wharf_oci::{Algorithm, Digest, RepoName};
use wharf_storage::{Storage, Version, layout};

use self::{digests::Digests, reading::Reading};
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

/// The largest graph that is remembered at all: of more than a million images.
const LARGEST: u64 = 64 << 20;

/// Entries of a manifest that are added to a graph on an async thread. More of them are added on another one.
const INLINE: usize = 512;

/// The manifests of a repository by digest. A manifest may be in here although its revision link is gone
/// (registry:2 leaves the directory behind): look at the link before relying on one.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Every digest that occurs, once, in ascending order. References are numbers of these.
    digests: Digests,
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
        let passed =
            |manifest: u32| after.is_some_and(|after| self.digest(manifest).is_some_and(|own| own <= *after));
        let first = pairs.partition_point(|(_, manifest)| passed(*manifest));
        pairs[first..].iter().filter_map(|(_, manifest)| {
            let place = self.nodes.binary_search_by_key(manifest, |node| node.digest);
            let node = self.nodes.get(place.ok()?)?;
            Some(Referrer {
                digest: self.digest(node.digest)?,
                entry_size: node.entry_size as usize,
            })
        })
    }

    /// The indexes that list `child`, in ascending order.
    pub(crate) fn parents(&self, child: &Digest) -> Vec<Digest> {
        let pairs = self.of(&self.by_child, child).iter();
        pairs.filter_map(|(_, parent)| self.digest(*parent)).collect()
    }

    /// All manifests, in ascending order.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        let nodes = self.nodes.iter();
        nodes.filter_map(|node| self.digest(node.digest)).collect()
    }

    fn digest(&self, number: u32) -> Option<Digest> {
        self.digests.get(number)
    }

    /// The pairs that begin with `digest`.
    fn of<'a>(&self, pairs: &'a [(u32, u32)], digest: &Digest) -> &'a [(u32, u32)] {
        let Some(number) = self.digests.number(digest) else {
            return &[];
        };
        let start = pairs.partition_point(|(first, _)| *first < number);
        let length = pairs[start..].partition_point(|(first, _)| *first == number);
        &pairs[start..start + length]
    }

    /// Adds the references of the manifest `digest` to `reading`. Returns whether it is in the graph.
    fn pass_on(&self, digest: &Digest, reading: &mut Reading) -> Result<bool, Exhausted> {
        let Some(number) = self.digests.number(digest) else {
            return Ok(false);
        };
        let Ok(place) = self.nodes.binary_search_by_key(&number, |node| node.digest) else {
            return Ok(false);
        };
        let node = &self.nodes[place];
        let subject = node.subject.and_then(|subject| self.digest(subject));
        let start = place.checked_sub(1).map_or(0, |before| self.nodes[before].end);
        let children = &self.children[start as usize..node.end as usize];
        let children = children.iter().filter_map(|child| self.digest(*child));
        reading.add(digest, subject.as_ref(), children, node.entry_size)?;
        Ok(true)
    }

    /// The graph of the manifests that were read.
    fn new(reading: Reading) -> Self {
        let Reading {
            digests,
            mut manifests,
            // Kept until the graph is made.
            charge: _charge,
            ..
        } = reading;
        let (digests, numbers) = digests.sorted();
        let number = |old: u32| numbers[old as usize];
        manifests.sort_unstable_by_key(|references| number(references.digest));
        let mut nodes = Vec::with_capacity(manifests.len());
        let (mut children, mut by_subject, mut by_child) = (Vec::new(), Vec::new(), Vec::new());
        for references in manifests {
            let digest = number(references.digest);
            let subject = references.subject.map(number);
            by_subject.extend(subject.map(|subject| (subject, digest)));
            let first = children.len();
            children.extend(references.children.iter().map(|child| number(*child)));
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
        Self {
            digests,
            nodes: nodes.into(),
            children: children.into(),
            by_subject: by_subject.into(),
            by_child: by_child.into(),
            incomplete: false,
            versions: None,
        }
    }

    /// Its size in memory.
    fn weight(&self) -> u64 {
        let sizes = [
            self.digests.weight(),
            size_of_val(&*self.nodes),
            size_of_val(&*self.children),
            size_of_val(&*self.by_subject),
            size_of_val(&*self.by_child),
        ];
        256 + sizes.iter().sum::<usize>() as u64
    }
}

/// The graphs of the repositories that were asked for last.
#[derive(Debug)]
pub(crate) struct Graphs {
    storage: Arc<dyn Storage>,
    /// Graphs that are being read.
    reads: Share,
    /// Bytes of graphs that are being read.
    memory: Share,
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
    /// Reads `storage`, as many graphs at once, and as large ones, as `budget` permits.
    pub(crate) fn new(storage: Arc<dyn Storage>, budget: &Budget) -> Self {
        Self {
            storage,
            reads: budget.graphs.clone(),
            memory: budget.bodies.clone(),
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

    /// Whether `name` has at most `most` manifests, so that its graph can be made soon, or its graph is known.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn is_small(&self, name: &RepoName, most: usize) -> Result<bool> {
        if self
            .current(name, self.versions(name).await?.as_deref())
            .is_some()
        {
            return Ok(true);
        }
        let mut count = 0;
        for algorithm in Algorithm::ALL {
            let directory = layout::revisions_of(name, algorithm);
            count += self.storage.list(&directory, None, most + 1).await?.entries.len();
        }
        Ok(count <= most)
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
        let mut reading = Reading::new(self.memory.clone());
        let passed_on = in_turn(Arc::clone(turn), move || {
            let new = pass_on(digests, &known, &mut reading)?;
            Ok::<_, Exhausted>((new, reading))
        });
        let (new, reading) = passed_on.await??;
        let reading = Arc::new(Mutex::new(Some(reading)));
        let reads = new.iter().map(|digest| read(manifests, digest, &reading, turn));
        let incomplete = in_parallel(reads).await?.contains(&false);
        let reading = reading.lock().take();
        let graph = in_turn(Arc::clone(turn), move || {
            reading.map(Graph::new).unwrap_or_default()
        });
        Ok(Graph {
            incomplete,
            versions,
            ..graph.await?
        })
    }
}

/// Adds those of `digests` whose references are `known` to `reading`, and returns the others.
fn pass_on(digests: Vec<Digest>, known: &Graph, reading: &mut Reading) -> Result<Vec<Digest>, Exhausted> {
    let mut new = Vec::new();
    for digest in digests {
        if !known.pass_on(&digest, reading)? {
            new.push(digest);
        }
    }
    Ok(new)
}

/// Adds the references of the manifest `digest` to `reading`, which is there until all are read. Returns whether the
/// manifest can be read. Facts, which are larger, are not held.
async fn read(
    manifests: &Manifests,
    digest: &Digest,
    reading: &Arc<Mutex<Option<Reading>>>,
    turn: &Arc<Permit>,
) -> Result<bool> {
    let Some(facts) = manifests.facts(digest).await? else {
        return Ok(false);
    };
    if facts.entries().nth(INLINE).is_none() {
        add(reading, digest, &facts)?;
    } else {
        let (reading, digest) = (Arc::clone(reading), *digest);
        in_turn(Arc::clone(turn), move || add(&reading, &digest, &facts)).await??;
    }
    Ok(true)
}

fn add(reading: &Mutex<Option<Reading>>, digest: &Digest, facts: &Facts) -> Result<(), Exhausted> {
    let entry_size = u32::try_from(facts.entry_size()).unwrap_or(u32::MAX);
    match &mut *reading.lock() {
        Some(reading) => reading.add(
            digest,
            facts.subject.as_ref(),
            facts.entries().copied(),
            entry_size,
        ),
        None => Ok(()),
    }
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
        let mut reading = reading();
        for (name, subject, children) in manifests {
            let (subject, children) = (subject.map(digest), children.iter().map(|child| digest(child)));
            reading.add(&digest(name), subject.as_ref(), children, 7).unwrap();
        }
        Graph::new(reading)
    }

    fn reading() -> Reading {
        Reading::new(Budget::default().bodies)
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
    }

    #[test]
    fn what_is_known_is_passed_on_to_the_next_graph() {
        let known = graph(&[
            ("index", Some("subject"), &["b", "a"]),
            ("other", None, &["index"]),
        ]);
        let mut reading = reading();
        let digests = sorted(&["index", "new"]);
        let new = pass_on(digests, &known, &mut reading).unwrap();
        assert_eq!(new, [digest("new")]);
        let next = Graph::new(reading);
        assert_eq!(next.digests(), [digest("index")]);
        assert_eq!(next.parents(&digest("a")), [digest("index")]);
        assert!(next.parents(&digest("index")).is_empty(), "`other` is gone");
        let index = next.referrers(&digest("subject"), None).next().unwrap();
        assert_eq!((index.digest, index.entry_size), (digest("index"), 7));
    }

    #[test]
    fn a_graph_of_many_images_is_small() {
        let names: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let images: Vec<_> = names.iter().map(|name| (name.as_str(), None, &[][..])).collect();
        let weight = graph(&images).weight();
        assert!(weight < 60 * 1000, "{weight}");
        // An index of all of them names each by four bytes, and is found by eight more.
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let index = [images.as_slice(), &[("index", None, all.as_slice())]].concat();
        let more = graph(&index).weight() - weight;
        assert!(more < 13 * 1000, "{more}");
    }
}
