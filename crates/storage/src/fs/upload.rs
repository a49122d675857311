//! Uploads: bytes that arrive piece by piece, in registry:2's place for them, hashed as they are written.
//!
//! The async side gathers what comes, in buffers that are used again; a run of it is written and hashed in
//! one job on a blocking thread while the next run is gathered. So a slow client holds no thread, and at most
//! two runs are in memory. Bytes are copied into the run: a frame is a part of what was read from the
//! connection and would keep all of that in memory, and memory that is used again is in the processor's
//! cache, and costs the kernel no new pages. What makes all of it safe is the [`Session`]: the exclusive hold, the open file
//! and the state of the hash travel together, from job to job, and the last drop of the session
//! lets go. A request that is cancelled while a job runs cannot let go before that job has ended.
//!
//! The hash covers bytes *after* they were written, at the offset at which they were written, and
//! no other request opens the file meanwhile (I1). Between requests the state of the hash waits
//! in memory, with the size, number and time stamps of the file; when any of them differs, or the
//! state is gone, the file is read again from its start.
//!
//! An upload gets its directory with the first byte that is written to its file. A small one never does: its bytes are
//! written where they are published from, and two names are neither made nor removed. (Every new file costs ext4
//! without a journal a search through all inodes that were freed in the last minute.) So an empty upload is lost
//! when the process is killed, as it may be when the power is cut; a process that ends makes the directories.

