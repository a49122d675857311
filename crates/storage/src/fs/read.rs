//! Reading: what is known of a file, small files whole, large ones as a stream.
//!
//! Metadata and what lies in the page cache are read on the async thread: a few microseconds, less
//! than a hop to another thread takes. Reads carry `RWF_NOWAIT`, so that a page which is not in
//! memory is an error instead of a wait; then, and only then, the read goes to a blocking thread.

use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::Stream;
use tokio::task::JoinHandle;

use super::{
    Engine, blocking, failed_job,
    pool::Buffer,
    sys::{Disk, Kind, Metadata, Stamp},
};
use crate::{Blob, ByteStream, Error, ErrorKind, Key, Object, Result, Stat, Version, version::FileMark};

/// A file that changed more recently than this may change again without its time stamp telling
/// (the kernel's clock ticks every 10 ms at the slowest; git calls such files racily clean).
const RACY: Duration = Duration::from_millis(50);
/// That time where stamps are whole seconds, two on some file systems.
const RACY_SECONDS: Duration = Duration::from_millis(2100);

/// The size of a buffer in bytes, and so of the pieces of a stream.
pub(super) const BUFFER: usize = 256 * 1024;
/// Up to this size, an exact allocation instead of a buffer of the pool.
const SMALL: usize = 64 * 1024;
/// How many buffers are lent when pieces become small.
const MANY: usize = 64;
/// How many bytes are read ahead behind a read that had to wait.
const READ_AHEAD: u64 = 2 * 1024 * 1024;

impl<D: Disk> Engine<D> {
    pub(super) fn stat(&self, key: &Key) -> Result<Stat> {
        let metadata = self
            .disk
            .stat(key.as_str())
            .map_err(|error| Error::io(format!("stat `{key}`"), error))?;
        file_stat(key, &metadata)
    }

    /// Looks at `dir/<name>/<path>` for each of `names`, from the open directory on. Blocks.
    pub(super) fn stat_below(&self, dir: &Key, names: &[Box<str>], path: &Key) -> Result<Vec<Option<Stat>>> {
        let found = |error: io::Error| {
            let error = Error::io(format!("stat objects below `{dir}`"), error);
            if error.is_not_found() {
                Ok(None)
            } else {
                Err(error)
            }
        };
        let directory = match self.disk.open_directory(dir.as_str()) {
            Ok(directory) => directory,
            Err(error) => return found(error).map(|nothing| vec![nothing; names.len()]),
        };
        let mut below = String::new();
        let mut look = |name: &str| {
            below.clear();
            below.extend([name, "/", path.as_str()]);
            match self.disk.stat_at(&directory, &below) {
                Ok(metadata) if metadata.kind == Kind::File => Ok(Some(stat_of(&metadata))),
                Ok(_) => Ok(None),
                Err(error) => found(error),
            }
        };
        names.iter().map(|name| look(name)).collect()
    }

    pub(super) fn open_blob(self: &Arc<Self>, key: &Key) -> Result<FsBlob<D>> {
        let context = |error| Error::io(format!("open `{key}`"), error);
        let file = self.disk.open(key.as_str()).map_err(context)?;
        let stat = file_stat(key, &self.disk.stat_file(&file).map_err(context)?)?;
        Ok(FsBlob {
            engine: Arc::clone(self),
            file: Arc::new(file),
            key: key.clone(),
            stat,
        })
    }

    pub(super) async fn read(self: &Arc<Self>, key: &Key, limit: u64) -> Result<Object> {
        let FsBlob { file, stat, .. } = self.open_blob(key)?;
        let size = usize::try_from(stat.size)
            .ok()
            .filter(|_| stat.size <= limit)
            .ok_or_else(|| {
                let context = format!(
                    "read `{key}`: it has {} bytes, at most {limit} are allowed here",
                    stat.size
                );
                Error::new(ErrorKind::TooLarge, context)
            })?;
        let mut bytes = vec![0; size];
        let mut filled = 0;
        while filled < size {
            match self.disk.read_at_once(&file, &mut bytes[filled..], filled as u64) {
                Ok(0) => return Err(damaged(key, stat.size, filled as u64)),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let (engine, key) = (Arc::clone(self), key.clone());
                    let read = move || engine.fill(&file, &key, bytes, filled);
                    return Ok(Object {
                        bytes: blocking(read).await?.into(),
                        stat,
                    });
                }
                Err(error) => return Err(Error::io(format!("read `{key}`"), error)),
            }
        }
        Ok(Object {
            bytes: bytes.into(),
            stat,
        })
    }

    /// Reads the rest of `bytes`, of which `filled` are there. Blocks.
    fn fill(&self, file: &D::File, key: &Key, mut bytes: Vec<u8>, mut filled: usize) -> Result<Vec<u8>> {
        while filled < bytes.len() {
            match self.disk.read_at(file, &mut bytes[filled..], filled as u64) {
                Ok(0) => return Err(damaged(key, bytes.len() as u64, filled as u64)),
                Ok(count) => filled += count,
                Err(error) => return Err(Error::io(format!("read `{key}`"), error)),
            }
        }
        Ok(bytes)
    }
}

/// A file that is open for streaming.
pub(super) struct FsBlob<D: Disk> {
    engine: Arc<Engine<D>>,
    file: Arc<D::File>,
    key: Key,
    stat: Stat,
}

impl<D: Disk> Blob for FsBlob<D> {
    fn stat(&self) -> Stat {
        self.stat.clone()
    }

