//! The file system engine: registry:2's tree on a local disk, written for speed and durability.
//!
//! # How a write becomes durable
//!
//! A file is written and synced in `wharf/staging`, renamed to its place, and the directory that it
//! was renamed into is synced, before the next one moves. Where several directories are missing, the
//! missing chain is built and synced in staging, with the file in it, and renamed whole; then the directory that it
//! left is synced too. So inside `docker/registry/v2` there is never a temporary file, never half a file, and
//! never a tag directory without its link.
//!
//! Nothing is assumed about the order in which a file system writes two directories back, so all of this holds without
//! a journal as well.
//!
//! That a file's contents are synced before it gets its name, and the name before the request is answered,
//! leaves `close` nothing to report. An fsync that fails is an error for each request that waits for it. That of a file
//! is not tried again, because its state on the disk is unknown after it: the file goes. That of a directory is tried
//! again before the next write of any request, because requests see the names in it meanwhile. And no request is
//! acknowledged that may have seen a name before it was durable: see `unsettled`.
//!
//! # How many syncs that takes
//!
//! Once the directories on the way are known to be durable (the first request that uses one syncs
//! what lies above it):
//!
//! | what                                                       | files | directories | renames |
//! |------------------------------------------------------------|------:|------------:|--------:|
//! | blob and its link, small or large                          |     2 |           4 |       2 |
//! | blob and its link, first of a new repository               |     2 |           9 |       2 |
//! | manifest (blob, revision, history, tag), tag that exists   |     4 |           7 |       4 |
//! | manifest, new tag                                          |     4 |          11 |       3 |
//! | manifest, first of its repository                          |     4 |          14 |       2 |
//! | tag removed                                                |     0 |           1 |       1 |
//!
//! Not one of them can go: a test lets each do nothing and finds a promise broken. But on a file
//! system with a journal only the first sync of a commit and one for each rename wait for the
//! journal; the other syncs find their work done, and cost a flush of the disk's cache at most.
//!
//! # Conditions and moves
//!
//! An object that must be absent is renamed to its place with `RENAME_NOREPLACE`, or linked there where a file system
//! has no such rename, so that not even another process can come in between. Whether an object is still of a version
//! is looked at under a lock on its key, which every rename and removal in this process takes as well. A move
//! gives the object its new name in addition, syncs that, and then removes the old one.
//!
//! # What blocks where
//!
//! Metadata and what lies in the page cache are read on the async thread. Everything that writes,
//! and every listing that is not cached, runs on tokio's blocking threads; an operation whose
//! future is dropped still runs to its end there.

mod commit;
mod directories;
mod follow;
mod gathered;
mod journal;
mod keys;
mod known_uploads;
mod list;
mod list_uploads;
mod lock;
mod names;
mod pool;
mod provisional;
mod read;
mod remove;
mod rename;
mod repositories;
mod saved_hash;
mod scan;
mod spool;
mod start_upload;
pub mod sys;
mod unsettled;
mod upload;

