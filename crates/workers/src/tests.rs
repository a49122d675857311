//! A test for each promise of the README, with the clock stopped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::NoSubscriber,
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// What happened to a worker, with the time since the start of the test.
#[derive(Clone)]
struct Journal {
    start: Instant,
    entries: Arc<Mutex<Vec<(u64, String)>>>,
}

impl Journal {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            entries: Arc::default(),
        }
    }

    fn write(&self, entry: &str) {
        let at = self.start.elapsed().as_secs();
        self.entries.lock().push((at, entry.to_owned()));
    }

    fn entries(&self) -> Vec<(u64, String)> {
        self.entries.lock().clone()
    }

    fn times_of(&self, entry: &str) -> Vec<u64> {
        let entries = self.entries();
        let same = entries.iter().filter(|(_, text)| text == entry);
        same.map(|(at, _)| *at).collect()
    }
}

/// What a unit of work does.
#[derive(Clone, Copy)]
enum Step {
    Return(Work),
    Take(Duration),
    Fail,
    /// Fails as the worker expects, and asks for this pause.
    Refuse(Duration),
    Panic,
}

/// A worker that follows a script, and is idle after it.
struct Scripted {
    steps: Vec<Step>,
    journal: Journal,
    wake: Arc<Notify>,
    drain: Duration,
    panics_in_wait: bool,
}

impl Scripted {
    fn new(steps: &[Step]) -> Self {
        Self {
            steps: steps.iter().rev().copied().collect(),
            journal: Journal::new(),
            wake: Arc::default(),
            drain: Duration::ZERO,
            panics_in_wait: false,
        }
    }
}

impl Worker for Scripted {
    fn name(&self) -> String {
        "scripted".to_owned()
    }

    async fn work(&mut self) -> Unit {
        self.journal.write("unit");
        let Some(step) = self.steps.pop() else {
            return Ok(Work::Idle);
        };
        match step {
            Step::Return(work) => Ok(work),
            Step::Take(duration) => {
                time::sleep(duration).await;
                self.journal.write("end of unit");
                Ok(Work::Busy)
            }
            Step::Fail => Err("no luck".into()),
            Step::Refuse(pause) => Err(Error::expected("not now", pause)),
            Step::Panic => panic!("oh no"),
        }
    }

    async fn wait(&mut self) {
        self.journal.write("wait");
        assert!(!self.panics_in_wait, "not even waiting");
        self.wake.notified().await;
    }

    async fn drain(&mut self) {
        time::sleep(self.drain).await;
        self.journal.write("drained");
    }

    fn status(&self) -> String {
        format!("{} left", self.steps.len())
    }
}

