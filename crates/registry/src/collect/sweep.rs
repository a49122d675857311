//! Removing garbage: pointers before what they point to, many at a time, each kind durable before the next.

use std::{future::ready, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use wharf_oci::Digest;
use wharf_storage::{Key, Removal, Storage, layout};

use super::report::{DoomedBlob, Garbage, RepositoryGarbage, Swept};
use crate::error::Result;

/// How many objects one step removes. A step costs one sync for each directory that it removes a name from.
const STEP: usize = 512;

/// How many steps run at once. Where the file system tells the device of every freed block (ext4 with `discard`), a removal
/// mostly waits, so eight steps take two thirds of the time of two; more gain nothing.
const SWEEPERS: usize = 8;

/// Objects of one kind that are to be removed at once.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Repository that loses pointers to the digests; `None` for the bytes themselves.
    pub repository: Option<&'a str>,
    /// Digests of the blobs, or of what the pointers point to.
    pub digests: &'a [Digest],
}

/// Admission of the steps of a sweep: requests may rely on a digest since it was marked.
pub trait Guard: Sync {
    /// Locks that keep requests from relying on what the step removes, until it is dropped.
    type Hold: Send;

    /// Locks everything that `step` removes, and answers, with the hold, for each of `step.digests` whether it may
    /// still go. The hold is dropped when the step is durable.
    fn admit(&self, step: Step<'_>) -> impl Future<Output = (Self::Hold, Vec<bool>)> + Send;
}

/// The guard of the offline form: this process has the lock of the store and serves no requests, so nothing has changed
/// since the mark, and nothing will.
#[derive(Debug, Clone, Copy)]
pub struct Offline;

impl Guard for Offline {
    type Hold = ();

    fn admit(&self, step: Step<'_>) -> impl Future<Output = ((), Vec<bool>)> + Send {
        ready(((), vec![true; step.digests.len()]))
    }
}

/// Removes `garbage`, as far as `guard` admits it.
///
/// # Errors
///
/// Errors of the store.
pub(super) async fn sweep<G: Guard>(
    storage: &Arc<dyn Storage>,
    garbage: &Garbage,
    guard: &G,
) -> Result<Swept> {
    // All pointers are gone, durably, before the first bytes go.
    stream::iter(&garbage.repositories)
        .map(|repository| sweep_repository(storage, repository, guard))
        .buffer_unordered(SWEEPERS)
        .try_for_each(|()| ready(Ok(())))
        .await?;
    stream::iter(garbage.blobs.chunks(STEP))
        .map(|blobs| sweep_blobs(storage, blobs, guard))
        .buffer_unordered(SWEEPERS)
        .try_fold(Swept::default(), |total, swept| {
            ready(Ok(Swept {
                blobs: total.blobs + swept.blobs,
                bytes: total.bytes + swept.bytes,
            }))
        })
        .await
}

async fn sweep_repository<G: Guard>(
    storage: &Arc<dyn Storage>,
    garbage: &RepositoryGarbage,
    guard: &G,
) -> Result<()> {
    let repository = &garbage.repository;
    let name = Some(garbage.name());
    for entries in garbage.history.chunks(STEP) {
        let digests: Vec<Digest> = entries.iter().map(|(_, digest)| *digest).collect();
        let keys = entries
            .iter()
            .map(|(tag, digest)| layout::tag_history_link(repository, tag, digest));
        step(storage, guard, name, &digests, keys).await?;
    }
    // A step removes manifests of one generation only: a cut of power may leave any part of a step.
    for generation in garbage.manifests.chunk_by(|a, b| a.generation == b.generation) {
        for manifests in generation.chunks(STEP) {
            let digests: Vec<Digest> = manifests.iter().map(|manifest| manifest.digest).collect();
            let keys = digests
                .iter()
                .map(|digest| layout::revision_link(repository, digest));
            step(storage, guard, name, &digests, keys).await?;
        }
    }
    for digests in garbage.layers.chunks(STEP) {
        let keys = digests
            .iter()
            .map(|digest| layout::layer_link(repository, digest));
        step(storage, guard, name, digests, keys).await?;
    }
    if garbage.vanishes {
        remove_repository(storage, garbage).await?;
    }
    Ok(())
}

async fn sweep_blobs<G: Guard>(storage: &Arc<dyn Storage>, blobs: &[DoomedBlob], guard: &G) -> Result<Swept> {
    let digests: Vec<Digest> = blobs.iter().map(|blob| blob.digest).collect();
    let went = step(storage, guard, None, &digests, digests.iter().map(layout::blob)).await?;
    let gone = blobs.iter().zip(went).filter(|(_, went)| *went);
    Ok(gone.fold(Swept::default(), |total, (blob, _)| Swept {
        blobs: total.blobs + 1,
        bytes: total.bytes + blob.size,
    }))
}

/// Removes `keys`, each of which belongs to one of `digests`, as far as the guard admits it. The directory above
/// the one that holds it, which it shares with objects of its kind, stays. Returns which of the digests were removed.
async fn step<G: Guard>(
    storage: &Arc<dyn Storage>,
    guard: &G,
    repository: Option<&str>,
    digests: &[Digest],
    keys: impl Iterator<Item = Key> + Send,
) -> Result<Vec<bool>> {
    let (hold, admitted) = guard.admit(Step { repository, digests }).await;
    let removals = keys.zip(&admitted).filter(|(_, admitted)| **admitted);
    let removals: Vec<Removal> = removals
        .filter_map(|(key, _)| {
            let keep = key.parent()?.parent()?;
            Some(Removal { key, keep })
        })
        .collect();
    storage.remove_many(&removals).await?;
    drop(hold);
    Ok(admitted)
}

/// Removes what is left of a repository that has nothing any more: directories, and histories of tags that are gone.
/// Its unfinished uploads stay, and so do repositories below it.
///
/// *Online*, the repository's tags have to be locked here: a push may bring it back.
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
