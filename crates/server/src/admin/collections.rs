//! Collections of garbage: on a schedule, and when an administrator asks for one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use uuid::Uuid;
use wharf_activity::{Activity, Outcome};
use wharf_message::Sentence;
use wharf_oci::Digest;
use wharf_registry::{
    CallerFacts,
    collect::{Collected, CollectionReport, Finding, OnlineCollector, Swept},
};
use wharf_workers::{Background, Unit, Work, Worker};

use super::{
    shown::{time, told_each, told_if},
    untagged::UntaggedManifests,
    why, wire,
};
use crate::words::EndedEarly;

/// How many findings a status shows.
const FINDINGS: usize = 100;

/// How often it is looked whether too little space is free.
const LOOK: Duration = Duration::from_secs(60);

/// How long a run waits for another process that collects, or has died while it did.
const ELSEWHERE: Duration = Duration::from_secs(11 * 60);

/// The collector of a server, with its schedule and the outcome of its last run. Clones share it.
#[derive(Debug, Clone)]
pub struct Collections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    collector: OnlineCollector,
    /// What is deleted before each collection; `None`: nothing is.
    untagged: Option<UntaggedManifests>,
    /// Names this process.
    server: Uuid,
    state: Mutex<State>,
    /// Wakes the worker.
    asked: Notify,
    /// Held while it is found out why a digest is kept.
    explaining: tokio::sync::Mutex<()>,
    /// Where it is recorded that deletions were given up.
    activity: Option<Activity>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the last run that began.
    begun: u64,
    /// Since when it runs; `None` when it has ended.
    since: Option<SystemTime>,
    /// Whether a run is to begin that has not begun yet.
    is_asked: bool,
    /// When the next run begins by itself; `None`: on demand alone.
    next: Option<(Instant, SystemTime)>,
    last: Option<wire::EndedCollection>,
    totals: Totals,
}

/// What the collections of a server have done since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Those that came to their end.
    pub(crate) done: u64,
    /// Those that ended early.
    pub(crate) failed: u64,
    pub(crate) removed: wire::Space,
    /// What the last one left to a later one.
    pub(crate) waiting: wire::Space,
    /// Deletions of the trash that were given up for want of space.
    pub(crate) given_up: u64,
}

/// When collections run by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionSchedule {
    /// From the start to the first one.
    pub first: Duration,
    /// From the end of one to the begin of the next.
    pub interval: Duration,
}

impl Collections {
    /// Collections by `collector`, before each of which `untagged` manifests are deleted, and which record in `activity` what they give
    /// up. Nothing runs before its [worker](Self::worker) does.
    pub fn by(
        collector: OnlineCollector,
        untagged: Option<UntaggedManifests>,
        activity: Option<Activity>,
    ) -> Self {
        Self(Arc::new(Inner {
            collector,
            untagged,
            server: Uuid::new_v4(),
            state: Mutex::default(),
            asked: Notify::new(),
            explaining: tokio::sync::Mutex::default(),
            activity,
        }))
    }

    /// Asks for a collection. One that already runs may have passed over what the caller has deleted, so it does not count. Returns
    /// the number of the one that does.
    pub fn ask(&self) -> wire::RequestedCollection {
        let number = {
            let mut state = self.0.state.lock();
            state.is_asked = true;
            state.begun + 1
        };
        self.0.asked.notify_one();
        wire::RequestedCollection {
            server: self.0.server.to_string(),
            number,
        }
    }

    /// What runs, what ran last, and what comes next.
    pub fn show(&self) -> wire::Collections {
        let state = self.0.state.lock();
        let progress = self.0.collector.progress();
        wire::Collections {
            server: self.0.server.to_string(),
            running: state.since.map(|since| wire::RunningCollection {
                number: state.begun,
                started: time(since),
                repositories: progress.repositories,
                garbage: space(progress.garbage),
                removed: space(progress.removed),
            }),
            last: state.last.clone(),
            next: state.next.map(|(_, at)| time(at)),
        }
    }

    /// Why `digest` is kept.
    ///
    /// # Errors
    ///
    /// As [`Collector::why`](wharf_registry::collect::Collector::why).
    pub(crate) async fn why(&self, digest: &Digest) -> wharf_registry::Result<wire::Why> {
        // It reads every repository: one at a time is enough.
        let _turn = self.0.explaining.lock().await;
        why(self.0.collector.collector(), digest).await
    }

