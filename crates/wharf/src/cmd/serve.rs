//! `wharf serve`: opens the store, listens, and answers until it is told to stop.

mod access;
mod watchers;

use std::{
    io::{self, Write as _},
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    time,
};
use wharf_http::{AccessLog, ListenAddress, Listener, Tls};
use wharf_registry::Registry;
use wharf_server::Server;
use wharf_storage::spool::{MemorySpools, Spools};

use self::watchers::Watchers;
use crate::{
    cmd::webhooks,
    config::{self, Config, Listen, Purge, Storage},
    log,
    systemd::{self, Inherited, Notifier},
};

/// Each transfer that waits for the disk holds one; they go when nothing waits.
const BLOCKING_THREADS: usize = 32;
const BLOCKING_THREADS_LINGER: Duration = Duration::from_secs(5);

/// After the start, before unfinished uploads are looked at for the first time: the first requests come first.
const FIRST_PURGE: Duration = Duration::from_secs(15 * 60);

/// Runs the registry until SIGTERM or SIGINT.
pub(crate) fn run(path: Option<&Path>) -> anyhow::Result<()> {
    let config = config::load(path)?;
    log::start(config.log.clone());
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for note in &config.notes {
        tracing::debug!("{note}");
    }
    raise_descriptor_limit();
    let inherited = systemd::inherited_socket()?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_THREADS_LINGER)
        .build()
        .context("cannot start")?;
    let result = runtime.block_on(serve(config, inherited));
    // What still runs belongs to clients that were cut.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(config: Config, inherited: Option<Inherited>) -> anyhow::Result<()> {
    let Config {
        storage,
        listen,
        tls,
        delete_enabled,
        purge,
        mut registry,
        webhooks,
        mut server,
        log,
        debug,
        health,
        source,
        auth,
        ..
    } = config;
    let stop = stop_signal()?;
    server.tls = tls.map(Tls::open).transpose()?;
    let (store, spools) = open(&storage).await?;
    let (store, mut watchers) = Watchers::new(store, &storage, debug.as_ref()).await?;
    let listener = bind(&listen, inherited).await?;
    let listening_on = listener.address().context("cannot listen")?;
    let notifier = Notifier::new();

    server.access = auth.as_ref().map(access::open).transpose()?;
    if server.access.is_some() {
        let stays_here = listening_on.is_loopback() || matches!(listening_on, ListenAddress::Unix(_));
        access::warn_of_clear_text(server.tls.is_some(), stays_here, server.host.as_deref());
    }
    registry.delete_enabled = delete_enabled.unwrap_or(auth.is_some() || listening_on.is_loopback());
    let registry = Arc::new(Registry::new(Arc::clone(&store), registry));
    let access_log = log
        .access_log
        .map(|format| AccessLog::with_format(io::stdout(), format))
        .transpose()?;
    server.access_log = access_log.clone();
    let webhooks = webhooks::start(webhooks, &listening_on, &*spools)?;
    server.webhooks = webhooks.clone();
    let drain = server.limits.drain;
    watchers.attach(&mut server, health, &store, &registry);
    if let Some(purge) = purge {
        tokio::spawn(purge_uploads(Arc::clone(&registry), purge));
    }
    let announcement = Announcement {
        listening_on,
        is_encrypted: server.tls.is_some(),
        prefix: &server.prefix.clone(),
        is_read_only: server.read_only,
        storage: &storage,
        source: source.as_deref(),
        users: auth.as_ref().map(|auth| auth.path.as_path()),
        is_delete_enabled: registry.options().delete_enabled,
        is_delete_decided: delete_enabled.is_some(),
    };
    announce(&announcement);
    notifier.ready(&announcement.url());
    let stopped = OnceLock::new();
    let stop = async {
        stop.await;
        stopped.get_or_init(Instant::now);
        notifier.stopping();
    };
    let server = Server::new(registry, server);
    tokio::select! {
        () = answer(&server, listener, stop) => {}
        // Ends at once where there is no watchdog.
        () = async { notifier.keep_watchdog_quiet().await; std::future::pending().await } => {}
    }
    if let Some(webhooks) = webhooks {
        webhooks::finish(&webhooks, drain, stopped.get().copied()).await;
    }
    watchers.stop().await;
    if let Some(log) = access_log {
        log.flush();
    }
    Ok(())
}

