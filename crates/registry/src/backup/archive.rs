//! A backup as one file: a tar, which may be compressed. It is written and read from its beginning to its end.

mod reader;

use std::{
    io::{self, Read, Write},
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use futures_util::TryStreamExt as _;
use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    task::JoinHandle,
};
use wharf_oci::{Digest, Hasher};
use wharf_storage::{ByteStream, Error as StorageError};

use super::{
    error::{Error, Result},
    layout::{INDEX, OCI_LAYOUT, Place},
    sink::Sink,
};
use crate::{
    collect::digests::DigestSet,
    transfer::{Failure, updated},
    tree::parallel::failed_job,
};

pub use self::reader::OpenFile;
pub(super) use self::reader::Reader;

/// How many pieces of at most 256 KiB wait to be compressed and written.
const WAITING: usize = 8;

/// How hard zstd tries: layers are compressed already.
const LEVEL: i32 = 3;

/// What is done to the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// They are compressed with zstd.
    Zstd,
}

/// A file that a backup is written to. It gets the last byte before [`Taker::run`](super::Taker::run) returns, and is not synced.
pub struct FileTarget {
    /// The file.
    pub file: Box<dyn Write + Send>,
    /// What is done to its bytes.
    pub compression: Compression,
}

impl std::fmt::Debug for FileTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileTarget")
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

/// What the thread that writes the file gets.
enum Command {
    /// An entry of so many bytes begins.
    Entry(String, u64),
    Data(Bytes),
}

/// The file. It is written by a thread of its own, in the order in which entries come.
#[derive(Debug)]
pub(super) struct FileSink {
    writing: AsyncMutex<Writing>,
    written: Mutex<DigestSet>,
    damaged: Mutex<Vec<Digest>>,
}

#[derive(Debug)]
struct Writing {
    /// `None`: the file has ended.
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl FileSink {
    /// Begins the file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(super) async fn begin(target: FileTarget) -> Result<Self> {
        let (commands, received) = mpsc::channel(WAITING);
        let thread = tokio::task::spawn_blocking(move || write(target, received));
        let sink = Self {
            writing: AsyncMutex::new(Writing {
                commands: Some(commands),
                thread: Some(thread),
            }),
            written: Mutex::default(),
            damaged: Mutex::default(),
        };
        let (name, layout) = OCI_LAYOUT;
        sink.entry(name, Bytes::from_static(layout)).await?;
        Ok(sink)
    }

    async fn entry(&self, path: &str, bytes: Bytes) -> Result<()> {
        let mut writing = self.writing.lock().await;
        writing
            .send(Command::Entry(path.to_owned(), bytes.len() as u64))
            .await?;
        writing.send(Command::Data(bytes)).await
    }
}

impl Writing {
    async fn send(&mut self, command: Command) -> Result<()> {
        let sent = match &self.commands {
            Some(commands) => commands.send(command).await.is_ok(),
            None => false,
        };
        if sent {
            return Ok(());
        }
        // The thread has ended, which only an error makes it do.
        self.end().await?;
        Err(failed(io::ErrorKind::BrokenPipe.into()))
    }

    /// Lets the thread end, and returns how it did.
    async fn end(&mut self) -> Result<()> {
        self.commands = None;
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread.await.map_err(failed_job)?.map_err(failed)
    }
}

fn failed(error: io::Error) -> Error {
    Error::File {
        what: "cannot write the backup".to_owned(),
        error,
    }
}

/// The error of a file as one of a destination.
fn writing(error: Error) -> Failure {
    Failure::Writing(match error {
        Error::Storage(error) => error,
        Error::File { what, error } => StorageError::io(what, error),
        other => StorageError::io("write the backup", io::Error::other(other.to_string())),
    })
}

#[async_trait]
impl Sink for FileSink {
    /// An entry says its size first, so one whose bytes end early is filled up with zeros, and counts as damaged.
    async fn blob(&self, digest: &Digest, size: u64, mut pieces: ByteStream) -> Result<(), Failure> {
        let mut file = self.writing.lock().await;
        if self.written.lock().contains(digest) {
            return Ok(());
        }
        let entry = Command::Entry(Place::Blob(*digest).path(), size);
        file.send(entry).await.map_err(writing)?;
        let (mut left, mut hasher) = (size, Hasher::new(digest.algorithm()));
        let ended = loop {
            match pieces.try_next().await {
                Ok(None) => break Ok(()),
                Ok(Some(piece)) => {
                    let piece = piece.slice(..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                    left -= piece.len() as u64;
                    file.send(Command::Data(piece.clone())).await.map_err(writing)?;
                    hasher = updated(hasher, piece).await.map_err(Failure::Reading)?;
                }
                Err(error) => break Err(Failure::Reading(error)),
            }
        };
        while left > 0 {
            let zeros = Bytes::from_static(&[0; 64 << 10]);
            let zeros = zeros.slice(..zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            left -= zeros.len() as u64;
            file.send(Command::Data(zeros)).await.map_err(writing)?;
        }
        let is_right = hasher.finish() == *digest;
        let checked = ended.and_then(|()| match is_right {
            true => Ok(()),
            false => Err(Failure::Other),
        });
        match &checked {
            Ok(()) => self.written.lock().insert(digest),
            Err(_) => self.damaged.lock().push(*digest),
        }
        checked
    }

    async fn document(&self, place: Place, bytes: Bytes) -> Result<()> {
        self.entry(&place.path(), bytes).await
    }

    fn damaged(&self) -> Vec<Digest> {
        let mut damaged = self.damaged.lock().clone();
        damaged.sort_unstable();
        damaged.dedup();
        damaged
    }

    /// The snapshot comes last: a file that was cut short has none.
    async fn end(&self, (path, snapshot): (&str, Bytes), index: Bytes) -> Result<()> {
        self.entry(INDEX, index).await?;
        self.entry(path, snapshot).await?;
        self.writing.lock().await.end().await
    }
}

/// Writes the file. Blocks.
fn write(target: FileTarget, commands: mpsc::Receiver<Command>) -> io::Result<()> {
    match target.compression {
        Compression::None => {
            let mut file = write_tar(io::BufWriter::new(target.file), commands)?;
            file.flush()
        }
        Compression::Zstd => {
            // It needs no checksums of its own: each entry has its digest.
            let encoder = zstd::Encoder::new(target.file, LEVEL)?;
            write_tar(encoder, commands)?.finish()?.flush()
        }
    }
}

fn write_tar<W: Write>(file: W, mut commands: mpsc::Receiver<Command>) -> io::Result<W> {
    let mut tar = tar::Builder::new(file);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    while let Some(command) = commands.blocking_recv() {
        let Command::Entry(path, size) = command else {
            return Err(io::Error::other("bytes of no entry"));
        };
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(now);
        let data = Data {
            commands: &mut commands,
            left: size,
            piece: Bytes::new(),
        };
        tar.append_data(&mut header, path, data)?;
    }
    tar.into_inner()
}

/// The bytes of an entry.
struct Data<'a> {
    commands: &'a mut mpsc::Receiver<Command>,
    left: u64,
    piece: Bytes,
}

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            if self.left == 0 {
                return Ok(0);
            }
            match self.commands.blocking_recv() {
                Some(Command::Data(piece)) => self.piece = piece,
                // What wrote it has ended half-way.
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        self.left = self.left.saturating_sub(length as u64);
        Ok(length)
    }
}
