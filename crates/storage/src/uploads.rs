//! The trait [`Uploads`]: bytes that arrive piece by piece, until they are a whole object.

use std::{ops::Range, pin::Pin, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use wharf_oci::{Algorithm, Digest};

use crate::{Key, Put, Result, layout::UploadKey};

#[cfg(doc)]
use crate::{ErrorKind, Objects};

/// A store of unfinished uploads.
///
/// At most one [`Upload`] of an [`UploadKey`] exists at a time (invariant I1). Errors are as in [`Objects`]; the
/// methods name further kinds.
#[async_trait]
pub trait Uploads: std::fmt::Debug + Send + Sync + 'static {
    /// Starts an empty upload. Cheap: nothing of it need be durable.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] when a request holds an upload of that name.
    async fn create_upload(&self, upload: &UploadKey) -> Result<()>;

    /// Takes hold of an upload, at the end of what earlier holders left. On a bucket this takes it away from a request of
    /// another process, which may be dead: that request fails.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] when another request holds it, [`ErrorKind::NotFound`] when there is none.
    async fn open_upload(&self, upload: &UploadKey) -> Result<Box<dyn Upload>>;

    /// Returns how many bytes an upload has so far, without taking hold of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is none.
    async fn upload_size(&self, upload: &UploadKey) -> Result<u64>;

    /// Lists all uploads of all repositories, in no order, with what crashed requests left behind. A repository whose
    /// uploads cannot be listed is logged and passed over.
    ///
    /// # Errors
    ///
    /// Only errors of the engine, at once or as an item of the stream, which then ends.
    async fn list_uploads(&self) -> Result<UploadStream>;

    /// Removes an upload, if it is not held and was last touched before `untouched_since`. Both are looked at again
    /// while the upload is held by this call, so that an upload that came to life since it was listed stays (I6).
    ///
    /// On a bucket an upload that another process holds counts as touched at least every few minutes, because holders
    /// write its state that often.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] when a request holds it, [`ErrorKind::Precondition`] when it was touched since,
    /// [`ErrorKind::NotFound`] when it is gone. The upload is then untouched.
    async fn remove_upload(&self, upload: &ListedUpload, untouched_since: SystemTime) -> Result<()>;
}

/// Unfinished uploads, one after the other.
pub type UploadStream = Pin<Box<dyn Stream<Item = Result<ListedUpload>> + Send>>;

/// One unfinished upload, as a listing found it.
///
/// Its names need not be ones that an [`UploadKey`] can have: other registries and backups leave such directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUpload {
    pub(crate) repository: Box<str>,
    pub(crate) id: Box<str>,
    pub(crate) started: Option<SystemTime>,
    pub(crate) touched: SystemTime,
    pub(crate) size: u64,
    pub(crate) is_held: bool,
    pub(crate) is_remnant: bool,
    /// What there is in a bucket instead of an upload that requests can go on with.
    pub(crate) left: Option<Left>,
}

/// What a purge finds in a bucket beside uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Left {
    /// A multipart upload and nothing else, by its key and what the store calls it.
    Multipart(Box<str>, Box<str>),
    /// An upload that another registry has begun.
    OfRegistry,
}

impl ListedUpload {
    /// Name of the repository that the upload is for.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Identifier of the upload.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When the upload was started, as far as the store knows.
    pub fn started(&self) -> Option<SystemTime> {
        self.started
    }

    /// When the upload last got bytes, or was started.
    pub fn touched(&self) -> SystemTime {
        self.touched
    }

    /// How many bytes the upload takes in the store.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether a request of this process held the upload when it was listed.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether these are only pieces that a crashed request left behind, which no request can go on with.
    pub fn is_remnant(&self) -> bool {
        self.is_remnant
    }

    /// Whether another registry has begun it in the bucket.
    pub fn is_foreign(&self) -> bool {
        self.left == Some(Left::OfRegistry)
    }

    /// The key that requests know the upload by; `None` when its names are none that a request can have.
    pub fn key(&self) -> Option<UploadKey> {
        Some(UploadKey {
            repository: self.repository.parse().ok()?,
            id: self.id.parse().ok()?,
        })
    }
}

/// What a request says of its bytes before it sends them. None of it need come true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announced {
    /// The digest of the whole upload, if this request ends it
    pub digest: Option<Digest>,
    /// How many bytes the request brings
    pub length: Option<u64>,
}

/// Exclusive hold of an upload.
///
/// Dropping it lets go without losing what was written: the upload stays, and the next holder goes
/// on from there. Hold is released only when no work on the upload is under way any more.
#[async_trait]
pub trait Upload: Send {
    /// Bytes so far, from all holders.
    fn size(&self) -> u64;

