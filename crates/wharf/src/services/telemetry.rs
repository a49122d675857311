//! Telemetry of a running server: metrics, health checks, traces, and the debug listener that shows them.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::task::JoinSet;
use wharf_http::{BudgetMetrics, BuildInfo, DroppedLines, Listener, LogMetrics, TraceMetrics, Tracer};
use wharf_registry::Registry;
use wharf_server::{
    AccessMetrics, ActivityMetrics, BucketRequestMetrics, CacheMetrics, Check, CollectionMetrics,
    DebugServer, Health, HealthMetrics, Metrics, MirrorMetrics, Probe, RetentionMetrics, ScrubMetrics,
    ServerServices, StoreMetrics, WebhookMetrics, Webhooks, WorkerMetrics,
};
use wharf_storage::{
    metered::{Metered, Meters},
    object::s3::RequestMeters,
};
use wharf_workers::Supervisor;

use crate::{
    config::{Debug, Engine, Settings},
    log, version,
};

/// The counters of a store.
#[derive(Debug)]
pub(super) struct StoreMeters {
    operations: Meters,
    /// Of the requests to a bucket
    requests: Option<RequestMeters>,
}

/// Counts the operations of `store`, and the requests that it makes, if metrics are on.
pub(super) fn meter(
    store: Arc<dyn wharf_storage::Storage>,
    requests: Option<RequestMeters>,
    settings: &Settings,
) -> (Arc<dyn wharf_storage::Storage>, Option<StoreMeters>) {
    let debug = settings.debug.as_ref();
    if debug.is_none_or(|debug| debug.metrics_path.is_none()) {
        return (store, None);
    }
    let metered = Metered::new(store);
    let operations = metered.meters();
    let meters = StoreMeters { operations, requests };
    (Arc::new(metered), Some(meters))
}

/// Starts to send traces if they are on.
pub(super) fn tracer(settings: &Settings, supervisor: &Supervisor) -> Option<Arc<Tracer>> {
    let traces = settings.traces.as_ref()?;
    tracing::info!("traces of requests go to {}", traces.endpoint());
    Some(Tracer::start(traces.clone(), supervisor))
}

/// Opens the debug listener.
pub(super) async fn bind(debug: &Debug) -> anyhow::Result<Listener> {
    let bound = wharf_http::bind(&debug.address).await;
    let listener = bound.context("the debug server of `http.debug.addr` cannot start")?;
    let address = listener.address().context("cannot listen")?;
    tracing::info!("debug server listening {address}");
    Ok(listener)
}

/// Starts the debug server if there is one.
pub(super) fn serve(
    settings: &Settings,
    listener: Option<Listener>,
    services: &ServerServices,
    supervisor: &Supervisor,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let (Some(listener), Some(debug)) = (listener, &settings.debug) {
        let server = DebugServer {
            health: services.health.clone(),
            scrub: services.scrub.clone(),
            metrics: debug.metrics_path.clone().zip(services.metrics.clone()),
            supervisor: supervisor.clone(),
        };
        tasks.spawn(server.serve(listener));
    }
    tasks
}

/// The checks that are configured. `None`: there are none.
pub(super) fn health(settings: &Settings, store: &Arc<dyn wharf_storage::Storage>) -> Option<Arc<Health>> {
    let storage = settings.health.storage.map(|check| Check {
        name: format!("storagedriver_{}", driver(&settings.storage)),
        probe: Probe::Storage {
            storage: Arc::clone(store),
            only_read: settings.server.read_only,
            timeout: check.interval.max(Duration::from_secs(1)),
        },
        interval: check.interval,
        threshold: check.threshold,
    });
    let checks = settings.health.checks.iter().cloned().map(Check::from);
    let checks: Vec<Check> = storage.into_iter().chain(checks).collect();
    (!checks.is_empty()).then(|| Arc::new(Health::new(checks)))
}

/// The metrics of the store and of all services that have some.
pub(super) fn metrics(
    settings: &Settings,
    meters: StoreMeters,
    registry: &Arc<Registry>,
    services: &ServerServices,
    webhooks: Option<&Webhooks>,
    supervisor: &Supervisor,
) -> Metrics {
    let driver = driver(&settings.storage);
    let build = BuildInfo {
        version: version::VERSION,
        commit: version::COMMIT,
        build: version::BUILD,
    };
    let mut metrics = Metrics::new()
        .with(build)
        .with(StoreMetrics {
            meters: meters.operations,
            driver,
        })
        .with(BudgetMetrics(services.budget.clone()))
        .with(log_metrics(services))
        .with(CacheMetrics(Arc::clone(registry)))
        .with(WorkerMetrics(supervisor.clone()));
    if let Some(requests) = meters.requests {
        metrics = metrics.with(BucketRequestMetrics(requests));
    }
    if services.access.is_some() || services.tls.is_some() {
        metrics = metrics.with(AccessMetrics {
            access: services.access.clone(),
            tls: services.tls.clone(),
        });
    }
    if let Some(health) = &services.health {
        metrics = metrics.with(HealthMetrics(Arc::clone(health)));
    }
    if let Some(tracer) = &services.tracer {
        metrics = metrics.with(TraceMetrics(Arc::clone(tracer)));
    }
    if let Some(collections) = &services.admin.collections {
        metrics = metrics.with(CollectionMetrics(collections.clone()));
    }
    if let Some(mirrors) = &services.mirrors {
        metrics = metrics.with(MirrorMetrics(Arc::clone(mirrors)));
    }
    if !settings.retention.policy.rules.is_empty() {
        metrics = metrics.with(RetentionMetrics(services.admin.retention.clone()));
    }
    if let Some(activity) = &services.activity {
        metrics = metrics.with(ActivityMetrics(activity.clone()));
    }
    if let Some(scrub) = &services.scrub {
        metrics = metrics.with(ScrubMetrics(Arc::clone(scrub)));
    }
    if let Some(webhooks) = webhooks {
        metrics = metrics.with(WebhookMetrics(webhooks.clone()));
    }
    metrics
}

/// The metrics of the logs that there are.
fn log_metrics(services: &ServerServices) -> LogMetrics {
    let mut logs: Vec<(&'static str, DroppedLines)> = vec![("application", Box::new(log::dropped))];
    if let Some(access) = services.access_log.clone() {
        logs.push(("access", Box::new(move || access.dropped())));
    }
    LogMetrics(logs)
}

/// The name of the engine in metrics and checks, as registry:2 has it.
pub(super) fn driver(storage: &Engine) -> &'static str {
    match storage {
        Engine::Filesystem { .. } => "filesystem",
        Engine::InMemory => "inmemory",
        // As registry:2 calls its driver.
        Engine::S3(_) => "s3aws",
        Engine::Cloud(bucket) => bucket.driver(),
    }
}
