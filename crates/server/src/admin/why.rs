//! Why a digest is kept.

use wharf_oci::Digest;
use wharf_registry::{
    Result,
    collect::{Collector, Keeper},
};

use super::wire;

/// Why `digest` is kept, of a store that `collector` would collect in.
///
/// # Errors
///
/// As [`Collector::why`].
pub async fn why(collector: &Collector, digest: &Digest) -> Result<wire::Why> {
    let why = collector.why(digest).await?;
    let kept = why.kept.into_iter().map(|kept| {
        let (by, name) = match kept.by {
            Keeper::Tag(tag) => (wire::KeptBy::Tag, Some(tag.into())),
            Keeper::Untagged => (wire::KeptBy::Untagged, None),
            Keeper::Trash(id) => (wire::KeptBy::Trash, Some(id.to_string())),
            Keeper::YoungLink => (wire::KeptBy::YoungLink, None),
            Keeper::Unreadable(why) => (wire::KeptBy::Unreadable, Some(why.into())),
        };
        wire::Kept {
            repository: kept.repository.into(),
            by,
            name,
            path: kept.path.iter().map(ToString::to_string).collect(),
        }
    });
    Ok(wire::Why {
        digest: why.digest.to_string(),
        size: why.size,
        young: why.is_young,
        kept: kept.collect(),
    })
}
