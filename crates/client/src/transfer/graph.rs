//! What an image consists of: its manifests, from the leaves to the root, and what refers to them.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use wharf_oci::{Descriptor, Digest, ManifestKind, ManifestView, Reference, Tag, media_type};

use super::{
    model::{Settings, TransferError},
    platforms, references,
    source::Source,
};
use crate::{Error, Manifest};

/// Manifests of one image, with everything that refers to it.
const MOST_MANIFESTS: usize = 20_000;
/// Bytes that they take in memory, where they are kept until the image is moved.
const MOST_BYTES: usize = 32 << 20;
/// Manifests that are read at a time, each of 4 MiB at most.
const AT_ONCE: usize = 4;
/// Endings of the tags that cosign makes of a digest: `sha256-….sig`.
const DIGEST_TAGS: [&str; 3] = ["sig", "att", "sbom"];

/// A manifest of the image.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
    pub(super) view: ManifestView,
    /// Longest way down to a manifest without children.
    pub(super) height: usize,
}

/// All manifests that are moved together.
#[derive(Debug)]
pub(super) struct Graph {
    nodes: HashMap<Digest, Node>,
    root: Digest,
    /// Digest of the root at the source.
    pub(super) original: Digest,
    /// Digests of the manifests that refer to a manifest of the image.
    pub(super) referrers: BTreeMap<Digest, Vec<Digest>>,
    /// Tags that are made of the digest of a manifest of the image, with the digests at which they point.
    pub(super) digest_tags: Vec<(Tag, Digest)>,
    /// Number of manifests that the other side of its origin lacks.
    pub(super) lacking: usize,
}

/// Where the manifests of an image are read, and what refers to them.
#[derive(Clone, Copy)]
struct Origin<'a> {
    source: &'a Source,
    /// The other side, if it has the root. Its manifests are the same ones, and a source may count, or limit, what it sends.
    other: Option<&'a Source>,
}

/// One manifest, and what leads on from it.
struct Found {
    node: Node,
    /// Whether it came from the source although there is another side to read from.
    is_lacking: bool,
    referrers: Vec<Digest>,
    digest_tags: Vec<(Tag, Digest)>,
}

/// What is still to be read, and what was.
#[derive(Default)]
struct Reading {
    seen: HashSet<Digest>,
    next: Vec<Digest>,
    bytes: usize,
}

impl Graph {
    /// Reads the manifests of the image at `reference`.
    pub(super) async fn read(
        source: &Source,
        reference: &Reference,
        settings: &Settings,
    ) -> Result<Self, TransferError> {
        let mut root = source.manifest(reference).await?;
        let original = root.digest;
        if !settings.platforms.is_empty() {
            root = platforms::reduce(root, &settings.platforms)?;
        }
        let origin = Origin { source, other: None };
        Self::below((root, false), original, origin, settings).await
    }

    /// Reads the manifests of an image that the other side has under the digest `root`.
    pub(super) async fn on_both_sides(
        source: &Source,
        other: &Source,
        (root, original): (&Digest, Digest),
        settings: &Settings,
    ) -> Result<Self, TransferError> {
        let origin = Origin {
            source,
            other: Some(other),
        };
        Self::below(origin.manifest(root).await?, original, origin, settings).await
    }

    /// Reads what `root` leads to.
    async fn below(
        (root, is_lacking): (Manifest, bool),
        original: Digest,
        origin: Origin<'_>,
        settings: &Settings,
    ) -> Result<Self, TransferError> {
        let mut graph = Self {
            nodes: HashMap::new(),
            root: root.digest,
            original,
            referrers: BTreeMap::new(),
            digest_tags: Vec::new(),
            lacking: 0,
        };
        let mut reading = Reading::default();
        reading.seen.insert(root.digest);
        let found = look(origin.source, (root, is_lacking), settings).await?;
        graph.take(found, &mut reading)?;
        while !reading.next.is_empty() {
            // Each is taken as soon as it has come, so that no more than a few of them are not counted yet.
            let round = std::mem::take(&mut reading.next);
            let mut round = stream::iter(round)
                .map(|digest| async move {
                    let manifest = origin.manifest(&digest).await?;
                    look(origin.source, manifest, settings).await
                })
                .buffer_unordered(settings.jobs.clamp(1, AT_ONCE));
            while let Some(found) = round.try_next().await? {
                graph.take(found, &mut reading)?;
            }
        }
        graph.measure();
        Ok(graph)
    }

