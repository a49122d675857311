//! One layer, from its registry to a thread that reads it.

use std::{
    io::{self, Read},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;
use wharf_client::{Blob as _, BlobReader, Client};
use wharf_oci::{Algorithm, Descriptor, Digest, Hasher};

/// Pieces between the connection and the thread, some hundred KiB each at most.
const PIECES: usize = 8;

/// Lets `work` read the layer `descriptor`, and gives its result if the bytes are those of the descriptor, also those that `work` has
/// not read.
///
/// # Errors
///
/// When the bytes do not come, are not those of the descriptor, or `work` fails.
pub(super) async fn read_layer<T: Send + 'static>(
    client: &Arc<Client>,
    repository: &str,
    descriptor: &Descriptor,
    work: impl FnOnce(&mut dyn Read) -> wharf_layers::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let digest = descriptor.digest;
    let size = descriptor.size;
    let blob = BlobReader::new(Arc::clone(client), repository, &digest);
    let read = pipe(blob, move |bytes| {
        let mut bytes = Hashed::new(bytes, digest.algorithm());
        let done = work(&mut bytes)?;
        // Also those that it has not read.
        io::copy(&mut bytes, &mut io::sink())?;
        let (actual, count) = bytes.finish();
        match actual == digest && count == size {
            true => Ok(done),
            false => Err(wrong(format!(
                "its {count} bytes have the digest `{actual}`, and should be {size} with `{digest}`: the registry has damaged bytes, or the connection broke; nothing that was read of them can be trusted"
            ))),
        }
    });
    read.await.with_context(|| format!("the layer `{digest}`"))
}

/// Lets `work` read the bytes of `blob` on a thread for that.
///
/// # Errors
///
/// When the bytes do not come, or `work` fails.
pub(super) async fn pipe<T: Send + 'static>(
    mut blob: BlobReader,
    work: impl FnOnce(&mut dyn Read) -> wharf_layers::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (pieces, received) = mpsc::channel(PIECES);
    let mut bytes = Received {
        received,
        piece: Bytes::new(),
    };
    let reading = tokio::task::spawn_blocking(move || work(&mut bytes));
    let sent = async {
        while let Some(piece) = blob.next().await? {
            // The reader has failed, and says why.
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        Ok::<(), wharf_client::Error>(())
    }
    .await;
    drop(pieces);
    let read = reading
        .await
        .map_err(|_| anyhow!("reading the layer did not end"))?;
    sent.context("cannot read its bytes")?;
    Ok(read?)
}

/// The bytes of a blob, as they are received.
struct Received {
    received: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let Some(piece) = self.received.blocking_recv() else {
                return Ok(0);
            };
            self.piece = piece;
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Bytes that are hashed and counted while they are read.
pub(super) struct Hashed<R> {
    from: R,
    hasher: Hasher,
    count: u64,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(from: R, algorithm: Algorithm) -> Self {
        Self {
            from,
            hasher: Hasher::new(algorithm),
            count: 0,
        }
    }

    /// The digest and the number of the bytes that were read.
    pub(super) fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.count)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

/// The error of bytes that are not those that were named.
pub(super) fn wrong(what: String) -> wharf_layers::Error {
    io::Error::new(io::ErrorKind::InvalidData, what).into()
}
