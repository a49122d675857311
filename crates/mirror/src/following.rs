//! A request that reads a download while it is under way.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream::try_unfold};
use wharf_registry::{BlobInfo, Registry};
use wharf_storage::{ByteStream, Error, ErrorKind};

use crate::download::{Download, Step};

/// A blob that is being downloaded.
#[derive(Debug)]
pub struct Following {
    /// Digest and size of the blob.
    pub info: BlobInfo,
    joined: Joined,
    registry: Arc<Registry>,
}

/// That a request waits for a download, as long as this lives.
#[derive(Debug)]
pub(crate) struct Joined(Arc<Download>);

impl Joined {
    pub(crate) fn new(download: Arc<Download>) -> Self {
        download.joined();
        Self(download)
    }

    pub(crate) fn download(&self) -> &Download {
        &self.0
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.0.left();
    }
}

/// Where a stream is.
struct Position {
    joined: Joined,
    registry: Arc<Registry>,
    next: u64,
    end: u64,
    /// The rest, read from the repository.
    rest: Option<ByteStream>,
}

impl Following {
    pub(crate) fn new(joined: Joined, size: u64, registry: Arc<Registry>) -> Self {
        let info = BlobInfo {
            digest: joined.download().digest,
            size,
        };
        Self {
            info,
            joined,
            registry,
        }
    }

    /// The bytes of `range`, which must lie within the blob, as they arrive. The stream fails where the download does, at the latest
    /// before the last piece of a blob that has another digest.
    pub fn stream(self, range: Range<u64>) -> ByteStream {
        let position = Position {
            joined: self.joined,
            registry: self.registry,
            next: range.start,
            end: range.end,
            rest: None,
        };
        Box::pin(pieces(position))
    }
}

fn pieces(position: Position) -> impl Stream<Item = wharf_storage::Result<Bytes>> {
    try_unfold(position, |mut position| async move {
        let piece = position.next().await?;
        Ok(piece.map(|piece| (piece, position)))
    })
}

impl Position {
    async fn next(&mut self) -> wharf_storage::Result<Option<Bytes>> {
        let mut changes = self.joined.download().changes();
        loop {
            if let Some(rest) = &mut self.rest {
                return rest.try_next().await;
            }
            changes.mark_unchanged();
            let piece = match self.joined.download().step(self.next, self.end) {
                Step::End => return Ok(None),
                Step::Pass(piece) => piece,
                Step::Read(written, range) => written.read(range).await?,
                Step::Stored => {
                    self.rest = Some(self.stored().await?);
                    continue;
                }
                Step::Wait => {
                    changes.changed().await.map_err(|_| lost())?;
                    continue;
                }
                Step::Fail(Some(failure)) => {
                    return Err(Error::with_source(
                        ErrorKind::Unavailable,
                        "download a blob from an upstream",
                        failure,
                    ));
                }
                Step::Fail(None) => return Err(lost()),
            };
            self.next += piece.len() as u64;
            return Ok(Some(piece));
        }
    }

    /// What is left, from the repository.
    async fn stored(&mut self) -> wharf_storage::Result<ByteStream> {
        let download = self.joined.download();
        let blob = self
            .registry
            .open_blob_parts(&download.name, &download.digest)
            .await;
        let blob = blob.map_err(|error| {
            Error::with_source(ErrorKind::Unavailable, "read a blob that was downloaded", error)
        })?;
        Ok(blob.part(self.next..self.end))
    }
}

/// The bytes were passed on to faster clients, and could not be stored.
fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "read a download that could not be stored")
}
