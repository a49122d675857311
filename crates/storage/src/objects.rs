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

use crate::{Error, ErrorKind, Key, Obstacle, Result, Version};

/// A store of bytes at keys.
///
/// # Invariants that every engine keeps
///
/// - **Atomic**: a reader sees the old bytes of a key or the new ones, never a mixture or a part.
/// - **Durable**: when [`publish`](Self::publish), [`rename`](Self::rename) or a removal returns `Ok`, a cut of power
///   loses none of it.
/// - **Ordered**: what is published by one call becomes visible, and durable, in the order given, or in that of its
///   [steps](Puts); each entry is durable before one that waits for it becomes visible (invariant I3).
///
/// # Errors
///
/// Every method fails with the kinds of its engine's errors: [`ErrorKind::NoSpace`],
/// [`ErrorKind::ReadOnly`], [`ErrorKind::PermissionDenied`], [`ErrorKind::Unavailable`], [`ErrorKind::Other`]. The methods
/// name further kinds. A bucket that is not there is unavailable, and never empty.
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

    /// Returns size and version of the object at `dir/<name>/<path>` for each of `names`, in their order; `None` where there is none.
    ///
    /// On a file system this costs a fraction of as many calls of [`stat`](Self::stat), elsewhere as much.
    ///
    /// # Errors
    ///
    /// Only errors of the engine; then nothing is known of any name.
    async fn stat_below(&self, dir: &Key, names: &[Box<str>], path: &Key) -> Result<Vec<Option<Stat>>> {
        let mut stats = Vec::with_capacity(names.len());
        for name in names {
            let key = dir.join(&format!("{name}/{path}"));
            let key = key.map_err(|error| Error::with_source(ErrorKind::Other, "look at objects", error))?;
            stats.push(match self.stat(&key).await {
                Ok(stat) => Some(stat),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            });
        }
        Ok(stats)
    }

    /// Reads the whole object at `key`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no object, [`ErrorKind::TooLarge`] when it holds more than `limit` bytes,
    /// [`ErrorKind::Damaged`] when it holds fewer bytes than its size promises.
    async fn read(&self, key: &Key, limit: u64) -> Result<Object>;

    /// As [`read`](Self::read), but `None` when the object still is of `version`: then its bytes are those that were read with
    /// that version.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    async fn read_unless(&self, key: &Key, limit: u64, version: &Version) -> Result<Option<Object>>;

    /// Opens the object at `key` for streaming. What is opened stays readable to its end even
    /// when the key is replaced or removed meanwhile.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no object.
    async fn open(&self, key: &Key) -> Result<Box<dyn Blob>>;

    /// As [`open`](Self::open), for a reader that wants parts of the object, or maybe nothing of it but its size. On a bucket
    /// nothing is sent until a range is asked for, and each range is a request of its own, which fails when the object has been
    /// removed or replaced meanwhile.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    async fn open_parts(&self, key: &Key) -> Result<Box<dyn Blob>> {
        self.open(key).await
    }

    /// Writes small objects, each wholly and durably, in order.
    ///
    /// # Errors
    ///
    /// As [`publish_all`](Self::publish_all).
    async fn publish(&self, puts: &[Put]) -> Result<()> {
        self.publish_all(&Puts::in_order(puts.iter().cloned())).await
    }

    /// Writes small objects, each wholly and durably, and none before those that it [waits for](Puts) are durable. On a
    /// bucket, those that do not wait for each other are written at once; on a file system one after the other, as listed.
    ///
    /// On a file system, conditions hold among all tasks of the process that has the store open. On a bucket they hold
    /// among all processes, if the store honours conditional puts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Precondition`] when the [`Condition`] of a put does not hold. That put and those that wait for it are
    /// then not published; those that it waits for are; others may be. On a bucket a put whose answer was lost counts by what
    /// the object is then: one that took effect may also fail so, when another request has written the key since, and one
    /// that did not may succeed, when another request has put the same bytes there. A caller that must know puts a nonce into
    /// the content.
    async fn publish_all(&self, puts: &Puts) -> Result<()>;

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

    /// Removes everything below some directories, as [`remove_tree`](Self::remove_tree) does, and returns of each whether
    /// there was something and it was removed. What is not to be removed any more, because the object of its
    /// [condition](TreeRemoval::unless_changed) has another version or is gone, stays. Durable.
    ///
    /// It is cheaper than one by one: a bucket lists neighbours together and removes many objects with each request, what
    /// points before what it points to (invariant I3). Between the look at a condition and the removal another process may
    /// replace the object.
    ///
    /// # Errors
    ///
    /// The first failure; further removals may or may not have been tried.
    async fn remove_trees(&self, trees: &[TreeRemoval]) -> Result<Vec<bool>>;

    /// Returns the names directly below `dir`, in ascending order of their bytes, strictly after `after`,
    /// at most `limit` of them. A directory that does not exist gives an empty page.
    ///
    /// On a bucket a page costs a look at the objects below its names, a thousand with each request, or less where a name
    /// has more of them.
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

    /// Returns the names directly below `dir` that have what is `wanted` below them, in ascending order of their bytes,
    /// strictly after `after`, at most `limit` of them: `a` when there is an object at `dir/a/<path>`.
    ///
    /// It is one operation, whatever the number of names: a file system looks for the files in one go, and remembers the
    /// outcome as long as the directory does not change; a bucket lists the objects below the names of the page. Neither
    /// costs more when there are more names before or after it. Changes that happen meanwhile may be seen or not.
    ///
    /// # Errors
    ///
    /// Only errors of the engine.
    async fn names_with(
        &self,
        dir: &Key,
        wanted: Wanted<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FoundPage>;

    /// Returns the repositories that are `listed`, in ascending order of the bytes of their whole names, strictly after
    /// `after`, which may be any text, at most `limit` of them. Whatever directory stands in the place of a repository is
    /// one.
    ///
    /// A page costs what is on it: a file system looks into the directories on the way, a bucket reads the keys of the
    /// repositories, a thousand with each request, and passes over the rest of what a repository has once it is known to
    /// be listed.
    ///
    /// # Errors
    ///
    /// Only errors of the engine. A directory that the process has no right to read is no error: see
    /// [`RepositoryPage::unreadable`].
    async fn repositories(&self, listed: Listed, after: &str, limit: usize) -> Result<RepositoryPage>;

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

    /// What keeps bytes from being removed that other processes may come to need; `None`: nothing, as in a store that no other
    /// process shares. On a bucket a probe finds it out, which takes seconds.
    fn obstacle(&self) -> Option<Obstacle> {
        None
    }

    /// Whether a put can [say](Put::at) how old its object is, as on a file system.
    fn keeps_times(&self) -> bool {
        false
    }

    /// The space of the file system that holds the store. `None` where there is no such limit: a bucket has no end.
    ///
    /// # Errors
    ///
    /// Only errors of the engine.
    async fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }

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
    /// The time that the object is to have; `None`: that of the write
    pub modified: Option<SystemTime>,
}

