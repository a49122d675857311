//! Bytes of an upload that are gathered while earlier ones are written.

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, Hasher};

use super::pool::{Buffer, Pool};

/// An upload that is no larger never becomes a file of its own: it is written where it is published from.
pub(super) const SMALL: usize = 64 * 1024;

/// Bytes on their way to a job.
pub(super) struct Gathered {
    pool: Arc<Pool>,
    full: Vec<Bytes>,
    /// The first [`SMALL`] bytes of the first run: a small upload takes no buffer of the pool.
    small: Vec<u8>,
    is_first_run: bool,
    open: Option<Buffer>,
    pub(super) size: usize,
}

impl Gathered {
    pub(super) fn new(pool: &Arc<Pool>) -> Self {
        Self {
            pool: Arc::clone(pool),
            full: Vec::new(),
            small: Vec::new(),
            is_first_run: true,
            open: None,
            size: 0,
        }
    }

    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        self.size += bytes.len();
        if self.is_first_run && self.size <= SMALL {
            self.small.extend_from_slice(bytes);
            return;
        }
        while !bytes.is_empty() {
            let mut buffer = self.open.take().unwrap_or_else(|| self.pool.take());
            bytes = &bytes[buffer.add(bytes)..];
            if buffer.is_full() {
                self.full.push(buffer.freeze());
            } else {
                self.open = Some(buffer);
            }
        }
    }

    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.size = 0;
        self.is_first_run = false;
        let small = Some(std::mem::take(&mut self.small)).filter(|small| !small.is_empty());
        small
            .map(Bytes::from)
            .into_iter()
            .chain(self.full.drain(..))
            .chain(self.open.take().map(Buffer::freeze))
            .collect()
    }
}

/// The digests of gathered bytes.
pub(super) fn digests_of(frames: &[Bytes], also: Option<Algorithm>) -> Vec<Digest> {
    let algorithms = std::iter::once(Algorithm::Sha256).chain(also.filter(|also| *also != Algorithm::Sha256));
    algorithms
        .map(|algorithm| {
            let mut hasher = Hasher::new(algorithm);
            frames.iter().for_each(|frame| hasher.update(frame));
            hasher.finish()
        })
        .collect()
}
