//! The rules of retention, and their application on a schedule.

use std::sync::Arc;

use anyhow::Context as _;
use uuid::Uuid;
use wharf_registry::{Lease, Registry};
use wharf_server::admin::{PullCounts, Retention};
use wharf_storage::Storage;
use wharf_workers::Supervisor;

use crate::config::Settings;

/// How long a replica holds the work after it last said so.
const TERM: std::time::Duration = std::time::Duration::from_secs(600);

/// Makes the rules of the configuration known, and applies them on their schedule, where deleting is enabled.
pub(super) fn start(
    settings: &Settings,
    registry: &Arc<Registry>,
    store: &Arc<dyn Storage>,
    pulls: PullCounts,
    supervisor: &Supervisor,
    replica: Option<Uuid>,
) -> anyhow::Result<Retention> {
    let retention = Retention::new(settings.retention.policy.clone(), pulls);
    let Some(schedule) = settings.retention.schedule else {
        return Ok(retention);
    };
    if settings.server.read_only || !registry.options().delete_enabled {
        tracing::warn!(
            "`retention.rules` are not applied: deleting is off; `storage.delete.enabled: true` allows it, and not in a read-only registry"
        );
        return Ok(retention);
    }
    let lease = Lease::new(Arc::clone(store), "retention", TERM).context("retention cannot be started")?;
    let lease = match replica {
        Some(replica) => lease.held_by(replica),
        None => lease,
    };
    supervisor.spawn(retention.worker(Arc::clone(registry), lease, schedule));
    Ok(retention)
}