/// What must be true of a key at the moment when an object is put there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: an existing object is replaced.
    #[default]
    None,
    /// There is no object at the key.
    Absent,
    /// The object at the key is still of this version. Another object with the same content may be of the same version:
    /// the version of a bucket is as a rule the MD5 of the content. So a content that must not come back has a nonce in it.
    Matches(Version),
}

impl Put {
    /// Writes `bytes` at `key`, in place of an object that is there.
    pub fn new(key: Key, bytes: impl Into<Bytes>) -> Self {
        Self {
            key,
            bytes: bytes.into(),
            condition: Condition::None,
            modified: None,
        }
    }

    /// This put, of an object that was written at `time` before. Only a store that [keeps times](Objects::keeps_times)
    /// does so; in others the object is as old as the write.
    #[must_use]
    pub fn at(self, time: SystemTime) -> Self {
        Self {
            modified: Some(time),
            ..self
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

/// Small objects to write, listed in an order in which they can be written one after the other, each at a step.
///
/// A put waits for those that are listed before it at a lower step, and for those listed before it at its own key. It
/// becomes visible only when they are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Puts(Vec<(usize, Put)>);

impl Puts {
    /// Each put waits for all before it.
    pub fn in_order(puts: impl IntoIterator<Item = Put>) -> Self {
        Self(puts.into_iter().enumerate().collect())
    }

    /// Lists `put` behind the others.
    pub fn add(&mut self, step: usize, put: Put) {
        self.0.push((step, put));
    }

    /// The puts as they are listed.
    pub fn iter(&self) -> impl Iterator<Item = &Put> {
        self.0.iter().map(|(_, put)| put)
    }

    /// The puts in rounds: those of one round wait for none but those of earlier rounds.
    pub fn rounds(&self) -> Vec<Vec<&Put>> {
        let mut rounds: Vec<Vec<&Put>> = Vec::new();
        let mut round_of: Vec<usize> = Vec::with_capacity(self.0.len());
        for (later, (_, put)) in self.0.iter().enumerate() {
            let awaited = (0..later).filter(|&earlier| self.waits(later, earlier));
            let round = awaited.map(|earlier| round_of[earlier] + 1).max().unwrap_or(0);
            round_of.push(round);
            if round == rounds.len() {
                rounds.push(Vec::new());
            }
            rounds[round].push(put);
        }
        rounds
    }

    /// Those that can be published although the put that is listed as number `failed`, from 0, cannot.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn despite(&self, failed: usize) -> Self {
        let mut lost = vec![failed];
        for number in failed + 1..self.0.len() {
            if lost.iter().any(|&earlier| self.waits(number, earlier)) {
                lost.push(number);
            }
        }
        let rest = self
            .0
            .iter()
            .enumerate()
            .filter(|(number, _)| !lost.contains(number));
        Self(rest.map(|(_, put)| put.clone()).collect())
    }

    fn waits(&self, later: usize, earlier: usize) -> bool {
        let ((earlier_step, earlier), (later_step, later)) = (&self.0[earlier], &self.0[later]);
        earlier_step < later_step || earlier.key == later.key
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

/// One directory to remove with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeRemoval {
    /// The directory
    pub dir: Key,
    /// An object below it, and the version that it must still have; on a bucket it may have been written again with the same
    /// content
    pub unless_changed: Option<(Key, Version)>,
}

/// The space of a file system, as `df` counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process can still write
    pub free: u64,
    /// Those, and the bytes that are in use
    pub total: u64,
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

/// What [`Objects::names_with`] looks for below each name.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Path of an object that is there and is not empty
    pub object: &'a Key,
    /// Paths of objects of which one is there, too. If there are none, the first object is enough.
    pub besides: &'a [Key],
    /// How many of the other objects below each name are [told](Found::others) at most
    pub others: usize,
}

/// A page of names that have [what was wanted](Wanted).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundPage {
    /// Names, in ascending order of their bytes
    pub found: Vec<Found>,
    /// Whether there are names after the last one
    pub more: bool,
}

/// One name that has [what was wanted](Wanted).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name
    pub name: Box<str>,
    /// Version of the [object](Wanted::object), where the engine came to know it by the way, as a bucket does
    pub version: Option<Version>,
    /// When that object was written, where the engine came to know it by the way
    pub modified: Option<SystemTime>,
    /// Paths of other objects below the name, each with the time at which it was written, as far as the engine came to know them by the
    /// way: never more than [`Wanted::others`], and not always all
    pub others: Vec<(Box<str>, SystemTime)>,
}