use std::{
    fmt, io,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use uuid::Uuid;

use self::{
    commit::{Holder, Item},
    directories::Directories,
    keys::KeyLocks,
    known_uploads::KnownUploads,
    list::Listings,
    lock::StoreLock,
    pool::Pool,
    saved_hash::EVERY,
    sys::{Disk, RealDisk},
    unsettled::{Moment, Unsettled},
};
use crate::{
    Blob, Error, ErrorKind, FoundPage, Key, Listed, ListedUpload, Object, Objects, Page, Puts, Removal,
    RepositoryPage, Result, ScanPage, Space, Stat, TreeRemoval, Upload, UploadStream, Uploads, Version,
    Wanted, layout, layout::UploadKey,
};

const OURS: &str = "wharf";
/// Path of the file that the server that writes to the store has locked.
pub const LOCK: &str = "wharf/lock";
const STAGING: &str = "wharf/staging";
/// Staging of what goes into the tree, where that lies on another file system than `wharf`. No repository's name begins
/// with an underscore, so readers of the tree, registry:2 among them, pass it over.
const TREE_STAGING: &str = "docker/registry/v2/repositories/_wharf/staging";
/// How many trees one request removes side by side
const TREES: usize = 16;
/// At so many objects a request looks itself, as at one: a thread for what blocks takes longer to begin
const FEW: usize = 16;
/// A name that nothing has
const NOTHING: &str = "wharf-no-such-name";

/// A store in a directory of a file system. One process at a time can have it open.
pub struct FsStorage<D: Disk = RealDisk> {
    engine: Arc<Engine<D>>,
}

struct Engine<D: Disk> {
    disk: D,
    directories: Directories,
    unsettled: Unsettled<D>,
    keys: KeyLocks,
    uploads: KnownUploads,
    listings: Listings,
    pool: Arc<Pool>,
    staged: AtomicU64,
    /// Directories in staging that trees are staged in, empty
    holders: Mutex<Vec<Holder<D>>>,
    /// Whether an upload is being hashed before a request needs its hash
    hashes_ahead: AtomicBool,
    /// Staging of what goes into the tree
    tree_staging: &'static str,
    /// Exclusive use of the store; `None` when it was opened to read only
    lock: Option<StoreLock<D>>,
    /// Whether, without a lock, it can be noted how far a check is
    may_note: bool,
}

impl FsStorage {
    /// Opens the store in the directory `root` to read it, beside a process that may be using it: takes no lock, creates
    /// nothing, and refuses everything that changes something with [`ErrorKind::ReadOnly`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such directory.
    pub fn open_to_read(root: &Path) -> Result<Self> {
        let disk =
            RealDisk::open_existing(root).map_err(|error| opening(&root.display().to_string(), error))?;
        Ok(Self {
            engine: Arc::new(Engine::new(disk, None)),
        })
    }

    /// As [`open_to_read`](Self::open_to_read), but how far the check is ([`layout::check`]) can be noted where a server has
    /// been before. No server writes that object.
    ///
    /// # Errors
    ///
    /// As [`open_to_read`](Self::open_to_read).
    pub fn open_to_check(root: &Path) -> Result<Self> {
        let disk =
            RealDisk::open_existing(root).map_err(|error| opening(&root.display().to_string(), error))?;
        let mut engine = Engine::new(disk, None);
        engine.may_note = engine.disk.stat(LOCK).is_ok();
        // Beside the server that has the store: its names in staging count from 0.
        engine.staged = AtomicU64::new(Uuid::new_v4().as_u64_pair().0 | 1 << 63);
        Ok(Self {
            engine: Arc::new(engine),
        })
    }

    /// As [`open_to_read`](Self::open_to_read), for a server: a directory that is missing is created, because a registry may
    /// be started before its first image is copied there.
    ///
    /// # Errors
    ///
    /// When the directory can neither be opened nor created.
    pub fn open_read_only(root: &Path) -> Result<Self> {
        match Self::open_to_read(root) {
            Err(error) if error.is_not_found() => {
                RealDisk::open(root).map_err(|error| opening(&root.display().to_string(), error))?;
                Self::open_to_read(root)
            }
            opened => opened,
        }
    }

    /// Opens the store in the directory `root`, which is created when there is none.
    ///
    /// Files that a killed process left in staging are removed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`] when another process has the store open; the text names it.
    pub fn open(root: &Path) -> Result<Self> {
        let place = root.display().to_string();
        let disk = RealDisk::open(root).map_err(|error| opening(&place, error))?;
        Self::on(disk, &place)
    }

    /// The same, also on a file system that has no locks: there the caller knows that no other process writes to the store.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), but for the lack of locks.
    pub fn open_also_without_locks(root: &Path) -> Result<Self> {
        let place = root.display().to_string();
        let disk = RealDisk::open(root).map_err(|error| opening(&place, error))?;
        Self::also_without_locks(disk, &place)
    }
}

impl<D: Disk> FsStorage<D> {
    /// Opens the store on `disk`, which errors call `place`.
    ///
    /// # Errors
    ///
    /// As [`open`](FsStorage::open).
    pub fn on(disk: D, place: &str) -> Result<Self> {
        let lock = take_lock(&disk, place)?.map_err(|error| {
            let context = format!(
                "lock the store `{place}`: its file system has no locks; on NFS, run lockd on the file server, or mount \
                 with `nolock` or `local_lock=flock` where only one machine uses the directory. A server, no other command, \
                 also starts without a lock (`storage.filesystem.lock: false`), where no second one uses the directory"
            );
            Error::with_source(ErrorKind::Other, context, error)
        })?;
        Self::with_lock(disk, Some(lock), place)
    }

    fn also_without_locks(disk: D, place: &str) -> Result<Self> {
        let lock = take_lock(&disk, place)?;
        match &lock {
            Ok(_) => tracing::warn!(
                "`storage.filesystem.lock: false` is without effect: the file system has locks, and the store is locked"
            ),
            Err(_) => tracing::warn!(
                "the store is not locked, because of `storage.filesystem.lock: false` and a file system without locks: a second \
                 server in the same directory would destroy images"
            ),
        }
        Self::with_lock(disk, lock.ok(), place)
    }

    fn with_lock(disk: D, lock: Option<D::Lock>, place: &str) -> Result<Self> {
        let tree_staging = prepare(&disk, place)?;
        let mut engine = Engine::new(disk, Some(StoreLock::new(lock)));
        engine.tree_staging = tree_staging;
        for staging in [STAGING, TREE_STAGING] {
            engine
                .empty_staging(staging)
                .map_err(|error| opening(place, error))?;
        }
        Ok(Self {
            engine: Arc::new(engine),
        })
    }

    /// Runs `work` on a blocking thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine<D>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = Arc::clone(&self.engine);
        blocking(move || work(&engine)).await
    }

    /// Fails when the store was opened to read only; every change of the store calls this first.
    fn require_lock(&self) -> Result<()> {
        match self.engine.lock {
            Some(_) => Ok(()),
            None => Err(Error::new(
                ErrorKind::ReadOnly,
                "change a store that was opened to read only",
            )),
        }
    }
}

