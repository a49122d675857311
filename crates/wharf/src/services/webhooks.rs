//! Starts and ends the delivery of events.

use std::time::{Duration, Instant};

use wharf_http::ListenAddress;
use wharf_server::{WebhookOptions, Webhooks};
use wharf_storage::spool::Spools;
use wharf_workers::Supervisor;

/// The least time for the last delivery, however late it is.
const SHORTEST_FLUSH: Duration = Duration::from_secs(1);

/// Opens the queues in `spools`. `None` when there is no endpoint.
pub(super) fn start(
    options: &WebhookOptions,
    listening_on: &ListenAddress,
    spools: &dyn Spools,
    supervisor: &Supervisor,
) -> anyhow::Result<Option<Webhooks>> {
    let source = source(listening_on);
    Ok(Webhooks::start(options.clone(), source, spools, supervisor)?)
}

/// Delivers what can be delivered until `drain` has passed since `stopped`.
pub(super) async fn finish(webhooks: &Webhooks, drain: Duration, stopped: Option<Instant>) {
    let passed = stopped.map_or(Duration::ZERO, |stopped| stopped.elapsed());
    webhooks
        .finish(drain.saturating_sub(passed).max(SHORTEST_FLUSH))
        .await;
}

/// Where events come from, in the form of registry:2: the name of this machine, and the port.
fn source(listening_on: &ListenAddress) -> String {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    match listening_on {
        ListenAddress::Tcp(address) => format!("{host}:{}", address.port()),
        ListenAddress::Unix(_) => host.into_owned(),
    }
}
