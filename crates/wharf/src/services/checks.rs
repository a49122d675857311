//! Checks of the store that administrators ask for.

use std::sync::Arc;

use anyhow::Context as _;
use wharf_registry::{Registry, ScrubRecord, check::CheckTurn};
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
) -> anyhow::Result<Checks> {
    let options = registry.options().clone();
    let checks = Checks::of(
        Arc::clone(store),
        options,
        scrub.cloned(),
        settings.server.read_only,
    );
    if checks.run_on_demand() {
        let turn = CheckTurn::new(store).context("checks cannot be started")?;
        supervisor.spawn(checks.worker(turn));
    }
    Ok(checks)
}
