//! The status of a worker while it runs.

use std::time::SystemTime;

use parking_lot::Mutex;

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A unit of work is running, or the next one is about to.
    Busy,
    /// The worker pauses between two units, because it asked for that or because of its pace.
    Throttled,
    /// The worker waits for something to do.
    Idle,
    /// An operator has paused the worker.
    Paused,
    /// The last unit failed; the worker waits before the next attempt.
    Failed,
    /// The worker has ended, because its work is complete.
    Done,
    /// The worker has ended, because it was told to stop.
    Stopped,
}

/// A worker at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Name of the worker.
    pub name: String,
    /// What the worker is doing.
    pub state: State,
    /// Time at which that state began.
    pub since: SystemTime,
    /// Number of units of work that succeeded. An attempt that found nothing to do does not count.
    pub units: u64,
    /// Number of units that failed.
    pub failures: u64,
    /// Text of the last error, also when later units succeeded.
    pub last_error: Option<String>,
    /// Progress in the worker's own words, as of its last unit; may be empty.
    pub detail: String,
}

impl State {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Busy,
        Self::Throttled,
        Self::Idle,
        Self::Paused,
        Self::Failed,
        Self::Done,
        Self::Stopped,
    ];

    /// Name of the state in metrics, JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Throttled => "throttled",
            Self::Idle => "idle",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::Stopped => "stopped",
        }
    }

    /// Whether the worker has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Stopped)
    }
}

/// The status of one worker, shared by the task that runs it and its readers.
#[derive(Debug)]
pub(crate) struct Record(Mutex<WorkerStatus>);

impl Record {
    pub(crate) fn new(name: String) -> Self {
        Self(Mutex::new(WorkerStatus {
            name,
            state: State::Busy,
            since: SystemTime::now(),
            units: 0,
            failures: 0,
            last_error: None,
            detail: String::new(),
        }))
    }

    pub(crate) fn read(&self) -> WorkerStatus {
        self.0.lock().clone()
    }

    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.0.lock().name == name
    }

    pub(crate) fn enter(&self, state: State) {
        let mut status = self.0.lock();
        if status.state != state {
            (status.state, status.since) = (state, SystemTime::now());
        }
    }

    pub(crate) fn succeeded(&self, detail: String, is_unit: bool) {
        let mut status = self.0.lock();
        status.units += u64::from(is_unit);
        status.detail = detail;
    }

    pub(crate) fn failed(&self, error: &str) {
        let mut status = self.0.lock();
        status.failures += 1;
        status.last_error = Some(error.to_owned());
    }

    /// The worker did not end in time. One that ended meanwhile keeps its state.
    pub(crate) fn aborted(&self, error: String) {
        let mut status = self.0.lock();
        if !status.state.is_final() {
            (status.state, status.since) = (State::Stopped, SystemTime::now());
            status.last_error = Some(error);
        }
    }
}
