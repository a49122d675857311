//! A lease by which one of several replicas does the work of a worker: for economy, not for safety.
//!
//! The lease is an object with the name of its holder and a number that changes with each renewal. A process that wants the
//! lease takes it when there is none, or when it has seen the same renewal for as long as the term that stands in it, by
//! its own monotonic clock: so no two clocks are compared, and a takeover takes at most one term more.
//!
//! Two processes may hold it at once for some time: where the store ignores conditions, or when a holder stood still. The
//! holder that reads the other's name at its next renewal gives up. So whatever a worker does under a lease must be harmless
//! when it is done twice. On a directory, which belongs to one process, there is nothing to agree on, and no object.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;
use wharf_storage::{ErrorKind, Key, KeyError, Put, Result, Storage, layout, replicas};

/// The process that holds a lease, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// Name of its machine, or of its container; empty if it does not say.
    pub host: String,
    /// What it does, in one word.
    pub work: String,
}

/// The largest lease, in bytes.
const LIMIT: u64 = 1024;

/// How many leases are read: there are few workers.
const MOST: usize = 50;

/// The lease of the workers of one name.
#[derive(Debug)]
pub struct Lease {
    storage: Arc<dyn Storage>,
    key: Key,
    holder: Uuid,
    work: String,
    term: Duration,
    /// When this process last wrote the lease, at the latest; `None` when it does not hold it.
    renewed: Option<Instant>,
    renewals: u64,
    /// The lease of another process as it was last read, and when that was first.
    seen: Option<(Bytes, Instant)>,
}

/// The content of a lease.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    holder: Uuid,
    /// Seconds after which a lease that was not renewed is free
    term: u64,
    renewal: u64,
    #[serde(default)]
    host: String,
    #[serde(default)]
    work: String,
}

impl Lease {
    /// The lease of the workers called `worker`, which holds for `term` after each renewal. Does no I/O.
    ///
    /// # Errors
    ///
    /// When `worker` cannot be part of a key.
    pub fn new(storage: Arc<dyn Storage>, worker: &str, term: Duration) -> Result<Self, KeyError> {
        Ok(Self {
            key: layout::worker_lease(worker)?,
            storage,
            holder: Uuid::new_v4(),
            work: worker.to_owned(),
            term,
            renewed: None,
            renewals: 0,
            seen: None,
        })
    }

    /// The same, held for another work than that of the worker after which it is named.
    #[must_use]
    pub fn for_work(self, work: &str) -> Self {
        Self {
            work: work.to_owned(),
            ..self
        }
    }

    /// This lease, in the name by which the process is known among the [replicas], so that it can be told which of
    /// them works.
    #[must_use]
    pub fn held_by(self, process: Uuid) -> Self {
        Self {
            holder: process,
            ..self
        }
    }

    /// The other process that held the lease when it was asked for last.
    pub fn holder(&self) -> Option<LeaseHolder> {
        let (seen, _) = self.seen.as_ref()?;
        let content = serde_json::from_slice::<Content>(seen).ok()?;
        Some(LeaseHolder {
            host: content.host,
            work: content.work,
        })
    }

    /// The workers of which a process has the lease, each with the name of that process. One that died has it until its term is over.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn holders(storage: &dyn Storage) -> Result<Vec<(Box<str>, Uuid)>> {
        let mut holders = Vec::new();
        for found in storage.scan(&layout::worker_leases(), None, MOST).await?.objects {
            let content = match storage.read(&found.key, LIMIT).await {
                Ok(lease) => serde_json::from_slice::<Content>(&lease.bytes).ok(),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            };
            holders.extend(content.map(|content| (found.key.name().into(), content.holder)));
        }
        Ok(holders)
    }

    /// Whether this process may work now: takes the lease if it is free, and renews it when half of its term is over. To be called
    /// before each unit of work.
    ///
    /// # Errors
    ///
    /// Errors of the store. Whether the lease is held is unknown then, and may be asked again.
    pub async fn hold(&mut self) -> Result<bool> {
        self.hold_before(None).await
    }

    /// As [`hold`](Self::hold), also where another process holds the lease for the work `lesser`, which that gives up at its next renewal.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn take_from(&mut self, lesser: &str) -> Result<bool> {
        self.hold_before(Some(lesser)).await
    }

    async fn hold_before(&mut self, lesser: Option<&str>) -> Result<bool> {
        if !self.storage.is_shared() {
            return Ok(true);
        }
        let half = self.term / 2;
        if self.renewed.is_some_and(|renewed| renewed.elapsed() < half) {
            return Ok(true);
        }
        let put = Put::new(self.key.clone(), self.content());
        let put = match self.storage.read(&self.key, LIMIT).await {
            Err(error) if error.is_not_found() => put.if_absent(),
            Err(error) => return Err(error),
            Ok(lease) => {
                if self.may_be_held(&lease.bytes) && !is_for(&lease.bytes, lesser) {
                    self.renewed = None;
                    return Ok(false);
                }
                match lease.stat.version {
                    Some(version) => put.only_if(version),
                    None => put,
                }
            }
        };
        let asked = Instant::now();
        self.seen = None;
        let put = self.storage.publish(&[put]).await;
        self.renewals += 1;
        self.renewed = match put {
            Ok(()) => Some(asked),
            Err(error) if error.kind() == ErrorKind::Precondition => None,
            Err(error) => return Err(error),
        };
        Ok(self.renewed.is_some())
    }

    /// Gives the lease back, so that no other process waits for its end. Does nothing if this process does not hold it.
    ///
    /// # Errors
    ///
    /// Errors of the store; the lease then ends by itself.
    pub async fn give_back(&mut self) -> Result<()> {
        if self.renewed.take().is_none() {
            return Ok(());
        }
        match self.storage.remove(&self.key, &self.key).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    fn content(&self) -> Vec<u8> {
        let content = Content {
            holder: self.holder,
            term: self.term.as_secs(),
            renewal: self.renewals,
            host: replicas::host(),
            work: self.work.clone(),
        };
        serde_json::to_vec(&content).unwrap_or_default()
    }

    /// Whether another process may hold the lease that was read.
    fn may_be_held(&mut self, lease: &Bytes) -> bool {
        let content = serde_json::from_slice::<Content>(lease).ok();
        if content
            .as_ref()
            .is_some_and(|content| content.holder == self.holder)
        {
            return false;
        }
        let term = content.map_or(self.term, |content| Duration::from_secs(content.term));
        match &self.seen {
            Some((seen, since)) if seen == lease => since.elapsed() < term,
            _ => {
                self.seen = Some((lease.clone(), Instant::now()));
                true
            }
        }
    }
}

/// Whether the lease is held for `work`.
fn is_for(lease: &Bytes, work: Option<&str>) -> bool {
    let content = serde_json::from_slice::<Content>(lease);
    work.is_some_and(|work| content.is_ok_and(|content| content.work == work))
}
