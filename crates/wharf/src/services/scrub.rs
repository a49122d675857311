//! Reads all blobs again and again, slowly, to notice damaged ones.

use std::sync::Arc;

use anyhow::Context as _;
use uuid::Uuid;
use wharf_registry::{Registry, Scrub, ScrubRecord};
use wharf_workers::Supervisor;

use crate::config::{Engine, Settings};

/// Starts the scrub of `registry`, and returns its record. `None` where there is none: it is switched off, or the data is in memory,
/// or must not be written to, so that it could not be noted how far the scrub is.
pub(super) fn start(
    settings: &Settings,
    registry: &Arc<Registry>,
    supervisor: &Supervisor,
    replica: Option<Uuid>,
) -> anyhow::Result<Option<Arc<ScrubRecord>>> {
    let is_in_memory = matches!(settings.storage, Engine::InMemory);
    let Some(options) = settings
        .scrub
        .filter(|_| !is_in_memory && !settings.server.read_only)
    else {
        return Ok(None);
    };
    let (worker, record) =
        Scrub::new(Arc::clone(registry), options).context("the scrub cannot be started")?;
    supervisor.spawn(match replica {
        Some(replica) => worker.held_by(replica),
        None => worker,
    });
    Ok(Some(record))
}
