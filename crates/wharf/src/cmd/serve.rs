//! `wharf serve`: opens the store, listens, and answers until it is told to stop.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
    time,
};
use tracing::Level;
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};
use wharf_registry::Registry;
use wharf_server::{AccessLog, Server};

use crate::config::{self, Config, Log, LogFormat, Purge, Storage};

/// Each transfer that waits for the disk holds one; they go when nothing waits.
const BLOCKING_THREADS: usize = 32;
const BLOCKING_THREADS_LINGER: Duration = Duration::from_secs(5);

/// After the start, before unfinished uploads are looked at for the first time: the first requests come first.
const FIRST_PURGE: Duration = Duration::from_secs(15 * 60);

/// Runs the registry until SIGTERM or SIGINT.
pub(crate) fn run(path: Option<&Path>) -> anyhow::Result<()> {
    let config = config::load(path)?;
    start_log(config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    raise_descriptor_limit();
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_THREADS_LINGER)
        .build()
        .context("cannot start")?;
    let result = runtime.block_on(serve(config));
    // What still runs belongs to clients that were cut.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let Config {
        storage,
        address,
        delete_enabled,
        purge,
        mut registry,
        mut server,
        log,
        source,
        ..
    } = config;
    let stop = stop_signal()?;
    let store = open(&storage).await?;
    let listener = wharf_server::bind(&address).await?;
    let listening_on = listener.local_addr().context("cannot listen")?;

    registry.delete_enabled = delete_enabled.unwrap_or(listening_on.ip().is_loopback());
    let registry = Arc::new(Registry::new(store, registry));
    let access_log = if log.access_log {
        Some(AccessLog::new(io::stdout())?)
    } else {
        None
    };
    server.access_log = access_log.clone();
    if let Some(purge) = purge {
        tokio::spawn(purge_uploads(Arc::clone(&registry), purge));
    }
    announce(&Announcement {
        listening_on,
        storage: &storage,
        source: source.as_deref(),
        is_delete_enabled: registry.options().delete_enabled,
        is_delete_decided: delete_enabled.is_some(),
    });
    answer(&Server::new(registry, server), listener, stop).await;
    if let Some(log) = access_log {
        log.flush();
    }
    Ok(())
}

async fn answer(server: &Server, listener: TcpListener, stop: impl Future<Output = ()>) {
    let cut = server.serve(listener, stop).await;
    match cut {
        0 => tracing::info!("stopped"),
        cut => tracing::warn!(
            connections = cut,
            "stopped; requests that took too long were cut, uploads can be resumed"
        ),
    }
}

async fn open(storage: &Storage) -> anyhow::Result<Arc<dyn wharf_storage::Storage>> {
    Ok(match storage {
        Storage::Filesystem { root } => Arc::new(wharf_storage::fs::FsStorage::open(root)?),
        Storage::InMemory => Arc::new(wharf_storage::object::ObjectStorage::in_memory()),
    })
}

/// Completes on the first signal. On the second, the process ends without waiting for anything.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    Ok(async move {
        let mut next = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping; running requests may finish");
        tokio::spawn(async move {
            next().await;
            std::process::exit(1);
        });
    })
}

async fn purge_uploads(registry: Arc<Registry>, Purge { age, interval }: Purge) {
    time::sleep(FIRST_PURGE.min(interval)).await;
    loop {
        match registry.purge_uploads(age).await {
            Ok(0) => {}
            Ok(uploads) => tracing::info!(uploads, "forgot unfinished uploads"),
            Err(error) => tracing::error!(%error, "cannot look for unfinished uploads"),
        }
        time::sleep(interval).await;
    }
}

/// What an operator wants to know at the start.
struct Announcement<'a> {
    listening_on: SocketAddr,
    storage: &'a Storage,
    source: Option<&'a Path>,
    is_delete_enabled: bool,
    is_delete_decided: bool,
}

fn announce(announcement: &Announcement<'_>) {
    // A closed stdout is no reason not to serve.
    _ = io::stdout().lock().write_all(announcement.text().as_bytes());
}

impl Announcement<'_> {
    fn text(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let Self { listening_on, .. } = self;
        let data = match self.storage {
            Storage::Filesystem { root } => std::path::absolute(root)
                .unwrap_or(root.clone())
                .display()
                .to_string(),
            Storage::InMemory => "in memory, gone at the end".to_owned(),
        };
        let configuration = match self.source {
            Some(path) => path.display().to_string(),
            None => "none".to_owned(),
        };
        let switch = if self.is_delete_enabled { "on" } else { "off" };
        let reason = match (self.is_delete_decided, self.is_delete_enabled) {
            (true, _) => "as configured".to_owned(),
            (false, true) => {
                "because only this machine can connect; `storage.delete.enabled` decides otherwise".to_owned()
            }
            (false, false) => {
                "because anyone who connects could; `storage.delete.enabled: true` allows it".to_owned()
            }
        };
        let host = if listening_on.ip().is_unspecified() {
            format!("localhost:{}", listening_on.port())
        } else {
            listening_on.to_string()
        };
        format!(
            "wharf {version} listening on http://{listening_on}\n  \
               data           {data}\n  \
               configuration  {configuration}\n  \
               deleting       {switch}, {reason}\n  \
               try            docker tag my-image {host}/my-image && docker push {host}/my-image\n"
        )
    }
}

fn start_log(log: Log) {
    // Libraries speak up from warnings on; our own crates as much as the operator wants.
    let ours = ["wharf", "wharf_server", "wharf_registry", "wharf_storage"];
    let targets = Targets::new()
        .with_default(Level::WARN)
        .with_targets(ours.map(|target| (target, log.level)));
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let subscriber = tracing_subscriber::registry();
    match log.format {
        LogFormat::Text => {
            use std::io::IsTerminal as _;
            let text = layer.with_ansi(io::stderr().is_terminal());
            subscriber.with(text.with_filter(targets)).init();
        }
        LogFormat::Json => {
            subscriber
                .with(layer.json().flatten_event(true).with_filter(targets))
                .init();
        }
    }
}

/// Every connection and every transfer holds a descriptor; the usual limit of 1,024 is for programs that use `select`.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_say_what_to_do() {
        let text = Announcement {
            listening_on: "[::]:5000".parse().unwrap(),
            storage: &Storage::Filesystem { root: "/d".into() },
            source: None,
            is_delete_enabled: false,
            is_delete_decided: false,
        }
        .text();
        for expected in [
            "listening on http://[::]:5000\n",
            "data           /d\n",
            "deleting       off, because anyone",
            "docker push localhost:5000/my-image",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