    /// Adds a manifest, unless there are too many by now.
    fn take(&mut self, found: Found, reading: &mut Reading) -> Result<(), TransferError> {
        let digest = found.node.descriptor.digest;
        reading.bytes += found.weight();
        let children = found.node.view.children().map(|child| child.digest);
        let tagged = found.digest_tags.iter().map(|(_, digest)| *digest);
        for next in children.chain(found.referrers.iter().copied()).chain(tagged) {
            if reading.seen.len() > MOST_MANIFESTS || reading.bytes > MOST_BYTES {
                break;
            }
            if reading.seen.insert(next) {
                reading.next.push(next);
            }
        }
        if reading.seen.len() > MOST_MANIFESTS || reading.bytes > MOST_BYTES {
            return Err(TransferError::TooLarge {
                manifests: MOST_MANIFESTS,
                bytes: MOST_BYTES,
            });
        }
        self.lacking += usize::from(found.is_lacking);
        if !found.referrers.is_empty() {
            self.referrers.insert(digest, found.referrers);
        }
        self.digest_tags.extend(found.digest_tags);
        self.nodes.insert(digest, found.node);
        Ok(())
    }

    /// Finds the heights, each once, from the leaves upwards. A manifest names its children by digest, so there is no circle.
    fn measure(&mut self) {
        let mut heights: HashMap<Digest, usize> = HashMap::with_capacity(self.nodes.len());
        for start in self.nodes.keys() {
            let mut left = vec![(*start, false)];
            while let Some((digest, is_below_done)) = left.pop() {
                let Some(node) = self.nodes.get(&digest) else {
                    continue;
                };
                if heights.contains_key(&digest) {
                    continue;
                }
                let children = node.view.children().map(|child| child.digest);
                if is_below_done {
                    let highest = children.filter_map(|child| heights.get(&child)).max();
                    let height = highest.map_or(0, |height| height + 1);
                    heights.insert(digest, height);
                } else {
                    left.push((digest, true));
                    left.extend(children.map(|child| (child, false)));
                }
            }
        }
        for (digest, node) in &mut self.nodes {
            node.height = heights.get(digest).copied().unwrap_or_default();
        }
    }

    pub(super) fn root(&self) -> &Node {
        &self.nodes[&self.root]
    }

    /// The root, or of an index the image that runs on this machine.
    pub(super) fn native(&self) -> Option<&Node> {
        let root = self.root();
        let node = match root.view.kind {
            ManifestKind::Index => self.node(&platforms::choose(&root.view, None).ok()?)?,
            _ => root,
        };
        let config = node.view.config.as_ref()?;
        let is_image = [media_type::OCI_CONFIG, media_type::DOCKER_CONFIG].contains(&&*config.media_type);
        is_image.then_some(node)
    }

    pub(super) fn node(&self, digest: &Digest) -> Option<&Node> {
        self.nodes.get(digest)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }
}

impl Origin<'_> {
    /// A manifest, and whether the other side lacks it.
    async fn manifest(&self, digest: &Digest) -> Result<(Manifest, bool), TransferError> {
        let reference = Reference::Digest(*digest);
        if let Some(other) = self.other {
            match other.manifest(&reference).await {
                Err(TransferError::Registry(Error::Refused { status, .. }))
                    if status == StatusCode::NOT_FOUND => {}
                found => return Ok((found?, false)),
            }
        }
        let manifest = self.source.manifest(&reference).await?;
        Ok((manifest, self.other.is_some()))
    }
}

impl Found {
    /// Bytes that it takes in memory: the manifest, and its references as they were read.
    fn weight(&self) -> usize {
        let view = &self.node.view;
        let descriptors = view.blobs().count() + view.children().count() + 1;
        let digests = self.referrers.len() + self.digest_tags.len();
        self.node.bytes.len() + descriptors * size_of::<Descriptor>() + digests * size_of::<(Tag, Digest)>()
    }
}

/// The blobs of `nodes`, each once, the largest first: it would be the last one to end otherwise.
pub(super) fn blobs<'a>(nodes: &[&'a Node]) -> Vec<&'a Descriptor> {
    let mut seen = HashSet::new();
    let all = nodes.iter().flat_map(|node| node.view.blobs());
    let mut blobs: Vec<&Descriptor> = all.filter(|blob| seen.insert(blob.digest)).collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    blobs
}