async fn answer(server: &Server, listener: Listener, stop: impl Future<Output = ()>) {
    let cut = server.serve(listener, stop).await;
    match cut {
        0 => tracing::info!("stopped"),
        cut => tracing::warn!(
            connections = cut,
            "stopped; requests that took too long were cut, uploads can be resumed"
        ),
    }
}

/// Listens where the configuration says, unless systemd does so for us.
async fn bind(listen: &Listen, inherited: Option<Inherited>) -> anyhow::Result<Listener> {
    let listener = match (inherited, listen) {
        (Some(Inherited::Tcp(listener)), _) => Listener::of_tcp(listener).context("cannot listen")?,
        (Some(Inherited::Unix(listener)), _) => Listener::of_unix(listener).context("cannot listen")?,
        (None, Listen::Tcp(address)) => wharf_http::bind(address).await?,
        (None, Listen::Unix(path)) => wharf_http::bind_unix(path)?,
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

async fn purge_uploads(registry: Arc<Registry>, how: Purge) {
    time::sleep(FIRST_PURGE.min(how.interval)).await;
    loop {
        let purged = if how.is_dry {
            registry.abandoned_uploads(how.age).await
        } else {
            registry.purge_uploads(how.age).await
        };
        match purged {
            Ok(0) => {}
            Ok(uploads) if how.is_dry => {
                tracing::info!(uploads, "would forget unfinished uploads, but `dryrun` is set");
            }
            Ok(uploads) => tracing::info!(uploads, "forgot unfinished uploads"),
            Err(error) => tracing::error!(%error, "cannot look for unfinished uploads"),
        }
        time::sleep(how.interval).await;
    }
}

/// What an operator wants to know at the start.
struct Announcement<'a> {
    listening_on: ListenAddress,
    is_encrypted: bool,
    prefix: &'a str,
    is_read_only: bool,
    storage: &'a Storage,
    source: Option<&'a Path>,
    /// The password file.
    users: Option<&'a Path>,
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
        let users = match self.users {
            Some(path) => format!("those in {}", path.display()),
            None => "everybody, without a password".to_owned(),
        };
        let switch = if self.is_delete_enabled { "on" } else { "off" };
        let reason = match (self.is_delete_decided, self.is_delete_enabled) {
            (true, _) => "as configured".to_owned(),
            (false, true) if self.users.is_some() => {
                "because users log in; `storage.delete.enabled` decides otherwise".to_owned()
            }
            (false, true) => {
                "because only this machine can connect; `storage.delete.enabled` decides otherwise".to_owned()
            }
            (false, false) => {
                "because anyone who connects could; `storage.delete.enabled: true` allows it".to_owned()
            }
        };
        let mut text = format!(
            "wharf {version} listening on {url}\n  \
               data           {data}\n  \
               configuration  {configuration}\n  \
               users          {users}\n  \
               deleting       {switch}, {reason}\n",
            url = self.url(),
        );
        if self.is_read_only {
            text.push_str(
                "  pushing        off, because of `storage.maintenance.readonly.enabled`; deleting as well\n",
            );
        } else if let Some(host) = self.host() {
            text.push_str(&format!(
                "  try            docker tag my-image {host}/my-image && docker push {host}/my-image\n"
            ));
        }
        text
    }

    fn url(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        match &self.listening_on {
            ListenAddress::Tcp(address) => format!("{scheme}://{address}{}", self.prefix),
            unix @ ListenAddress::Unix(_) => format!("{scheme} at {unix}"),
        }
    }

    /// What to write before the name of an image; `None` when docker cannot come here directly.
    fn host(&self) -> Option<String> {
        match &self.listening_on {
            ListenAddress::Tcp(address) if self.prefix.is_empty() => Some(if address.ip().is_unspecified() {
                format!("localhost:{}", address.port())
            } else {
                address.to_string()
            }),
            ListenAddress::Tcp(_) | ListenAddress::Unix(_) => None,
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
            listening_on: ListenAddress::Tcp("[::]:5000".parse().unwrap()),
            is_encrypted: false,
            prefix: "",
            is_read_only: false,
            storage: &Storage::Filesystem { root: "/d".into() },
            source: None,
            users: None,
            is_delete_enabled: false,
            is_delete_decided: false,
        }
        .text();
        for expected in [
            "listening on http://[::]:5000\n",
            "data           /d\n",
            "users          everybody",
            "deleting       off, because anyone",
            "docker push localhost:5000/my-image",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
