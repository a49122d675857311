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
//! ├─ state                a line of JSON, and the bytes that are in no part yet; written conditionally
//! └─ data/<uuid>          the parts: a multipart upload, and at the end for a moment an object
//! ```
//!
//! `state` says which bytes count: how many there are, the state of SHA-256 after them, the parts of the multipart
//! upload by the names that the store gave them, and behind the head the *tail*, at most one part. What a request adds counts
//! when it has replaced `state`, by a put that succeeds only when no other request has replaced it since this request read it.
//! A request whose bytes fit in the tail does nothing else. One that brings more first writes a *lease* into `state`, so
//! that requests in other processes are told [`ErrorKind::Busy`] at once; then it sends parts while bytes arrive, each hashed
//! once, and at last writes `state` with their names. The lease is renewed while the request lasts, and the request ends
//! when that fails. When the process dies, the lease runs out, and the upload is what it was. Inside
//! one process a table of holds does all this without the store.
//!
//! All parts but the last are equal in size (R2 wants that). They are larger when the announced length is: 9,000 parts hold it.
//!
//! [`Finished::publish`] puts an upload that is all tail at the key of the blob. Of one that has parts, the tail becomes the
//! last part, `state` is *sealed* with the names of all parts, the multipart upload is completed at `data`, the store copies
//! that to the key, in ranges where it is large, and everything else goes. What a provisional request sent is named by the seal alone,
//! so that before it the upload is what it was. A request that comes with the same bytes after the seal has them hashed
//! and not sent again.
//!
//! A provisional request that [announces](Upload::announce) the digest of an upload without bytes sends its parts to a
//! multipart upload at the key of the blob, which is completed when the digest is that, and aborted when not. Nothing is copied.
//!
//! # Why nothing but hashed bytes is published (I1)
//!
//! A multipart upload is completed with exactly the parts that one `state` names, and `state` is one object, replaced as a
//! whole: its hash, its parts and its tail are of one history. A request that comes too late and writes a part again gives
//! it another name, so the completion fails; it never mixes. Each multipart upload has a key of its own, so what
//! is copied from there is what was completed there. None of this needs conditions: where a store ignores them
//! (Garage does) the last of two writers of `state` wins instead of the first, and what is published is still what was
//! hashed. Conditions and leases only tell the loser early. When the answer to a completion is lost, the object that
//! is found is hashed before it counts.
//!
//! # Limits
//!
//! All requests share memory for sixteen parts of 8 MiB. A request waits for room before it reads what it needs room for, holds
//! one part, and sends it from a second one if there is room. An upload has 10,000 parts at most, which is 78 GiB where
//! the length was not announced. What a request has sent counts when it ends, however it ends; when the process dies, what came in
//! that request is lost. An upload that was finished with a digest other than SHA-256, and not published, takes no more bytes.

mod blob;
mod copy;
mod error;
mod finished;
mod hashes;
mod hold;
mod listing;
mod memory;
mod parts;
mod purge;
mod rename;
mod session;
mod state;
mod store;
mod tree;
mod upload;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::{ObjectMeta, ObjectStoreExt, PutMode, PutPayload, UpdateVersion, path::Path};
use uuid::Uuid;
use wharf_budget::{Permit, Share};

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

/// A [`Storage`] over any [`Store`]; see the [module](self).
#[derive(Debug)]
pub struct ObjectStorage {
    bucket: Arc<Bucket>,
    holds: Holds,
}

/// The store, and the prefix in it below which all objects lie.
#[derive(Debug)]
struct Bucket {
    store: Arc<dyn Store>,
    prefix: Path,
    limits: Limits,
    /// Memory for parts, in bytes.
    rooms: Share,
    /// Names this process in leases.
    process: Uuid,
}

/// Numbers that stores impose, or that balance costs; tests make them small.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes of each part of a multipart upload but the last, unless it needs larger ones.
    part_size: usize,
    /// How many parts the store takes.
    parts: usize,
    /// How many parts an announced length makes at most; the rest is for what comes unannounced.
    announced_parts: u64,
    /// How many bytes of parts all requests may hold in memory.
    memory: usize,
    /// The largest object that the store copies in one request, and the parts of larger ones.
    copy_size: u64,
    /// How long a request waits for room in memory.
    patience: Duration,
    /// How often a request that goes on for long renews its lease.
    heartbeat: Duration,
    /// For how long a lease keeps the requests of other processes away.
    lease: Duration,
    clock: fn() -> SystemTime,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            part_size: 8 << 20,
            parts: 10_000,
            announced_parts: 9_000,
            memory: 16 * (8 << 20),
            copy_size: 32 << 20,
            patience: Duration::from_secs(30),
            heartbeat: Duration::from_secs(60),
            lease: Duration::from_secs(180),
            clock: SystemTime::now,
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
                rooms: Share::new("parts", limits.memory),
                process: Uuid::new_v4(),
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

    async fn remove_until(&self, removal: &Removal, until: SystemTime) -> Result<()> {
        let key = &removal.key;
        match self
            .bucket
            .store
            .delete_until(&self.bucket.path(key), until)
            .await
        {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) if is_conflict(&error) => {
                let context = format!("remove `{key}`: the store took up the request too late");
                Err(Error::new(ErrorKind::Precondition, context))
            }
            Err(error) => Err(failed(format!("remove `{key}` before a time"), error)),
        }
    }

    fn is_shared(&self) -> bool {
        true
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
        let (head, _) = State::load_head(&self.bucket, &layout::object_upload(upload)).await?;
        Ok(head.size)
    }

    /// An upload was last touched when its newest object was written.
    async fn list_uploads(&self) -> Result<UploadStream> {
        let found = purge::list(&self.bucket, &self.holds).await?;
        Ok(stream::iter(found.into_iter().map(Ok)).boxed())
    }

    async fn remove_upload(&self, upload: &ListedUpload, untouched_since: SystemTime) -> Result<()> {
        purge::remove_untouched(&self.bucket, &self.holds, upload, untouched_since).await
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

    /// Room in memory for `bytes` of parts. A request that has some never waits for more.
    async fn room(&self, bytes: usize) -> Result<Permit> {
        let room = self.rooms.wait(bytes, self.limits.patience).await;
        room.map_err(|full| Error::with_source(ErrorKind::Exhausted, "receive a part of an upload", full))
    }

    /// Room for one part more of a request that has some; `None` when other requests need it.
    fn spare(&self, bytes: usize) -> Option<Permit> {
        self.rooms.try_take(bytes)
    }

    /// The size of the parts of an upload that has `size` bytes, and of which `length` more are announced.
    fn part_size(&self, size: u64, length: Option<u64>) -> usize {
        let needed = size
            .saturating_add(length.unwrap_or(0))
            .div_ceil(self.limits.announced_parts);
        usize::try_from(needed).map_or(usize::MAX, |needed| needed.max(self.limits.part_size))
    }

    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        self.store
            .head(&self.path(key))
            .await
            .map_err(|error| failed(format!("look up `{key}`"), error))
    }

    async fn put(&self, key: &Key, payload: impl Into<PutPayload>) -> Result<()> {
        match self.store.put(&self.path(key), payload.into()).await {
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
