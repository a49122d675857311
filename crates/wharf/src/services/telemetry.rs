//! Telemetry of a running server: metrics, health checks, traces, and the debug listener that shows them.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::task::JoinSet;
use wharf_registry::Registry;
use wharf_server::{
    CacheMetrics, Check, DebugServer, Health, HealthMetrics, ListenAddress, Listener, Metrics, Probe,
    ServerOptions, StoreMetrics, TraceMetrics, TraceSettings, Tracer, WebhookMetrics,
};
use wharf_storage::metered::{Metered, Meters};

use crate::config::{self, Debug, Storage};

/// Traces that wait when the server ends get so much time.
const LAST_TRACES: Duration = Duration::from_secs(2);

/// Telemetry as it is configured. Without configuration nothing is counted or checked.
#[derive(Debug)]
pub(super) struct Telemetry {
    port: Option<Listener>,
    metrics_path: Option<String>,
    meters: Option<Meters>,
    driver: &'static str,
    tracer: Option<Arc<Tracer>>,
}

impl Telemetry {
    /// Opens the debug listener, and counts the operations of `store` if metrics are on.
    pub(super) async fn new(
        store: Arc<dyn wharf_storage::Storage>,
        storage: &Storage,
        debug: Option<&Debug>,
        traces: Option<TraceSettings>,
    ) -> anyhow::Result<(Arc<dyn wharf_storage::Storage>, Self)> {
        let mut telemetry = Self {
            port: None,
            metrics_path: None,
            meters: None,
            driver: match storage {
                Storage::Filesystem { .. } => "filesystem",
                Storage::InMemory => "inmemory",
            },
            tracer: traces.map(tracer),
        };
        let Some(debug) = debug else {
            return Ok((store, telemetry));
        };
        let bound = wharf_server::bind(&debug.address).await;
        let port = bound.context("the debug server of `http.debug.addr` cannot start")?;
        tracing::info!(
            "debug server listening {}",
            port.address().context("cannot listen")?
        );
        telemetry.port = Some(port);
        telemetry.metrics_path.clone_from(&debug.metrics_path);
        if debug.metrics_path.is_none() {
            return Ok((store, telemetry));
        }
        let metered = Metered::new(store);
        telemetry.meters = Some(metered.meters());
        Ok((Arc::new(metered), telemetry))
    }

    /// Gives `server` its telemetry, and starts the checks and the debug server in `tasks`.
    pub(super) fn attach(
        &mut self,
        server: &mut ServerOptions,
        health: config::Health,
        store: &Arc<dyn wharf_storage::Storage>,
        registry: &Arc<Registry>,
        tasks: &mut JoinSet<()>,
    ) {
        let checks = self.checks(health, store, server.read_only);
        server.health = (!checks.is_empty()).then(|| Arc::new(Health::new(checks)));
        server.tracer.clone_from(&self.tracer);
        if let Some(meters) = self.meters.take() {
            let driver = self.driver;
            let mut metrics = Metrics::new()
                .with(StoreMetrics { meters, driver })
                .with(CacheMetrics(Arc::clone(registry)));
            if let Some(health) = &server.health {
                metrics = metrics.with(HealthMetrics(Arc::clone(health)));
            }
            if let Some(tracer) = &server.tracer {
                metrics = metrics.with(TraceMetrics(Arc::clone(tracer)));
            }
            if let Some(webhooks) = &server.webhooks {
                metrics = metrics.with(WebhookMetrics(webhooks.clone()));
            }
            server.metrics = Some(Arc::new(metrics));
        }
        if let Some(health) = &server.health {
            tasks.spawn(Arc::clone(health).watch());
        }
        if let Some(port) = self.port.take() {
            let debug = DebugServer {
                health: server.health.clone(),
                metrics: self.metrics_path.take().zip(server.metrics.clone()),
            };
            tasks.spawn(debug.serve(port));
        }
    }

    /// Address of the debug listener.
    pub(super) fn debug_address(&self) -> anyhow::Result<Option<ListenAddress>> {
        let port = self.port.as_ref();
        port.map(Listener::address).transpose().context("cannot listen")
    }

    fn checks(
        &self,
        health: config::Health,
        store: &Arc<dyn wharf_storage::Storage>,
        only_read: bool,
    ) -> Vec<Check> {
        let storage = health.storage.map(|check| Check {
            name: format!("storagedriver_{}", self.driver),
            probe: Probe::Storage {
                storage: Arc::clone(store),
                only_read,
                timeout: check.interval.max(Duration::from_secs(1)),
            },
            interval: check.interval,
            threshold: check.threshold,
        });
        storage.into_iter().chain(health.checks).collect()
    }

    /// Sends the last traces. Requests are over by now.
    pub(super) async fn stop(&self) {
        if let Some(tracer) = &self.tracer {
            tracer.stop(LAST_TRACES).await;
        }
    }
}

fn tracer(settings: TraceSettings) -> Arc<Tracer> {
    tracing::info!("traces of requests go to {}", settings.endpoint());
    Tracer::start(settings)
}
