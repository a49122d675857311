//! A blob of an upstream, read piece by piece.

use bytes::Bytes;

use super::UpstreamError;
use crate::{BlobReader, stream::Blob as _};

/// A blob of an upstream, or a part of one, read piece by piece. Its digest is not checked.
#[derive(Debug)]
pub struct UpstreamBlob {
    reader: BlobReader,
    size: Option<u64>,
    origin: String,
}

impl UpstreamBlob {
    /// The blob that `reader` has started to read from the upstream at `origin`.
    pub(super) fn new(reader: BlobReader, origin: String) -> Self {
        let size = reader.left();
        Self { reader, size, origin }
    }

    /// Number of bytes of the whole answer; `None`: the upstream does not say it. No more bytes than these come.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next bytes; `None` at the end. A connection that breaks, or brings no byte for 60 seconds, is replaced by another one,
    /// which goes on at the same place; after three of them without a byte the blob has failed.
    ///
    /// # Errors
    /// When the upstream fails, or sends fewer bytes than it announced.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let next = self.reader.next().await;
        next.map_err(|error| UpstreamError::of(&self.origin, &error))
    }
}
