//! Removing uploads: those that ended, those that no request has touched for long, and what is left of others.

use std::{
    collections::{HashMap, HashSet},
    time::SystemTime,
};

use futures_util::{StreamExt, stream};

use super::{
    Bucket, OpenMultipart,
    cursor::Cursor,
    foreign::{self, open_at},
    hold::Holds,
    parts,
    state::{Head, Staged, State},
    tree,
};
use crate::{Error, ErrorKind, Key, ListedUpload, Result, layout, uploads::Left};

/// How many states are read at once.
const AT_ONCE: usize = 16;

/// Removes an upload, the state first: without it no request can take hold of the rest. `made` are objects that the state
/// does not name.
pub(super) async fn remove(bucket: &Bucket, dir: &Key, head: &Head, made: Vec<Staged>) -> Result<()> {
    bucket.delete(&layout::object_upload_state(dir)).await?;
    if let Some(open) = &head.open {
        open.abort(bucket).await;
    }
    let mut objects = head.objects.clone();
    for object in made {
        if !objects.contains(&object) {
            objects.push(object);
        }
    }
    remove_objects(bucket, dir, objects).await;
    Ok(())
}

/// Removes objects of the upload in `dir`. A failure to do so is for the log: a purge does it later.
pub(super) async fn remove_objects(bucket: &Bucket, dir: &Key, objects: Vec<Staged>) {
    let keys: Vec<_> = objects
        .iter()
        .map(|object| layout::object_upload_data(dir, object.name))
        .collect();
    let removed = match &keys[..] {
        [] => return,
        [key] => bucket.delete(key).await,
        keys => {
            let paths: Vec<_> = keys.iter().map(|key| Ok(bucket.path(key))).collect();
            tree::remove_all(bucket, stream::iter(paths).boxed(), "remove objects of an upload").await
        }
    };
    if let Err(error) = removed {
        tracing::debug!(upload = %dir, %error, "could not remove objects of an upload; a purge will");
    }
}

/// All uploads, each with the time of its state, what requests left behind whose upload is gone, and uploads of other
/// registries.
pub(super) async fn list(bucket: &Bucket, holds: &Holds) -> Result<Vec<ListedUpload>> {
    // Before the states are read: what was begun later is not among these.
    let multiparts = open_multiparts(bucket).await?;
    let mut found = list_objects(bucket, holds).await?;
    let open = read_heads(bucket, &mut found).await?;
    let mut others = Vec::new();
    for multipart in multiparts {
        let Some(key) = bucket.key(&multipart.path) else {
            continue;
        };
        match layout::object_upload_of(&key) {
            Some(dir) => {
                let is_held = holds.contains(&dir);
                let upload = found.entry(dir.clone());
                upload.or_insert_with(|| remnant(&dir, multipart.begun, is_held));
            }
            None if open.contains(multipart.id.as_str()) => {}
            None => {
                let mut upload = remnant(&key, multipart.begun, false);
                upload.left = Some(Left::Multipart(key.as_str().into(), multipart.id.into()));
                // Of one blob there may be several, of requests that were begun one after the other.
                others.push(upload);
            }
        }
    }
    others.extend(found.into_values());
    others.extend(foreign::list(bucket).await?.into_values());
    Ok(others)
}

/// Removes an upload that is not held and was not touched since.
pub(super) async fn remove_untouched(
    bucket: &Bucket,
    holds: &Holds,
    upload: &ListedUpload,
    untouched_since: SystemTime,
) -> Result<()> {
    match &upload.left {
        Some(Left::Multipart(key, id)) => {
            return abort_untouched(bucket, key, id, upload.touched, untouched_since).await;
        }
        Some(Left::OfRegistry) => return foreign::remove_untouched(bucket, upload, untouched_since).await,
        None => {}
    }
    let dir = layout::object_uploads()
        .join(&upload.repository.replace('/', "="))
        .and_then(|above| above.join(&upload.id))
        .map_err(|error| Error::with_source(ErrorKind::NotFound, "remove an upload", error))?;
    let _hold = holds.take(&dir)?;
    let state = layout::object_upload_state(&dir);
    // A request may have gone on with it since it was listed.
    let touched = match bucket.head(&state).await {
        Ok(meta) => SystemTime::from(meta.last_modified).max(upload.touched),
        Err(error) if error.is_not_found() && upload.is_remnant => upload.touched,
        Err(error) => return Err(error),
    };
    if touched >= untouched_since {
        return Err(touched_since(&dir));
    }
    match State::load_head(bucket, &dir).await {
        Ok((head, _)) => remove(bucket, &dir, &head, Vec::new()).await?,
        // A state that cannot be read goes all the same.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Damaged) => {
            bucket.delete(&state).await?;
        }
        Err(error) => return Err(error),
    }
    for multipart in open_at(bucket, &bucket.path(&dir)).await? {
        parts::abort(bucket, &multipart.path, &multipart.id).await;
    }
    tree::remove_below(bucket, &dir, |_| true).await.map(drop)
}

