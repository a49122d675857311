//! Puts the services of one server together, as its settings have them.

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
use wharf_registry::Registry;
use wharf_server::{AccessLog, ListenAddress, Listener, Server, Tls, Webhooks};
use wharf_storage::spool::{MemorySpools, Spools};

use self::telemetry::Telemetry;
use crate::{
    config::{Config, Listen, Storage},
    systemd::Inherited,
};

/// All parts of one server, ready to answer.
#[derive(Debug)]
pub(crate) struct Services {
    server: Server,
    registry: Arc<Registry>,
    listener: Listener,
    is_encrypted: bool,
    address: ListenAddress,
    debug_address: Option<ListenAddress>,
    webhooks: Option<Webhooks>,
    telemetry: Telemetry,
    access_log: Option<AccessLog>,
    drain: Duration,
    /// What runs beside the requests; aborted when this is dropped.
    tasks: JoinSet<()>,
}

impl Services {
    /// Opens the store, the listeners and all else that `config` names. Needs a runtime.
    pub(crate) async fn assemble(config: &mut Config, inherited: Option<Inherited>) -> anyhow::Result<Self> {
        let mut server = config.server.clone();
        server.tls = config.tls.take().map(Tls::open).transpose()?;
        let (store, spools) = open(&config.storage).await?;
        let (store, mut telemetry) = Telemetry::new(
            store,
            &config.storage,
            config.debug.as_ref(),
            config.traces.clone(),
        )
        .await?;
        let listener = bind(&config.listen, inherited).await?;
        let address = listener.address().context("cannot listen")?;

        server.access = config.auth.as_ref().map(access::open).transpose()?;
        if server.access.is_some() {
            let stays_here = address.is_loopback() || matches!(address, ListenAddress::Unix(_));
            access::warn_of_clear_text(server.tls.is_some(), stays_here, server.host.as_deref());
        }
        let mut options = config.registry.clone();
        options.delete_enabled = config
            .delete_enabled
            .unwrap_or(config.auth.is_some() || address.is_loopback());
        let registry = Arc::new(Registry::new(Arc::clone(&store), options));
        server.access_log = config
            .log
            .access_log
            .map(|format| AccessLog::with_format(io::stdout(), format))
            .transpose()?;
        server.webhooks = webhooks::start(config.webhooks.clone(), &address, &*spools)?;
        let mut tasks = JoinSet::new();
        let debug_address = telemetry.debug_address()?;
        let health = std::mem::take(&mut config.health);
        telemetry.attach(&mut server, health, &store, &registry, &mut tasks);
        if let Some(purge) = config.purge {
            tasks.spawn(purge::run(Arc::clone(&registry), purge));
        }
        Ok(Self {
            webhooks: server.webhooks.clone(),
            access_log: server.access_log.clone(),
            is_encrypted: server.tls.is_some(),
            drain: server.limits.drain,
            server: Server::new(Arc::clone(&registry), server),
            registry,
            listener,
            address,
            debug_address,
            telemetry,
            tasks,
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

    /// Whether the registry's listener speaks TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.is_encrypted
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
        if let Some(webhooks) = &self.webhooks {
            webhooks::finish(webhooks, self.drain, stopped.get().copied()).await;
        }
        self.telemetry.stop().await;
        if let Some(log) = &self.access_log {
            log.flush();
        }
        self.tasks.shutdown().await;
        cut
    }
}

/// Listens at the configured address, or on the socket that systemd has opened.
async fn bind(listen: &Listen, inherited: Option<Inherited>) -> anyhow::Result<Listener> {
    let listener = match (inherited, listen) {
        (Some(Inherited::Tcp(listener)), _) => Listener::of_tcp(listener).context("cannot listen")?,
        (Some(Inherited::Unix(listener)), _) => Listener::of_unix(listener).context("cannot listen")?,
        (None, Listen::Tcp(address)) => wharf_server::bind(address).await?,
        (None, Listen::Unix(path)) => wharf_server::bind_unix(path)?,
    };
    Ok(listener)
}

async fn open(storage: &Storage) -> anyhow::Result<(Arc<dyn wharf_storage::Storage>, Arc<dyn Spools>)> {
    Ok(match storage {
        Storage::Filesystem { root } => {
            let storage = Arc::new(wharf_storage::fs::FsStorage::open(root)?);
            (Arc::clone(&storage) as _, storage)
        }
        Storage::InMemory => (
            Arc::new(wharf_storage::object::ObjectStorage::in_memory()),
            Arc::new(MemorySpools),
        ),
    })
}
