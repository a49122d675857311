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
//! ├─ state                a line of JSON, and the bytes that are in no object yet; written conditionally
//! └─ data/<uuid>          bytes of the upload, each object written once by the one request that made up its name
//! ```
//!
//! `state` says which bytes count: how many there are, the state of SHA-256 after them, the objects that hold them,
//! and behind the head the *tail*, which is small. What a request adds counts when it has replaced `state`, by a put
//! that succeeds only when no other request has added something since this request read it.
//!
//! A request whose bytes are few adds them to the tail. Otherwise they become an object: by one put if they fit in a
//! part, by a multipart upload if not, which is sent while bytes arrive and completed when the request ends. So each
//! byte is hashed once and sent once. An object of less than 5 MiB is no part of another multipart upload, unless it
//! is the last one. So when more comes after such *loose* objects, they are read back and sent once more, together:
//! chunks of less than 5 MiB are sent twice. Only chunks smaller than the tail are sent more often, with each other.
//!
//! [`Finished::publish`] puts an upload that is all tail at the key of the blob. Of the objects of another one the
//! store makes the blob, by a copy or by a multipart upload into which it copies ranges; the bytes that are in no
//! object go with them. Where the store copies no ranges, or takes only equal parts and these differ, all bytes are
//! read and sent once more.
//!
//! A provisional request that [announces](Upload::announce) the digest of an upload without bytes sends its parts to a
//! multipart upload at the key of the blob, which is completed when the digest is that, and aborted when not. Nothing
//! is copied.
//!
//! # Two requests on one upload
//!
//! Inside one process a table of holds refuses the second one ([`ErrorKind::Busy`]). Across processes **the last
//! request has the upload**, and there are no leases. A lease would say that a request lives, or that it died a
//! moment ago: nothing can tell which. It is the client that knows. It sends one request after the other on an
//! upload, and the next one when it has an answer, or has given up waiting for it: the server was killed, the
//! connection was reset, a proxy tries the request again on another server. None of them waits for a lease to run
//! out. Docker, crane and skopeo begin a new upload; containerd sends its PUT again at once after a 503 or 504 of a
//! proxy, and so does nginx by itself, since PUT is idempotent; regclient asks for the offset within some 100 ms, and
//! goes on there.
//!
//! A request that begins a multipart upload writes into `state` that it is *open*. A request that finds that in
//! another process takes the upload over: it removes the note, and aborts the multipart upload. From then on the
//! earlier request can add nothing: its parts are refused, and its replacement of `state` as well. It loses only
//! bytes that were not acknowledged. Without such a note both may go on, and the first that replaces `state` wins. A
//! request that lasts replaces its `state` by the same now and then, so that a purge sees that it lives, and that
//! alone is a conflict for no other request.
//!
//! What a slow request still does hurts no other one. Each writes objects and parts under names of its own; it
//! removes only those, and those that its own replacement of `state` has replaced. When it cannot know whether that
//! took effect, it reads `state` before it removes anything. Ends of one upload at the same time publish the same
//! bytes; the first removes the upload, and the other one finds it gone, which a registry answers with success if the
//! blob is there.
//!
//! # Why nothing but hashed bytes is published (I1)
//!
//! An object of an upload is written by one request and never replaced, so a reader or a copy finds the bytes that
//! this request hashed, or none. `state` is one object, replaced as a whole: its hash, its objects and its tail are
//! of one history. A multipart upload gets parts from one request, and is completed with the names that the store
//! gave to these. None of this needs conditions: where a store ignores them (Garage does), each request looks before
//! it writes; of two that write `state` at the same moment the last wins instead of the first, what the other one
//! acknowledged is lost, and what is published is still what was hashed. When the answer to a completion is lost, the
//! object at the key of a blob is hashed before it counts; at a key of the upload its size is enough, since no other
//! request knows that key.
//!
//! # Limits
//!
//! All requests share memory for twelve parts of 8 MiB, which is a share of the server's budget. A request takes a
//! little of it with its first byte, and room for a part when it has filled that; a part takes its room along until
//! the store has it. A request that fills its room slowly while others wait sends what it has as a loose object, and
//! waits for its next turn.
//!
//! An upload has 10,000 parts at most, which is 78 GiB where the length was not announced, and comes in 9,000 chunks
//! at most. What a request has sent counts when it ends, however it ends; when the process dies, what came in that
//! request is lost.