use std::{io, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{runtime::Handle, task::JoinHandle};
use wharf_oci::{Algorithm, Digest, Hasher};

use super::{
    Engine, behind, blocking,
    commit::{Item, write_frames, writing},
    failed_job,
    follow::{Followed, FsFollow},
    gathered::{Gathered, SMALL, digests_of},
    known_uploads::{Fingerprint, Hold, Remembered},
    provisional::Before,
    saved_hash::EVERY,
    sys::{Disk, Kind, Metadata},
};
use crate::{Error, ErrorKind, Finished, Follow, Key, Put, Result, Upload, layout, layout::UploadKey};

/// How many bytes are written before the kernel is told to start their writeback.
const WRITEBACK: u64 = 8 * 1024 * 1024;

/// Path of the directory of an upload.
pub(super) fn directory_of(upload: &UploadKey) -> String {
    format!("{}/{}", layout::uploads(&upload.repository), upload.id)
}

impl<D: Disk> Engine<D> {
    /// Takes hold of an upload.
    pub(super) fn open_upload(self: &Arc<Self>, upload: &UploadKey) -> Result<FsUpload<D>> {
        let directory = directory_of(upload);
        let hold = self.uploads.hold(upload).ok_or_else(|| busy(&directory))?;
        let mut session = Box::new(Session {
            engine: Arc::clone(self),
            data: format!("{directory}/data"),
            directory,
            file: None,
            written: 0,
            written_back: 0,
            hasher: Some(Hasher::new(Algorithm::Sha256)),
            failed: None,
            is_too_long: false,
            before: None,
            followed: Followed::new(),
            hold,
        });
        session.find()?;
        Ok(FsUpload {
            size: session.written,
            followed: Arc::clone(&session.followed),
            engine: Arc::clone(self),
            gathered: Gathered::new(&self.uploads.pool),
            run: session.engine.uploads.run(),
            work: Work::Idle(session),
        })
    }

    pub(super) fn upload_size(&self, upload: &UploadKey) -> Result<u64> {
        if self.uploads.started(upload).is_some() {
            return Ok(0);
        }
        let directory = directory_of(upload);
        let failed = |error| Error::io(format!("look at the upload `{directory}`"), error);
        match self.disk.stat(&format!("{directory}/data")) {
            Ok(data) if data.kind == Kind::File => {
                let marked = self.marked(&directory).map_err(failed)?;
                Ok(marked.map_or(data.size, |size| size.min(data.size)))
            }
            Err(error) if ErrorKind::of(&error) != ErrorKind::NotFound => Err(failed(error)),
            _ => self
                .disk
                .stat(&format!("{directory}/startedat"))
                .map(|_| 0)
                .map_err(failed),
        }
    }
}

/// Whether what lies at the path of an upload is its open file, and has no other name.
fn is_ours_alone(at_path: &Metadata, opened: &Metadata) -> bool {
    (at_path.device, at_path.inode) == (opened.device, opened.inode) && !opened.has_other_names
}

pub(super) fn busy(directory: &str) -> Error {
    Error::new(ErrorKind::Busy, format!("open the upload `{directory}`"))
}

/// Everything that one holder of an upload has. Its methods block, except [`find`](Self::find).
struct Session<D: Disk> {
    engine: Arc<Engine<D>>,
    directory: String,
    data: String,
    /// The file of the upload; `None` as long as nothing was written.
    file: Option<Arc<D::File>>,
    /// How many bytes surely are in the file.
    written: u64,
    /// How many of them the kernel was told to write back.
    written_back: u64,
    /// State of the hash of the bytes in the file; `None` when the file must be read again.
    hasher: Option<Hasher>,
    /// Kind and context of a failed write; bytes after it are lost, so no write may follow.
    failed: Option<(ErrorKind, String)>,
    /// Whether the file is longer than `written`, because a request that was all or nothing was killed.
    is_too_long: bool,
    /// The upload before this holder, when what this one writes is provisional.
    before: Option<Before>,
    /// What those know that follow the upload.
    followed: Arc<Followed<D>>,
    /// The last field, so that the hold is dropped after everything else.
    hold: Hold,
}

impl<D: Disk> Session<D> {
    /// Opens the file that earlier holders left.
    fn find(&mut self) -> Result<()> {
        if self.engine.uploads.started(&self.hold.upload).is_some() {
            return Ok(());
        }
        let directory = &self.directory;
        let failed = |error| Error::io(format!("open the upload `{directory}`"), error);
        let disk = &self.engine.disk;
        let file = match disk.open_to_write(&self.data) {
            Ok(file) => file,
            Err(error) if ErrorKind::of(&error) == ErrorKind::NotFound => {
                disk.stat(&format!("{directory}/startedat")).map_err(failed)?;
                return self.engine.unmark(directory).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        let found = disk.stat_file(&file).map_err(failed)?;
        if found.kind != Kind::File || found.has_other_names {
            // A crash on a file system without a journal may leave the name of a file that was
            // already published; a backup may have linked it. To append would change the published file. A pipe
            // holds no bytes.
            return self
                .remove_data()
                .and_then(|()| self.engine.unmark(directory))
                .map_err(failed);
        }
        self.written = found.size;
        self.file = Some(Arc::new(file));
        let known = self
            .engine
            .uploads
            .hashes
            .remove(&self.hold.upload)
            .map(|(_, known)| known);
        if let Some(known) = known.filter(|known| known.file == Fingerprint::from(found)) {
            // This process left it, or hashed it ahead, and there is no mark.
            self.hasher = Some(known.hasher.clone());
            return Ok(());
        }
        if let Some(marked) = self.engine.marked(directory).map_err(failed)? {
            self.is_too_long = true;
            self.written = marked.min(found.size);
        }
        if self.written > 0 {
            self.hasher = None;
        }
        Ok(())
    }

    /// Cuts off the bytes of a request that was all or nothing, and was killed.
    fn cut(&mut self) -> Result<()> {
        if self.is_too_long {
            let file = self.file()?;
            self.try_cut(&file).map_err(|error| writing(&self.data, error))?;
            self.is_too_long = false;
        }
        Ok(())
    }

    fn try_cut(&self, file: &D::File) -> io::Result<()> {
        let saved = self.engine.saved_hash(&self.directory, file);
        if saved.is_none_or(|(size, _)| size > self.written) {
            self.engine.forget_hash(&self.directory)?;
        }
        self.engine.disk.set_length(file, self.written)?;
        self.engine.unmark(&self.directory)
    }

    /// Says how many bytes count, before the first that does not is written.
    fn mark(&mut self) -> Result<()> {
        if let Some(before) = &mut self.before
            && !before.is_marked
        {
            // Also after a failure: the mark may be there.
            before.is_marked = true;
            let marked = self.engine.mark(&self.directory, before.size);
            marked.map_err(|error| writing(&self.directory, error))?;
        }
        Ok(())
    }

    /// Makes the upload what it was before this holder, if what this one wrote is provisional and was not published.
    fn go_back(&mut self) -> Result<()> {
        let Some(before) = self.before.take().filter(|before| before.is_marked) else {
            return Ok(());
        };
        self.hasher = None;
        self.followed.ends();
        self.try_go_back(before.size)
            .map_err(|error| writing(&self.data, error))?;
        (self.written, self.hasher) = (before.size, before.hasher);
        Ok(())
    }

    fn try_go_back(&self, size: u64) -> io::Result<()> {
        let disk = &self.engine.disk;
        if let Some(file) = &self.file {
            match disk.stat(&self.data) {
                Ok(found) if is_ours_alone(&found, &disk.stat_file(file)?) => disk.set_length(file, size)?,
                // The file is a blob, or may become one: the name goes, the bytes stay.
                Ok(_) => self.remove_data()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.engine.unmark(&self.directory)
    }

    /// Whether letting go of the upload changes its file.
    fn is_marked(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.is_marked)
    }

    /// Writes `frames` at the end, and hashes them.
    fn append(&mut self, frames: &[Bytes]) -> Result<()> {
        self.check()?;
        if frames.is_empty() {
            return Ok(());
        }
        let result = self.try_append(frames);
        if let Err(error) = &result {
            self.failed = Some((error.kind(), error.to_string()));
        }
        result
    }

    fn try_append(&mut self, frames: &[Bytes]) -> Result<()> {
        self.make_directory()?;
        self.cut()?;
        self.mark()?;
        let mut hasher = self.hasher()?;
        let file = self.file()?;
        let disk = &self.engine.disk;
        let (mut count, mut result) = write_frames(disk, &file, frames, self.written);
        if result.is_err() && disk.set_length(&file, self.written + count).is_err() {
            // The file may be longer than `written`; the next holder goes by its size.
            result = result.and(disk.set_length(&file, self.written));
            count = 0;
        }
        let before = self.written;
        self.written += count;
        self.followed.grows(&file, self.written);
        for frame in frames {
            let part = usize::try_from(count).map_or(frame.len(), |left| left.min(frame.len()));
            hasher.update(&frame[..part]);
            count -= part as u64;
        }
        self.hasher = Some(hasher);
        if self.written - self.written_back >= WRITEBACK {
            self.start_writeback(&file);
        }
        result.map_err(|error| writing(&self.data, error))?;
        if self.before.is_none() && before / EVERY < self.written / EVERY {
            self.keep_hash(&file)?;
        }
        Ok(())
    }

    /// Records the state of the hash for another process, once the bytes are on the disk: one that could not be written
    /// there may be read as something else.
    fn keep_hash(&mut self, file: &D::File) -> Result<()> {
        if !self.engine.keeps_hash_of(file) {
            return Ok(());
        }
        self.sync(file)?;
        if let Some(hasher) = &self.hasher
            && let Err(error) = self.engine.save_hash(&self.directory, file, self.written, hasher)
        {
            tracing::debug!(upload = self.directory, %error, "could not keep the state of a hash; after a restart the upload is read again");
        }
        Ok(())
    }

    /// The hash of what is in the file; reads it when that is not known.
    fn hasher(&mut self) -> Result<Hasher> {
        match self.hasher.take() {
            Some(hasher) => Ok(hasher),
            None => self.read_again(Algorithm::Sha256),
        }
    }

    /// Hashes the file, from its start, or from where an earlier process had hashed it to.
    fn read_again(&mut self, algorithm: Algorithm) -> Result<Hasher> {
        let file = self.file()?;
        let saved = match algorithm {
            Algorithm::Sha256 => self.engine.saved_hash(&self.directory, &file),
            Algorithm::Sha512 => None,
        };
        let saved = saved.filter(|(size, _)| *size <= self.written);
        let (mut offset, mut hasher) = saved.unwrap_or_else(|| (0, Hasher::new(algorithm)));
        let mut buffer = self.engine.pool.take();
        while offset < self.written {
            let space = buffer.space();
            let length =
                usize::try_from(self.written - offset).map_or(space.len(), |left| left.min(space.len()));
            match self.engine.disk.read_at(&file, &mut space[..length], offset) {
                Ok(0) => {
                    let context = format!(
                        "read `{}`: it ends after {offset} of {} bytes",
                        self.data, self.written
                    );
                    return Err(Error::new(ErrorKind::Damaged, context));
                }
                Ok(count) => {
                    hasher.update(&space[..count]);
                    offset += count as u64;
                }
                Err(error) => return Err(Error::io(format!("read `{}`", self.data), error)),
            }
        }
        Ok(hasher)
    }

    fn file(&mut self) -> Result<Arc<D::File>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        self.make_directory()?;
        let file = self
            .engine
            .disk
            .create(&self.data)
            .map_err(|error| writing(&self.data, error))?;
        Ok(Arc::clone(self.file.insert(Arc::new(file))))
    }

    /// Makes the directory of the upload, if it has none yet.
    fn make_directory(&self) -> Result<()> {
        let (engine, upload) = (&self.engine, &self.hold.upload);
        let Some(started) = engine.uploads.started(upload) else {
            return Ok(());
        };
        engine
            .try_create_upload(&self.directory, started)
            .map_err(|error| writing(&self.directory, error))?;
        engine.uploads.take_started(upload);
        Ok(())
    }

    /// Removes the file, and what is known of its bytes before: another file may get its number.
    fn remove_data(&self) -> io::Result<()> {
        self.engine.forget_hash(&self.directory)?;
        self.engine.disk.remove_file(&self.data)
    }

    fn start_writeback(&mut self, file: &D::File) {
        self.engine
            .disk
            .start_writeback(file, self.written_back, self.written - self.written_back);
        self.written_back = self.written;
    }

    /// The digests of all bytes.
    fn digests(&mut self, also: Option<Algorithm>) -> Result<Vec<Digest>> {
        self.check()?;
        self.cut()?;
        let hasher = self.hasher()?;
        self.hasher = Some(hasher.clone());
        let file = self.file()?;
        self.start_writeback(&file);
        let mut digests = vec![hasher.finish()];
        if let Some(algorithm) = also.filter(|algorithm| *algorithm != Algorithm::Sha256) {
            digests.push(self.read_again(algorithm)?.finish());
        }
        Ok(digests)
    }

    /// Syncs the file when much of it may be unsynced. A smaller one is synced together with what is published after it,
    /// which costs the journal less.
    fn prepare(&mut self) -> Result<()> {
        if self.written < WRITEBACK {
            return Ok(());
        }
        let file = self.file()?;
        self.sync(&file)
    }

    /// Syncs the bytes so far.
    fn sync(&mut self, file: &D::File) -> Result<()> {
        self.engine.disk.sync_file(file).map_err(|error| {
            // A second sync would not tell what of the file is on the disk: it is as good as not written.
            self.hasher = None;
            self.followed.ends();
            if let Err(error) = self.remove_data() {
                tracing::warn!(path = self.data, %error, "could not remove an upload that was not synced");
            }
            writing(&self.data, error)
        })
    }

    /// Publishes the file, or the frames that were never written to it, and removes what is left of the upload.
    fn publish(&mut self, key: &Key, frames: Option<Vec<Bytes>>, then: &[Put]) -> Result<()> {
        let first = match frames {
            Some(frames) => Item::bytes(key.as_str(), frames),
            None => {
                let file = self.file()?;
                let found = self
                    .engine
                    .disk
                    .stat_file(&file)
                    .map_err(|error| writing(&self.data, error))?;
                if found.size != self.written {
                    let (data, written) = (&self.data, self.written);
                    let context = format!(
                        "publish `{data}`: it has {} bytes, not the {written} written",
                        found.size
                    );
                    return Err(Error::new(ErrorKind::Damaged, context));
                }
                Item::file(key.as_str(), self.data.clone(), file)
            }
        };
        let result = self
            .engine
            .commit(std::iter::once(first).chain(then.iter().map(Item::put)).collect());
        if result.is_ok() {
            // A failure does not affect what was published; a purge removes the leftovers.
            if let Err(error) = self.remove_leftovers() {
                tracing::warn!(upload = self.directory, %error, "could not remove a finished upload");
            }
            (self.hasher, self.before) = (None, None);
        }
        result
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        if self.engine.uploads.take_started(&self.hold.upload).is_some() {
            return Ok(());
        }
        let disk = &self.engine.disk;
        self.engine
            .remove_if_there(&format!("{}/startedat", self.directory))?;
        if self.is_marked() {
            self.engine.unmark(&self.directory)?;
        }
        if self.written >= EVERY {
            self.engine.forget_hash(&self.directory)?;
        }
        match disk.remove_directory(&self.directory) {
            // registry:2 leaves states of hashes there; a symbolic link is removed itself.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
                ) =>
            {
                self.engine.remove_recursively(&self.directory)
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<()> {
        match &self.failed {
            Some((kind, context)) => Err(Error::new(*kind, format!("an earlier write failed: {context}"))),
            None => Ok(()),
        }
    }
}

impl<D: Disk> Drop for Session<D> {
    /// Leaves the state of the hash to the next holder.
    fn drop(&mut self) {
        if let Err(error) = self.go_back() {
            tracing::warn!(upload = self.directory, %error, "could not take back the bytes of a request that broke off; the next one will");
        }
        let (Some(hasher), Some(file)) = (self.hasher.take(), &self.file) else {
            return;
        };
        match self.engine.disk.stat_file(file) {
            Ok(found) if found.size == self.written && self.written > 0 => {
                let remembered = Arc::new(Remembered {
                    hasher,
                    file: found.into(),
                });
                self.engine
                    .uploads
                    .hashes
                    .insert(self.hold.upload.clone(), remembered);
            }
            _ => {}
        }
    }
}

/// The async side of a holder.
pub(super) struct FsUpload<D: Disk> {
    size: u64,
    gathered: Gathered,
    /// How many bytes to gather before they go to a job.
    run: usize,
    followed: Arc<Followed<D>>,
    engine: Arc<Engine<D>>,
    work: Work<D>,
}

type Job<D> = JoinHandle<(Box<Session<D>>, Result<()>)>;

enum Work<D: Disk> {
    Idle(Box<Session<D>>),
    Running(Job<D>),
    /// The session was handed on, or lost with a job that panicked.
    Gone,
}

impl<D: Disk> FsUpload<D> {
    /// Waits for the job under way. Its error is returned once, and remembered by the session.
    async fn idle(&mut self) -> Result<()> {
        if let Work::Running(job) = &mut self.work {
            let finished = job.await;
            self.work = Work::Gone;
            let (session, result) = finished.map_err(failed_job)?;
            if result.is_err() {
                self.size = session.written;
                self.gathered.take();
            }
            self.work = Work::Idle(session);
            result?;
        }
        match &self.work {
            Work::Idle(session) => session.check(),
            _ => Err(Error::new(ErrorKind::Other, "a job of this upload was lost")),
        }
    }

    /// Hands what was gathered to a job.
    async fn start_run(&mut self) -> Result<()> {
        self.idle().await?;
        let Work::Idle(mut session) = std::mem::replace(&mut self.work, Work::Gone) else {
            return Ok(());
        };
        self.run = session.engine.uploads.run();
        let frames = self.gathered.take();
        let span = tracing::Span::current();
        self.work = Work::Running(tokio::task::spawn_blocking(move || {
            let result = span.in_scope(|| session.append(&frames));
            (session, result)
        }));
        Ok(())
    }

    /// The session, with nothing under way.
    async fn into_session(mut self: Box<Self>) -> Result<(Box<Session<D>>, Vec<Bytes>)> {
        self.idle().await?;
        match std::mem::replace(&mut self.work, Work::Gone) {
            Work::Idle(session) => Ok((session, self.gathered.take())),
            _ => Err(Error::new(ErrorKind::Other, "a job of this upload was lost")),
        }
    }
}

#[async_trait]
impl<D: Disk> Upload for FsUpload<D> {
    fn size(&self) -> u64 {
        self.size
    }

    fn write_provisionally(&mut self) {
        if let Work::Idle(session) = &mut self.work {
            session.before = Some(Before {
                size: session.written,
                hasher: session.hasher.clone(),
                is_marked: false,
            });
        }
    }

    fn follow(&self) -> Option<Box<dyn Follow>> {
        Some(Box::new(FsFollow {
            engine: Arc::clone(&self.engine),
            followed: Arc::clone(&self.followed),
        }))
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if let Work::Idle(session) = &self.work {
            session.check()?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let mut rest = &bytes[..];
        loop {
            let (now, later) = rest.split_at(rest.len().min(self.run.saturating_sub(self.gathered.size)));
            self.gathered.add(now);
            self.size += now.len() as u64;
            if self.gathered.size < self.run {
                return Ok(());
            }
            self.start_run().await?;
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }

    async fn suspend(self: Box<Self>) -> Result<u64> {
        let (mut session, frames) = self.into_session().await?;
        if session.before.is_some() {
            return blocking(move || session.go_back().map(|()| session.written)).await;
        }
        if frames.is_empty() {
            return Ok(session.written);
        }
        blocking(move || session.append(&frames).map(|()| session.written)).await
    }

    async fn finish(self: Box<Self>, also: Option<Algorithm>) -> Result<Box<dyn Finished>> {
        let (mut session, frames) = self.into_session().await?;
        let size: usize = frames.iter().map(Bytes::len).sum();
        if session.file.is_none() && size <= SMALL {
            let digests = digests_of(&frames, also);
            return Ok(Box::new(FsFinished {
                session: Some(session),
                frames: Some(frames),
                digests,
                size: size as u64,
            }));
        }
        let finished = blocking(move || {
            session.append(&frames)?;
            let digests = session.digests(also)?;
            Ok(FsFinished {
                size: session.written,
                session: Some(session),
                frames: None,
                digests,
            })
        });
        Ok(Box::new(finished.await?))
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        let mut this = self;
        if let Err(error) = this.idle().await {
            tracing::debug!(%error, "discarding an upload after a failed write");
        }
        this.gathered.take();
        match std::mem::replace(&mut this.work, Work::Gone) {
            Work::Idle(session) => discard(session).await,
            _ => Err(Error::new(ErrorKind::Other, "a job of this upload was lost")),
        }
    }
}

async fn discard<D: Disk>(mut session: Box<Session<D>>) -> Result<()> {
    blocking(move || {
        (session.hasher, session.before) = (None, None);
        session.engine.discard_upload(&session.hold.upload)
    })
    .await
}

/// Writes what was taken from the client but not written yet; the session goes with it.
fn write_behind<D: Disk>(mut session: Box<Session<D>>, frames: Vec<Bytes>) {
    let span = tracing::Span::current();
    let write = move || {
        let _request = span.enter();
        if let Err(error) = session.append(&frames) {
            tracing::warn!(upload = session.directory, %error, "could not keep the last bytes of an upload");
        }
    };
    behind(write);
}

/// Lets go of an upload whose holder is gone.
fn let_go<D: Disk>(session: Box<Session<D>>, frames: Vec<Bytes>) {
    if session.before.is_some() {
        if session.is_marked() {
            behind(move || drop(session));
        }
    } else if session.failed.is_none() && !frames.is_empty() {
        write_behind(session, frames);
    }
}

impl<D: Disk> Drop for FsUpload<D> {
    fn drop(&mut self) {
        let frames = self.gathered.take();
        match std::mem::replace(&mut self.work, Work::Gone) {
            Work::Idle(session) => let_go(session, frames),
            // A job that nothing waits for drops the session at its end.
            Work::Running(job) if !frames.is_empty() => {
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(async move {
                        if let Ok((session, Ok(()))) = job.await {
                            let_go(session, frames);
                        }
                    });
                }
            }
            _ => {}
        }
    }
}

/// An upload whose bytes are hashed.
struct FsFinished<D: Disk> {
    /// The session; `None` once it was handed to a job.
    session: Option<Box<Session<D>>>,
    /// A small upload that was never written to its file.
    frames: Option<Vec<Bytes>>,
    digests: Vec<Digest>,
    size: u64,
}

#[async_trait]
impl<D: Disk> Finished for FsFinished<D> {
    fn size(&self) -> u64 {
        self.size
    }

    fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        self.digests
            .iter()
            .find(|digest| digest.algorithm() == algorithm)
            .copied()
    }

    async fn prepare(&mut self) -> Result<()> {
        if self.frames.is_some() {
            return Ok(());
        }
        let Some(mut session) = self.session.take() else {
            return Ok(());
        };
        let (session, result) = blocking(move || {
            let result = session.prepare();
            Ok((session, result))
        })
        .await?;
        self.session = Some(session);
        result
    }

    async fn publish(mut self: Box<Self>, key: &Key, then: &[Put]) -> Result<()> {
        let (Some(mut session), frames) = (self.session.take(), self.frames.take()) else {
            let context = format!("publish `{key}`: an earlier step of this upload did not end");
            return Err(Error::new(ErrorKind::Other, context));
        };
        let (key, then) = (key.clone(), then.to_vec());
        blocking(move || session.publish(&key, frames, &then)).await
    }

    async fn discard(mut self: Box<Self>) -> Result<()> {
        self.frames = None;
        match self.session.take() {
            Some(session) => discard(session).await,
            None => Ok(()),
        }
    }
}

impl<D: Disk> Drop for FsFinished<D> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let_go(session, self.frames.take().unwrap_or_default());
        }
    }
}
