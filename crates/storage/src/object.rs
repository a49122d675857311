//! The object engine: a registry in a bucket, or in memory, through the `object_store` crate.
//!
//! # What a bucket is not
//!
//! It has no rename, no append and no directories, and other processes may work on it at the same time:
//! several replicas behind a load balancer share one bucket, and the next request of an upload may
//! reach another of them. So nothing that matters is kept in the memory of a process, and nothing
//! relies on another process being slow. What a bucket has instead: a put, a copy and the
//! completion of a multipart upload are each atomic, and durable when acknowledged.
//!
//! # Uploads
//!
//! ```text
//! wharf/uploads/<repository, `=` for `/`>/<id>/
//! ├─ state                               which chunks count, in which order; written conditionally
//! └─ chunks/<offset>-<nonce>             the bytes of one request; never changed once it is there
//! ```
//!
//! Each request writes its bytes as an object of its own and then adds it to `state` with a put that
//! succeeds only when no other request has changed `state` since this request read it. Of two requests at
//! once on one upload, in whichever processes, exactly one gets its bytes accepted; the loser's
//! chunk is deleted and it is told [`ErrorKind::Busy`]. Inside one process a table of holds tells it
//! so before it sends anything.
//!
//! [`Upload::finish`] leaves one chunk whose digest is that of the bytes as they were written: with
//! one chunk nothing need be done, several are composed into a new one, hashed on the way into the
//! store. [`Finished::publish`] seals `state`, so that no late request can add to what is being
//! published, and has the store copy the chunk to its final key. Objects that are too large for a
//! server-side copy are streamed there and completed only when what was written has the digest.
//! Either way nothing but a whole, hashed object ever appears at a final key (I1).
//!
//! Some stores ignore the condition of a put (Garage does). There the last of two writers of `state`
//! wins instead of the first. `state` is one object that lists whole chunks, so even then what
//! is published is never a mixture, and its digest is the digest of what is published.
//!
//! # Limits
//!
//! A request buffers one part of 8 MiB while one more is on its way; this is what S3's smallest part
//! (5 MiB) costs. One request may bring 10,000 parts (80 GB), and one upload may have 10,000
//! requests. What a request has sent is accepted when it ends, however it ends; when the process
//! dies, what it had received in that request is lost, and the store may keep parts of a multipart
//! upload that only a lifecycle rule of the bucket removes.

mod blob;
mod error;
mod hold;
mod listing;
mod memory;
mod rename;
pub mod s3;
mod state;
mod store;
mod tree;
mod upload;
mod writer;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::{ObjectMeta, ObjectStoreExt, PutMode, UpdateVersion, path::Path};

pub use self::{
    memory::Memory,
    store::{Abilities, OpenMultipart, PartCopy, SignedGet, Store},
};

use self::{
    blob::ObjectBlob,
    error::{failed, is_conflict},
    hold::Holds,
    state::State,
    upload::ObjectUpload,
};
use crate::{
    Blob, Condition, Error, ErrorKind, Key, ListedUpload, Object, Objects, Page, Put, Removal, Result,
    ScanPage, Stat, Upload, UploadStream, Uploads, Version, layout, layout::UploadKey, version::ObjectMark,
};

#[cfg(doc)]
use crate::{Finished, Storage};

/// A [`Storage`] over any [`ObjectStore`]; see the [module](self).
#[derive(Debug)]
pub struct ObjectStorage {
    bucket: Arc<Bucket>,
    holds: Holds,
}

/// The store, and the prefix in it below which all objects lie.
#[derive(Debug, Clone)]
struct Bucket {
    store: Arc<dyn Store>,
    prefix: Path,
    limits: Limits,
}

/// Numbers that stores impose, or that balance costs; tests make them small.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes of each part of a multipart upload but the last. All alike, because some stores (R2) want that.
    part_size: usize,
    /// The largest object that the store copies by itself.
    copy_size: u64,
    /// How many chunks one upload may have, because its state lists them all.
    chunks: usize,
    /// How often a request that goes on for long marks its upload as active, for the purges of other processes.
    heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            part_size: 8 * 1024 * 1024,
            copy_size: 5 * 1024 * 1024 * 1024,
            chunks: 10_000,
            heartbeat: Duration::from_secs(600),
        }
    }
}

