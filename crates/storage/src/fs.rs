//! The file system engine: registry:2's tree on a local disk, written for speed and durability.
//!
//! # How a write becomes durable
//!
//! A file is written and synced in `wharf/staging`, renamed to its place, and the directory that it
//! was renamed into is synced, before the next one moves. Where directories are missing, the
//! missing chain is built and synced in staging, with the file in it, and renamed whole. So inside
//! `docker/registry/v2` there is never a temporary file, never half a file, and never a tag
//! directory without its link.
//!
//! That a file's contents are synced before it gets its name, and the name before the request is answered,
//! leaves `close` nothing to report. An fsync that fails is an error for each request that waits for it, and
//! is not tried again: after it, the state of the disk is unknown.
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
//! | manifest, new tag                                          |     4 |          10 |       3 |
//! | manifest, first of its repository                          |     4 |          13 |       2 |
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
//! is looked at under a lock on its key, which every rename and removal in this process takes as well. A move is one
//! rename; the directory that gets the object is synced before the one that loses it.
//!
//! # What blocks where
//!
//! Metadata and what lies in the page cache are read on the async thread. Everything that writes,
//! and every listing that is not cached, runs on tokio's blocking threads; an operation whose
//! future is dropped still runs to its end there.

mod commit;
mod directories;
mod keys;
mod known_uploads;
mod list;
mod list_uploads;
mod pool;
mod read;
mod remove;
mod rename;
mod scan;
mod spool;
pub mod sys;
mod upload;

