//! One layer, from its registry to a thread that reads it.

use std::{
    io::{self, Read},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;
use wharf_client::{Blob as _, BlobReader, Client};
use wharf_oci::{Descriptor, Digest, Hasher};

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
    let (hasher, size) = (Hasher::new(digest.algorithm()), descriptor.size);
    let blob = BlobReader::new(Arc::clone(client), repository, &digest);
    let read = pipe(blob, move |bytes| {
        let mut bytes = Compared::new(bytes, hasher);
        let done = work(&mut bytes)?;
        bytes.finish(digest, size)?;
        Ok(done)
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

/// The bytes of a layer, which are compared with its descriptor while they are read.
struct Compared<'a> {
    bytes: &'a mut dyn Read,
    hasher: Hasher,
    count: u64,
}

impl<'a> Compared<'a> {
    fn new(bytes: &'a mut dyn Read, hasher: Hasher) -> Self {
        Self {
            bytes,
            hasher,
            count: 0,
        }
    }

    /// Reads what is left, and compares.
    fn finish(mut self, digest: Digest, size: u64) -> io::Result<()> {
        io::copy(&mut self, &mut io::sink())?;
        let actual = self.hasher.finish();
        if actual == digest && self.count == size {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "its {} bytes have the digest `{actual}`, and should be {size} with `{digest}`: the registry has damaged bytes, or the connection broke; nothing that was read of them can be trusted",
                self.count
            ),
        ))
    }
}

impl Read for Compared<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}
