//! The trait [`Objects`]: bytes at keys, read, written under a condition, moved, removed and listed.

use std::{
    ops::Range,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

use crate::{Key, Result, Version};

#[cfg(doc)]
use crate::ErrorKind;

/// A store of bytes at keys.
///
/// # Invariants that every engine keeps
///
/// - **Atomic**: a reader sees the old bytes of a key or the new ones, never a mixture or a part.
/// - **Durable**: when [`publish`](Self::publish), [`rename`](Self::rename) or a removal returns `Ok`, a cut of power
///   loses none of it.
/// - **Ordered**: what is published by one call becomes visible, and durable, in the order given;
///   each entry is durable before the next one becomes visible (invariant I3).
///
/// # Errors
///
/// Every method fails with the kinds of its engine's errors: [`ErrorKind::NoSpace`],
/// [`ErrorKind::ReadOnly`], [`ErrorKind::PermissionDenied`], [`ErrorKind::Other`]. The methods name further kinds.
/// An operation that fails may or may not have taken effect: the caller must treat an error as
/// "unknown", and every operation may be repeated safely.
#[async_trait]
pub trait Objects: std::fmt::Debug + Send + Sync + 'static {
    /// Returns size and version of the object at `key`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no object, and for a directory.
    async fn stat(&self, key: &Key) -> Result<Stat>;

    /// Reads the whole object at `key`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no object, [`ErrorKind::TooLarge`] when it holds more than `limit` bytes,
    /// [`ErrorKind::Damaged`] when it holds fewer bytes than its size promises.
    async fn read(&self, key: &Key, limit: u64) -> Result<Object>;

    /// Opens the object at `key` for streaming. What is opened stays readable to its end even
    /// when the key is replaced or removed meanwhile.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no object.
    async fn open(&self, key: &Key) -> Result<Box<dyn Blob>>;

    /// Writes small objects, each wholly and durably, in order.
    ///
    /// On a file system, conditions hold among all tasks of the process that has the store open. On a bucket they hold
    /// among all processes, if the store honours conditional puts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Precondition`] when the [`Condition`] of a put does not hold. That put and those after it are then
    /// not published; those before it are. On a bucket a put that did take effect may also fail so, when its
    /// answer was lost and the client library tried again: a caller that must know puts a nonce into the content and
    /// reads it back.
    async fn publish(&self, puts: &[Put]) -> Result<()>;

    /// Moves the object at `from.key` to `to`, in place of an object that is there, and removes the directories above
    /// `from.key` that became empty, as [`remove`](Self::remove) does.
    ///
    /// The object gets its new key first and loses the old one then, so that readers, a crash or a cut of power in between
    /// find it under both keys, and never under neither. On a bucket, which copies it, a write to `from.key` in between
    /// is lost; on a file system it stays. A move may be repeated: when it took effect before, the second one finds
    /// nothing at `from.key`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no object at `from.key`.
    async fn rename(&self, from: &Removal, to: &Key) -> Result<()>;

    /// Removes the object at `key`, and directories above it that became empty, up to and not
    /// including `keep`. Durable.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no object.
    async fn remove(&self, key: &Key, keep: &Key) -> Result<()>;

    /// Removes many objects. An object that does not exist is no error, and directories above it that are empty go
    /// all the same.
    ///
    /// All of it is durable when this returns, and cheaper than one by one. The order is the engine's, and
    /// a call that did not return may have removed any part: what must go before something else goes in an earlier
    /// call.
    ///
    /// # Errors
    ///
    /// The first failure; further removals may or may not have been tried.
    async fn remove_many(&self, removals: &[Removal]) -> Result<()>;

    /// Removes everything at and below `dir`. It vanishes at once for readers on engines with
    /// directories, piece by piece elsewhere. Durable.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is nothing.
    async fn remove_tree(&self, dir: &Key) -> Result<()>;

    /// Returns the names directly below `dir`, in ascending order of their bytes, strictly after `after`,
    /// at most `limit` of them. A directory that does not exist gives an empty page.
    ///
    /// On a bucket every page costs a listing of the whole directory, because a bucket sorts whole keys and not
    /// names: to read many names there, use [`scan`](Self::scan).
    ///
    /// # Errors
    ///
    /// Only errors of the engine.
    async fn list(&self, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page>;

    /// Whether a directory that is called one of `wanted` lies at any depth below `name` in `dir`, one of the names that
    /// [`list`](Self::list) calls unreachable. True where that cannot be told. Symbolic links are not followed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PermissionDenied`] when a directory may not be read; other errors of the engine.
    async fn has_directory_below(&self, dir: &Key, name: &str, wanted: &[&str]) -> Result<bool> {
        let _ = (dir, name, wanted);
        Ok(true)
    }

    /// Returns the objects below `prefix` at any depth, in ascending order of the bytes of their keys, strictly
    /// after `after`, at most `limit` of them.
    ///
    /// The order is that of whole keys: `a-b/x` and `a.b` come before `a/x`. A page costs what is on it, not what the
    /// prefix holds: a file system reads only the directories on the way, a bucket pages on its side.
    ///
    /// # Errors
    ///
    /// Only errors of the engine.
    async fn scan(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<ScanPage>;

    /// Returns the names directly below `dir` that have an object at one of `paths` below them, in ascending order of their
    /// bytes: `a` when there is `dir/a/<path>`.
    ///
    /// It is one operation, whatever the number of names: a file system looks for the files in one go, a bucket lists all
    /// objects below `dir` in pages of a thousand. Changes that happen meanwhile may be seen or not.
    ///
    /// # Errors
    ///
    /// Only errors of the engine.
    async fn names_with(&self, dir: &Key, paths: &[Key]) -> Result<Vec<Box<str>>>;

    /// Returns a URL under which a client can read the object at `key` from the store itself for `ttl`, without
    /// credentials. `None` when the store cannot be reached by clients. Whether there is an object is not looked up.
    ///
    /// # Errors
    ///
    /// Only errors of the engine, such as credentials that cannot be renewed.
    async fn location(&self, key: &Key, ttl: Duration) -> Result<Option<String>>;

    /// Removes the object at `removal.key` as [`remove_many`](Self::remove_many) does, unless it is `until` or later by the
    /// clock of the store when the store takes up the request.
    ///
    /// For removals that another process may undo by then, whatever delays this one: on a bucket the request carries the
    /// time as a part of its signature, and the store refuses it afterwards. A store that no other process shares has no need
    /// of that, and removes at any time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Precondition`] when it is too late; [`ErrorKind::Other`] where the store cannot refuse what comes late.
    async fn remove_until(&self, removal: &Removal, until: SystemTime) -> Result<()>;

    /// Whether other processes may change the store while this one has it open.
    fn is_shared(&self) -> bool;

    /// Checks whether the store can be used at the moment, cheaply enough to be asked every second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ReadOnly`] when the store can only be read.
    async fn check(&self) -> Result<()>;
}

/// One small object to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Key of the object
    pub key: Key,
    /// Whole content of the object
    pub bytes: Bytes,
    /// What must be true of the key for the object to be written
    pub condition: Condition,
}

/// What must be true of a key at the moment when an object is put there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: an existing object is replaced.
    #[default]
    None,
    /// There is no object at the key.
    Absent,
    /// The object at the key is still of this version.
    Matches(Version),
}