/// Takes the lock of the store; the inner error is that of a file system without locks.
fn take_lock<D: Disk>(disk: &D, place: &str) -> Result<io::Result<D::Lock>> {
    create_directory(disk, OURS).map_err(|error| opening(place, error))?;
    match disk.lock(LOCK, &lock::content()) {
        Ok(lock) => Ok(Ok(lock)),
        Err(error) => match error.kind() {
            io::ErrorKind::Unsupported => Ok(Err(error)),
            io::ErrorKind::WouldBlock => Err(locked(place, &error.to_string())),
            _ => Err(opening(place, error)),
        },
    }
}

/// Creates wharf's own directories, and finds out where files can be staged that are renamed into the tree.
fn prepare<D: Disk>(disk: &D, place: &str) -> Result<&'static str> {
    let failed = |error| opening(place, error);
    create_directory(disk, OURS).map_err(failed)?;
    create_directory(disk, STAGING).map_err(failed)?;
    let (blobs, repositories) = (layout::blobs(), layout::repositories());
    let blobs_at = nearest(disk, blobs.as_str()).map_err(failed)?;
    let repositories_at = nearest(disk, repositories.as_str()).map_err(failed)?;
    if !can_rename(disk, repositories_at, blobs_at).map_err(failed)? {
        let context = format!(
            "open the store `{place}`: `{blobs}` and `{repositories}` in it lie on different file systems, and a finished \
             upload is renamed from one to the other; mount one file system at `{place}` or above both of them"
        );
        return Err(Error::new(ErrorKind::Other, context));
    }
    if can_rename(disk, STAGING, repositories_at).map_err(failed)? {
        return Ok(STAGING);
    }
    create_all(disk, TREE_STAGING).map_err(failed)?;
    Ok(TREE_STAGING)
}

/// The deepest directory on the way to `path` that exists.
fn nearest<'a, D: Disk>(disk: &D, mut path: &'a str) -> io::Result<&'a str> {
    while !path.is_empty() {
        match disk.stat(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path = directories::parent(path),
            other => return other.map(|_| path),
        }
    }
    Ok(path)
}

