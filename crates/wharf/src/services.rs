//! Assembles the services of one server from its settings.

mod access;
mod purge;
mod telemetry;
mod webhooks;

use std::{
    io,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::task::JoinSet;
use wharf_access::Access;
use wharf_http::{AccessLog, ListenAddress, Listener, Tls};
use wharf_registry::Registry;
use wharf_server::{DebugServer, Server, ServerServices};
use wharf_storage::spool::{MemorySpools, Spools};

use crate::{
    config::{Engine, Listen, Settings},
    systemd::Inherited,
};

/// Traces that wait when the server ends may take so much time.
const LAST_TRACES: Duration = Duration::from_secs(2);

/// All parts of one server, ready to answer.
#[derive(Debug)]
pub(crate) struct Services {
    server: Server,
    registry: Arc<Registry>,
    /// The services that the server uses.
    used: ServerServices,
    listener: Listener,
    address: ListenAddress,
    debug_address: Option<ListenAddress>,
    /// How long running requests and waiting events may take at the end.
    drain: Duration,
    /// What runs beside the requests; aborted when this is dropped.
    tasks: JoinSet<()>,
}

impl Services {
    /// Opens the store, the listeners and all else that `settings` name. Needs a runtime.
    pub(crate) async fn assemble(settings: &Settings, inherited: Option<Inherited>) -> anyhow::Result<Self> {
        let tls = settings.tls.clone().map(Tls::open).transpose()?;
        let (store, spools) = open(&settings.storage).await?;
        let (store, meters) = telemetry::meter(store, settings);
        let tracer = settings.traces.as_ref().map(telemetry::tracer);
        let debug_listener = match &settings.debug {
            Some(debug) => Some(telemetry::bind(debug).await?),
            None => None,
        };
        let debug_address = debug_listener.as_ref().map(Listener::address).transpose()?;
        let listener = bind(&settings.listen, inherited).await?;
        let address = listener.address().context("cannot listen")?;
        let registry = registry(settings, &store, &address);

        let mut used = ServerServices {
            access: access(settings, &address)?,
            tls,
            access_log: access_log(settings)?,
            webhooks: webhooks::start(&settings.webhooks, &address, &*spools)?,
            metrics: None,
            health: telemetry::health(settings, &store),
            tracer,
        };
        used.metrics = meters.map(|meters| telemetry::metrics(settings, meters, &registry, &used));
        Ok(Self {
            tasks: tasks(settings, &registry, &used, debug_listener),
            server: Server::new(Arc::clone(&registry), settings.server.clone(), used.clone()),
            registry,
            used,
            listener,
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

    /// Whether clients may delete manifests, tags and blobs.
    pub(crate) fn is_delete_enabled(&self) -> bool {
        self.registry.options().delete_enabled
    }

    /// Answers requests until `stop` completes, then ends one service after the other. Returns the number of
    /// connections that had to be cut.
    pub(crate) async fn serve(mut self, stop: impl Future<Output = ()>) -> usize {
        let stopped = OnceLock::new();
        let stop = async {
            stop.await;
            stopped.get_or_init(Instant::now);
        };
        let cut = self.server.serve(self.listener, stop).await;
        match cut {
            0 => tracing::info!("stopped"),
            cut => tracing::warn!(
                connections = cut,
                "stopped; requests that took too long were cut, uploads can be resumed"
            ),
        }
        if let Some(webhooks) = &self.used.webhooks {
            webhooks::finish(webhooks, self.drain, stopped.get().copied()).await;
        }
        if let Some(tracer) = &self.used.tracer {
            tracer.stop(LAST_TRACES).await;
        }
        if let Some(log) = &self.used.access_log {
            log.flush();
        }
        self.tasks.shutdown().await;
        cut
    }
}

fn registry(
    settings: &Settings,
    store: &Arc<dyn wharf_storage::Storage>,
    address: &ListenAddress,
) -> Arc<Registry> {
    let options = wharf_registry::Options {
        delete_enabled: settings
            .deletion
            .is_enabled(settings.auth.is_some(), address.is_loopback()),
        ..settings.registry.clone()
    };
    Arc::new(Registry::new(Arc::clone(store), options))
}

/// The users. Warns where their passwords would cross a network in clear text.
fn access(settings: &Settings, address: &ListenAddress) -> anyhow::Result<Option<Arc<Access>>> {
    let Some(auth) = &settings.auth else {
        return Ok(None);
    };
    let access = access::open(auth)?;
    let stays_here = address.is_loopback() || matches!(address, ListenAddress::Unix(_));
    access::warn_of_clear_text(
        settings.tls.is_some(),
        stays_here,
        settings.server.host.as_deref(),
    );
    Ok(Some(access))
}

fn access_log(settings: &Settings) -> io::Result<Option<AccessLog>> {
    let format = settings.log.access_log;
    format
        .map(|format| AccessLog::with_format(io::stdout(), format))
        .transpose()
}

/// Starts what runs beside the requests.
fn tasks(
    settings: &Settings,
    registry: &Arc<Registry>,
    used: &ServerServices,
    debug_listener: Option<Listener>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(purge) = settings.purge {
        tasks.spawn(purge::run(Arc::clone(registry), purge));
    }
    if let Some(health) = &used.health {
        tasks.spawn(Arc::clone(health).watch());
    }
    if let (Some(listener), Some(debug)) = (debug_listener, &settings.debug) {
        let server = DebugServer {
            health: used.health.clone(),
            metrics: debug.metrics_path.clone().zip(used.metrics.clone()),
        };
        tasks.spawn(server.serve(listener));
    }
    tasks
}

/// Listens at the configured address, or on the socket that systemd has opened.
async fn bind(listen: &Listen, inherited: Option<Inherited>) -> anyhow::Result<Listener> {
    let listener = match (inherited, listen) {
        (Some(Inherited::Tcp(listener)), _) => Listener::of_tcp(listener).context("cannot listen")?,
        (Some(Inherited::Unix(listener)), _) => Listener::of_unix(listener).context("cannot listen")?,
        (None, Listen::Tcp(address)) => wharf_http::bind(address).await?,
        (None, Listen::Unix(path)) => wharf_http::bind_unix(path)?,
    };
    Ok(listener)
}

async fn open(storage: &Engine) -> anyhow::Result<(Arc<dyn wharf_storage::Storage>, Arc<dyn Spools>)> {
    Ok(match storage {
        Engine::Filesystem { root } => {
            let storage = Arc::new(wharf_storage::fs::FsStorage::open(root)?);
            (Arc::clone(&storage) as _, storage)
        }
        Engine::InMemory => (
            Arc::new(wharf_storage::object::ObjectStorage::in_memory()),
            Arc::new(MemorySpools),
        ),
    })
}