impl ObjectStorage {
    /// An empty store in the memory of this process.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(Memory::new()), Path::default())
    }

    /// What lies below `prefix` in `store`. The store should honour conditional puts; see the [module](self).
    pub fn new(store: Arc<dyn Store>, prefix: Path) -> Self {
        Self::with_limits(store, prefix, Limits::default())
    }

    fn with_limits(store: Arc<dyn Store>, prefix: Path, limits: Limits) -> Self {
        Self {
            bucket: Arc::new(Bucket {
                store,
                prefix,
                limits,
            }),
            holds: Holds::default(),
        }
    }
}

#[async_trait]
impl Objects for ObjectStorage {
    async fn stat(&self, key: &Key) -> Result<Stat> {
        self.bucket.head(key).await.map(|meta| stat_of(&meta))
    }

    async fn read(&self, key: &Key, limit: u64) -> Result<Object> {
        let blob = ObjectBlob::open(&self.bucket, key).await?;
        let stat = blob.stat();
        if stat.size > limit {
            let context = format!("read `{key}`, {} bytes where {limit} are the limit", stat.size);
            return Err(Error::new(ErrorKind::TooLarge, context));
        }
        Ok(Object {
            bytes: blob.bytes().await?,
            stat,
        })
    }

    async fn open(&self, key: &Key) -> Result<Box<dyn Blob>> {
        Ok(Box::new(ObjectBlob::open(&self.bucket, key).await?))
    }

    async fn publish(&self, puts: &[Put]) -> Result<()> {
        self.bucket.publish(puts).await
    }

    async fn rename(&self, from: &Removal, to: &Key) -> Result<()> {
        rename::rename(&self.bucket, &from.key, to).await
    }

    /// There are no directories that could become empty, so `keep` has nothing to do.
    ///
    /// A store does not say whether a deletion found something, so this asks first. Of two removals
    /// at once both may succeed.
    async fn remove(&self, key: &Key, _keep: &Key) -> Result<()> {
        self.bucket.head(key).await?;
        self.bucket.delete(key).await
    }

    /// Each request removes as many objects as the store allows.
    async fn remove_many(&self, removals: &[Removal]) -> Result<()> {
        let paths: Vec<_> = removals
            .iter()
            .map(|removal| Ok(self.bucket.path(&removal.key)))
            .collect();
        tree::remove_all(&self.bucket, stream::iter(paths).boxed(), "remove objects").await
    }

    async fn remove_tree(&self, dir: &Key) -> Result<()> {
        tree::remove(&self.bucket, dir).await
    }

