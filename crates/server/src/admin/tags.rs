//! The history of tags, and the way back.

use std::collections::HashMap;

use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::{Caller, Matching, Precondition, Registry, Result};

use super::{shown::time, wire};

/// Of how many entries the sizes are read, the latest.
const SIZED: usize = 200;

/// The `limit` latest entries of the history of a tag.
///
/// # Errors
///
/// As [`Registry::tag_history`].
pub async fn tag_history(
    registry: &Registry,
    name: &RepoName,
    tag: &Tag,
    limit: usize,
) -> Result<wire::TagHistory> {
    let history = registry.tag_history(name, tag, limit).await?;
    let there = history.entries.iter().filter(|entry| entry.is_there);
    let sizes = sizes(
        registry,
        name,
        there.map(|entry| entry.digest).take(SIZED).collect(),
    )
    .await;
    let entries = history.entries.iter().map(|entry| wire::PastManifest {
        digest: entry.digest.to_string(),
        size: sizes.get(&entry.digest).copied(),
        since: time(entry.since),
        current: entry.is_current,
        available: entry.is_there,
    });
    Ok(wire::TagHistory {
        repository: name.to_string(),
        tag: tag.to_string(),
        entries: entries.collect(),
        total: history.total,
    })
}

/// The sizes of some images. A history is worth having without them.
async fn sizes(registry: &Registry, name: &RepoName, digests: Vec<Digest>) -> HashMap<Digest, u64> {
    if digests.is_empty() {
        return HashMap::new();
    }
    match registry.image_sizes(name, digests).await {
        Ok(sizes) => sizes,
        Err(error) => {
            tracing::debug!(%error, "the sizes of a history cannot be read; it is shown without them");
            HashMap::new()
        }
    }
}

/// Lets a tag go back to `digest`; with `only_from`, only if it points at that manifest. With `creates_only` the tag is not moved.
///
/// # Errors
///
/// As [`Registry::restore_tag`].
pub async fn restore_tag(
    registry: &Registry,
    caller: &dyn Caller,
    (name, tag, digest): (&RepoName, &Tag, &Digest),
    only_from: Option<Digest>,
    creates_only: bool,
) -> Result<wire::RestoredTag> {
    let condition = Precondition {
        if_match: only_from.map(|digest| Matching::These(vec![digest])),
        ..Precondition::default()
    };
    let target = (tag, digest);
    let restored = registry.restore_tag(caller, name, target, &condition, creates_only);
    Ok(wire::RestoredTag {
        repository: name.to_string(),
        tag: tag.to_string(),
        digest: restored.await?.digest.to_string(),
    })
}