/// Reads what refers to a manifest.
async fn look(
    source: &Source,
    (manifest, is_lacking): (Manifest, bool),
    settings: &Settings,
) -> Result<Found, TransferError> {
    let digest = manifest.digest;
    let failed = |reason: String| TransferError::Manifest { digest, reason };
    let view = ManifestView::parse_stored(&manifest.bytes).map_err(|error| failed(error.to_string()))?;
    if view.kind == ManifestKind::Schema1 {
        return Err(failed(
            "it is of Docker's schema 1, which registries no longer accept".to_owned(),
        ));
    }
    if let Some(unknown) = references::unknown(&manifest.bytes, &view) {
        return Err(failed(format!(
            "it names `{}` in a way that wharf does not know, and a copy would lack it",
            crate::printable(&unknown)
        )));
    }
    let (mut referrers, mut digest_tags) = (Vec::new(), Vec::new());
    if settings.referrers {
        referrers = source.referrers(&digest).await?;
        for ending in DIGEST_TAGS {
            let text = format!("{}-{}.{ending}", digest.algorithm(), digest.hex());
            if let Ok(tag) = text.parse::<Tag>()
                && let Some(found) = source.digest_of(&tag).await?
            {
                digest_tags.push((tag, found));
            }
        }
    }
    let mut descriptor = view.descriptor(digest, manifest.bytes.len() as u64);
    if !manifest.media_type.is_empty() {
        descriptor.media_type = media_type::essence(&manifest.media_type).to_owned();
    }
    Ok(Found {
        node: Node {
            descriptor,
            bytes: manifest.bytes,
            view,
            height: 0,
        },
        is_lacking,
        referrers,
        digest_tags,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(children: &[Digest], seed: usize) -> Found {
        let entries: Vec<_> = children
            .iter()
            .map(|digest| json!({"mediaType": media_type::OCI_INDEX, "digest": digest, "size": 1}))
            .collect();
        let value = json!({"mediaType": media_type::OCI_INDEX, "manifests": entries, "seed": seed});
        let bytes = Bytes::from(value.to_string());
        let view = ManifestView::parse_stored(&bytes).unwrap();
        Found {
            node: Node {
                descriptor: view.descriptor(Digest::sha256_of(&bytes), bytes.len() as u64),
                bytes,
                view,
                height: 0,
            },
            is_lacking: false,
            referrers: Vec::new(),
            digest_tags: Vec::new(),
        }
    }

    fn graph(root: Digest) -> Graph {
        Graph {
            nodes: HashMap::new(),
            root,
            original: root,
            referrers: BTreeMap::new(),
            digest_tags: Vec::new(),
            lacking: 0,
        }
    }

    #[test]
    fn a_long_chain_has_its_heights_in_one_pass() {
        let mut graph = graph(Digest::sha256_of(b""));
        let mut reading = Reading::default();
        let mut below = Vec::new();
        for seed in 0..MOST_MANIFESTS / 2 {
            let found = found(&below, seed);
            below = vec![found.node.descriptor.digest];
            graph.take(found, &mut reading).unwrap();
        }
        graph.measure();
        assert_eq!(graph.nodes[&below[0]].height, MOST_MANIFESTS / 2 - 1);
    }

    #[test]
    fn an_image_that_has_no_end_is_refused_while_it_is_read() {
        let digests: Vec<Digest> = (0..MOST_MANIFESTS as u64 + 10)
            .map(|number| Digest::sha256_of(&number.to_le_bytes()))
            .collect();
        let mut reading = Reading::default();
        let mut graph = graph(digests[0]);
        assert!(graph.take(found(&digests, 0), &mut reading).is_err());
        assert!(reading.next.len() <= MOST_MANIFESTS + 1);
        // Large manifests are counted one by one, not after a round of them.
        let mut reading = Reading::default();
        let taken = (0..MOST_MANIFESTS).take_while(|seed| {
            let mut large = found(&[], *seed);
            large.node.bytes = Bytes::from_static(&[0; 4 << 20]);
            graph.take(large, &mut reading).is_ok()
        });
        let taken = taken.count() * (4 << 20);
        assert!((MOST_BYTES / 2..=MOST_BYTES).contains(&taken), "{taken}");
    }
}
