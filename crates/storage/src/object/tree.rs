//! What looks like directories: listing one, removing one.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;

use super::{Bucket, error::failed};
use crate::{Entry, Error, ErrorKind, Key, Page, Result, layout};

/// A page of the names below `dir`.
///
/// The store is asked for the names of the whole directory, because buckets sort whole keys, in
/// which `a-b/x` comes before `a/x`, while we promise the order of the names, and because
/// `object_store` gives a listing with a delimiter in one piece only. That is one request for each
/// thousand names, and some 200 bytes of memory for each name while the call lasts.
pub(super) async fn list(bucket: &Bucket, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page> {
    let listed = match bucket.store.list_with_delimiter(Some(&bucket.path(dir))).await {
        Ok(listed) => listed,
        Err(object_store::Error::NotFound { .. }) => return Ok(Page::default()),
        Err(error) => return Err(failed(format!("list `{dir}`"), error)),
    };
    let directories = listed.common_prefixes.iter().map(|path| (path, true));
    let objects = listed.objects.iter().map(|meta| (&meta.location, false));
    let mut names: Vec<(&str, bool)> = directories
        .chain(objects)
        .filter_map(|(path, is_dir)| Some((path.filename()?, is_dir)))
        .filter(|(name, _)| after.is_none_or(|after| *name > after))
        .collect();
    // A name may be an object and a directory at once; then it is a directory.
    names.sort_unstable_by(|a, b| a.0.cmp(b.0).then(b.1.cmp(&a.1)));
    names.dedup_by_key(|(name, _)| *name);

    let more = names.len() > limit;
    let entries = names
        .iter()
        .take(limit)
        .map(|&(name, is_dir)| Entry {
            name: name.into(),
            is_dir,
        })
        .collect();
    Ok(Page {
        entries,
        more,
        version: None,
        unreachable: None,
    })
}

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
    let mut removed = bucket.store.delete_stream(paths.boxed());
    while let Some(result) = removed.next().await {
        match result {
            // Somebody else may have removed it as well.
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(format!("remove `{dir}`"), error)),
        }
    }
    Ok(())
}