mod attempt;
mod blob;
pub mod clouds;
mod copy;
#[cfg(any(test, feature = "testing"))]
mod counted;
mod cursor;
mod error;
mod expiring;
mod finished;
mod foreign;
mod growth;
#[cfg(any(test, feature = "testing"))]
mod hashed;
mod hashes;
mod hold;
mod listing;
mod memory;
mod parts;
mod purge;
mod read;
mod rename;
mod repositories;
mod room;
pub mod s3;
mod session;
mod state;
mod store;
mod tree;
mod trouble;
mod upload;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::{ObjectMeta, ObjectStoreExt, PutMode, PutPayload, UpdateVersion, path::Path};
use wharf_budget::Share;

/// The prefix below which all objects of a registry lie.
pub use object_store::path::Path as Prefix;

#[cfg(any(test, feature = "testing"))]
pub use self::{
    counted::{Cost, Counted, Request},
    hashed::Hashed,
};
pub use self::{
    memory::Memory,
    store::{Abilities, Cas, OpenMultipart, PartCopy, SignedGet, Store},
};

use self::{
    blob::ObjectBlob,
    error::{failed, is_conflict},
    hold::Holds,
    room::Rooms,
    state::State,
    upload::ObjectUpload,
};
use crate::{
    Blob, Condition, Error, ErrorKind, FoundPage, Key, Listed, ListedUpload, Object, Objects, Obstacle, Page,
    Put, Puts, Removal, RepositoryPage, Result, ScanPage, Stat, TreeRemoval, Upload, UploadStream, Uploads,
    Version, Wanted, layout, layout::UploadKey, version::ObjectMark,
};

#[cfg(doc)]
use crate::{Finished, Storage};

/// Bytes of a part of a multipart upload, unless it needs larger ones. A request gathers that many, and sends as many at the
/// same time.
pub const PART_SIZE: usize = 8 << 20;

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
    rooms: Rooms,
    /// Whether entity tags were found that look like an MD5 and are none.
    tags_are_opaque: AtomicBool,
}

/// How an engine writes into its store: numbers that an operator may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectOptions {
    /// Bytes of each part of a multipart upload but the last, unless an announced length needs larger ones
    pub part_size: usize,
    /// Size in bytes up to which the store copies an object in one request
    pub copy_whole: u64,
    /// Bytes of each range in which the store copies a larger one
    pub copy_size: u64,
    /// How many ranges of one object the store copies at once
    pub copies: usize,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self {
            part_size: PART_SIZE,
            copy_whole: 32 << 20,
            copy_size: 32 << 20,
            copies: 16,
        }
    }
}
/// How many objects of one call are written at once.
const AT_ONCE: usize = 32;

/// Numbers that stores impose, or that balance costs; tests make them small.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes of each part of a multipart upload but the last, unless it needs larger ones.
    part_size: usize,
    /// The smallest part that a store takes, but for the last one.
    smallest_part: u64,
    /// How many parts the store takes.
    parts: usize,
    /// How many parts an announced length makes at most; the rest is for what comes unannounced.
    announced_parts: u64,
    /// Of how many objects a blob is made at most.
    objects: usize,
    /// Up to so many bytes of an upload are in its state, and not in an object.
    tail: usize,
    /// The largest object that the store copies in one request.
    copy_whole: u64,
    /// The ranges in which it copies larger ones.
    copy_size: u64,
    /// How many ranges of one object it copies at once.
    copies: usize,
    /// How many keys the store lists in one request.
    listed: usize,
    /// How long a request waits for room in memory.
    patience: Duration,
    /// How often a request that goes on for long writes the state.
    heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(ObjectOptions::default())
    }
}

impl Limits {
    fn of(options: ObjectOptions) -> Self {
        Self {
            part_size: options.part_size,
            smallest_part: 5 << 20,
            parts: 10_000,
            announced_parts: 9_000,
            objects: 9_000,
            tail: 256 << 10,
            copy_whole: options.copy_whole,
            copy_size: options.copy_size.max(1),
            copies: options.copies.max(1),
            listed: 1000,
            patience: Duration::from_secs(30),
            heartbeat: Duration::from_secs(60),
        }
    }
}