/// Whether files can be renamed from one directory to another. The kernel compares the file systems, and the places where
/// they are mounted, before it looks for the name.
fn can_rename<D: Disk>(disk: &D, from: &str, to: &str) -> io::Result<bool> {
    let (from, to) = (disk.open_directory(from)?, disk.open_directory(to)?);
    match disk.rename_at((&from, NOTHING), (&to, NOTHING)) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

/// As [`create_directory`], with the directories above it.
fn create_all<D: Disk>(disk: &D, path: &str) -> io::Result<()> {
    match create_directory(disk, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_empty() => {
            create_all(disk, directories::parent(path))?;
            create_directory(disk, path)
        }
        other => other,
    }
}

/// Not synced: wharf's own directories may be lost, and nothing is acknowledged while it lies in staging.
fn create_directory<D: Disk>(disk: &D, path: &str) -> io::Result<()> {
    match disk.create_directory(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn opening(place: &str, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotADirectory => " (something that is not a directory lies on the way)",
        io::ErrorKind::PermissionDenied => " (the user that runs this process must own the directory)",
        io::ErrorKind::ReadOnlyFilesystem => " (mount the file system so that it can be written)",
        _ => "",
    };
    Error::io(format!("open the store `{place}`{hint}"), error)
}

fn locked(place: &str, holder: &str) -> Error {
    let holder = lock::holder(holder);
    let context =
        format!("open the store `{place}`: another process uses it ({holder}); stop that one first");
    Error::new(ErrorKind::Locked, context)
}

impl<D: Disk> Engine<D> {
    fn new(disk: D, lock: Option<StoreLock<D>>) -> Self {
        Self {
            disk,
            directories: Directories::default(),
            unsettled: Unsettled::default(),
            keys: KeyLocks::default(),
            uploads: KnownUploads::new(),
            listings: list::listings(),
            pool: Pool::new(read::BUFFER),
            staged: AtomicU64::new(0),
            holders: Mutex::default(),
            hashes_ahead: AtomicBool::new(false),
            tree_staging: STAGING,
            lock,
            may_note: false,
        }
    }

    /// Waits until every change of names that was visible at `moment` is durable. Every write calls this before its own
    /// first change. Blocks.
    fn settle(&self, moment: Moment) -> io::Result<()> {
        self.unsettled
            .settle(moment, |directory| self.directories.sync(&self.disk, directory))
    }

    /// Fails when another process has taken the store over. Blocks.
    fn confirm_lock(&self) -> Result<()> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.confirm(&self.disk))
    }

    /// A path in staging that is not in use, on the file system of `path`. Names are unique among the processes that have
    /// the store, because each of them empties staging first.
    fn staging_path(&self, path: &str) -> String {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        format!("{}/{number}", self.staging_of(path))
    }

    fn staging_of(&self, path: &str) -> &'static str {
        if directories::is_at_or_below(path, OURS) {
            STAGING
        } else {
            self.tree_staging
        }
    }

    /// Runs `change` of the path `staged`; makes staging again if another program has removed it.
    fn in_staging<T>(&self, staged: &str, change: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let result = change();
        if !result.as_ref().is_err_and(is_missing) {
            return result;
        }
        let staging = directories::parent(staged);
        if ![STAGING, TREE_STAGING].contains(&staging)
            || !self.disk.stat(staging).is_err_and(|e| is_missing(&e))
        {
            return result;
        }
        create_directory(&self.disk, OURS)?;
        if let Some(lock) = &self.lock {
            lock.confirm_now(&self.disk).map_err(io::Error::other)?;
        }
        // Directories of the tree may be looked for in the set of durable ones.
        self.directories
            .change(staging, || create_all(&self.disk, staging))?;
        change()
    }

    /// The directory itself stays, with its owner: another command may run as another user than the server. What cannot be
    /// removed stays as well, and its name is not used.
    fn empty_staging(&self, path: &str) -> io::Result<()> {
        let opened = self
            .disk
            .open_directory(directories::parent(path))
            .and_then(|above| self.disk.open_real_directory_at(&above, "staging"));
        let staging = match opened {
            Ok(staging) => staging,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let why = format!("`{path}` is not a directory; remove it, the next start makes it");
                return Err(io::Error::other(why));
            }
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        self.disk.read_open_directory(&staging, &mut |name, _| {
            names.push(String::from_utf8_lossy(name).into_owned());
            ControlFlow::Continue(())
        })?;
        for name in names {
            if let Err(error) = self.remove_recursively_at(&staging, &name) {
                tracing::warn!(
                    path = format!("{path}/{name}"), %error,
                    "could not remove what an earlier process left; remove it by hand"
                );
                let number = name.parse().map_or(0, |number: u64| number.saturating_add(1));
                self.staged.fetch_max(number, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Whether the store is where it was, is this process's, and can be written to. Blocks.
    fn check(&self) -> Result<()> {
        let failed = |error| Error::io("look at the root of the store", error);
        self.disk.check().map_err(failed)?;
        let Some(lock) = &self.lock else { return Ok(()) };
        lock.confirm_now(&self.disk)?;
        // The kernel makes a file system read-only after an error, and not every one says so without a write.
        let path = self.staging_path(layout::blobs().as_str());
        let checked = self
            .in_staging(&path, || self.disk.create(&path))
            .and_then(|file| {
                let written = sys::write_all_at(&self.disk, &file, b"check", 0);
                let removed = self.disk.remove_file(&path);
                written.and(removed)
            });
        match checked {
            // Pulls and deletions work on a full disk.
            Err(error) if ErrorKind::of(&error) == ErrorKind::NoSpace => Ok(()),
            other => other.map_err(|error| Error::io("write to the store, as a check", error)),
        }
    }
}

impl<D: Disk> Drop for Engine<D> {
    fn drop(&mut self) {
        if let Err(error) = self.leave_uploads() {
            tracing::warn!(%error, "could not keep the uploads that were started; their clients must start them again");
        }
    }
}

#[async_trait]
impl<D: Disk> Objects for FsStorage<D> {
    async fn stat(&self, key: &Key) -> Result<Stat> {
        self.engine.stat(key)
    }

    async fn stat_below(&self, dir: &Key, names: &[Box<str>], path: &Key) -> Result<Vec<Option<Stat>>> {
        if names.len() <= FEW {
            return self.engine.stat_below(dir, names, path);
        }
        let (dir, names, path) = (dir.clone(), names.to_vec(), path.clone());
        self.run(move |engine| engine.stat_below(&dir, &names, &path))
            .await
    }

    async fn read(&self, key: &Key, limit: u64) -> Result<Object> {
        self.engine.read(key, limit).await
    }

    async fn read_unless(&self, key: &Key, limit: u64, version: &Version) -> Result<Option<Object>> {
        if self.engine.stat(key)?.version.as_ref() == Some(version) {
            return Ok(None);
        }
        self.engine.read(key, limit).await.map(Some)
    }

    async fn open(&self, key: &Key) -> Result<Box<dyn Blob>> {
        Ok(Box::new(self.engine.open_blob(key)?))
    }

    /// One after the other, as listed: their syncs are shared, and a new tag's directory appears whole.
    async fn publish_all(&self, puts: &Puts) -> Result<()> {
        let is_note = self.engine.may_note && puts.iter().all(|put| put.key == layout::check());
        if !is_note {
            self.require_lock()?;
        }
        let items = puts.iter().map(Item::put).collect();
        self.run(move |engine| engine.commit(items)).await
    }

    async fn rename(&self, from: &Removal, to: &Key) -> Result<()> {
        self.require_lock()?;
        let (from, to) = (from.clone(), to.clone());
        self.run(move |engine| engine.rename_object(&from, &to)).await
    }

    async fn remove(&self, key: &Key, keep: &Key) -> Result<()> {
        self.require_lock()?;
        let (key, keep) = (key.clone(), keep.clone());
        self.run(move |engine| engine.remove(&key, &keep)).await
    }

    async fn remove_many(&self, removals: &[Removal]) -> Result<()> {
        self.require_lock()?;
        let removals = removals.to_vec();
        self.run(move |engine| engine.remove_many(&removals)).await
    }

    /// The lock of the directory keeps other processes out for as long as this one lives, so no removal comes too late.
    async fn remove_until(&self, removal: &Removal, _until: SystemTime) -> Result<()> {
        self.remove_many(std::slice::from_ref(removal)).await
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn keeps_times(&self) -> bool {
        true
    }

    async fn remove_tree(&self, dir: &Key) -> Result<()> {
        self.require_lock()?;
        let dir = dir.clone();
        self.run(move |engine| engine.remove_tree(&dir)).await
    }

    async fn remove_trees(&self, trees: &[TreeRemoval]) -> Result<Vec<bool>> {
        self.require_lock()?;
        let removals = trees.iter().cloned();
        let removals = removals.map(|tree| self.run(move |engine| engine.remove_unchanged(&tree)).boxed());
        let removals: Vec<_> = removals.collect();
        stream::iter(removals).buffered(TREES).try_collect().await
    }

    async fn list(&self, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page> {
        self.engine.list(dir, after, limit).await
    }

    async fn has_directory_below(&self, dir: &Key, name: &str, wanted: &[&str]) -> Result<bool> {
        let (dir, name) = (dir.clone(), name.to_owned());
        let wanted: Vec<String> = wanted.iter().map(|&wanted| wanted.to_owned()).collect();
        self.run(move |engine| engine.has_directory_below(&dir, &name, &wanted))
            .await
    }

    async fn scan(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<ScanPage> {
        let (prefix, after) = (prefix.clone(), after.cloned());
        self.run(move |engine| engine.scan(&prefix, after.as_ref(), limit))
            .await
    }

    async fn names_with(
        &self,
        dir: &Key,
        wanted: Wanted<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FoundPage> {
        if let Some(known) = self.engine.known_names(dir, wanted, after, limit) {
            return Ok(known);
        }
        let (dir, after) = (dir.clone(), after.map(str::to_owned));
        let (object, besides) = (wanted.object.clone(), wanted.besides.to_vec());
        self.run(move |engine| {
            let wanted = Wanted {
                object: &object,
                besides: &besides,
                others: 0,
            };
            engine.names_with(&dir, wanted, after.as_deref(), limit)
        })
        .await
    }

    async fn repositories(&self, listed: Listed, after: &str, limit: usize) -> Result<RepositoryPage> {
        let after = after.to_owned();
        self.run(move |engine| engine.repositories(listed, &after, limit))
            .await
    }

    /// `None`: clients cannot reach the files of the store.
    async fn location(&self, _key: &Key, _ttl: Duration) -> Result<Option<String>> {
        Ok(None)
    }

    async fn space(&self) -> Result<Option<Space>> {
        let failed = |error| Error::io("look for the free space of the file system", error);
        self.run(move |engine| engine.disk.space().map_err(failed)).await
    }

    async fn check(&self) -> Result<()> {
        // A file server that is gone lets even a stat wait.
        self.run(Engine::check).await
    }
}

#[async_trait]
impl<D: Disk> Uploads for FsStorage<D> {
    async fn create_upload(&self, upload: &UploadKey) -> Result<()> {
        self.require_lock()?;
        if self.engine.start_upload(upload)? {
            return Ok(());
        }
        let upload = upload.clone();
        self.run(move |engine| engine.create_upload(&upload)).await
    }

    async fn open_upload(&self, upload: &UploadKey) -> Result<Box<dyn Upload>> {
        self.require_lock()?;
        Ok(Box::new(self.engine.open_upload(upload)?))
    }

    async fn upload_size(&self, upload: &UploadKey) -> Result<u64> {
        let size = self.engine.upload_size(upload)?;
        if size >= EVERY && self.engine.lock.is_some() && !self.engine.uploads.is_held(upload) {
            let (engine, key) = (Arc::clone(&self.engine), upload.clone());
            drop(tokio::task::spawn_blocking(move || {
                if let Err(error) = engine.hash_ahead(&key, &upload::directory_of(&key), size) {
                    tracing::debug!(upload = %key.id, %error, "could not hash an upload ahead; the request that ends it will");
                }
            }));
        }
        Ok(size)
    }

    async fn list_uploads(&self) -> Result<UploadStream> {
        Ok(list_uploads::stream(Arc::clone(&self.engine)))
    }

    async fn remove_upload(&self, upload: &ListedUpload, untouched_since: SystemTime) -> Result<()> {
        self.require_lock()?;
        let upload = upload.clone();
        self.run(move |engine| engine.remove_upload(&upload, untouched_since))
            .await
    }
}

impl<D: Disk> fmt::Debug for FsStorage<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FsStorage")
            .field("disk", &self.engine.disk)
            .finish_non_exhaustive()
    }
}

/// Runs `work` on a blocking thread. It runs to its end even when the caller goes away.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let span = tracing::Span::current();
    let work = move || span.in_scope(work);
    tokio::task::spawn_blocking(work).await.map_err(failed_job)?
}

/// Runs `work` on a blocking thread, and does not wait for it.
fn behind(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

/// The error of a job that panicked, or that was cancelled at the end of the process.
fn failed_job(error: tokio::task::JoinError) -> Error {
    Error::with_source(ErrorKind::Other, "a background job did not end", error)
}

#[cfg(test)]
mod power_cut;
#[cfg(any(test, feature = "testing"))]
pub mod simulated;
#[cfg(test)]
mod tests;