    async fn list(&self, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page> {
        listing::list(&self.bucket, dir, after, limit).await
    }

    async fn scan(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<ScanPage> {
        listing::scan(&self.bucket, prefix, after, limit).await
    }

    async fn names_with(&self, dir: &Key, paths: &[Key]) -> Result<Vec<Box<str>>> {
        listing::names_with(&self.bucket, dir, paths).await
    }

    async fn location(&self, key: &Key, ttl: Duration) -> Result<Option<String>> {
        let path = self.bucket.path(key);
        let signed = self.bucket.store.sign(&SignedGet { path: &path, ttl }).await;
        signed.map_err(|error| failed(format!("sign a URL for `{key}`"), error))
    }

    /// Asks for an object that does not exist: any answer shows that the store works.
    async fn check(&self) -> Result<()> {
        let Ok(key) = Key::new("wharf") else { return Ok(()) };
        match self.bucket.head(&key).await {
            Err(error) if !error.is_not_found() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Uploads for ObjectStorage {
    async fn create_upload(&self, upload: &UploadKey) -> Result<()> {
        State::create(&self.bucket, &layout::object_upload(upload)).await
    }

    async fn open_upload(&self, upload: &UploadKey) -> Result<Box<dyn Upload>> {
        let dir = layout::object_upload(upload);
        let hold = self.holds.take(&dir)?;
        Ok(Box::new(
            ObjectUpload::open(Arc::clone(&self.bucket), dir, hold).await?,
        ))
    }

    async fn upload_size(&self, upload: &UploadKey) -> Result<u64> {
        let (state, _) = State::load(&self.bucket, &layout::object_upload(upload)).await?;
        Ok(state.before_seal().size())
    }

    /// An upload was last touched when its newest object was written.
    async fn list_uploads(&self) -> Result<UploadStream> {
        let found = upload::list(&self.bucket, &self.holds).await?;
        Ok(stream::iter(found.into_iter().map(Ok)).boxed())
    }

    async fn remove_upload(&self, upload: &ListedUpload, untouched_since: SystemTime) -> Result<()> {
        upload::remove_untouched(&self.bucket, &self.holds, upload, untouched_since).await
    }
}

impl Bucket {
    /// Keys consist of characters that `Path` leaves alone.
    fn path(&self, key: &Key) -> Path {
        if self.prefix.is_root() {
            Path::from(key.as_str())
        } else {
            key.as_str().split('/').fold(self.prefix.clone(), Path::join)
        }
    }

    /// The inverse of [`path`](Self::path); `None` for an object that no key stands for.
    fn key(&self, path: &Path) -> Option<Key> {
        let key = match self.prefix.as_ref() {
            "" => path.as_ref(),
            prefix => path.as_ref().strip_prefix(prefix)?.strip_prefix('/')?,
        };
        Key::new(key).ok()
    }

    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        self.store
            .head(&self.path(key))
            .await
            .map_err(|error| failed(format!("look up `{key}`"), error))
    }

    async fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        match self.store.put(&self.path(key), bytes.into()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(format!("write `{key}`"), error)),
        }
    }

    /// A put is atomic and durable when it is acknowledged, so order is all that is left to do.
    async fn publish(&self, puts: &[Put]) -> Result<()> {
        for put in puts {
            // A copy, because a store in memory would keep the whole network buffer that this may be a slice of.
            let bytes = Bytes::copy_from_slice(&put.bytes);
            match &put.condition {
                Condition::None => self.put(&put.key, bytes).await?,
                Condition::Absent => self.put_if(&put.key, bytes, PutMode::Create).await?,
                Condition::Matches(version) => {
                    let mode = update_of(version).ok_or_else(|| refused(&put.key))?;
                    self.put_if(&put.key, bytes, PutMode::Update(mode)).await?;
                }
            }
        }
        Ok(())
    }

    async fn put_if(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<()> {
        let replaces = matches!(mode, PutMode::Update(_));
        match self
            .store
            .put_opts(&self.path(key), bytes.into(), mode.into())
            .await
        {
            Ok(_) => Ok(()),
            // The object that was to be replaced is gone.
            Err(object_store::Error::NotFound { .. }) if replaces => Err(refused(key)),
            Err(error) if is_conflict(&error) => Err(refused(key)),
            Err(error) => Err(failed(format!("write `{key}` under a condition"), error)),
        }
    }

    /// Has the store copy an object that is not too large for that.
    async fn copy(&self, from: &Key, to: &Key) -> Result<()> {
        self.store
            .copy(&self.path(from), &self.path(to))
            .await
            .map_err(|error| failed(format!("copy `{from}` to `{to}`"), error))
    }

    /// Removes an object; succeeds also when there is none.
    async fn delete(&self, key: &Key) -> Result<()> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(format!("remove `{key}`"), error)),
        }
    }
}

fn stat_of(meta: &ObjectMeta) -> Stat {
    Stat {
        size: meta.size,
        modified: meta.last_modified.into(),
        version: version_of(meta),
    }
}

/// A strong entity tag changes with the content (RFC 9110, section 8.8.1).
fn version_of(meta: &ObjectMeta) -> Option<Version> {
    let e_tag = meta.e_tag.clone().filter(|e_tag| !e_tag.starts_with("W/"))?;
    Some(Version::object(ObjectMark {
        e_tag,
        version: meta.version.clone(),
        size: meta.size,
        modified: meta.last_modified.into(),
    }))
}

/// What the store is told about the version to replace; `None` for a version of another engine.
fn update_of(version: &Version) -> Option<UpdateVersion> {
    version.as_object().map(|mark| UpdateVersion {
        e_tag: Some(mark.e_tag.clone()),
        version: mark.version.clone(),
    })
}

fn refused(key: &Key) -> Error {
    let context = format!("write `{key}`: another request has written or removed it");
    Error::new(ErrorKind::Precondition, context)
}

#[cfg(test)]
mod tests;
