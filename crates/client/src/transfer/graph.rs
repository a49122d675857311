//! What an image consists of: its manifests, from the leaves to the root, and what refers to them.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use wharf_oci::{Descriptor, Digest, ManifestKind, ManifestView, Reference, Tag, media_type};

use super::{
    model::{Settings, TransferError},
    platforms,
    source::Source,
};
use crate::Manifest;

/// Manifests of one image, with everything that refers to it.
const MOST_MANIFESTS: usize = 20_000;
/// Bytes of them, which are kept in memory until the image is moved.
const MOST_BYTES: usize = 24 << 20;
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
}

/// One manifest, and what leads on from it.
struct Found {
    node: Node,
    referrers: Vec<Digest>,
    digest_tags: Vec<(Tag, Digest)>,
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
        let mut graph = Self {
            nodes: HashMap::new(),
            root: root.digest,
            original,
            referrers: BTreeMap::new(),
            digest_tags: Vec::new(),
        };
        let mut bytes = 0;
        let mut seen = HashSet::from([root.digest]);
        let mut round = vec![look(source, root, settings).await?];
        while !round.is_empty() {
            let mut next = Vec::new();
            for found in round {
                bytes += found.node.bytes.len();
                next.extend(found.node.view.children().map(|child| child.digest));
                next.extend(&found.referrers);
                next.extend(found.digest_tags.iter().map(|(_, digest)| digest));
                graph.take(found);
            }
            next.retain(|digest| seen.insert(*digest));
            if seen.len() > MOST_MANIFESTS || bytes > MOST_BYTES {
                return Err(TransferError::TooLarge {
                    manifests: MOST_MANIFESTS,
                    bytes: MOST_BYTES,
                });
            }
            round = stream::iter(next)
                .map(|digest| async move {
                    let manifest = source.manifest(&Reference::Digest(digest)).await?;
                    look(source, manifest, settings).await
                })
                .buffer_unordered(settings.jobs.max(1))
                .try_collect()
                .await?;
        }
        graph.measure();
        Ok(graph)
    }

    fn take(&mut self, found: Found) {
        let digest = found.node.descriptor.digest;
        if !found.referrers.is_empty() {
            self.referrers.insert(digest, found.referrers);
        }
        self.digest_tags.extend(found.digest_tags);
        self.nodes.insert(digest, found.node);
    }

    /// Finds the heights. A manifest names its children by digest, so there is no circle.
    fn measure(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            let heights: HashMap<Digest, usize> = self
                .nodes
                .iter()
                .map(|(digest, node)| (*digest, node.height))
                .collect();
            for node in self.nodes.values_mut() {
                let children = node
                    .view
                    .children()
                    .filter_map(|child| heights.get(&child.digest));
                let height = children.map(|height| height + 1).max().unwrap_or_default();
                changed |= height != node.height;
                node.height = height;
            }
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

/// The blobs of `nodes`, each once, the largest first: it would be the last one to end otherwise.
pub(super) fn blobs<'a>(nodes: &[&'a Node]) -> Vec<&'a Descriptor> {
    let mut seen = HashSet::new();
    let all = nodes.iter().flat_map(|node| node.view.blobs());
    let mut blobs: Vec<&Descriptor> = all.filter(|blob| seen.insert(blob.digest)).collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    blobs
}

/// Reads what refers to a manifest.
async fn look(source: &Source, manifest: Manifest, settings: &Settings) -> Result<Found, TransferError> {
    let digest = manifest.digest;
    let failed = |reason: String| TransferError::Manifest { digest, reason };
    let view = ManifestView::parse_stored(&manifest.bytes).map_err(|error| failed(error.to_string()))?;
    if view.kind == ManifestKind::Schema1 {
        return Err(failed(
            "it is of Docker's schema 1, which registries no longer accept".to_owned(),
        ));
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
        referrers,
        digest_tags,
    })
}
