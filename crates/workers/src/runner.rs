//! The loop that runs one worker: units of work, the pauses between them, and the way to its end.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use crate::{
    pace::Pace,
    status::{Record, State},
    worker::{Error, Unit, Work, Worker},
};

/// The pause after the first failure of a series; it doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Runs one worker to its end.
pub(crate) struct Runner {
    name: String,
    record: Arc<Record>,
    /// Held, not only listened to: a worker without any handle left runs on.
    switches: Arc<Switches>,
}

/// The requests to a worker from outside: its pace, and whether to stop.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    pub(crate) pace: watch::Sender<Pace>,
    pub(crate) stopping: watch::Sender<bool>,
}

impl Runner {
    pub(crate) fn new(name: String, record: Arc<Record>, switches: Arc<Switches>) -> Self {
        Self {
            name,
            record,
            switches,
        }
    }

    pub(crate) async fn run(self, mut worker: impl Worker) {
        let end = match self.units(&mut worker).await {
            Some(()) => State::Done,
            None => {
                if let Err(error) = caught(worker.drain()).await {
                    self.record.failed(error.why());
                    tracing::error!(
                        worker = self.name,
                        error = error.why(),
                        "a worker could not finish when it was stopped"
                    );
                }
                State::Stopped
            }
        };
        self.record.enter(end);
    }

    /// Lets the worker work until it is done; `None` when it is told to stop before that.
    async fn units(&self, worker: &mut impl Worker) -> Option<()> {
        let mut failures: u32 = 0;
        let mut is_idle = false;
        loop {
            let work = match self.attempt(worker, &mut is_idle).await? {
                Ok(work) => work,
                Err(error) => {
                    self.record.failed(error.why());
                    let pause = error.pause().unwrap_or_else(|| {
                        failures = failures.saturating_add(1);
                        self.log_first(&error, failures);
                        pause_after(failures)
                    });
                    self.rest(State::Failed, pause).await?;
                    continue;
                }
            };
            if failures > 0 {
                tracing::info!(worker = self.name, failures, "a worker succeeds again");
                failures = 0;
            }
            is_idle = work == Work::Idle;
            match work {
                // Requests and other workers get their turn, however short the units are.
                Work::Busy => tokio::task::yield_now().await,
                Work::Throttled(pause) => self.rest(State::Throttled, pause).await?,
                Work::Idle => {}
                Work::Done => return Some(()),
            }
        }
    }

    /// Waits if the worker is idle, then does one unit of work, which is tried again without another wait if it fails.
    /// `None`: told to stop.
    async fn attempt(&self, worker: &mut impl Worker, is_idle: &mut bool) -> Option<Unit> {
        if *is_idle {
            self.record.enter(State::Idle);
            if let Err(error) = self.unless_stopped(caught(worker.wait())).await? {
                return Some(Err(error));
            }
            *is_idle = false;
        }
        self.wait_while_paused().await?;
        self.record.enter(State::Busy);
        let started = Instant::now();
        let unit = caught(worker.work()).await.flatten();
        if let Ok(work) = &unit {
            self.record.succeeded(worker.status(), *work != Work::Idle);
        }
        let rest = self.switches.pace.borrow().rest_after(started.elapsed());
        Some(unit.map(|work| match work {
            Work::Busy if !rest.is_zero() => Work::Throttled(rest),
            work => work,
        }))
    }

    async fn wait_while_paused(&self) -> Option<()> {
        let mut pace = self.switches.pace.subscribe();
        if *pace.borrow() == Pace::Paused {
            self.record.enter(State::Paused);
            // An error would mean that the sender was dropped, but `switches` holds it.
            _ = self
                .unless_stopped(pace.wait_for(|pace| *pace != Pace::Paused))
                .await?;
        }
        (!*self.switches.stopping.borrow()).then_some(())
    }

    async fn rest(&self, state: State, pause: Duration) -> Option<()> {
        self.record.enter(state);
        self.unless_stopped(time::sleep(pause)).await
    }

    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut stopping = self.switches.stopping.subscribe();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|is_stopping| *is_stopping) => None,
            result = future => Some(result),
        }
    }

    fn log_first(&self, error: &Error, failures: u32) {
        if failures == 1 {
            tracing::error!(
                worker = self.name,
                error = error.why(),
                "a worker failed; it tries again, and logs when it succeeds"
            );
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(20))
        .min(LONGEST_PAUSE)
}

/// The result of `future`, or the text of its panic.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    AssertUnwindSafe(future)
        .catch_unwind()
        .await
        .map_err(|panic| format!("panic: {}", text_of(&*panic)).into())
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "without a message",
    }
}