/// Lets everything happen that happens within `duration`.
async fn pass(duration: Duration) {
    time::sleep(duration + Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn units_follow_each_other_one_at_a_time() {
    let worker = Scripted::new(&[
        Step::Take(2 * SECOND),
        Step::Return(Work::Throttled(5 * SECOND)),
        Step::Take(SECOND),
    ]);
    let journal = worker.journal.clone();
    let handle = Supervisor::default().spawn(worker);
    pass(SECOND).await;
    assert_eq!(handle.status().state, State::Busy);
    pass(2 * SECOND).await;
    assert_eq!(handle.status().state, State::Throttled);
    pass(20 * SECOND).await;
    let expected = [
        (0, "unit"),
        (2, "end of unit"),
        (2, "unit"),
        (7, "unit"),
        (8, "end of unit"),
        (8, "unit"),
        (8, "wait"),
    ];
    assert_eq!(
        journal.entries(),
        expected.map(|(at, text)| (at, text.to_owned()))
    );
    let status = handle.status();
    assert_eq!((status.state, status.units, status.failures), (State::Idle, 3, 0));
    assert_eq!((status.detail.as_str(), status.last_error), ("0 left", None));
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_works_when_its_wait_is_over() {
    let worker = Scripted::new(&[]);
    let (journal, wake) = (worker.journal.clone(), Arc::clone(&worker.wake));
    let _handle = Supervisor::default().spawn(worker);
    pass(9 * SECOND).await;
    wake.notify_one();
    pass(9 * SECOND).await;
    assert_eq!(journal.times_of("unit"), [0, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_interrupts_waiting_and_every_pause() {
    let pauses = [Step::Return(Work::Throttled(999 * SECOND)), Step::Fail];
    for steps in [&[][..], &pauses[..1], &pauses[1..]] {
        let worker = Scripted::new(steps);
        let journal = worker.journal.clone();
        let supervisor = Supervisor::default();
        supervisor.spawn(worker);
        time::sleep(Duration::from_millis(500)).await;
        assert_eq!(supervisor.stop(9 * SECOND).await, Vec::<String>::new());
        assert_eq!(journal.times_of("drained"), [0]);
        assert_eq!(supervisor.statuses()[0].state, State::Stopped);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_the_unit_finish_and_drains() {
    let mut worker = Scripted::new(&[Step::Take(3 * SECOND), Step::Take(SECOND)]);
    worker.drain = 2 * SECOND;
    let journal = worker.journal.clone();
    let supervisor = Supervisor::default();
    let handle = supervisor.spawn(worker);
    pass(SECOND).await;
    let (first, second) = tokio::join!(supervisor.stop(9 * SECOND), handle.stop(9 * SECOND));
    assert!(first.is_empty() && second);
    let expected = [(0, "unit"), (3, "end of unit"), (5, "drained")];
    assert_eq!(
        journal.entries(),
        expected.map(|(at, text)| (at, text.to_owned()))
    );
    assert_eq!(supervisor.statuses()[0].units, 1);
    assert!(handle.stop(SECOND).await, "it has ended already");
}

#[tokio::test(start_paused = true)]
async fn the_stop_deadline_aborts_units_and_draining() {
    for (unit, drain) in [(99 * SECOND, SECOND), (2 * SECOND, 99 * SECOND)] {
        let mut worker = Scripted::new(&[Step::Take(unit)]);
        worker.drain = drain;
        let journal = worker.journal.clone();
        let supervisor = Supervisor::default();
        supervisor.spawn(worker);
        pass(SECOND).await;
        let started = Instant::now();
        assert_eq!(supervisor.stop(4 * SECOND).await, ["scripted"]);
        assert_eq!(started.elapsed().as_secs(), 4);
        pass(200 * SECOND).await;
        assert!(journal.times_of("drained").is_empty(), "it is gone");
        let status = &supervisor.statuses()[0];
        assert_eq!(status.state, State::Stopped);
        assert!(
            status
                .last_error
                .as_ref()
                .unwrap()
                .contains("did not stop within 4s"),
            "{status:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_deadline_holds_for_all() {
    let supervisor = Supervisor::default();
    for _ in 0..3 {
        supervisor.spawn(Scripted::new(&[Step::Take(99 * SECOND)]));
    }
    supervisor.spawn(Scripted::new(&[]));
    pass(SECOND).await;
    let started = Instant::now();
    assert_eq!(supervisor.stop(4 * SECOND).await.len(), 3);
    assert_eq!(started.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_panic_is_not_the_end() {
    let worker = Scripted::new(&[Step::Fail, Step::Panic, Step::Return(Work::Busy)]);
    let journal = worker.journal.clone();
    let handle = Supervisor::default().spawn(worker);
    time::sleep(Duration::from_millis(500)).await;
    let status = handle.status();
    assert_eq!((status.state, status.failures), (State::Failed, 1));
    assert_eq!(status.last_error.as_deref(), Some("no luck"));
    pass(9 * SECOND).await;
    assert_eq!(journal.times_of("unit"), [0, 1, 3, 3]);
    let status = handle.status();
    assert_eq!((status.state, status.units, status.failures), (State::Idle, 1, 2));
    assert_eq!(status.last_error.as_deref(), Some("panic: oh no"));
}

/// The levels of the lines that were logged.
#[derive(Clone, Default)]
struct Levels(Arc<Mutex<Vec<tracing::Level>>>);

impl Subscriber for Levels {
    fn event(&self, event: &Event<'_>) {
        self.0.lock().push(*event.metadata().level());
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_series_of_unexpected_failures_is_logged_at_its_start_and_its_end() {
    use tracing::{Level, subscriber};

    let levels = Levels::default();
    // With one dispatcher alone, the first thread to log would decide for all; other tests log as well.
    let _second = tracing::Dispatch::new(NoSubscriber::new());
    let _log = subscriber::set_default(levels.clone());
    let worker = Scripted::new(&[
        Step::Fail,
        Step::Panic,
        Step::Fail,
        Step::Return(Work::Busy),
        Step::Return(Work::Busy),
        Step::Refuse(SECOND),
        Step::Return(Work::Busy),
        Step::Fail,
    ]);
    let _handle = Supervisor::default().spawn(worker);
    pass(60 * SECOND).await;
    let expected = [Level::ERROR, Level::INFO, Level::ERROR, Level::INFO];
    assert_eq!(*levels.0.lock(), expected);
}

#[tokio::test(start_paused = true)]
async fn an_expected_failure_has_a_pause_of_its_own() {
    let worker = Scripted::new(&[
        Step::Refuse(7 * SECOND),
        Step::Refuse(7 * SECOND),
        Step::Return(Work::Busy),
    ]);
    let journal = worker.journal.clone();
    let handle = Supervisor::default().spawn(worker);
    pass(SECOND).await;
    assert_eq!(handle.status().state, State::Failed);
    pass(20 * SECOND).await;
    assert_eq!(journal.times_of("unit"), [0, 7, 14, 14]);
    let status = handle.status();
    assert_eq!((status.state, status.units, status.failures), (State::Idle, 1, 2));
    assert_eq!(status.last_error.as_deref(), Some("not now"));
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_failed_after_a_wait_is_tried_again_without_another() {
    for failure in [Step::Fail, Step::Panic, Step::Refuse(SECOND)] {
        let worker = Scripted::new(&[Step::Return(Work::Idle), failure]);
        let (journal, wake) = (worker.journal.clone(), Arc::clone(&worker.wake));
        let _handle = Supervisor::default().spawn(worker);
        pass(3 * SECOND).await;
        wake.notify_one();
        pass(9 * SECOND).await;
        assert_eq!(journal.times_of("unit"), [0, 3, 4]);
        assert_eq!(journal.times_of("wait"), [0, 4]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_worker_has_a_name_of_its_own() {
    let supervisor = Supervisor::default();
    for _ in 0..3 {
        supervisor.spawn(Scripted::new(&[]));
    }
    let statuses = supervisor.statuses();
    let names: Vec<&str> = statuses.iter().map(|status| status.name.as_str()).collect();
    assert_eq!(names, ["scripted", "scripted 2", "scripted 3"]);
}

#[tokio::test(start_paused = true)]
async fn the_pause_after_failures_doubles_to_a_limit_and_starts_anew() {
    let mut steps = vec![Step::Fail; 11];
    steps.extend([Step::Return(Work::Busy), Step::Fail, Step::Return(Work::Done)]);
    let worker = Scripted::new(&steps);
    let journal = worker.journal.clone();
    let handle = Supervisor::default().spawn(worker);
    pass(3600 * SECOND).await;
    let times = journal.times_of("unit");
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 0, 1]);
    assert_eq!(handle.status().state, State::Done);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_panics_is_a_failure_with_growing_pauses() {
    let mut worker = Scripted::new(&[]);
    worker.panics_in_wait = true;
    let journal = worker.journal.clone();
    let handle = Supervisor::default().spawn(worker);
    pass(8 * SECOND).await;
    assert_eq!(journal.times_of("wait"), [0, 1, 3, 7]);
    assert_eq!(handle.status().failures, 4);
    assert!(handle.stop(SECOND).await);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_done_is_neither_called_nor_drained_again() {
    let worker = Scripted::new(&[Step::Return(Work::Done)]);
    let journal = worker.journal.clone();
    let supervisor = Supervisor::default();
    supervisor.spawn(worker);
    pass(9 * SECOND).await;
    assert!(supervisor.stop(SECOND).await.is_empty());
    assert_eq!(journal.entries(), [(0, "unit".to_owned())]);
    let status = &supervisor.statuses()[0];
    assert!(
        status.state.is_final() && status.state == State::Done,
        "{status:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_pace_slows_down_or_pauses_between_units() {
    let worker = Scripted::new(&[Step::Take(SECOND); 4]);
    let journal = worker.journal.clone();
    let supervisor = Supervisor::default();
    supervisor.spawn(worker);
    assert!(supervisor.set_pace("scripted", Pace::Tranquil(3)));
    assert!(!supervisor.set_pace("another", Pace::Paused));
    pass(2 * SECOND).await;
    assert_eq!(supervisor.statuses()[0].state, State::Throttled);
    pass(3 * SECOND).await;
    assert_eq!(journal.times_of("unit"), [0, 4]);
    supervisor.set_pace("scripted", Pace::Paused);
    pass(20 * SECOND).await;
    assert_eq!(journal.times_of("unit"), [0, 4]);
    assert_eq!(supervisor.statuses()[0].state, State::Paused);
    supervisor.set_pace("scripted", Pace::Full);
    pass(5 * SECOND).await;
    assert_eq!(journal.times_of("unit"), [0, 4, 25, 26, 27]);
    supervisor.set_pace("scripted", Pace::Paused);
    assert!(
        supervisor.stop(SECOND).await.is_empty(),
        "a pause does not hold up a stop"
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_outlives_its_handles() {
    let worker = Scripted::new(&[]);
    let (journal, wake) = (worker.journal.clone(), Arc::clone(&worker.wake));
    drop(Supervisor::default().spawn(worker));
    pass(SECOND).await;
    wake.notify_one();
    pass(SECOND).await;
    assert_eq!(journal.times_of("unit"), [0, 1]);
    assert!(journal.times_of("drained").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_status_says_since_when() {
    let handle = Supervisor::default().spawn(Scripted::new(&[]));
    pass(SECOND).await;
    let idle = handle.status();
    pass(SECOND).await;
    assert_eq!(handle.status(), idle, "nothing happened in between");
    handle.stop(SECOND).await;
    assert!(handle.status().since >= idle.since);
}

#[tokio::test(start_paused = true)]
async fn a_periodic_job_runs_at_intervals_and_again_soon_after_a_failure() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let start = Instant::now();
    let handle = Supervisor::default().spawn(Periodic::new("tick", 5 * SECOND, 60 * SECOND, move || {
        let run = counter.fetch_add(1, SeqCst);
        async move {
            match run {
                1 => Err("no luck".into()),
                _ => Ok(format!("run {run}")),
            }
        }
    }));
    for (second, expected) in [(4, 0), (6, 1), (64, 1), (65, 2), (66, 3), (125, 3), (127, 4)] {
        time::sleep_until(start + second * SECOND + Duration::from_millis(500)).await;
        assert_eq!(runs.load(SeqCst), expected, "after {second} s");
    }
    let status = handle.status();
    assert_eq!(
        (status.name.as_str(), status.units, status.failures),
        ("tick", 3, 1)
    );
    assert_eq!(status.detail, "run 3");
    assert_eq!(status.state, State::Idle);
    assert!(handle.stop(SECOND).await);
}
