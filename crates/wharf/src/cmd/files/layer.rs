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
    let (pieces, received) = mpsc::channel(PIECES);
    let mut bytes = LayerBytes::new(received, descriptor);
    let reading = tokio::task::spawn_blocking(move || {
        let done = work(&mut bytes)?;
        bytes.finish()?;
        Ok::<T, wharf_layers::Error>(done)
    });
    let mut blob = BlobReader::new(Arc::clone(client), repository, &digest);
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
    sent.with_context(|| format!("cannot read the layer `{digest}`"))?;
    read.with_context(|| format!("the layer `{digest}`"))
}

/// The bytes of a layer, which are compared with its descriptor while they are read.
struct LayerBytes {
    received: mpsc::Receiver<Bytes>,
    piece: Bytes,
    hasher: Hasher,
    count: u64,
    digest: Digest,
    size: u64,
}

impl LayerBytes {
    fn new(received: mpsc::Receiver<Bytes>, descriptor: &Descriptor) -> Self {
        Self {
            received,
            piece: Bytes::new(),
            hasher: Hasher::new(descriptor.digest.algorithm()),
            count: 0,
            digest: descriptor.digest,
            size: descriptor.size,
        }
    }

    /// Reads what is left, and compares.
    fn finish(mut self) -> io::Result<()> {
        while self.next() {}
        let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        let actual = self.hasher.finish();
        if actual != self.digest || self.count != self.size {
            return wrong(format!(
                "its {} bytes have the digest `{actual}`, and should be {} with `{}`: the registry has damaged bytes, or the connection broke; nothing that was read of them can be trusted",
                self.count, self.size, self.digest
            ));
        }
        Ok(())
    }

    /// Takes the next piece; false at the end.
    fn next(&mut self) -> bool {
        let Some(piece) = self.received.blocking_recv() else {
            return false;
        };
        self.hasher.update(&piece);
        self.count += piece.len() as u64;
        self.piece = piece;
        true
    }
}

impl Read for LayerBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            if !self.next() {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
