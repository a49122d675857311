//! The facts about a server: its program, its engine, and the replicas beside it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;
use wharf_registry::Lease;
use wharf_storage::{Storage, replicas};
use wharf_workers::{State, Supervisor, WorkerStatus};

use super::wire;

/// The facts about a server, and what runs in it.
#[derive(Debug, Clone)]
pub struct About {
    /// Version of the program.
    pub version: &'static str,
    /// Commit of its sources.
    pub commit: &'static str,
    /// Profile and target of the compiler.
    pub build: &'static str,
    /// Name of the storage engine: `filesystem`, `inmemory`, `s3aws`, `gcs` or `azure`.
    pub engine: &'static str,
    /// When the server started.
    pub started: Timestamp,
    /// The servers of the same bucket; `None`: the store is in no bucket.
    pub replicas: Option<Replicas>,
    /// What runs beside requests.
    pub workers: Supervisor,
}

/// The servers of one bucket.
#[derive(Clone)]
pub struct Replicas {
    storage: Arc<dyn Storage>,
    /// Names the server that looks.
    own: Uuid,
}

impl About {
    /// The facts as the API shows them, with the health checks that are `failing`.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub async fn show(&self, failing: BTreeMap<String, String>) -> wharf_storage::Result<wire::Server> {
        let uptime = Timestamp::now().duration_since(self.started).as_secs();
        let replicas = match &self.replicas {
            Some(replicas) => Some(replicas.list().await?),
            None => None,
        };
        Ok(wire::Server {
            name: "wharf".to_owned(),
            version: self.version.to_owned(),
            commit: self.commit.to_owned(),
            build: self.build.to_owned(),
            engine: self.engine.to_owned(),
            started: format!("{:.0}", self.started),
            uptime: u64::try_from(uptime).unwrap_or_default(),
            healthy: failing.is_empty(),
            failing,
            replicas,
            scrub: None,
            certificate: None,
            workers: self.workers.statuses().into_iter().map(shown_worker).collect(),
        })
    }
}

impl Default for About {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: "unknown",
            build: "unknown",
            engine: "inmemory",
            started: Timestamp::UNIX_EPOCH,
            replicas: None,
            workers: Supervisor::default(),
        }
    }
}

fn shown_worker(status: WorkerStatus) -> wire::Worker {
    let is_failing = status.state == State::Failed;
    wire::Worker {
        name: status.name,
        state: status.state.as_str().to_owned(),
        detail: Some(status.detail).filter(|detail| !detail.is_empty()),
        failures: status.failures,
        // An error that was overcome says nothing of the present.
        error: status.last_error.filter(|_| is_failing),
    }
}

impl Replicas {
    /// The servers of the bucket of `storage`, for the one of them that `own` names.
    pub fn of(storage: Arc<dyn Storage>, own: Uuid) -> Self {
        Self { storage, own }
    }

    async fn list(&self) -> wharf_storage::Result<Vec<wire::Replica>> {
        let replicas = replicas::serving(&self.storage).await?;
        let leases = Lease::holders(&*self.storage).await?;
        let shown = replicas.into_iter().map(|replica| wire::Replica {
            own: replica.id == self.own,
            leases: leases
                .iter()
                .filter(|(_, holder)| *holder == replica.id)
                .map(|(worker, _)| worker.to_string())
                .collect(),
            id: replica.id.to_string(),
            host: replica.host,
            address: replica.address,
            version: replica.version,
            started: replica.started,
            state: replica.state.as_str().to_owned(),
        });
        Ok(shown.collect())
    }
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas").finish_non_exhaustive()
    }
}
