//! Opens the store; waits for another process that still has it, as in a rolling update.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time};
use wharf_budget::Budget;
use wharf_server::{DebugServer, Health};
use wharf_storage::{
    Error, ErrorKind, Storage,
    fs::FsStorage,
    object::s3::RequestMeters,
    spool::{MemorySpools, Spools},
};

use super::telemetry;
use crate::{
    bucket,
    config::{Engine, Settings},
};

/// Time between two attempts to take the lock.
const PAUSE: Duration = Duration::from_millis(200);

/// A store that is open.
pub(super) struct Opened {
    pub(super) storage: Arc<dyn Storage>,
    /// The place of queues
    pub(super) spools: Arc<dyn Spools>,
    /// The counters of the requests to a bucket
    pub(super) requests: Option<RequestMeters>,
}

/// Opens the store of `settings`, and the place of its queues.
pub(super) async fn open(settings: &Settings, budget: &Budget) -> anyhow::Result<Opened> {
    let root = match &settings.storage {
        Engine::InMemory => {
            let storage = wharf_storage::object::ObjectStorage::in_memory();
            return Ok(Opened::without_queues(storage, None));
        }
        Engine::S3(bucket) => {
            let (storage, requests) = bucket::open(bucket, budget.parts.clone()).await?;
            return Ok(Opened::without_queues(storage, Some(requests)));
        }
        Engine::Filesystem { root } => root,
    };
    if settings.server.read_only {
        // Nothing is written, not even a lock or a queue: the directory may be mounted read-only, or shared.
        return Ok(Opened::without_queues(FsStorage::open_read_only(root)?, None));
    }
    let storage = open_when_free(settings, root).await?;
    let storage = Arc::new(storage);
    Ok(Opened {
        storage: Arc::clone(&storage) as _,
        spools: storage,
        requests: None,
    })
}

impl Opened {
    /// A store beside which queues are in memory.
    fn without_queues(storage: impl Storage, requests: Option<RequestMeters>) -> Self {
        Self {
            storage: Arc::new(storage),
            spools: Arc::new(MemorySpools),
            requests,
        }
    }
}

/// Opens the store as soon as no other process has it; gives up after the configured time.
async fn open_when_free(settings: &Settings, root: &Path) -> anyhow::Result<FsStorage> {
    let wait = settings.locking.wait;
    let open = if settings.locking.is_on {
        FsStorage::open
    } else {
        FsStorage::open_also_without_locks
    };
    let begun = Instant::now();
    let mut health = JoinSet::new();
    loop {
        let error = match open(root) {
            Err(error) if error.kind() == ErrorKind::Locked => error,
            opened => {
                // Its listener is free again when this returns.
                health.shutdown().await;
                return Ok(opened?);
            }
        };
        if wait.is_zero() {
            return Err(error.into());
        }
        if begun.elapsed() >= wait {
            return Err(anyhow::Error::from(error).context(format!(
                "waited {wait:?} for the lock of the store (`storage.filesystem.lockwait`)"
            )));
        }
        if health.is_empty() {
            tracing::warn!(%error, "waiting at most {wait:?} for the lock of the store (`storage.filesystem.lockwait`)");
            show_waiting(settings, &error, &mut health).await?;
        }
        time::sleep(PAUSE).await;
    }
}

/// Answers the health check of the debug port with the reason of the wait.
async fn show_waiting(settings: &Settings, error: &Error, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    let Some(debug) = &settings.debug else {
        // A task that keeps the set from being empty: the wait is reported once.
        tasks.spawn(std::future::pending());
        return Ok(());
    };
    let listener = telemetry::bind(debug).await?;
    let server = DebugServer {
        health: Some(Arc::new(Health::waiting(
            "storagedriver_filesystem",
            &error.to_string(),
        ))),
        ..DebugServer::default()
    };
    tasks.spawn(server.serve(listener));
    Ok(())
}
