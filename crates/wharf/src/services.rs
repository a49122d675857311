//! Assembles the services of one server from its settings.

mod access;
mod activity;
mod admin;
mod bucket;
mod checks;
mod collect;
mod mirrors;
mod purge;
mod retention;
mod scrub;
mod store;
mod telemetry;
mod ui;
mod webhooks;

use std::{
    io,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use wharf_access::Access;
use wharf_activity::Activity;
use wharf_budget::{Budget, Limits, Machine};
use wharf_http::{AccessLog, ListenAddress, Listener, Tls};
use wharf_registry::Registry;
use wharf_server::{
    Health, Room, Server, ServerOptions, ServerServices, Webhooks,
    admin::{Admin, Upkeep},
};
use wharf_workers::Supervisor;

use self::{
    bucket::{BucketWatch, Use},
    store::Bucket,
};
use crate::{
    config::{Engine, Listen, Middleware, Settings},
    elsewhere,
    systemd::Inherited,
};

/// Units of work that run when the server ends, and traces that wait then, may take so much time.
const LAST_UNITS: Duration = Duration::from_secs(2);

/// The access log may take so much time at the end: its reader may stand still.
const LAST_LINES: Duration = Duration::from_secs(1);

/// All parts of one server, ready to answer.
#[derive(Debug)]
pub(crate) struct Services {
    server: Server,
    registry: Arc<Registry>,
    /// The services that the server uses.
    used: ServerServices,
    webhooks: Option<Webhooks>,
    listener: Listener,
    /// The control socket, if there is one.
    control: Option<Listener>,
    address: ListenAddress,
    debug_address: Option<ListenAddress>,
    /// How long running requests and waiting events may take at the end.
    drain: Duration,
    /// The workers beside the requests.
    supervisor: Supervisor,
    /// What is known of the bucket, if the store is in one.
    bucket: Option<BucketWatch>,
    /// The debug server, if there is one; aborted when this is dropped.
    debug: JoinSet<()>,
}

impl Services {
    /// Opens the store, the listeners and all else that `settings` name. Needs a runtime.
    pub(crate) async fn assemble(settings: &Settings, inherited: Option<Inherited>) -> anyhow::Result<Self> {
        let tls = settings.tls.clone().map(Tls::open).transpose()?;
        // What this machine lacks is said before the store is asked.
        let elsewhere = elsewhere::open(settings)?;
        mirrors::check(settings)?;
        let budget = budget(settings);
        let opened = store::open(settings, &budget).await?;
        let requests = match &opened.bucket {
            Some(Bucket::S3(client)) => Some(client.meters()),
            Some(Bucket::Cloud(_)) | None => None,
        };
        let mut options = options(settings, opened.bucket.as_ref());
        if let (Some(page), Some(path)) = (&mut options.ui, &settings.ui.logo) {
            page.logo = Some(ui::logo(path)?);
        }
        let (store, meters) = telemetry::meter(Arc::clone(&opened.storage), requests, settings);
        let journals = opened.journals(&store);
        let supervisor = Supervisor::default();
        let debug_listener = match &settings.debug {
            Some(debug) => Some(telemetry::bind(debug).await?),
            None => None,
        };
        let debug_address = debug_listener.as_ref().map(Listener::address).transpose()?;
        let listener = bind(&settings.listen, inherited).await?;
        let address = listener.address().context("cannot listen")?;
        let webhooks = webhooks::start(&settings.webhooks, &address, &*opened.spools, &supervisor)?;
        let bucket = opened
            .bucket
            .map(|bucket| BucketWatch::start(&supervisor, bucket, &store, &address, use_of(settings)));
        let activity = activity::start(settings, &budget.activity, &*journals, &store, &supervisor).await;
        let subscribers = (webhooks.as_ref(), activity.as_ref());
        let registry = registry(settings, &store, &address, &budget, subscribers).with_elsewhere(elsewhere);
        let registry = Arc::new(registry);

        let mut used = ServerServices {
            mirrors: mirrors::open(settings, &registry)?,
            access: access(settings, &store, &address, &budget).await?,
            tls,
            budget,
            access_log: access_log(settings)?,
            metrics: None,
            health: telemetry::health(settings, &store),
            tracer: telemetry::tracer(settings, &supervisor),
            admin: Admin::default(),
            activity,
            scrub: None,
            sessions: ui::sessions(settings, &store).await,
            room: Some(Room::new(Arc::clone(&store), settings.registry.trash_pressure)),
        };
        let replica = bucket.as_ref().map(BucketWatch::id);
        let counts = used.activity.as_ref();
        used.admin = admin::services(
            settings,
            &store,
            used.access.as_ref(),
            counts,
            (&used.budget, &supervisor),
            replica,
        );
        used.admin.collections = collect::start(settings, &registry, &supervisor, counts);
        let pulls = used.admin.pulls.clone();
        used.admin.retention = retention::start(settings, &registry, &store, pulls, &supervisor, replica)?;
        used.scrub = scrub::start(settings, &registry, &supervisor, replica)?;
        used.admin.checks = Some(checks::start(
            settings,
            &registry,
            &store,
            used.scrub.as_ref(),
            &supervisor,
        )?);
        used.admin.upkeep = Upkeep::new(used.scrub.clone(), used.tls.clone());
        used.metrics = meters.map(|meters| {
            let webhooks = webhooks.as_ref();
            let metrics = telemetry::metrics(settings, meters, &registry, &used, webhooks, &supervisor);
            Arc::new(match &bucket {
                Some(bucket) => metrics.with(bucket.metrics()),
                None => metrics,
            })
        });
        start_workers(&supervisor, settings, &registry, &used);
        Ok(Self {
            debug: telemetry::serve(settings, debug_listener, &used, &supervisor),
            supervisor,
            bucket,
            server: Server::new(Arc::clone(&registry), options, used.clone()),
            registry,
            used,
            webhooks,
            listener,
            control: admin::listen(settings)?,
            address,
            debug_address,
            drain: settings.server.limits.drain,
        })
    }

    /// Address of the registry's listener.
    pub(crate) fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Address of the debug listener.
    pub(crate) fn debug_address(&self) -> Option<&ListenAddress> {
        self.debug_address.as_ref()
    }

    /// The supervisor of the workers beside the requests.
    pub(crate) fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// What is known of the bucket, if the store is in one.
    pub(crate) fn bucket(&self) -> Option<&BucketWatch> {
        self.bucket.as_ref()
    }

    /// Whether clients may delete manifests, tags and blobs.
    pub(crate) fn is_delete_enabled(&self) -> bool {
        self.registry.options().delete_enabled
    }

    /// Answers requests until `stop` completes, or the server may not use its bucket any more, then ends one service after
    /// the other. Returns the number of connections that had to be cut.
    pub(crate) async fn serve(mut self, stop: impl Future<Output = ()>) -> usize {
        let stopped = OnceLock::new();
        let bucket = self.bucket.clone();
        let stop = async {
            match &bucket {
                None => stop.await,
                Some(bucket) => {
                    tokio::select! {
                        () = stop => {}
                        () = bucket.refused() => {}
                    }
                    bucket.stopping();
                }
            }
            stopped.get_or_init(Instant::now);
        };
        let stop = stop.shared();
        let control = async {
            match self.control {
                Some(control) => self.server.serve_control(control, stop.clone()).await,
                None => 0,
            }
        };
        let (cut, cut_at_the_socket) = tokio::join!(self.server.serve(self.listener, stop.clone()), control);
        let cut = cut + cut_at_the_socket;
        match cut {
            0 => tracing::info!("stopped"),
            cut => tracing::warn!(
                connections = cut,
                "stopped; requests that took too long were cut, uploads can be resumed"
            ),
        }
        if let Some(webhooks) = &self.webhooks {
            webhooks::finish(webhooks, self.drain, stopped.get().copied()).await;
        }
        for worker in self.supervisor.stop(LAST_UNITS).await {
            tracing::warn!(worker, "a worker did not end in time and was cut");
        }
        if let Some(log) = &self.used.access_log {
            log.flush(LAST_LINES);
        }
        self.debug.shutdown().await;
        cut
    }
}

/// The options of the server. Where the store signs no URLs, it is not asked for one.
fn options(settings: &Settings, bucket: Option<&Bucket>) -> ServerOptions {
    let signs = match bucket {
        Some(Bucket::Cloud(abilities)) => abilities.signs,
        // What is not known yet may be so.
        Some(Bucket::S3(_)) | None => true,
    };
    let mut options = settings.server.clone();
    let is_in_front = |server: &Middleware| !server.needs_signed_url();
    if !signs && !settings.middleware.iter().any(is_in_front) {
        options.redirect = None;
    }
    options
}

/// How the server uses its bucket.
fn use_of(settings: &Settings) -> Use {
    Use {
        is_read_only: settings.server.read_only,
        is_alone: matches!(&settings.storage, Engine::S3(bucket) if bucket.is_alone),
    }
}

/// The one budget of the server: the configured limits, and for the others what suits the machine.
fn budget(settings: &Settings) -> Budget {
    let (chosen, suitable) = (settings.limits, Limits::of(Machine::read()));
    Budget::new(Limits {
        connections: chosen.connections.unwrap_or(suitable.connections),
        requests: chosen.requests.unwrap_or(suitable.requests),
        bodies: chosen.bodies.unwrap_or(suitable.bodies),
        parts: chosen.parts.unwrap_or(suitable.parts),
        transfers: chosen.transfers.unwrap_or(suitable.transfers),
        windows: chosen.windows.unwrap_or(suitable.windows),
    })
}

fn registry(
    settings: &Settings,
    store: &Arc<dyn wharf_storage::Storage>,
    address: &ListenAddress,
    budget: &Budget,
    (webhooks, activity): (Option<&Webhooks>, Option<&Activity>),
) -> Registry {
    let options = wharf_registry::Options {
        delete_enabled: settings
            .deletion
            .is_enabled(settings.auth.is_some(), address.is_loopback()),
        ..settings.registry.clone()
    };
    let mut registry = Registry::new(Arc::clone(store), options).with_budget(budget.clone());
    if let Some(webhooks) = webhooks {
        registry = registry.with_subscriber(Arc::new(webhooks.clone()));
    }
    if let Some(activity) = activity {
        registry = registry.with_subscriber(Arc::new(activity.clone()));
    }
    registry
}

/// The users. Warns where their passwords would cross a network in clear text.
async fn access(
    settings: &Settings,
    store: &Arc<dyn wharf_storage::Storage>,
    address: &ListenAddress,
    budget: &Budget,
) -> anyhow::Result<Option<Arc<Access>>> {
    let Some(auth) = &settings.auth else {
        return Ok(None);
    };
    let mut access = access::open(auth, &settings.access, budget)?;
    if let Some(options) = &settings.tokens {
        access = access.with_token_server(access::token_server(options, store).await);
    }
    let stays_here = address.is_loopback() || matches!(address, ListenAddress::Unix(_));
    access::warn_of_clear_text(
        settings.tls.is_some(),
        stays_here,
        settings.server.host.as_deref(),
    );
    Ok(Some(Arc::new(access)))
}

fn access_log(settings: &Settings) -> io::Result<Option<AccessLog>> {
    let format = settings.log.access_log;
    let log = format
        .map(|format| AccessLog::with_format(io::stdout(), format))
        .transpose()?;
    Ok(log.map(|log| log.excluding(settings.log.access_log_exclusions.clone())))
}

/// Starts the workers of services that do not start theirs themselves.
fn start_workers(
    supervisor: &Supervisor,
    settings: &Settings,
    registry: &Arc<Registry>,
    used: &ServerServices,
) {
    if let Some(purge) = settings.purge {
        supervisor.spawn(purge::worker(Arc::clone(registry), purge));
    }
    for worker in used.access.iter().flat_map(|access| access.workers()) {
        supervisor.spawn(worker);
    }
    let tokens = used.access.as_ref().and_then(|access| access.token_server());
    if let Some(tokens) = tokens {
        supervisor.spawn(tokens.issuer().worker());
        supervisor.spawn(tokens.robots().worker());
        supervisor.spawn(tokens.robots().upkeep());
    }
    if let Some(sessions) = &used.sessions {
        supervisor.spawn(sessions.worker());
        supervisor.spawn(sessions.upkeep());
    }
    for worker in used.health.iter().flat_map(Health::workers) {
        supervisor.spawn(worker);
    }
}

/// Listens at the configured address, or on the socket that systemd has opened.
async fn bind(listen: &Listen, inherited: Option<Inherited>) -> anyhow::Result<Listener> {
    let listener = match (inherited, listen) {
        (Some(Inherited::Tcp(listener)), _) => Listener::of_tcp(listener).context("cannot listen")?,
        (Some(Inherited::Unix(listener)), _) => Listener::of_unix(listener).context("cannot listen")?,
        (None, Listen::Tcp(address)) => wharf_http::bind(address).await?,
        (None, Listen::Unix(path, owner)) => wharf_http::bind_unix(path, owner)?,
    };
    Ok(listener)
}