    /// What collections have done since the start.
    pub(crate) fn totals(&self) -> Totals {
        self.0.state.lock().totals
    }

    /// The worker that collects, at the times of `schedule` and when it is asked to.
    pub fn worker(&self, schedule: Option<CollectionSchedule>) -> impl Worker + use<> {
        self.plan(schedule.map(|schedule| schedule.first));
        CollectionWorker {
            collections: self.clone(),
            interval: schedule.map(|schedule| schedule.interval),
        }
    }

    /// Lets the next run begin after `pause`, or on demand alone.
    fn plan(&self, pause: Option<Duration>) {
        let next = pause.map(|pause| (Instant::now() + pause, SystemTime::now() + pause));
        self.0.state.lock().next = next;
    }

    /// Whether a run is due.
    fn is_due(&self) -> bool {
        let state = self.0.state.lock();
        state.is_asked || state.next.is_some_and(|(at, _)| at <= Instant::now())
    }

    /// Whether a run should begin early, because too little space is free and the trash can give deletions up. Not if the last one ended
    /// early: the next one would as well.
    async fn is_pressed(&self) -> bool {
        let has_failed = |last: &wire::EndedCollection| last.error.is_some();
        if self.0.state.lock().last.as_ref().is_some_and(has_failed) {
            return false;
        }
        match self.0.collector.is_pressed().await {
            Ok(is_pressed) => is_pressed,
            Err(error) => {
                tracing::debug!(%error, "could not look whether too little space is free");
                false
            }
        }
    }

    /// Records how many deletions a run gave up for want of space.
    fn record(&self, given_up: usize) {
        if let Some(activity) = self.0.activity.as_ref().filter(|_| given_up > 0) {
            let what = format!(
                "gave up {given_up} deletion(s) in the trash, the oldest, because the file system is nearly full (trash.pressure)"
            );
            activity.administered(&CallerFacts::default(), &what, Outcome::Ok);
        }
    }

    /// Notes the begin of a run.
    fn begin(&self) -> SystemTime {
        let mut state = self.0.state.lock();
        let now = SystemTime::now();
        (state.is_asked, state.since) = (false, Some(now));
        state.begun += 1;
        now
    }

    /// Notes the end of a run that began at `started`.
    fn end(&self, started: SystemTime, outcome: Ended) {
        let mut state = self.0.state.lock();
        let progress = self.0.collector.progress();
        let totals = &mut state.totals;
        let (report, error) = match outcome {
            Ended::Done(report) => {
                totals.done += 1;
                totals.waiting = space(report.waiting);
                (report, None)
            }
            Ended::PutOff(why) => (CollectionReport::default(), Some(why)),
            Ended::Early(why) => {
                totals.failed += 1;
                let report = CollectionReport {
                    repositories: progress.repositories,
                    removed: progress.removed,
                    given_up: progress.given_up,
                    ..CollectionReport::default()
                };
                (report, Some(why))
            }
        };
        totals.removed.blobs += report.removed.blobs;
        totals.removed.bytes += report.removed.bytes;
        totals.given_up += report.given_up as u64;
        self.record(report.given_up);
        let findings = report.findings.iter().take(FINDINGS);
        let (findings, findings_messages) = told_each(findings.map(Finding::sentence));
        let (error, error_messages) = told_if(error);
        state.since = None;
        state.last = Some(wire::EndedCollection {
            number: state.begun,
            started: time(started),
            ended: time(SystemTime::now()),
            repositories: report.repositories,
            needed: report.needed,
            removed: space(report.removed),
            waiting: space(report.waiting),
            expired: report.expired,
            given_up: report.given_up,
            deletions: report.records,
            findings,
            findings_messages,
            error,
            error_messages,
        });
    }
}

/// How a run ended.
enum Ended {
    /// It did all that it had to.
    Done(CollectionReport),
    /// It did nothing, for this reason.
    PutOff(Sentence),
    /// Something went wrong.
    Early(Sentence),
}

/// Runs collections, one after the other.
struct CollectionWorker {
    collections: Collections,
    /// From the end of one to the begin of the next; `None`: on demand alone.
    interval: Option<Duration>,
}

impl Worker for CollectionWorker {
    fn name(&self) -> String {
        "collector".to_owned()
    }

