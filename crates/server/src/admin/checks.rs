//! Checks of the store: what the scrub has found, the last whole check, and one that runs beside requests when it is asked for.

use std::{
    collections::HashSet,
    fmt,
    num::NonZeroU64,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use uuid::Uuid;
use wharf_message::Sentence;
use wharf_oci::Digest;
use wharf_registry::{
    Error as RegistryError, LeaseHolder, Options, Result, ScrubRecord,
    check::{
        CheckOptions, CheckTotals, CheckTurn, Checker, Finding, Image, ImageReference, Images, PATIENCE,
        Progress, Severity, last_check,
    },
};
use wharf_storage::Storage;
use wharf_workers::{Unit, Work, Worker};

use super::{
    shown::{time, told, told_if},
    wire,
};
use crate::words::EndedEarly;

/// How many findings are kept, and shown.
const FINDINGS: usize = 1000;

/// How many images one finding names.
const NAMED: usize = 20;

/// How often the findings of a check that runs are taken from it.
const TAKE: Duration = Duration::from_millis(200);

/// Bytes that a check reads in a second: requests of clients want the disk as well.
const RATE: NonZeroU64 = NonZeroU64::new(256 << 20).unwrap();

/// The checks of a server, with the outcome of the last one. Clones share them.
#[derive(Clone)]
pub struct Checks(Arc<Inner>);

struct Inner {
    store: Arc<dyn Storage>,
    options: Options,
    /// What the scrub has found; `None`: there is none.
    scrub: Option<Arc<ScrubRecord>>,
    /// Whether the store may not be written to, so that nothing is checked on demand: it could not be noted how far the check is.
    is_read_only: bool,
    /// Names this process.
    server: Uuid,
    state: Mutex<State>,
    /// Wakes the worker.
    asked: Notify,
}

#[derive(Default)]
struct State {
    /// Number of the last check that began.
    begun: u64,
    /// Whether one is to begin, and whether it looks at links alone.
    asked: Option<bool>,
    /// The process that checks, for which the one that is asked for waits.
    waits_for: Option<LeaseHolder>,
    running: Option<Running>,
    /// Of the check that runs; of the last one when none does.
    findings: Vec<Finding>,
    last: Option<wire::EndedCheck>,
}

struct Running {
    since: SystemTime,
    is_quick: bool,
    progress: Arc<Progress>,
}

impl Checks {
    /// Checks of `store`, which serves images by the rules of `options`, where `scrub` is the record of the scrub. Nothing runs before the
    /// [worker](Self::worker) does.
    pub fn of(
        store: Arc<dyn Storage>,
        options: Options,
        scrub: Option<Arc<ScrubRecord>>,
        is_read_only: bool,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            options,
            scrub,
            is_read_only,
            server: Uuid::new_v4(),
            state: Mutex::default(),
            asked: Notify::new(),
        }))
    }

    /// Whether checks run on demand.
    pub fn run_on_demand(&self) -> bool {
        !self.0.is_read_only
    }

    /// Asks for a check of all of the store; with `is_quick` the bytes of blobs are not read. Returns its number, or that of one that runs
    /// and looks at as much.
    pub fn ask(&self, is_quick: bool) -> wire::RequestedCheck {
        let number = {
            let mut state = self.0.state.lock();
            let is_enough = |running: &Running| is_quick || !running.is_quick;
            match state.running.as_ref().is_some_and(is_enough) {
                true => state.begun,
                false => {
                    let asked = state.asked.get_or_insert(is_quick);
                    *asked &= is_quick;
                    state.begun + 1
                }
            }
        };
        self.0.asked.notify_one();
        wire::RequestedCheck {
            server: self.0.server.to_string(),
            number,
        }
    }

    /// What the scrub does and has found, what runs, and what the last whole check has found.
    ///
    /// # Errors
    ///
    /// When the store is not available.
    pub async fn show(&self) -> Result<wire::Checks> {
        let recorded = last_check(&*self.0.store).await?;
        let scrubbed = self.0.scrub.as_ref().map(|scrub| scrub.findings(FINDINGS));
        let scrubbed = scrubbed.unwrap_or_default();
        let known: HashSet<&Digest> = scrubbed
            .iter()
            .filter_map(|(finding, _)| finding.problem.blob())
            .collect();
        let of_scrub = scrubbed.iter().map(|(finding, is_searched)| wire::CheckFinding {
            is_searched: *is_searched,
            ..shown_finding(finding, wire::FoundBy::Scrub)
        });
        let state = self.0.state.lock();
        let is_new = |finding: &&Finding| {
            let blob = finding.problem.blob();
            blob.is_none_or(|blob| !known.contains(blob))
        };
        let of_check = state.findings.iter().filter(is_new);
        let of_check = of_check.map(|finding| shown_finding(finding, wire::FoundBy::Check));
        let findings = of_scrub.chain(of_check).take(FINDINGS).collect();
        Ok(wire::Checks {
            server: self.0.server.to_string(),
            on_demand: self.run_on_demand(),
            waits_for: state.waits_for.as_ref().map(|holder| wire::OtherCheck {
                host: holder.host.clone(),
            }),
            scrub: self.0.scrub.as_deref().map(shown_scrub),
            running: state.running.as_ref().map(|running| {
                let counts = running.progress.counts();
                wire::RunningCheck {
                    number: state.begun,
                    quick: running.is_quick,
                    started: time(running.since),
                    repositories: counts.repositories,
                    blobs: counts.blobs,
                    bytes: counts.bytes,
                    done: running.progress.done(),
                    broken: counts.broken,
                }
            }),
            last: state.last.clone(),
            recorded: recorded.map(|check| {
                let found = |count: fn(CheckTotals) -> u64| check.totals.map(count);
                wire::RecordedCheck {
                    ended: time(check.ended),
                    blobs: check.blobs,
                    bytes: check.bytes,
                    broken: found(|totals| totals.broken),
                    untidy: found(|totals| totals.untidy),
                    unknown: found(|totals| totals.unknown),
                }
            }),
            findings,
        })
    }

    /// How many damaged or missing things are known: those that the scrub has found, and those of the check that runs or ran last here. It
    /// reads nothing of the store.
    pub(crate) fn known_damage(&self) -> u64 {
        let scrub = self.0.scrub.as_deref();
        let is_of_scrub = |finding: &Finding| {
            let blob = finding.problem.blob();
            blob.is_some_and(|blob| scrub.is_some_and(|scrub| scrub.contains(blob)))
        };
        let state = self.0.state.lock();
        let findings = state.findings.iter();
        let broken =
            findings.filter(|finding| finding.severity() == Severity::Broken && !is_of_scrub(finding));
        scrub.map_or(0, |scrub| scrub.numbers().damaged) + broken.count() as u64
    }

    /// The worker that checks when it is asked to, and when it is its `turn`.
    pub fn worker(&self, turn: CheckTurn) -> impl Worker + use<> {
        CheckWorker {
            checks: self.clone(),
            turn,
            again: None,
        }
    }

    /// Whether a check is asked for that has not begun.
    fn is_asked(&self) -> bool {
        self.0.state.lock().asked.is_some()
    }

    /// Notes the begin of a check, if one is asked for.
    fn begin(&self) -> Option<Checker> {
        let mut state = self.0.state.lock();
        let is_quick = state.asked.take()?;
        let options = CheckOptions {
            is_quick,
            rate: Some(RATE),
            ..CheckOptions::default()
        };
        let checker = Checker::new(Arc::clone(&self.0.store), &self.0.options, options);
        state.begun += 1;
        state.waits_for = None;
        state.findings.clear();
        state.running = Some(Running {
            since: SystemTime::now(),
            is_quick,
            progress: checker.progress(),
        });
        Some(checker)
    }

    /// Keeps the findings that the running check has made since the last call, as far as there is room for them.
    fn take_findings(&self) {
        let mut state = self.0.state.lock();
        let Some(running) = &state.running else { return };
        let found = running.progress.take_findings();
        let room = FINDINGS.saturating_sub(state.findings.len());
        let found = found.into_iter().take(room).map(|finding| Finding {
            images: finding.images.first(NAMED),
            ..finding
        });
        state.findings.extend(found);
    }

    /// Notes the end of the running check, and why it ended early.
    fn end(&self, error: Option<Sentence>) {
        self.take_findings();
        let mut state = self.0.state.lock();
        let Some(running) = state.running.take() else {
            return;
        };
        let counts = running.progress.counts();
        state.findings.sort_by_key(Finding::severity);
        let (error, error_messages) = told_if(error);
        state.last = Some(wire::EndedCheck {
            number: state.begun,
            quick: running.is_quick,
            started: time(running.since),
            ended: time(SystemTime::now()),
            repositories: counts.repositories,
            tags: counts.tags,
            manifests: counts.manifests,
            blobs: counts.blobs,
            bytes: counts.bytes,
            broken: counts.broken,
            untidy: counts.untidy,
            unknown: counts.unknown,
            error,
            error_messages,
        });
    }
}