    fn stream(self: Box<Self>, range: Range<u64>) -> ByteStream {
        Box::pin(FileStream {
            blob: *self,
            offset: range.start,
            end: range.end,
            waiting: None,
        })
    }

    fn part(&self, range: Range<u64>) -> ByteStream {
        let blob = Box::new(Self {
            engine: Arc::clone(&self.engine),
            file: Arc::clone(&self.file),
            key: self.key.clone(),
            stat: self.stat.clone(),
        });
        blob.stream(range)
    }
}

struct FileStream<D: Disk> {
    blob: FsBlob<D>,
    offset: u64,
    end: u64,
    waiting: Option<JoinHandle<(io::Result<usize>, Space)>>,
}

/// The memory that a read fills.
enum Space {
    Small(Vec<u8>),
    Pooled(Buffer),
}

impl<D: Disk> Stream for FileStream<D> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = &mut *self;
        let (read, space) = match &mut this.waiting {
            Some(job) => {
                let finished = ready!(Pin::new(job).poll(context));
                this.waiting = None;
                match finished {
                    Ok(finished) => finished,
                    Err(error) => return this.fail(failed_job(error)),
                }
            }
            None if this.offset >= this.end => return Poll::Ready(None),
            None => {
                let length = this.length();
                let mut space = this.space(length);
                let engine = &this.blob.engine;
                match engine
                    .disk
                    .read_at_once(&this.blob.file, &mut space.bytes()[..length], this.offset)
                {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        this.waiting = Some(this.wait_for_the_disk(space, length));
                        return self.poll_next(context);
                    }
                    read => (read, space),
                }
            }
        };
        match read {
            Ok(0) => this.fail(damaged(&this.blob.key, this.blob.stat.size, this.offset)),
            Ok(count) => {
                this.offset += count as u64;
                Poll::Ready(Some(Ok(space.into_bytes(count))))
            }
            Err(error) => this.fail(Error::io(format!("read `{}`", this.blob.key), error)),
        }
    }
}

impl<D: Disk> FileStream<D> {
    /// The length of the next piece. While many streams hold one that is not sent, pieces are small, so that more
    /// streams have one.
    fn length(&self) -> usize {
        let longest = if self.blob.engine.pool.lent() < MANY {
            BUFFER
        } else {
            SMALL
        };
        usize::try_from(self.end - self.offset)
            .unwrap_or(longest)
            .min(longest)
    }

    fn space(&self, length: usize) -> Space {
        match length {
            small @ 0..=SMALL => Space::Small(vec![0; small]),
            _ => Space::Pooled(self.blob.engine.pool.take()),
        }
    }

    fn wait_for_the_disk(&self, mut space: Space, length: usize) -> JoinHandle<(io::Result<usize>, Space)> {
        let (engine, file) = (Arc::clone(&self.blob.engine), Arc::clone(&self.blob.file));
        let (offset, end) = (self.offset, self.end);
        tokio::task::spawn_blocking(move || {
            let after = offset + length as u64;
            if after < end {
                engine.disk.read_ahead(&file, after, READ_AHEAD.min(end - after));
            }
            (
                engine.disk.read_at(&file, &mut space.bytes()[..length], offset),
                space,
            )
        })
    }

    /// Ends the stream.
    fn fail(&mut self, error: Error) -> Poll<Option<Result<Bytes>>> {
        self.offset = self.end;
        Poll::Ready(Some(Err(error)))
    }
}

impl Space {
    fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Pooled(buffer) => buffer.space(),
        }
    }

    fn into_bytes(self, filled: usize) -> Bytes {
        match self {
            Self::Small(mut bytes) => {
                bytes.truncate(filled);
                bytes.into()
            }
            Self::Pooled(buffer) => buffer.into_bytes(filled),
        }
    }
}

/// What a caller learns of a regular file; anything else at a key is not an object.
pub(super) fn file_stat(key: &Key, metadata: &Metadata) -> Result<Stat> {
    if metadata.kind != Kind::File {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("open `{key}`: not a file"),
        ));
    }
    Ok(stat_of(metadata))
}

fn stat_of(metadata: &Metadata) -> Stat {
    Stat {
        size: metadata.size,
        modified: metadata.modified.into(),
        version: version(metadata),
    }
}

/// A mark of the state that `metadata` shows, when a later change would surely show in it.
pub(super) fn version(metadata: &Metadata) -> Option<Version> {
    let changed = metadata.changed;
    let racy = if changed.nanoseconds == 0 {
        RACY_SECONDS
    } else {
        RACY
    };
    let settled = metadata.stamped_here
        && SystemTime::now()
            .duration_since(changed.into())
            .is_ok_and(|age| age > racy);
    settled.then(|| Version::file(mark(metadata)))
}

/// Whether `metadata` still shows the state that `version` stands for. That a change is too recent for a version of
/// its own does not matter here: it differs from every version that was given out before.
pub(super) fn is_of_version(metadata: &Metadata, version: &Version) -> bool {
    metadata.kind == Kind::File && version.as_file() == Some(mark(metadata))
}

fn mark(metadata: &Metadata) -> FileMark {
    let stamp = |stamp: Stamp| {
        stamp
            .seconds
            .cast_unsigned()
            .wrapping_mul(1_000_000_000)
            .wrapping_add(stamp.nanoseconds.into())
    };
    [
        metadata.inode,
        metadata.size,
        stamp(metadata.modified),
        stamp(metadata.changed),
    ]
}

fn damaged(key: &Key, size: u64, offset: u64) -> Error {
    let context = format!("read `{key}`: it ends after {offset} of {size} bytes");
    Error::new(ErrorKind::Damaged, context)
}