    async fn work(&mut self) -> Unit {
        let runs_early = self.interval.is_some() && self.collections.is_pressed().await;
        if !runs_early && !self.collections.is_due() {
            return Ok(Work::Idle);
        }
        let started = self.collections.begin();
        // A run that is cut off, or panics, is one that ended early.
        let running = Running {
            collections: &self.collections,
            started,
            outcome: Ended::Early(EndedEarly::CollectionStopped.into()),
        };
        let (pause, outcome) = self.run().await;
        running.ended(outcome);
        self.collections.plan(pause);
        Ok(Work::Busy)
    }

    async fn wait(&mut self) {
        let asked = self.collections.0.asked.notified();
        let next = self.collections.0.state.lock().next;
        match next {
            Some((at, _)) => tokio::select! {
                () = asked => {}
                // It looks meanwhile whether too little space is free.
                () = sleep_until(at.min(Instant::now() + LOOK)) => {}
            },
            None => asked.await,
        }
    }

    fn status(&self) -> String {
        match &self.collections.0.state.lock().last {
            None => String::new(),
            Some(wire::EndedCollection {
                error: Some(error), ..
            }) => error.clone(),
            Some(last) => format!(
                "the last collection removed {} blobs with {} bytes, and {} wait for the next one",
                last.removed.blobs, last.removed.bytes, last.waiting.blobs
            ),
        }
    }
}

impl CollectionWorker {
    /// Collects, on threads of its own where that takes the processor from requests. On a bucket it mostly waits for the store, and
    /// connections to the store belong to the threads of requests.
    async fn collect(&self) -> Result<Collected, wharf_registry::Error> {
        let inner = &self.collections.0;
        if !inner.collector.computes() {
            return inner.collector.collect().await;
        }
        match Background::start() {
            Ok(background) => {
                let inner = Arc::clone(inner);
                background
                    .run(async move { inner.collector.collect().await })
                    .await
            }
            Err(error) => {
                tracing::warn!(%error, "no threads for a collection of its own; it runs on those of requests");
                inner.collector.collect().await
            }
        }
    }

    /// Collects, and says when the next run begins and what became of this one.
    async fn run(&self) -> (Option<Duration>, Ended) {
        let sooner = |pause: Duration| self.interval.map(|interval| interval.min(pause));
        let collector = &self.collections.0.collector;
        if let Some(untagged) = &self.collections.0.untagged
            && let Ok(true) = collector.may_remove().await
            && let Err(error) = untagged.delete().await
        {
            tracing::error!(%error, "manifests without a tag cannot be looked for");
        }
        match self.collect().await {
            Ok(Collected::Done(report)) => {
                log(&report);
                if let Err(error) = collector.record_growth(&report).await {
                    tracing::warn!(%error, "what is stored today cannot be recorded");
                }
                let pause = report.again.map_or(self.interval, sooner);
                (pause, Ended::Done(report))
            }
            Ok(Collected::Elsewhere) => {
                let n = ELSEWHERE.as_secs() / 60;
                (
                    sooner(ELSEWHERE),
                    Ended::PutOff(EndedEarly::Elsewhere { n }.into()),
                )
            }
            Ok(Collected::ForeignWriter(at)) => {
                let paused = EndedEarly::ForeignWriter { time: time(at) };
                tracing::warn!("{paused}");
                (self.interval, Ended::PutOff(paused.into()))
            }
            Err(error) => {
                tracing::error!(%error, "the collection ended early; nothing that is needed was removed");
                (self.interval, Ended::Early(error.sentence()))
            }
        }
    }
}

/// A run that has begun; its end is noted whatever becomes of it.
struct Running<'a> {
    collections: &'a Collections,
    started: SystemTime,
    outcome: Ended,
}

impl Running<'_> {
    fn ended(mut self, outcome: Ended) {
        self.outcome = outcome;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ended::Early(Sentence::default()));
        self.collections.end(self.started, outcome);
    }
}

fn log(report: &CollectionReport) {
    for finding in &report.findings {
        tracing::warn!("{finding}");
    }
    if report.removed.blobs > 0 || report.links > 0 || report.expired > 0 {
        tracing::info!(
            blobs = report.removed.blobs,
            bytes = report.removed.bytes,
            links = report.links,
            expired = report.expired,
            "collected garbage"
        );
    }
}

fn space(swept: Swept) -> wire::Space {
    wire::Space {
        blobs: swept.blobs,
        bytes: swept.bytes,
    }
}