use std::{
    fmt, io,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use self::{
    commit::Item,
    directories::Directories,
    keys::KeyLocks,
    known_uploads::KnownUploads,
    list::Listings,
    pool::Pool,
    sys::{Disk, RealDisk},
};
use crate::{
    Blob, Error, ErrorKind, Key, ListedUpload, Object, Objects, Page, Put, Removal, Result, ScanPage, Stat,
    Upload, UploadStream, Uploads, layout::UploadKey,
};

const OURS: &str = "wharf";
const LOCK: &str = "wharf/lock";
const STAGING: &str = "wharf/staging";
const THEIRS: &str = "docker";

/// A store in a directory of a file system. One process at a time can have it open.
pub struct FsStorage<D: Disk = RealDisk> {
    engine: Arc<Engine<D>>,
}

struct Engine<D: Disk> {
    disk: D,
    directories: Directories,
    keys: KeyLocks,
    uploads: KnownUploads,
    listings: Listings,
    pool: Arc<Pool>,
    staged: AtomicU64,
    /// Exclusive use of the store; `None` when it was opened to read only
    lock: Option<D::Lock>,
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
}

impl<D: Disk> FsStorage<D> {
    /// Opens the store on `disk`, which errors call `place`.
    ///
    /// # Errors
    ///
    /// As [`open`](FsStorage::open).
    pub fn on(disk: D, place: &str) -> Result<Self> {
        let lock = prepare(&disk, place)?;
        let engine = Engine::new(disk, Some(lock));
        engine.empty_staging().map_err(|error| opening(place, error))?;
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

/// Creates wharf's own directories, checks that the store can be used, and takes its lock.
fn prepare<D: Disk>(disk: &D, place: &str) -> Result<D::Lock> {
    let failed = |error| opening(place, error);
    create_directory(disk, OURS).map_err(failed)?;
    let content = format!(
        "pid {}\nsince {}\n",
        std::process::id(),
        jiff::Timestamp::now().strftime("%FT%TZ")
    );
    let lock = disk.lock(LOCK, &content).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => locked(place, &error.to_string()),
        _ => failed(error),
    })?;
    create_directory(disk, STAGING).map_err(failed)?;
    match (disk.stat(STAGING), disk.stat(THEIRS)) {
        (Ok(ours), Ok(theirs)) if ours.device != theirs.device => {
            let context = format!(
                "open the store `{place}`: `{OURS}` and `{THEIRS}` in it lie on different file systems, between \
                 which files cannot be renamed; mount the file system at `{place}` instead of at `{THEIRS}`"
            );
            Err(Error::new(ErrorKind::Other, context))
        }
        _ => Ok(lock),
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
    let holder = holder.trim().replace('\n', ", ");
    let holder = if holder.is_empty() { "unknown" } else { &holder };
    let context =
        format!("open the store `{place}`: another process uses it ({holder}); stop that one first");
    Error::new(ErrorKind::Locked, context)
}

impl<D: Disk> Engine<D> {
    fn new(disk: D, lock: Option<D::Lock>) -> Self {
        Self {
            disk,
            directories: Directories::default(),
            keys: KeyLocks::default(),
            uploads: KnownUploads::new(),
            listings: list::listings(),
            pool: Pool::new(read::BUFFER),
            staged: AtomicU64::new(0),
            lock,
        }
    }

    /// A path in staging that is not in use. Names are unique among the processes that have the
    /// store, because each of them empties staging first.
    fn staging_path(&self) -> String {
        format!("{STAGING}/{}", self.staged.fetch_add(1, Ordering::Relaxed))
    }

    /// The directory itself stays, with its owner: another command may run as another user than the server.
    fn empty_staging(&self) -> io::Result<()> {
        let mut names = Vec::new();
        self.disk.read_directory(STAGING, &mut |name, _| {
            names.push(String::from_utf8_lossy(name).into_owned());
            ControlFlow::Continue(())
        })?;
        names
            .iter()
            .try_for_each(|name| self.remove_recursively(&format!("{STAGING}/{name}")))
    }
}

#[async_trait]
impl<D: Disk> Objects for FsStorage<D> {
    async fn stat(&self, key: &Key) -> Result<Stat> {
        self.engine.stat(key)
    }

    async fn read(&self, key: &Key, limit: u64) -> Result<Object> {
        self.engine.read(key, limit).await
    }

    async fn open(&self, key: &Key) -> Result<Box<dyn Blob>> {
        Ok(Box::new(self.engine.open_blob(key)?))
    }

    async fn publish(&self, puts: &[Put]) -> Result<()> {
        self.require_lock()?;
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

    async fn remove_tree(&self, dir: &Key) -> Result<()> {
        self.require_lock()?;
        let dir = dir.clone();
        self.run(move |engine| engine.remove_tree(&dir)).await
    }

    async fn list(&self, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page> {
        self.engine.list(dir, after, limit).await
    }

    async fn scan(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<ScanPage> {
        let (prefix, after) = (prefix.clone(), after.cloned());
        self.run(move |engine| engine.scan(&prefix, after.as_ref(), limit))
            .await
    }

    async fn names_with(&self, dir: &Key, paths: &[Key]) -> Result<Vec<Box<str>>> {
        let (dir, paths) = (dir.clone(), paths.to_vec());
        self.run(move |engine| engine.names_with(&dir, &paths)).await
    }

    /// `None`: clients cannot reach the files of the store.
    async fn location(&self, _key: &Key, _ttl: Duration) -> Result<Option<String>> {
        Ok(None)
    }

    async fn check(&self) -> Result<()> {
        // A file server that is gone lets even a stat wait.
        self.run(|engine| {
            let check = engine.disk.check();
            check.map_err(|error| Error::io("look at the root of the store", error))
        })
        .await
    }
}

#[async_trait]
impl<D: Disk> Uploads for FsStorage<D> {
    async fn create_upload(&self, upload: &UploadKey) -> Result<()> {
        self.require_lock()?;
        let upload = upload.clone();
        self.run(move |engine| engine.create_upload(&upload)).await
    }

    async fn open_upload(&self, upload: &UploadKey) -> Result<Box<dyn Upload>> {
        self.require_lock()?;
        Ok(Box::new(self.engine.open_upload(upload)?))
    }

    async fn upload_size(&self, upload: &UploadKey) -> Result<u64> {
        self.engine.upload_size(upload)
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

/// The error of a job that panicked, or that was cancelled at the end of the process.
fn failed_job(error: tokio::task::JoinError) -> Error {
    Error::with_source(ErrorKind::Other, "a background job did not end", error)
}

#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
