//! Uploads that registry:2 and :3 have left in the bucket: `_uploads/<id>/` of a repository, and the multipart upload
//! at `data` in it.
//!
//! No request to wharf can go on with them, and their registry may be gone, which would have purged them.

use std::{collections::HashMap, time::SystemTime};

use object_store::path::Path;

use super::{
    Bucket, OpenMultipart,
    error::{failed, is_unsupported},
    parts, tree,
};
use crate::{Error, ErrorKind, Key, ListedUpload, Result, layout, uploads::Left};

/// How many objects are asked for at once, the most that stores tell.
const PAGE: usize = 1000;

/// The multipart uploads at `at`, or below it. None where the store cannot list them.
pub(super) async fn open_at(bucket: &Bucket, at: &Path) -> Result<Vec<OpenMultipart>> {
    match bucket.store.open_multiparts(at).await {
        Err(error) if is_unsupported(&error) => Ok(Vec::new()),
        listed => listed.map_err(|error| failed(format!("list multipart uploads below `{at}`"), error)),
    }
}

/// All of them, each by its directory. An upload was last touched when its newest object was written, or its
/// multipart upload begun.
pub(super) async fn list(bucket: &Bucket) -> Result<HashMap<Key, ListedUpload>> {
    let root = layout::repositories();
    let mut found = HashMap::new();
    for multipart in open_at(bucket, &bucket.path(&root)).await? {
        note(bucket, &mut found, &multipart.path, multipart.begun, 0);
    }
    let mut after = None;
    loop {
        let page = bucket.store.scan(&bucket.path(&root), after.as_ref(), PAGE).await;
        let page = page.map_err(|error| failed(format!("list `{root}`"), error))?;
        for meta in &page {
            note(
                bucket,
                &mut found,
                &meta.location,
                meta.last_modified.into(),
                meta.size,
            );
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(behind(&last.location)),
            _ => return Ok(found),
        }
    }
}

/// Removes one that was not touched since, its multipart uploads first: they are found by what remains.
pub(super) async fn remove_untouched(
    bucket: &Bucket,
    upload: &ListedUpload,
    untouched_since: SystemTime,
) -> Result<()> {
    let dir = layout::repositories()
        .join(&upload.repository)
        .and_then(|repository| repository.join("_uploads"))
        .and_then(|uploads| uploads.join(&upload.id))
        .map_err(|error| Error::with_source(ErrorKind::NotFound, "remove an upload", error))?;
    // Some stores list only those at exactly this key.
    let data = bucket.path(&layout::registry_upload_data(&dir));
    let multiparts = open_at(bucket, &data).await?;
    let page = bucket.store.scan(&bucket.path(&dir), None, PAGE).await;
    let page = page.map_err(|error| failed(format!("list `{dir}`"), error))?;
    let written = page.iter().map(|meta| SystemTime::from(meta.last_modified));
    let begun = multiparts.iter().map(|multipart| multipart.begun);
    let touched = written.chain(begun).fold(upload.touched, SystemTime::max);
    if touched >= untouched_since {
        let context = format!("remove upload `{dir}`, which a registry has gone on with");
        return Err(Error::new(ErrorKind::Precondition, context));
    }
    for multipart in &multiparts {
        parts::abort(bucket, &multipart.path, &multipart.id).await;
    }
    tree::remove_below(bucket, &dir, |_| true).await.map(drop)
}

fn note(
    bucket: &Bucket,
    found: &mut HashMap<Key, ListedUpload>,
    path: &Path,
    touched: SystemTime,
    size: u64,
) {
    let key = bucket.key(path);
    let Some((dir, repository, id, name)) = key.as_ref().and_then(layout::registry_upload_of) else {
        return;
    };
    let upload = found.entry(dir).or_insert_with(|| ListedUpload {
        repository,
        id,
        started: None,
        touched,
        size: 0,
        is_held: false,
        is_remnant: false,
        left: Some(Left::OfRegistry),
    });
    upload.touched = upload.touched.max(touched);
    upload.size += size;
    if name == "startedat" {
        upload.started = Some(touched);
    }
}

/// Where a listing goes on: behind what a repository has most of, when it is in the middle of that. Uploads
/// come after both, since names sort by their bytes.
fn behind(last: &Path) -> Path {
    for directory in ["/_layers/", "/_manifests/"] {
        if let Some((repository, _)) = last.as_ref().split_once(directory) {
            // `0` follows `/`.
            return Path::from(format!("{repository}{}0", directory.trim_end_matches('/')));
        }
    }
    last.clone()
}
