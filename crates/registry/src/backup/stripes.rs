//! One transfer of a blob at a time: several repositories may point at it.

use tokio::sync::{Mutex, MutexGuard};
use wharf_oci::Digest;

/// How many blobs of different stripes can be on their way at once, at most.
const STRIPES: usize = 64;

/// A lock for each digest, which it shares with those of its stripe.
#[derive(Debug)]
pub(super) struct Stripes([Mutex<()>; STRIPES]);

impl Default for Stripes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Stripes {
    /// Waits until no other blob of the stripe of `digest` is on its way.
    pub(super) async fn lock(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        let first = digest.bytes().first().copied().unwrap_or_default();
        self.0[usize::from(first) % STRIPES].lock().await
    }
}
