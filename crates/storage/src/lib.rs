//! Bytes at paths, durably: the [`Storage`] trait, its contract, and the engines that keep it.
//!
//! This crate knows bytes, paths and durability; it does not know what a manifest is. Everything
//! above it works through [`Storage`], which two engines implement: [`fs`], written for speed on a
//! local disk, and [`object`], over the `object_store` crate (no rename, no append, no
//! directories). One suite, `contract`, runs against all of them.
//!
//! # Why not a file system interface?
//!
//! Because an object store has no rename, no append and no directories, and because "write this
//! file" says nothing about durability or order. The trait speaks of what a registry needs
//! instead: [publish](Storage::publish) small files in an order that survives a power cut,
//! [append](Upload::write) to an upload that one request at a time holds, and turn a finished
//! upload into a blob [atomically](Finished::publish).

// First, and with its macro, so that the engines below can run it.
#[cfg(any(test, feature = "contract"))]
#[macro_use]
pub mod contract;
mod error;
pub mod faulty;
pub mod fs;
mod key;
pub mod layout;
pub mod metered;
pub mod object;
mod operation;
pub mod spool;

pub use error::{Error, ErrorKind, Result};
pub use key::{Key, KeyError};
pub use operation::Operation;

use std::{ops::Range, pin::Pin, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use wharf_oci::{Algorithm, Digest};

use layout::UploadKey;

/// A store of bytes at keys.
///
/// # Invariants that every engine keeps
///
/// - **Atomic**: a reader sees the old bytes of a key or the new ones, never a mixture or a part.
/// - **Durable**: when [`publish`](Self::publish), [`Finished::publish`] or a removal returns
///   `Ok`, a cut of power loses none of it.
/// - **Ordered**: what is published by one call becomes visible, and durable, in the order given;
///   each entry is durable before the next one becomes visible (design invariant I3).
/// - **Exclusive**: at most one [`Upload`] of an [`UploadKey`] exists at a time (I1).
///
/// An operation that fails may or may not have taken effect: the caller must treat an error as
/// "unknown", and every operation may be repeated safely.
#[async_trait]
pub trait Storage: std::fmt::Debug + Send + Sync + 'static {
    /// Size and version of the object at `key`. [`ErrorKind::NotFound`] when there is none, and
    /// for a directory.
    async fn stat(&self, key: &Key) -> Result<Stat>;

    /// The whole object at `key`; [`ErrorKind::TooLarge`] when it holds more than `limit` bytes.
    async fn read(&self, key: &Key, limit: u64) -> Result<Object>;

    /// Opens the object at `key` for streaming. What is opened stays readable to its end even
    /// when the key is replaced or removed meanwhile.
    async fn open(&self, key: &Key) -> Result<Box<dyn Blob>>;

    /// Writes small objects, each wholly and durably, in order. Existing objects are replaced.
    async fn publish(&self, puts: &[Put]) -> Result<()>;

    /// Removes the object at `key`, and directories above it that became empty, up to and not
    /// including `keep`. Durable. [`ErrorKind::NotFound`] when there was no object.
    async fn remove(&self, key: &Key, keep: &Key) -> Result<()>;

    /// Removes many objects, each as [`remove`](Self::remove) does, in the order given; what is not there is no error,
    /// and directories above it that are empty go all the same.
    /// All of it is durable when this returns, and cheaper than one by one: what a cut of power leaves of a call that
    /// did not return may be any part of it, so what must go before something else goes in an earlier call.
    async fn remove_many(&self, removals: &[Removal]) -> Result<()> {
        for Removal { key, keep } in removals {
            match self.remove(key, keep).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes everything at and below `dir`. It vanishes at once for readers on engines with
    /// directories, piece by piece elsewhere. Durable. [`ErrorKind::NotFound`] when there was nothing.
    async fn remove_tree(&self, dir: &Key) -> Result<()>;

    /// The names directly below `dir`, in ascending order of their bytes, strictly after `after`,
    /// at most `limit` of them. An empty page when there is no such directory.
    async fn list(&self, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page>;

    /// Starts an empty upload. Cheap: nothing of it need be durable.
    async fn create_upload(&self, upload: &UploadKey) -> Result<()>;

    /// Takes hold of an upload, at the end of what earlier holders left. [`ErrorKind::Busy`] when
    /// another request holds it, [`ErrorKind::NotFound`] when there is none.
    async fn open_upload(&self, upload: &UploadKey) -> Result<Box<dyn Upload>>;

    /// How many bytes an upload has so far, without taking hold of it.
    async fn upload_size(&self, upload: &UploadKey) -> Result<u64>;

    /// Discards the uploads that nobody holds and that were last touched before `cutoff`, and
    /// what crashed requests left behind. Returns how many uploads went.
    async fn purge_uploads(&self, cutoff: SystemTime) -> Result<u64>;

    /// How many uploads [`purge_uploads`](Self::purge_uploads) would discard. Changes nothing; each of them is
    /// named in the log.
    async fn abandoned_uploads(&self, cutoff: SystemTime) -> Result<u64>;

    /// Whether the store can be used at the moment, cheaply enough to be asked every second. [`ErrorKind::ReadOnly`]
    /// when it can only be read.
    async fn check(&self) -> Result<()>;
}

/// One small object to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Where.
    pub key: Key,
    /// The whole content.
    pub bytes: Bytes,
}

impl Put {
    /// Writes `bytes` at `key`, whatever lies there.
    pub fn new(key: Key, bytes: impl Into<Bytes>) -> Self {
        Self {
            key,
            bytes: bytes.into(),
        }
    }
}

/// One object to remove, with the directories above it that become empty, up to and not including `keep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The object.
    pub key: Key,
    /// The lowest directory that stays, even empty.
    pub keep: Key,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
    /// Equal versions of one key mean equal content. `None` when the engine cannot promise that
    /// at the moment, for example because the file was written within the resolution of its own
    /// time stamp; a cache must then not keep what it read.
    pub version: Option<Version>,
}

/// An opaque mark of an object's or a directory's state; see [`Stat::version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(pub(crate) [u64; 4]);

/// A small object, read whole.
#[derive(Debug, Clone)]
pub struct Object {
    /// The content.
    pub bytes: Bytes,
    /// Of exactly these bytes.
    pub stat: Stat,
}

/// A page of a directory listing.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In ascending order of the names' bytes.
    pub entries: Vec<Entry>,
    /// Whether there are names after the last entry.
    pub more: bool,
    /// Of the whole directory, not of this page: equal versions mean that names were neither added
    /// nor removed (what lies below them may have changed). `None`: not known.
    pub version: Option<Version>,
    /// One of the directories in here, if there are any, whose names no [`Key`] can have. They are not among the
    /// entries: nobody can reach what is in them through this trait.
    pub unreachable: Option<Box<str>>,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The last component of its key.
    pub name: Box<str>,
    /// Whether there is something below it.
    pub is_dir: bool,
}

