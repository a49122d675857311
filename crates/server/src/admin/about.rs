//! The facts about a server: its program, its engine, and the replicas beside it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use wharf_storage::{Storage, replicas};

use super::wire;

/// The facts about a server that do not change while it runs.
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
}

/// The servers of one bucket.
#[derive(Clone)]
pub struct Replicas(Arc<dyn Storage>);

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
        }
    }
}

impl Replicas {
    /// The servers of the bucket of `storage`.
    pub fn of(storage: Arc<dyn Storage>) -> Self {
        Self(storage)
    }

    async fn list(&self) -> wharf_storage::Result<Vec<wire::Replica>> {
        let replicas = replicas::serving(&self.0).await?;
        let shown = replicas.into_iter().map(|replica| wire::Replica {
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