async fn abort_untouched(
    bucket: &Bucket,
    key: &str,
    id: &str,
    begun: SystemTime,
    untouched_since: SystemTime,
) -> Result<()> {
    let key =
        Key::new(key).map_err(|error| Error::with_source(ErrorKind::NotFound, "remove an upload", error))?;
    if begun >= untouched_since {
        return Err(touched_since(&key));
    }
    parts::abort(bucket, &bucket.path(&key), &id.to_owned()).await;
    Ok(())
}

fn touched_since(dir: &Key) -> Error {
    let context = format!("remove upload `{dir}`, which a request has gone on with");
    Error::new(ErrorKind::Precondition, context)
}

/// The multipart uploads that requests have begun: of uploads, and of blobs. None where the store cannot list them.
async fn open_multiparts(bucket: &Bucket) -> Result<Vec<OpenMultipart>> {
    let mut all = open_at(bucket, &bucket.path(&layout::object_uploads())).await?;
    all.extend(open_at(bucket, &bucket.path(&layout::blobs())).await?);
    Ok(all)
}

/// The uploads that have objects; each is a remnant until its state is found.
async fn list_objects(bucket: &Bucket, holds: &Holds) -> Result<HashMap<Key, ListedUpload>> {
    let root = layout::object_uploads();
    let mut found: HashMap<Key, ListedUpload> = HashMap::new();
    let mut cursor = Cursor::new(bucket, &root);
    while !cursor.is_at_end() {
        for meta in cursor.next(usize::MAX).await? {
            let Some(key) = bucket.key(&meta.location) else {
                continue;
            };
            let Some(dir) = layout::object_upload_of(&key) else {
                continue;
            };
            let modified = SystemTime::from(meta.last_modified);
            let is_held = holds.contains(&dir);
            let upload = found.entry(dir.clone());
            let upload = upload.or_insert_with(|| remnant(&dir, modified, is_held));
            upload.touched = upload.touched.max(modified);
            if key == layout::object_upload_state(&dir) {
                upload.is_remnant = false;
            } else {
                upload.size += meta.size;
            }
        }
    }
    Ok(found)
}

/// Takes the sizes of uploads from their states, and returns the multipart uploads that these name.
async fn read_heads(bucket: &Bucket, found: &mut HashMap<Key, ListedUpload>) -> Result<HashSet<String>> {
    let alive: Vec<Key> = found
        .iter()
        .filter(|(_, upload)| !upload.is_remnant)
        .map(|(dir, _)| dir.clone())
        .collect();
    let heads = alive.into_iter().map(|dir| async move {
        let head = State::load_head(bucket, &dir).await;
        (dir, head)
    });
    let mut heads = stream::iter(heads).buffer_unordered(AT_ONCE);
    let mut open = HashSet::new();
    while let Some((dir, head)) = heads.next().await {
        match head {
            Ok((head, _)) => {
                open.extend(head.open.map(|open| open.id));
                if let Some(upload) = found.get_mut(&dir) {
                    upload.size = head.size;
                }
            }
            Err(error) if error.is_not_found() => {
                found.remove(&dir);
            }
            // It can be purged.
            Err(error) if error.kind() == ErrorKind::Damaged => {}
            Err(error) => return Err(error),
        }
    }
    Ok(open)
}

fn remnant(dir: &Key, touched: SystemTime, is_held: bool) -> ListedUpload {
    ListedUpload {
        repository: repository_of(dir),
        id: dir.name().into(),
        started: None,
        touched,
        size: 0,
        is_held,
        is_remnant: true,
        left: None,
    }
}

/// The name of the repository that an upload is for, whatever it is.
fn repository_of(dir: &Key) -> Box<str> {
    let parent = dir.parent();
    let repository = parent.as_ref().map_or("", Key::name);
    repository.replace('=', "/").into()
}