impl ObjectStorage {
    /// An empty store in the memory of this process.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(Memory::new()), Path::default())
    }

    /// What lies below `prefix` in `store`, with memory for twelve parts of its own. The store should honour
    /// conditional puts; see the [module](self).
    pub fn new(store: Arc<dyn Store>, prefix: Path) -> Self {
        Self::sharing(
            store,
            prefix,
            Share::new("parts", 12 * PART_SIZE),
            ObjectOptions::default(),
        )
    }

    /// What lies below `prefix` in `store`. All uploads together gather `parts` bytes in memory at most.
    pub fn sharing(store: Arc<dyn Store>, prefix: Path, parts: Share, options: ObjectOptions) -> Self {
        Self::with_limits(store, prefix, parts, Limits::of(options))
    }

    fn with_limits(store: Arc<dyn Store>, prefix: Path, parts: Share, limits: Limits) -> Self {
        Self {
            bucket: Arc::new(Bucket {
                store,
                prefix,
                limits,
                rooms: Rooms::new(parts, limits.tail, limits.patience),
                tags_are_opaque: AtomicBool::new(false),
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
        read::read(&self.bucket, key, limit).await
    }

    async fn read_unless(&self, key: &Key, limit: u64, version: &Version) -> Result<Option<Object>> {
        read::read_unless(&self.bucket, key, limit, version).await
    }

    async fn open(&self, key: &Key) -> Result<Box<dyn Blob>> {
        Ok(Box::new(ObjectBlob::open(&self.bucket, key).await?))
    }

    async fn open_parts(&self, key: &Key) -> Result<Box<dyn Blob>> {
        Ok(Box::new(ObjectBlob::look_up(&self.bucket, key).await?))
    }

    /// A put is atomic and durable when it is acknowledged, so order is all that is left to do. When one fails, the others of
    /// its round are still waited for: none takes effect after this has returned.
    async fn publish_all(&self, puts: &Puts) -> Result<()> {
        for round in puts.rounds() {
            let mut writes = Vec::with_capacity(round.len());
            for put in round {
                writes.push(self.bucket.publish_one(put));
            }
            let written: Vec<Result<()>> = stream::iter(writes).buffered(AT_ONCE).collect().await;
            written.into_iter().collect::<Result<()>>()?;
        }
        Ok(())
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

    fn obstacle(&self) -> Option<Obstacle> {
        self.bucket.store.abilities().obstacle()
    }

    async fn remove_tree(&self, dir: &Key) -> Result<()> {
        tree::remove(&self.bucket, dir).await
    }

    async fn remove_trees(&self, trees: &[TreeRemoval]) -> Result<Vec<bool>> {
        tree::remove_trees(&self.bucket, trees).await
    }

    async fn list(&self, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page> {
        listing::list(&self.bucket, dir, after, limit).await
    }

    async fn scan(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<ScanPage> {
        listing::scan(&self.bucket, prefix, after, limit).await
    }

    async fn names_with(
        &self,
        dir: &Key,
        wanted: Wanted<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FoundPage> {
        listing::names_with(&self.bucket, dir, wanted, after, limit).await
    }

    async fn repositories(&self, listed: Listed, after: &str, limit: usize) -> Result<RepositoryPage> {
        repositories::repositories(&self.bucket, listed, after, limit).await
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

    /// The size of the parts of a request on an upload of `size` bytes. It has `gathered` bytes to send before the
    /// `length` that it announces.
    ///
    /// What is up to twice as large as a part is sent as one: that takes one request.
    fn part_size(&self, size: u64, gathered: u64, length: Option<u64>) -> usize {
        let length = length.unwrap_or(0);
        let needed = size.saturating_add(length).div_ceil(self.limits.announced_parts);
        let least = usize::try_from(needed).map_or(usize::MAX, |needed| needed.max(self.limits.part_size));
        match usize::try_from(gathered.saturating_add(length)) {
            Ok(whole) if least < whole && whole <= least.saturating_mul(2) => whole,
            _ => least,
        }
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

    async fn publish(&self, puts: &[Put]) -> Result<()> {
        for put in puts {
            self.publish_one(put).await?;
        }
        Ok(())
    }

    async fn publish_one(&self, put: &Put) -> Result<()> {
        // A copy, because a store in memory would keep the whole network buffer that this may be a slice of.
        let bytes = Bytes::copy_from_slice(&put.bytes);
        match &put.condition {
            Condition::None => self.put(&put.key, bytes).await,
            Condition::Absent => self.put_if(&put.key, bytes, PutMode::Create).await,
            Condition::Matches(version) => {
                let mode = update_of(version).ok_or_else(|| refused(&put.key))?;
                self.put_if(&put.key, bytes, PutMode::Update(mode)).await
            }
        }
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
        modified: modified(meta),
        version: version_of(meta),
    }
}

/// When the object was written, to the second: the header that tells it has no more, lists have.
fn modified(meta: &ObjectMeta) -> SystemTime {
    let whole = Duration::from_secs(meta.last_modified.timestamp().try_into().unwrap_or(0));
    SystemTime::UNIX_EPOCH + whole
}

/// A strong entity tag changes with the content (RFC 9110, section 8.8.1).
fn version_of(meta: &ObjectMeta) -> Option<Version> {
    let e_tag = meta.e_tag.clone().filter(|e_tag| !e_tag.starts_with("W/"))?;
    Some(Version::object(ObjectMark {
        e_tag,
        version: meta.version.clone(),
        size: meta.size,
        modified: modified(meta),
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
