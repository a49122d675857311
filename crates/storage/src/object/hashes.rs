//! The digests of bytes that come piece by piece, computed where that does not hold up other requests.

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, Hasher};

use crate::{Error, ErrorKind, Result};

/// The most bytes that are hashed on an async thread, which takes some 100 µs.
const INLINE: usize = 128 * 1024;

/// SHA-256, and perhaps another one, of the same bytes.
#[derive(Debug, Clone)]
pub(super) struct Hashes {
    sha256: Hasher,
    also: Option<Hasher>,
}

impl Hashes {
    pub(super) fn new(also: Option<Algorithm>) -> Self {
        let also = also.filter(|also| *also != Algorithm::Sha256);
        Self {
            sha256: Hasher::new(Algorithm::Sha256),
            also: also.map(Hasher::new),
        }
    }

    /// Goes on from a state that has SHA-256 alone.
    pub(super) fn from_sha256(sha256: Hasher) -> Self {
        Self { sha256, also: None }
    }

    /// Much is hashed on a blocking thread.
    pub(super) async fn update(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.len() <= INLINE {
            self.update_now(&bytes);
            return Ok(());
        }
        let mut hashes = self.clone();
        let hashing = tokio::task::spawn_blocking(move || {
            hashes.update_now(&bytes);
            hashes
        });
        *self = hashing
            .await
            .map_err(|error| Error::with_source(ErrorKind::Other, "hash", error))?;
        Ok(())
    }

    pub(super) fn sha256(&self) -> &Hasher {
        &self.sha256
    }

    pub(super) fn finish(self) -> (Digest, Option<Digest>) {
        (self.sha256.finish(), self.also.map(Hasher::finish))
    }

    fn update_now(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(also) = &mut self.also {
            also.update(bytes);
        }
    }
}
