//! Starts the activity log.

use std::sync::Arc;

use wharf_activity::{Activity, ActivityOptions, Timing};
use wharf_budget::Share;
use wharf_storage::{Objects, Storage, journal::Journals};
use wharf_workers::Supervisor;

use crate::config::{Engine, Settings};

/// The most bytes of a log that is kept in memory.
const IN_MEMORY: u64 = 4 << 20;

/// Starts the log in `storage`. `None`: it is off, or nothing may be written to the store.
pub(super) async fn start(
    settings: &Settings,
    share: &Share,
    journals: &dyn Journals,
    storage: &Arc<dyn Storage>,
    supervisor: &Supervisor,
) -> Option<Activity> {
    let log = settings.activity?;
    if settings.server.read_only {
        tracing::info!("no activity is recorded: the store is read-only");
        return None;
    }
    let (bytes, timing) = match &settings.storage {
        Engine::Filesystem { .. } => (log.size, Timing::default()),
        Engine::InMemory => (log.size.min(IN_MEMORY), Timing::default()),
        Engine::S3(_) | Engine::Cloud(_) => (log.size, Timing::of_bucket()),
    };
    let options = ActivityOptions {
        bytes,
        age: log.age,
        timing,
    };
    let objects = Arc::clone(storage) as Arc<dyn Objects>;
    Some(Activity::start(options, share.clone(), journals, objects, supervisor).await)
}
