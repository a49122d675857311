//! Removing what looks like a directory, and many objects at once.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::path::Path;

use super::{Bucket, error::failed};
use crate::{Error, ErrorKind, Key, Result, layout};

/// Removes what is at and below `dir`, pointers before what they point to (I3).
///
/// One pass over the listing for each rank that occurs, so that memory does not grow with the tree.
pub(super) async fn remove(bucket: &Bucket, dir: &Key) -> Result<()> {
    let mut found = false;
    let ranks = Arc::new(AtomicU8::new(0));
    for rank in 0..layout::REMOVAL_RANKS {
        if rank == 0 || ranks.load(Ordering::Relaxed) & (1 << rank) != 0 {
            let ranks = Arc::clone(&ranks);
            let doomed = move |path: &Path| {
                let of_path = layout::removal_rank(path.as_ref());
                ranks.fetch_or(1 << of_path, Ordering::Relaxed);
                of_path == rank
            };
            remove_below(bucket, dir, doomed).await?;
        }
    }
    found |= ranks.load(Ordering::Relaxed) != 0;
    match bucket.head(dir).await {
        Ok(_) => {
            bucket.delete(dir).await?;
            found = true;
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    if found {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::NotFound, format!("remove `{dir}`")))
    }
}

/// Removes the objects below `dir` that are `doomed`, while they are being listed.
pub(super) async fn remove_below(
    bucket: &Bucket,
    dir: &Key,
    doomed: impl Fn(&Path) -> bool + Send + 'static,
) -> Result<()> {
    let listed = bucket.store.list(Some(&bucket.path(dir)));
    let paths = listed.try_filter_map(move |meta| {
        let doomed = doomed(&meta.location);
        ready(Ok(doomed.then_some(meta.location)))
    });
    remove_all(bucket, paths.boxed(), &format!("remove `{dir}`")).await
}

/// Removes the objects at `paths`, many with each request where the store can. An object that does not exist is no
/// error.
pub(super) async fn remove_all(
    bucket: &Bucket,
    paths: BoxStream<'static, object_store::Result<Path>>,
    context: &str,
) -> Result<()> {
    let mut removed = bucket.store.delete_stream(paths);
    while let Some(result) = removed.next().await {
        match result {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(context, error)),
        }
    }
    Ok(())
}
