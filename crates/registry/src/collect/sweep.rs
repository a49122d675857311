//! Removing garbage: pointers before what they point to, many at a time, each kind durable before the next.

use std::{future::ready, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use wharf_storage::{Key, Removal, Storage, layout};

use super::report::{DoomedBlob, Garbage, RepositoryGarbage, Swept};
use crate::error::Result;

/// How many objects one step removes. A step costs one sync for each directory that it removes a name from.
const STEP: usize = 512;

/// How many steps run at once. Where the file system tells the device of every freed block (ext4 with `discard`), a removal
/// mostly waits, so eight steps take two thirds of the time of two; more gain nothing.
const SWEEPERS: usize = 8;

/// Removes `garbage`.
///
/// # Errors
///
/// Errors of the store.
pub(super) async fn sweep(storage: &Arc<dyn Storage>, garbage: &Garbage) -> Result<Swept> {
    // All pointers are gone, durably, before the first bytes go.
    stream::iter(&garbage.repositories)
        .map(|repository| sweep_repository(storage, repository))
        .buffer_unordered(SWEEPERS)
        .try_for_each(|()| ready(Ok(())))
        .await?;
    let swept = stream::iter(garbage.blobs.chunks(STEP))
        .map(|blobs| sweep_blobs(storage, blobs))
        .buffer_unordered(SWEEPERS)
        .try_fold(Swept::default(), |total, swept| {
            ready(Ok(Swept {
                blobs: total.blobs + swept.blobs,
                bytes: total.bytes + swept.bytes,
            }))
        })
        .await?;
    garbage.emptied.remove(storage).await?;
    Ok(swept)
}

async fn sweep_repository(storage: &Arc<dyn Storage>, garbage: &RepositoryGarbage) -> Result<()> {
    let repository = &garbage.repository;
    for entries in garbage.history.chunks(STEP) {
        let keys = entries
            .iter()
            .map(|(tag, digest)| layout::tag_history_link(repository, tag, digest));
        step(storage, keys).await?;
    }
    // A step removes manifests of one generation only: a cut of power may leave any part of a step.
    for generation in garbage.manifests.chunk_by(|a, b| a.generation == b.generation) {
        for manifests in generation.chunks(STEP) {
            let keys = manifests
                .iter()
                .map(|manifest| layout::revision_link(repository, &manifest.digest));
            step(storage, keys).await?;
        }
    }
    for digests in garbage.layers.chunks(STEP) {
        let keys = digests
            .iter()
            .map(|digest| layout::layer_link(repository, digest));
        step(storage, keys).await?;
    }
    if garbage.vanishes {
        remove_repository(storage, garbage).await?;
    }
    Ok(())
}

async fn sweep_blobs(storage: &Arc<dyn Storage>, blobs: &[DoomedBlob]) -> Result<Swept> {
    step(storage, blobs.iter().map(|blob| layout::blob(&blob.digest))).await?;
    Ok(Swept {
        blobs: blobs.len() as u64,
        bytes: blobs.iter().map(|blob| blob.size).sum(),
    })
}

/// Removes `keys`. The directory above the one that holds each, which it shares with objects of its kind, stays.
async fn step(storage: &Arc<dyn Storage>, keys: impl Iterator<Item = Key>) -> Result<()> {
    let removals = keys.filter_map(|key| {
        let keep = key.parent()?.parent()?;
        Some(Removal { key, keep })
    });
    let removals: Vec<Removal> = removals.collect();
    Ok(storage.remove_many(&removals).await?)
}

/// Removes what is left of a repository that has nothing any more: directories, and histories of tags that are gone.
/// Its unfinished uploads stay, and so do repositories below it.
async fn remove_repository(storage: &Arc<dyn Storage>, garbage: &RepositoryGarbage) -> Result<()> {
    let repository = &garbage.repository;
    for tree in [layout::manifests(repository), layout::layers(repository)] {
        match storage.remove_tree(&tree).await {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
    }
    // There is nothing at these keys: it is the directories above them that go, as far as they are empty.
    let left = [layout::uploads(repository), layout::repository(repository)];
    let left = left.map(|above| above.join("nothing"));
    for key in left.into_iter().flatten() {
        let keep = layout::repositories();
        storage.remove_many(&[Removal { key, keep }]).await?;
    }
    Ok(())
}
