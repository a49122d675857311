//! Pieces of files, read without blocking the connections.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};

use super::error::LayoutError;
use crate::{Error, Result, stream::Blob};

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// A part of a file: a blob.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// Bytes of the file before the part.
    pub(super) start: u64,
    /// Size in bytes.
    pub(super) size: u64,
}

/// A blob of a file, read piece by piece.
#[derive(Debug)]
pub(super) struct FileReader {
    part: Part,
    position: u64,
}

impl Part {
    /// All of the file at `path`; `None`: there is none.
    pub(super) fn whole(path: &Path) -> std::result::Result<Option<Self>, LayoutError> {
        let failed = |error: io::Error| LayoutError::io(path, &error);
        #[expect(clippy::disallowed_methods, reason = "an exported image is not in the store")]
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let size = file.metadata().map_err(failed)?.len();
        Ok(Some(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            start: 0,
            size,
        }))
    }

    /// All bytes, which must not be more than `limit`.
    pub(super) fn read(&self, limit: usize) -> std::result::Result<Bytes, LayoutError> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if size > limit {
            let reason = format!("it has a document of {size} bytes, more than any image has");
            return Err(LayoutError::no_image(&self.path, reason));
        }
        let mut bytes = BytesMut::zeroed(size);
        let read = self.file.read_exact_at(&mut bytes, self.start);
        read.map_err(|error| LayoutError::io(&self.path, &error))?;
        Ok(bytes.freeze())
    }

    /// Its bytes one after another, for reading that may block.
    pub(super) fn sequential(&self) -> Sequential<'_> {
        Sequential {
            part: self,
            position: 0,
        }
    }

    pub(super) fn reader(self) -> FileReader {
        FileReader {
            part: self,
            position: 0,
        }
    }
}

/// The bytes of a part from its start, and what follows it in the file.
pub(super) struct Sequential<'a> {
    part: &'a Part,
    position: u64,
}

impl io::Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.part.file.read_at(buffer, self.part.start + self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Blob for FileReader {
    fn seek(&mut self, position: u64) {
        self.position = position;
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let left = self.part.size.saturating_sub(self.position);
        let length = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        if length == 0 {
            return Ok(None);
        }
        let (file, at) = (Arc::clone(&self.part.file), self.part.start + self.position);
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = BytesMut::zeroed(length);
            file.read_exact_at(&mut piece, at).map(|()| piece.freeze())
        });
        let failed = |reason: String| Error::File {
            path: self.part.path.display().to_string(),
            reason,
        };
        let piece = read.await.map_err(|error| failed(error.to_string()))?;
        let piece = piece.map_err(|error| failed(error.to_string()))?;
        self.position += piece.len() as u64;
        Ok(Some(piece))
    }
}
