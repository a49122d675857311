//! What one layer holds: read from the store with bounded time and memory, and compared with its digest.

use std::{
    io::{self, Read},
    time::Instant,
};

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use wharf_layers::{Entry, Flow, Kind};
use wharf_message::Sentence;
use wharf_oci::{Algorithm, Digest, Hasher};
use wharf_registry::OpenBlob;
use wharf_storage::ByteStream;

use crate::words::MissingFiles;

/// How many bytes the names of one layer, and what is known of its files, take in memory at most.
const LARGEST: usize = 16 << 20;

/// The files of a layer, in the order in which it has them.
#[derive(Debug, Default)]
pub(crate) struct LayerIndex {
    pub(crate) entries: Vec<IndexedFile>,
    /// Why the last ones are missing; `None`: these are all.
    pub(crate) cut: Option<Cut>,
    /// Bytes that it takes in memory, estimated.
    pub(crate) weight: usize,
}

/// An entry of a layer.
#[derive(Debug, Clone)]
pub(crate) struct IndexedFile {
    pub(crate) entry: Entry,
    /// The beginning of the digest of its content; `None` for what has none.
    pub(crate) content: Option<ContentDigest>,
}

/// Enough of a SHA-256 digest to tell two contents apart.
pub(crate) type ContentDigest = [u8; 16];

/// Why the files at the end of a layer are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// There are more than are kept in memory.
    Many,
    /// Reading took too long.
    Slow,
}

impl LayerIndex {
    /// Reads the layer `blob`, not beyond `deadline`. Blocks, and needs a runtime.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be read, are no layer, or are not those of the digest, in words.
    pub(crate) fn read(blob: OpenBlob, runtime: Handle, deadline: Instant) -> Result<Self, Sentence> {
        let (digest, size) = (blob.info.digest, blob.info.size);
        let mut bytes = StoredBytes {
            stream: blob.stream(0..size),
            runtime,
            piece: Bytes::new(),
            hasher: Hasher::new(digest.algorithm()),
            deadline,
            is_late: false,
        };
        let mut index = Self::default();
        let read = wharf_layers::read(&mut bytes, |entry, content| {
            let content = match entry.kind {
                Kind::File => hashed(content)?,
                _ => None,
            };
            index.add(IndexedFile { entry, content });
            Ok(match index.cut {
                None => Flow::Continue,
                Some(_) => Flow::Stop,
            })
        });
        if bytes.is_late {
            index.cut = Some(Cut::Slow);
        }
        match (read, index.cut) {
            (_, Some(_)) => Ok(index),
            // Wrong bytes are what most probably makes a layer unreadable, and the better reason.
            (read, None) => {
                let is_sound = bytes.finish().map_err(|error| in_words(&error))? == digest;
                match (is_sound, read) {
                    (true, Ok(())) => Ok(index),
                    (true, Err(error)) => Err(in_words(&error).into()),
                    (false, _) => Err(MissingFiles::LayerDamaged.into()),
                }
            }
        }
    }

    fn add(&mut self, file: IndexedFile) {
        let texts = file.entry.path.capacity() + file.entry.link.as_ref().map_or(0, String::capacity);
        let weight = size_of::<IndexedFile>() + texts;
        match self.weight + weight > LARGEST {
            true => self.cut = Some(Cut::Many),
            false => {
                self.weight += weight;
                self.entries.push(file);
            }
        }
    }
}

/// The beginning of the digest of a content; `None` for what has none.
fn hashed(content: &mut dyn Read) -> io::Result<Option<ContentDigest>> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let is_empty = io::copy(content, &mut hasher)? == 0;
    let digest = hasher.finish();
    let beginning = digest.bytes().first_chunk::<16>();
    Ok(beginning.filter(|_| !is_empty).copied())
}

/// An error with its causes.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The stored bytes of a layer, hashed as they are read.
struct StoredBytes {
    stream: ByteStream,
    runtime: Handle,
    piece: Bytes,
    hasher: Hasher,
    deadline: Instant,
    is_late: bool,
}

impl StoredBytes {
    /// Takes the next piece; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        if Instant::now() >= self.deadline {
            self.is_late = true;
            return Err(io::ErrorKind::TimedOut.into());
        }
        match self.runtime.block_on(self.stream.next()) {
            None => Ok(false),
            Some(Ok(piece)) => {
                self.hasher.update(&piece);
                self.piece = piece;
                Ok(true)
            }
            Some(Err(error)) => Err(io::Error::other(error)),
        }
    }

    /// The digest of all bytes, those that are left included.
    fn finish(mut self) -> io::Result<Digest> {
        while self.next()? {}
        Ok(self.hasher.finish())
    }
}

impl Read for StoredBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