/// A stream of bytes, in pieces of at most 256 KiB.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// An object opened for streaming.
pub trait Blob: Send {
    /// Of the opened object.
    fn stat(&self) -> Stat;

    /// The bytes of `range`, which must lie within the object. Ends with an error, never early
    /// and never silently, when the object turns out shorter than [`Stat::size`].
    fn stream(self: Box<Self>, range: Range<u64>) -> ByteStream;
}

/// Exclusive hold of an upload.
///
/// Dropping it lets go without losing what was written: the upload stays, and the next holder goes
/// on from there. Hold is released only when no work on the upload is under way any more.
#[async_trait]
pub trait Upload: Send {
    /// Bytes so far, from all holders.
    fn size(&self) -> u64;

    /// Appends. Returns as soon as the engine can take more, with a bounded amount waiting inside:
    /// 512 KiB on a file system, two parts of a multipart upload on an object store. An error of
    /// an earlier write may show in a later call.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Waits until all that was written is in the store (not necessarily durable), and lets go.
    async fn suspend(self: Box<Self>) -> Result<u64>;

    /// Ends the upload: the digests of its bytes, as they lie in the store. SHA-256 is always among them;
    /// `also` asks for another one.
    async fn finish(self: Box<Self>, also: Option<Algorithm>) -> Result<Box<dyn Finished>>;

    /// Removes the upload and everything it wrote.
    async fn discard(self: Box<Self>) -> Result<()>;
}

/// An upload whose bytes are complete and hashed, still held exclusively.
///
/// Dropping it without publishing keeps the upload.
#[async_trait]
pub trait Finished: Send {
    /// Bytes.
    fn size(&self) -> u64;

    /// The digest of the bytes with `algorithm`; `None` when that was not asked for.
    fn digest(&self, algorithm: Algorithm) -> Option<Digest>;

    /// Does ahead of [`publish`](Self::publish) the part of it that takes long and that no reader can see, such as syncing
    /// many bytes, so that a caller can do it before it takes a lock. It may be left out. After an error the upload is
    /// of no use.
    ///
    /// # Errors
    ///
    /// Those of the store.
    async fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the bytes the object at `key`, durably and atomically, then publishes `then` in order
    /// as [`Storage::publish`] does; the upload is gone afterwards. An object that is already at
    /// `key` is replaced: that heals a damaged one (I4).
    async fn publish(self: Box<Self>, key: &Key, then: &[Put]) -> Result<()>;

    /// Removes the upload and its bytes.
    async fn discard(self: Box<Self>) -> Result<()>;
}
