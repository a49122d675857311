//! Listing: the names of what looks like a directory, and all objects below a prefix.

use std::sync::Arc;

use futures_util::StreamExt;
use object_store::{ObjectMeta, path::Path};

use super::{Bucket, error::failed, stat_of};
use crate::{Entry, Key, Page, Result, ScanPage, Scanned};

/// A page of the objects below `prefix`, as the store sorts whole keys. Objects that no [`Key`] stands for are left out.
pub(super) async fn scan(
    bucket: &Bucket,
    prefix: &Key,
    after: Option<&Key>,
    limit: usize,
) -> Result<ScanPage> {
    let below = bucket.path(prefix);
    let mut after = after.map(|after| bucket.path(after));
    // One more than asked for tells whether there are more.
    let wanted = limit.saturating_add(1);
    let mut objects = Vec::new();
    loop {
        let most = wanted - objects.len();
        let found = bucket.store.scan(&below, after.as_ref(), most).await;
        let found = found.map_err(|error| failed(format!("list `{prefix}`"), error))?;
        objects.extend(found.iter().filter_map(|meta| scanned(bucket, meta)));
        let is_last = found.len() < most;
        if is_last || objects.len() == wanted {
            break;
        }
        // Some of these were objects that no key stands for.
        after = found.last().map(|meta| meta.location.clone());
    }
    let more = objects.len() > limit;
    objects.truncate(limit);
    Ok(ScanPage { objects, more })
}

/// The names below `dir` that have an object at one of `paths`: of all objects there, in pages of the store.
pub(super) async fn names_with(bucket: &Bucket, dir: &Key, paths: &[Key]) -> Result<Vec<Box<str>>> {
    let below = bucket.path(dir);
    let mut names: Vec<Box<str>> = Vec::new();
    let mut objects = bucket.store.list(Some(&below));
    while let Some(meta) = objects.next().await {
        let meta = meta.map_err(|error| failed(format!("list `{dir}`"), error))?;
        let parts = meta.location.prefix_match(&below);
        let Some(path) = parts.map(Iterator::collect::<Path>) else {
            continue;
        };
        if let Some((name, rest)) = path.as_ref().split_once('/')
            && paths.iter().any(|path| path.as_str() == rest)
        {
            names.push(name.into());
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn scanned(bucket: &Bucket, meta: &ObjectMeta) -> Option<Scanned> {
    let key = bucket.key(&meta.location)?;
    Some(Scanned {
        key,
        stat: stat_of(meta),
    })
}

/// A page of the names below `dir`.
///
/// The store is asked for the names of the whole directory, because buckets sort whole keys, in
/// which `a-b/x` comes before `a/x`, while the trait promises the order of the names, and because
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
        unreachable: Arc::default(),
    })
}
