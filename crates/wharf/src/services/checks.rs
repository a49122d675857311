//! Checks of the store that administrators ask for.

use std::sync::Arc;

use wharf_registry::{Registry, ScrubRecord};
use wharf_server::admin::Checks;
use wharf_storage::Storage;
use wharf_workers::Supervisor;

use crate::config::Settings;

/// Makes the checks of `store`, and starts their worker, unless the store can only be read.
pub(super) fn start(
    settings: &Settings,
    registry: &Arc<Registry>,
    store: &Arc<dyn Storage>,
    scrub: Option<&Arc<ScrubRecord>>,
    supervisor: &Supervisor,
) -> Checks {
    let options = registry.options().clone();
    let checks = Checks::of(
        Arc::clone(store),
        options,
        scrub.cloned(),
        settings.server.read_only,
    );
    if checks.run_on_demand() {
        supervisor.spawn(checks.worker());
    }
    checks
}
