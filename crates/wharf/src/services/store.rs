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
    journal::{Journals, ObjectJournals},
    object::{Abilities, ObjectStorage, s3::S3},
    spool::{MemorySpools, Spools},
};

use super::telemetry;
use crate::{
    bucket, cloud,
    config::{Engine, Settings},
};

/// Time between two attempts to take the lock.
const PAUSE: Duration = Duration::from_millis(200);

/// The store of a bucket.
pub(super) enum Bucket {
    S3(Arc<S3>),
    /// One of a cloud, which honours what its vendor documents
    Cloud(Abilities),
}

/// The store, the places of its queues and journals, and that of its bucket if it is in one.
pub(super) struct Opened {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) spools: Arc<dyn Spools>,
    /// The place of journals, where that is not the objects of the store
    pub(super) journals: Option<Arc<dyn Journals>>,
    pub(super) bucket: Option<Bucket>,
}

/// Opens the store of `settings`.
pub(super) async fn open(settings: &Settings, budget: &Budget) -> anyhow::Result<Opened> {
    let mut bucket = None;
    let (storage, spools): (Arc<dyn Storage>, Arc<dyn Spools>) = match &settings.storage {
        Engine::InMemory => (Arc::new(ObjectStorage::in_memory()), Arc::new(MemorySpools)),
        Engine::S3(settings) => {
            let opened = bucket::open(settings, budget.parts.clone()).await?;
            bucket = Some(Bucket::S3(opened.client));
            (Arc::new(opened.storage), Arc::new(MemorySpools))
        }
        Engine::Cloud(settings) => {
            let opened = cloud::open(settings, budget.parts.clone()).await?;
            bucket = Some(Bucket::Cloud(opened.abilities));
            (Arc::new(opened.storage), Arc::new(MemorySpools))
        }
        Engine::Filesystem { root } => return open_directory(settings, root).await,
    };
    Ok(Opened {
        storage,
        spools,
        journals: None,
        bucket,
    })
}

impl Opened {
    /// The place of journals; `storage` is the store, as it is used for everything else.
    pub(super) fn journals(&self, storage: &Arc<dyn Storage>) -> Arc<dyn Journals> {
        match &self.journals {
            Some(journals) => Arc::clone(journals),
            None => Arc::new(ObjectJournals::new(Arc::clone(storage) as _)),
        }
    }
}

/// Opens a directory, and the places of its queues and journals.
async fn open_directory(settings: &Settings, root: &Path) -> anyhow::Result<Opened> {
    if settings.server.read_only {
        // Nothing is written, not even a lock or a queue: the directory may be mounted read-only, or shared.
        return Ok(Opened {
            storage: Arc::new(FsStorage::open_read_only(root)?),
            spools: Arc::new(MemorySpools),
            journals: None,
            bucket: None,
        });
    }
    let storage = Arc::new(open_when_free(settings, root).await?);
    Ok(Opened {
        storage: Arc::clone(&storage) as _,
        spools: Arc::clone(&storage) as _,
        journals: Some(storage),
        bucket: None,
    })
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