impl Put {
    /// Writes `bytes` at `key`, in place of an object that is there.
    pub fn new(key: Key, bytes: impl Into<Bytes>) -> Self {
        Self {
            key,
            bytes: bytes.into(),
            condition: Condition::None,
        }
    }

    /// This put, under the condition that there is no object at its key.
    #[must_use]
    pub fn if_absent(self) -> Self {
        Self {
            condition: Condition::Absent,
            ..self
        }
    }

    /// This put, under the condition that the object at its key is still of `version`.
    #[must_use]
    pub fn only_if(self, version: Version) -> Self {
        Self {
            condition: Condition::Matches(version),
            ..self
        }
    }
}

/// One object to remove, with the directories above it that become empty, up to and not including `keep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Key of the object
    pub key: Key,
    /// Lowest directory that stays, even empty
    pub keep: Key,
}

/// Metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Size in bytes
    pub size: u64,
    /// When the object was written
    pub modified: SystemTime,
    /// Equal versions of one key mean equal content. `None` when the engine cannot promise that
    /// at the moment, for example because the file was written within the resolution of its own
    /// time stamp; a cache must then not keep what it read, and a conditional write must wait.
    pub version: Option<Version>,
}

/// A small object, read whole.
#[derive(Debug, Clone)]
pub struct Object {
    /// Content of the object
    pub bytes: Bytes,
    /// Size and version of exactly these bytes
    pub stat: Stat,
}

/// A page of a directory listing.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Names, in ascending order of their bytes
    pub entries: Vec<Entry>,
    /// Whether there are names after the last entry
    pub more: bool,
    /// Version of the whole directory, not of this page: equal versions mean that names were neither added
    /// nor removed (what lies below them may have changed). `None` when it is not known.
    pub version: Option<Version>,
    /// The directories in this one whose names no [`Key`] can have, each as text. They are not among the
    /// entries: [`Objects::has_directory_below`] looks into them.
    pub unreachable: Arc<[Box<str>]>,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Last component of the key
    pub name: Box<str>,
    /// Whether there is something below the name
    pub is_dir: bool,
}

/// A page of a [scan](Objects::scan).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// Objects, in ascending order of the bytes of their keys
    pub objects: Vec<Scanned>,
    /// Whether there are objects after the last one
    pub more: bool,
}

/// One object that a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Key of the object
    pub key: Key,
    /// Size, time and version of the object
    pub stat: Stat,
}

/// A stream of bytes, in pieces of at most 256 KiB.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// An object opened for streaming.
pub trait Blob: Send {
    /// Size and version of the opened object.
    fn stat(&self) -> Stat;

    /// The bytes of `range`, which must lie within the object. Ends with an error, never early
    /// and never silently, when the object turns out shorter than [`Stat::size`].
    fn stream(self: Box<Self>, range: Range<u64>) -> ByteStream;

    /// The bytes of `range` as [`stream`](Self::stream) gives them, while the object stays open for other ranges. On a
    /// bucket each range is a request of its own, which fails when the object has been removed or replaced meanwhile.
    fn part(&self, range: Range<u64>) -> ByteStream;
}
