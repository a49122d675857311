//! The collection of garbage beside requests.

use std::sync::Arc;

use wharf_registry::{Registry, collect::OnlineCollector};
use wharf_server::admin::{CollectionSchedule, Collections, UntaggedManifests};
use wharf_workers::Supervisor;

use crate::config::Settings;

/// Starts the collector, unless the store is read-only. Where deleting is enabled it collects by itself, for the first time when the
/// grace period is over: clients that rely on what the server before told them have had that long. Elsewhere it does when it is asked to.
pub(super) fn start(
    settings: &Settings,
    registry: &Arc<Registry>,
    supervisor: &Supervisor,
) -> Option<Collections> {
    if settings.server.read_only {
        return None;
    }
    let collect = settings.collect;
    let collector = OnlineCollector::new(Arc::clone(registry), collect.ignores_foreign_writers);
    let untagged = (collect.untagged && registry.options().delete_enabled).then(|| UntaggedManifests {
        registry: Arc::clone(registry),
        min_age: collect.grace,
        keep_history: settings.retention.policy.keep_history,
    });
    let collections = Collections::by(collector, untagged);
    let is_scheduled = collect.is_scheduled && registry.options().delete_enabled;
    let schedule = is_scheduled.then_some(CollectionSchedule {
        first: collect.grace,
        interval: collect.interval,
    });
    supervisor.spawn(collections.worker(schedule));
    Some(collections)
}