    /// Makes what this holder writes provisional: it counts only when the upload is [published](Finished::publish). If the
    /// holder lets go before, in whatever way, and also if its process is killed, the upload is as it was when the
    /// holder took it. To be called before the first write.
    fn write_provisionally(&mut self);

    /// Says what is coming, so that an engine can choose where and in which portions it goes. To be called before the
    /// first write. An upload whose digest was announced can be [published](Finished::publish) as that blob and as no other.
    fn announce(&mut self, announced: Announced) {
        let _ = announced;
    }

    /// A reader of the bytes that this holder writes, while it writes them; `None` where the engine has none. A bucket shows no
    /// bytes of an object before the object is whole.
    fn follow(&self) -> Option<Box<dyn Follow>> {
        None
    }

    /// Appends. Returns as soon as the engine can take more, with a bounded amount waiting inside:
    /// 512 KiB on a file system, two parts of a multipart upload on an object store.
    ///
    /// # Errors
    ///
    /// The error of this write, or of an earlier one; on a bucket [`ErrorKind::Exhausted`] when other uploads have all the
    /// memory for parts, and [`ErrorKind::TooLarge`] when the upload has more parts than the store allows.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Waits until all that was written is in the store (not necessarily durable), or, if it is provisional, is taken back, and
    /// lets go. Returns the size of the upload.
    ///
    /// # Errors
    ///
    /// The error of an earlier write; on a bucket [`ErrorKind::Busy`] when another process appended meanwhile, or took the
    /// upload over.
    async fn suspend(self: Box<Self>) -> Result<u64>;

    /// Ends the upload and computes the digests of its bytes, as they lie in the store. SHA-256 is always among them;
    /// `also` asks for another one.
    ///
    /// # Errors
    ///
    /// The errors of [`suspend`](Self::suspend), and [`ErrorKind::Damaged`] when bytes went missing in the store.
    async fn finish(self: Box<Self>, also: Option<Algorithm>) -> Result<Box<dyn Finished>>;

    /// Removes the upload and everything it wrote.
    ///
    /// # Errors
    ///
    /// Only errors of the engine.
    async fn discard(self: Box<Self>) -> Result<()>;
}

/// A reader of an upload that is still written, made by [`Upload::follow`].
///
/// It reads what was stored, also after the upload was published or discarded, until it is dropped: a blob that is removed
/// meanwhile stays readable. Until then it takes one open file, and the space of a file that was removed.
///
/// What was read is not verified: the digest of the upload is known only at its end.
#[async_trait]
pub trait Follow: Send + Sync + std::fmt::Debug {
    /// How many bytes of the upload, from its first one, can be read by now. This is less than the [size](Upload::size) while
    /// bytes are gathered or written: by at most what [`write`](Upload::write) lets wait. Once the upload is finished it is all of them, except of a small
    /// one that was never written to a file of its own.
    ///
    /// It only grows, until the holder lets go of an upload that it wrote [provisionally](Upload::write_provisionally) and that
    /// it did not publish, or until the store fails: then bytes that could be read before are readable no more.
    fn readable(&self) -> u64;

    /// The first bytes of `range`, at least one and at most [`MOST_FOLLOWED`]. The range is not empty and lies below
    /// [`readable`](Self::readable).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Other`] when the range does not lie there, or not any more; [`ErrorKind::Damaged`] when bytes went missing in
    /// the store; errors of the engine.
    async fn read(&self, range: Range<u64>) -> Result<Bytes>;
}

/// How many bytes one [`Follow::read`] returns at most.
pub const MOST_FOLLOWED: usize = 256 * 1024;

/// An upload whose bytes are complete and hashed, still held exclusively.
///
/// Dropping it without publishing keeps the upload, without what was written provisionally.
#[async_trait]
pub trait Finished: Send {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// The digest of the bytes with `algorithm`; `None` when that was not asked for.
    fn digest(&self, algorithm: Algorithm) -> Option<Digest>;

    /// Does ahead of [`publish`](Self::publish) the part of it that takes long and that no reader can see, such as syncing
    /// many bytes, so that a caller can do it before it takes a lock. It may be left out. After an error the upload is
    /// of no use.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    async fn prepare(&mut self) -> Result<()>;

    /// Makes the bytes the object at `key`, durably and atomically, then publishes `then` in order
    /// as [`Objects::publish`] does; the upload is gone afterwards. An object that is already at
    /// `key` is replaced: that heals a damaged one (I4).
    ///
    /// # Errors
    ///
    /// The errors of [`Objects::publish`]. When the object itself could not be published, the upload keeps its bytes.
    async fn publish(self: Box<Self>, key: &Key, then: &[Put]) -> Result<()>;

    /// Removes the upload and its bytes.
    ///
    /// # Errors
    ///
    /// Only errors of the engine.
    async fn discard(self: Box<Self>) -> Result<()>;
}