/// Which repositories [`Objects::repositories`] returns.
#[derive(Debug, Clone, Copy)]
pub enum Listed {
    /// Those with a tag that points somewhere, and whose name counts.
    Tagged(fn(&str) -> bool),
    /// Those that have manifests or layers.
    WithContent,
}

/// A page of repositories.
#[derive(Debug, Default)]
pub struct RepositoryPage {
    /// Names, in ascending order of their bytes
    pub names: Vec<Box<str>>,
    /// Whether there are repositories after the last one
    pub more: bool,
    /// Directories that the process has no right to read, each with the error. They, and what is below them, are not
    /// among the names.
    pub unreadable: Vec<(Box<str>, Error)>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str) -> Put {
        Put::new(Key::new(key).unwrap(), Bytes::new())
    }

    fn puts(list: &[(usize, &str)]) -> Puts {
        let mut puts = Puts::default();
        list.iter().for_each(|(step, key)| puts.add(*step, put(key)));
        puts
    }

    fn rounds(puts: &Puts) -> Vec<Vec<&str>> {
        let rounds = puts.rounds().into_iter();
        rounds
            .map(|round| round.into_iter().map(|put| put.key.as_str()).collect())
            .collect()
    }

    #[test]
    fn a_put_is_in_the_first_round_after_those_that_it_waits_for() {
        let pushed = puts(&[
            (0, "bytes"),
            (1, "revision"),
            (1, "h1"),
            (2, "t1"),
            (1, "h2"),
            (2, "t2"),
        ]);
        assert_eq!(
            rounds(&pushed),
            [vec!["bytes"], vec!["revision", "h1", "h2"], vec!["t1", "t2"]]
        );
        assert_eq!(
            rounds(&puts(&[(7, "a"), (9, "b")])),
            [["a"], ["b"]],
            "numbers are left out"
        );
        assert_eq!(rounds(&Puts::in_order([put("a"), put("b")])), [["a"], ["b"]]);
        assert!(rounds(&Puts::default()).is_empty());
    }

    /// Whatever the steps, the last of several puts of one key is the last that is written, and what waits for one of them
    /// waits for all before it.
    #[test]
    fn one_key_is_written_in_the_order_of_the_list() {
        let twice = puts(&[(0, "a"), (0, "a"), (1, "b")]);
        assert_eq!(rounds(&twice), [["a"], ["a"], ["b"]]);
        let descending = puts(&[(1, "a"), (0, "a"), (1, "b")]);
        assert_eq!(rounds(&descending), [["a"], ["a"], ["b"]]);
        assert_eq!(
            rounds(&puts(&[(1, "a"), (0, "b")])),
            [["a", "b"]],
            "it is listed after it"
        );
    }

    #[test]
    fn what_fails_takes_along_what_waits_for_it() {
        let pushed = puts(&[(0, "bytes"), (1, "h1"), (2, "t1"), (1, "h2"), (2, "t2")]);
        let despite = |number| rounds(&pushed.despite(number)).concat().join(" ");
        assert_eq!(despite(0), "");
        assert_eq!(despite(1), "bytes h2");
        assert_eq!(despite(2), "bytes h1 h2 t2");
        assert_eq!(despite(3), "bytes h1 t1");
    }
}
