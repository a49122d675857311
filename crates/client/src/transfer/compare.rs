//! What a transfer would change: whether an image is on the other side already, under the same tag.

use wharf_oci::{Digest, Reference, Tag};

use super::{
    graph::Graph,
    model::{Settings, TransferError},
    platforms::{self, WantedPlatform},
    source::Source,
    target::Target,
};

/// An image of the source, and what the other side has at its tag.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Digest at the source.
    pub original: Digest,
    /// Digest that it gets on the other side: another one if the index is written anew for some platforms.
    pub digest: Digest,
    /// Digest at which the tag points there; `None`: there is no such tag.
    pub there: Option<Digest>,
    /// Platforms to ask for: those that are wanted and that the image has; none of an image that is no index.
    pub platforms: Vec<WantedPlatform>,
    /// Signatures and other referrers that are not there, although the tag points at the image.
    pub missing: usize,
}

/// Compares the image at `tag` with what `target` has there. Nothing is changed.
///
/// # Errors
/// When one of the sides cannot be read, or the image has none of the platforms.
pub async fn compare(
    source: &Source,
    target: &Target,
    tag: &Tag,
    settings: &Settings,
) -> Result<Comparison, TransferError> {
    let reference = Reference::Tag(tag.clone());
    let mut wanted = Vec::new();
    let (original, digest) = match settings.platforms.is_empty() {
        true => match source.digest_of(tag).await? {
            Some(digest) => (digest, digest),
            // Its absence has an error in the words of the source.
            None => {
                let digest = source.manifest(&reference).await?.digest;
                (digest, digest)
            }
        },
        false => {
            let manifest = source.manifest(&reference).await?;
            let original = manifest.digest;
            wanted = platforms::there(&manifest, &settings.platforms)?;
            match wanted.is_empty() {
                true => (original, original),
                false => (original, platforms::reduce(manifest, &wanted)?.digest),
            }
        }
    };
    let there = target.tagged(tag).await?;
    let missing = match target.as_source() {
        Some(other) if there == Some(digest) && settings.referrers => {
            let graph = Graph::on_both_sides(source, &other, (&digest, original), settings).await?;
            missing(target, &graph).await?
        }
        _ => 0,
    };
    Ok(Comparison {
        original,
        digest,
        there,
        platforms: wanted,
        missing,
    })
}

/// How many manifests, entries of lists of referrers, and tags made of digests the other side lacks.
async fn missing(target: &Target, graph: &Graph) -> Result<usize, TransferError> {
    let mut missing = graph.lacking;
    if missing > 0 {
        return Ok(missing);
    }
    for (subject, referrers) in &graph.referrers {
        missing += target.unlisted(subject, referrers).await?;
    }
    for (tag, _) in &graph.digest_tags {
        // One that points elsewhere is of the other side, and stays.
        missing += usize::from(target.tagged(tag).await?.is_none());
    }
    Ok(missing)
}
