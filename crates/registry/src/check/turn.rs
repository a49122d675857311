//! The turn to check a whole store: one check at a time, before which the scrub stands back.
//!
//! On a bucket that is the [lease](Lease) of the scrub. A check takes it from a scrub, which is in no hurry and stops at its next renewal,
//! and waits for another check. In one process the scrub also stops at its next step, because a directory has no lease
//! ([`ScrubRecord::stand_back`](crate::ScrubRecord::stand_back)). Two checks at once would do no harm, so none waits for a process that
//! has died longer than its lease holds.

use std::{sync::Arc, time::Duration};

use wharf_storage::{KeyError, Result, Storage};

use crate::lease::{Lease, LeaseHolder};

/// Name of the lease.
pub(crate) const SCRUB: &str = "scrub";

/// For how long the lease holds after a renewal.
pub(crate) const TERM: Duration = Duration::from_secs(5 * 60);

/// How often a check that waits asks again.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The turn of one process.
#[derive(Debug)]
pub struct CheckTurn(Lease);

impl CheckTurn {
    /// The turn to check `storage`, which is not taken yet.
    ///
    /// # Errors
    ///
    /// Never, as long as the name of the lease can be part of a key.
    pub fn new(storage: &Arc<dyn Storage>) -> Result<Self, KeyError> {
        let lease = Lease::new(Arc::clone(storage), SCRUB, TERM)?;
        Ok(Self(lease.for_work("check")))
    }

    /// Takes the turn, or keeps it: to be called now and then while the check runs. `Some`: another process checks.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn take(&mut self) -> Result<Option<LeaseHolder>> {
        Ok(match self.0.take_from(SCRUB).await? {
            true => None,
            false => Some(self.0.holder().unwrap_or_else(|| LeaseHolder {
                host: String::new(),
                work: String::new(),
            })),
        })
    }

    /// Gives the turn back.
    pub async fn give_back(&mut self) {
        if let Err(error) = self.0.give_back().await {
            tracing::debug!(%error, "cannot give the turn to check back; it ends by itself");
        }
    }
}
