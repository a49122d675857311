//! `wharf serve`: opens the store, listens, and answers until it is told to stop.

use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};
use wharf_server::ListenAddress;

use crate::{
    config::{self, Config, Storage},
    log,
    services::Services,
    systemd::{self, Inherited, Notifier},
};

/// Each transfer that waits for the disk holds one; they go when nothing waits.
const BLOCKING_THREADS: usize = 32;
const BLOCKING_THREADS_LINGER: Duration = Duration::from_secs(5);

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

async fn serve(mut config: Config, inherited: Option<Inherited>) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let services = Services::assemble(&mut config, inherited).await?;
    let notifier = Notifier::new();
    let announcement = Announcement {
        listening_on: services.address().clone(),
        is_encrypted: services.is_encrypted(),
        prefix: &config.server.prefix,
        is_read_only: config.server.read_only,
        storage: &config.storage,
        source: config.source.as_deref(),
        users: config.auth.as_ref().map(|auth| auth.path.as_path()),
        is_delete_enabled: services.is_delete_enabled(),
        is_delete_decided: config.delete_enabled.is_some(),
    };
    announce(&announcement);
    notifier.ready(&announcement.url());
    let stop = async {
        stop.await;
        notifier.stopping();
    };
    tokio::select! {
        _cut = services.serve(stop) => {}
        // Ends at once where there is no watchdog.
        () = async { notifier.keep_watchdog_quiet().await; std::future::pending().await } => {}
    }
    Ok(())
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
