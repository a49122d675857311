//! `wharf serve`: opens the store, listens, and answers until it is told to stop.

mod announcement;
mod signals;

use std::{path::Path, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use tokio::runtime;

use self::announcement::Announcement;
use crate::{
    config::{self, Settings},
    log, preflight,
    services::Services,
    systemd::{self, Inherited, Notifier},
    version,
};

/// Threads for blocking calls: each transfer that waits for the disk holds one; idle ones end.
const BLOCKING_THREADS: usize = 32;
const BLOCKING_THREADS_LINGER: Duration = Duration::from_secs(5);

/// Runs the registry until SIGTERM or SIGINT.
pub(crate) fn run(path: Option<&Path>) -> anyhow::Result<()> {
    let settings = config::load(path)?;
    log::start(settings.log.clone()).context("cannot start")?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    for note in &settings.notes {
        tracing::debug!("{note}");
    }
    raise_descriptor_limit();
    forbid_core_dumps();
    let inherited = systemd::inherited_socket()?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_THREADS_LINGER)
        .build()
        .context("cannot start")?;
    let result = runtime.block_on(serve(&settings, inherited));
    let result = result.map_err(|error| match &settings.source {
        Some(source) => anyhow!(source.blame(&format!("{error:#}"))),
        None => error,
    });
    // Tasks that still run belong to connections that were cut.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(settings: &Settings, inherited: Option<Inherited>) -> anyhow::Result<()> {
    if let Some(warning) = preflight::nested(settings) {
        tracing::warn!("{warning}");
    }
    let mut stop = pin!(signals::stop(settings.server.limits.drain)?);
    let services = tokio::select! {
        services = Services::assemble(settings, inherited) => services?,
        // It may wait for the lock of the store.
        () = &mut stop => return Ok(()),
    };
    let notifier = Arc::new(Notifier::new());
    let announcement = Announcement::of(settings, &services);
    tracing::info!(commit = version::COMMIT, build = version::BUILD, "started");
    announcement.print();
    notifier.ready(&announcement.url());
    if let Some(watchdog) = notifier.watchdog() {
        services.supervisor().spawn(watchdog);
    }
    let bucket = services.bucket().cloned();
    let stop = async {
        stop.await;
        notifier.stopping();
    };
    services.serve(stop).await;
    match bucket.and_then(|bucket| bucket.refusal()) {
        Some(reason) => Err(anyhow!(reason)),
        None => Ok(()),
    }
}

/// Passwords and keys in memory must not come to lie on a disk: no core is dumped, neither to a file nor to a program.
///
/// The kernel takes a limit of 1, which no core fits in, as the order to dump to no program either, which it would with 0.
fn forbid_core_dumps() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Core);
    limit.current = Some(limit.maximum.map_or(1, |maximum| maximum.min(1)));
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::debug!(%error, "cannot forbid core dumps");
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
