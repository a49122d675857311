//! How long requests wait for one another.

use std::time::Duration;

use tokio::time;
use wharf_budget::{Exhausted, Permit, Share};

use crate::error::{Error, Result};

/// How long a request waits for what other requests use, a lock or a turn: longer than they need on a disk that works, and
/// shorter than a proxy waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What `wait` waits for, unless that takes too long for the `reason`.
///
/// # Errors
///
/// [`Error::Busy`] with `reason`.
pub(crate) async fn soon<T>(wait: impl Future<Output = T>, reason: &'static str) -> Result<T> {
    time::timeout(PATIENCE, wait)
        .await
        .map_err(|_elapsed| Error::Busy { reason })
}

/// A turn at the work of which `share` permits only some at once.
///
/// # Errors
///
/// [`Exhausted`] when that takes too long.
pub(crate) async fn turn(share: &Share) -> Result<Permit, Exhausted> {
    share.wait(1, PATIENCE).await
}
