//! What is there for those who watch a running server: metrics, health checks, traces, and the port that shows them.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use wharf_http::{Listener, TraceMetrics, TraceSettings, Tracer};
use wharf_registry::Registry;
use wharf_server::{
    CacheMetrics, Check, DebugServer, Health, HealthMetrics, Metrics, Probe, ServerOptions, StoreMetrics,
    WebhookMetrics,
};
use wharf_storage::metered::{Metered, Meters};

use crate::config::{self, Debug, Storage};

/// Traces that wait when the server ends get so much time.
const LAST_TRACES: Duration = Duration::from_secs(2);

/// Those who watch. Without configuration there is nobody, and nothing is counted or looked at.
pub(super) struct Watchers {
    port: Option<Listener>,
    metrics_path: Option<String>,
    meters: Option<Meters>,
    driver: &'static str,
    tracer: Option<Arc<Tracer>>,
}

impl Watchers {
    /// Opens the second port, and counts what `store` does if somebody wants to know.
    pub(super) async fn new(
        store: Arc<dyn wharf_storage::Storage>,
        storage: &Storage,
        debug: Option<&Debug>,
    ) -> anyhow::Result<(Arc<dyn wharf_storage::Storage>, Self)> {
        let mut watchers = Self {
            port: None,
            metrics_path: None,
            meters: None,
            driver: match storage {
                Storage::Filesystem { .. } => "filesystem",
                Storage::InMemory => "inmemory",
            },
            tracer: tracer()?,
        };
        let Some(debug) = debug else {
            return Ok((store, watchers));
        };
        let bound = wharf_http::bind(&debug.address).await;
        let port = bound.context("the debug server of `http.debug.addr` cannot start")?;
        tracing::info!(
            "debug server listening {}",
            port.address().context("cannot listen")?
        );
        watchers.port = Some(port);
        watchers.metrics_path.clone_from(&debug.metrics_path);
        if debug.metrics_path.is_none() {
            return Ok((store, watchers));
        }
        let metered = Metered::new(store);
        watchers.meters = Some(metered.meters());
        Ok((Arc::new(metered), watchers))
    }

    /// Lets `server` tell what it does, and starts to look and to show.
    pub(super) fn attach(
        &mut self,
        server: &mut ServerOptions,
        health: config::Health,
        store: &Arc<dyn wharf_storage::Storage>,
        registry: &Arc<Registry>,
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
            // Whoever else has numbers adds itself here.
            server.metrics = Some(Arc::new(metrics));
        }
        if let Some(health) = &server.health {
            tokio::spawn(Arc::clone(health).watch());
        }
        if let Some(port) = self.port.take() {
            let debug = DebugServer {
                health: server.health.clone(),
                metrics: self.metrics_path.take().zip(server.metrics.clone()),
            };
            tokio::spawn(debug.serve(port));
        }
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

fn tracer() -> anyhow::Result<Option<Arc<Tracer>>> {
    let mut warnings = Vec::new();
    let settings = TraceSettings::from_environment(|name| std::env::var(name).ok(), &mut warnings)
        .map_err(anyhow::Error::msg)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(settings.map(|settings| {
        tracing::info!("traces of requests go to {}", settings.endpoint());
        Tracer::start(settings)
    }))
}
