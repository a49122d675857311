//! SIGTERM and SIGINT, on a thread of their own: they end the process whatever its other threads do.

use std::{thread, time::Duration};

use anyhow::Context as _;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time,
};

use crate::log;

/// Time after that for running requests until the process ends, whatever still runs: workers, logs and the last tasks
/// have their own limits, which are shorter.
const LAST_ACTS: Duration = Duration::from_secs(6);

/// Completes on the first signal. On the second one, and when the server has not ended `drain` and some seconds after
/// the first, the process ends without waiting for anything.
pub(super) fn stop(drain: Duration) -> anyhow::Result<impl Future<Output = ()>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot listen for signals")?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::listen().context("cannot listen for signals")?
    };
    let (stop, stopped) = oneshot::channel();
    let watch = move || {
        runtime.block_on(async {
            signals.next().await;
            tracing::info!("stopping; running requests may finish");
            // An error means that the server is ending already.
            _ = stop.send(());
            let limit = drain.saturating_add(LAST_ACTS);
            if time::timeout(limit, signals.next()).await.is_err() {
                tracing::error!("the server did not end within {limit:?}; the process ends now");
            }
            log::flush();
            std::process::exit(1);
        });
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(watch)
        .context("cannot listen for signals")?;
    Ok(async {
        // The thread does not end before the process.
        _ = stopped.await;
    })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