/// Checks, one check after the other.
struct CheckWorker {
    checks: Checks,
    turn: CheckTurn,
    /// When the turn is asked for again.
    again: Option<Instant>,
}

/// A check that has begun; its end is noted whatever becomes of it.
struct Begun<'a> {
    checks: &'a Checks,
    /// Why it ended early; at first, that it was cut off.
    error: Option<Sentence>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.checks.end(self.error.take());
    }
}

impl Worker for CheckWorker {
    fn name(&self) -> String {
        "checker".to_owned()
    }

    async fn work(&mut self) -> Unit {
        if !self.checks.is_asked() {
            self.again = None;
            return Ok(Work::Idle);
        }
        if let Some(holder) = self.turn.take().await.map_err(RegistryError::from)? {
            self.checks.0.state.lock().waits_for = Some(holder);
            self.again = Some(Instant::now() + PATIENCE);
            return Ok(Work::Idle);
        }
        let scrub = self.checks.0.scrub.as_ref();
        let _scrub_stands_back = scrub.map(|scrub| scrub.stand_back());
        let checks = self.checks.clone();
        let Some(checker) = checks.begin() else {
            return Ok(Work::Idle);
        };
        let mut begun = Begun {
            checks: &checks,
            error: Some(EndedEarly::CheckStopped.into()),
        };
        let mut ticks = interval(TAKE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut check = pin!(checker.run());
        let ended = loop {
            tokio::select! {
                ended = &mut check => break ended.map_err(|error| error.sentence()),
                _ = ticks.tick() => {
                    checks.take_findings();
                    // Without an answer of the store the turn lasts until its end.
                    if let Ok(Some(holder)) = self.turn.take().await {
                        let host = holder.host;
                        break Err(EndedEarly::CheckedElsewhere { host }.into());
                    }
                }
            }
        };
        if let Err(error) = &ended {
            tracing::error!(
                %error,
                "the check of the store ended early; ask for it again to go on"
            );
        }
        begun.error = ended.err();
        drop(begun);
        self.turn.give_back().await;
        Ok(Work::Busy)
    }

    async fn wait(&mut self) {
        let asked = self.checks.0.asked.notified();
        match self.again {
            Some(again) => tokio::select! {
                () = asked => {}
                () = sleep_until(again) => {}
            },
            None => asked.await,
        }
    }

    async fn drain(&mut self) {
        self.turn.give_back().await;
    }

    fn status(&self) -> String {
        match &self.checks.0.state.lock().last {
            None => String::new(),
            Some(wire::EndedCheck {
                error: Some(error), ..
            }) => error.clone(),
            Some(last) => format!(
                "the last check looked at {} repositories and {} blobs, and found {} broken",
                last.repositories, last.blobs, last.broken
            ),
        }
    }
}

/// What the scrub does and has found.
pub(super) fn shown_scrub(record: &ScrubRecord) -> wire::ScrubState {
    let numbers = record.numbers();
    let options = record.options();
    wire::ScrubState {
        blobs: numbers.blobs,
        bytes: numbers.bytes,
        damaged: numbers.damaged,
        ended: numbers.ended.map(time),
        rate: Some(options.rate.get()),
        interval: Some(options.interval.as_secs()),
        round: record.round().map(|round| wire::ScrubRound {
            began: time(round.began),
            blobs: round.blobs,
            bytes: round.bytes,
            done: round.done,
        }),
    }
}

fn shown_finding(finding: &Finding, by: wire::FoundBy) -> wire::CheckFinding {
    let images = finding.images.first(NAMED);
    let (text, text_messages) = told(finding.problem.told().into());
    let (remedy, remedy_messages) = told(finding.remedy().into());
    wire::CheckFinding {
        severity: finding.severity().as_str().to_owned(),
        by,
        blob: finding.problem.blob().map(ToString::to_string),
        text,
        text_messages,
        remedy,
        remedy_messages,
        more_images: images.further(),
        images: shown_images(&images),
        is_searched: true,
    }
}

fn shown_images(images: &Images) -> Vec<wire::DamagedImage> {
    let shown = images.iter().map(|image: &Image| {
        let (tag, digest) = match &image.reference {
            ImageReference::Tag(tag) => (Some(tag.to_string()), None),
            ImageReference::Digest(digest) => (None, Some(digest.to_string())),
        };
        wire::DamagedImage {
            repository: image.repository.to_string(),
            tag,
            digest,
            platform: image.platform.as_ref().map(ToString::to_string),
        }
    });
    shown.collect()
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks")
            .field("server", &self.0.server)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
