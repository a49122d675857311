//! The part of the log that requests touch: what happened, in memory, within a share of the budget.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;
use wharf_budget::Share;

use crate::{
    ActivityNumbers,
    entry::Action,
    record::{Record, Sighting},
    window::Window,
};

/// Failed logins of one window that have entries of their own. What else fails in the window is one entry, so a client that
/// guesses writes no more than some kilobytes each window.
const FAILED_LOGINS: usize = 20;

/// What happened and is not written yet.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// What is coalesced.
    window: Window,
    /// What is not.
    queue: Mutex<Vec<Record>>,
    /// The room for both.
    share: Share,
    /// Failed logins that have a record in the window.
    failed_logins: AtomicUsize,
    happened: PerAction,
    unrecorded: PerAction,
    /// Those of `unrecorded` that no entry counts yet.
    uncounted: PerAction,
    failures: AtomicU64,
    is_filling: Notify,
    /// Bytes of manifests and blobs that clients got and that are not counted yet.
    pub(crate) content_sent: Arc<AtomicU64>,
}

/// A number for each action.
type PerAction = [AtomicU64; Action::ALL.len()];

impl Recorder {
    pub(crate) fn new(share: Share) -> Self {
        Self {
            window: Window::default(),
            queue: Mutex::default(),
            share,
            failed_logins: AtomicUsize::new(0),
            happened: PerAction::default(),
            unrecorded: PerAction::default(),
            uncounted: PerAction::default(),
            failures: AtomicU64::new(0),
            is_filling: Notify::new(),
            content_sent: Arc::default(),
        }
    }

    /// Records what is coalesced.
    pub(crate) fn saw(&self, sighting: Sighting<'_>, request: Option<Uuid>) {
        self.saw_with(sighting, || sighting.record(request));
    }

    /// The same; `make` returns the record of what is seen for the first time in this window.
    pub(crate) fn saw_with(&self, sighting: Sighting<'_>, make: impl FnOnce() -> Record) {
        let action = sighting.action;
        self.happened[action as usize].fetch_add(1, Relaxed);
        let admitted = || self.may_begin(action).then(|| self.admit(make())).flatten();
        if !self.window.count(&sighting.bounded(), admitted) {
            self.lose(action);
        }
    }

    /// Records what has an entry of its own.
    pub(crate) fn add(&self, record: Record) {
        let action = record.action;
        self.happened[action as usize].fetch_add(1, Relaxed);
        match self.admit(record) {
            Some(record) => self.queue.lock().push(record),
            None => self.lose(action),
        }
    }

    /// Takes out what is not coalesced, and with `window` what is, and the number of what there was no room for.
    pub(crate) fn drain(&self, with_window: bool) -> Vec<Record> {
        let mut records = mem::take(&mut *self.queue.lock());
        if with_window {
            records.extend(self.window.drain());
            self.failed_logins.store(0, Relaxed);
        }
        for action in Action::ALL {
            let count = self.uncounted[action as usize].swap(0, Relaxed);
            if count > 0 {
                records.push(Record::of_unrecorded(action, count));
            }
        }
        records
    }

    /// Takes out the bytes of manifests and blobs that clients got.
    pub(crate) fn take_content_sent(&self) -> u64 {
        self.content_sent.swap(0, Relaxed)
    }

    /// Bytes that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.share.used()
    }

    /// Whether there is so much that it should be written at once.
    pub(crate) fn is_half_full(&self) -> bool {
        self.share.used() > self.share.limit() / 2
    }

    /// Completes when there is so much that it should be written at once.
    pub(crate) async fn fills(&self) {
        self.is_filling.notified().await;
    }

    /// Counts an attempt to write that failed.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn numbers(&self) -> ActivityNumbers {
        let read = |numbers: &PerAction| {
            let numbers = Action::ALL.map(|action| (action, numbers[action as usize].load(Relaxed)));
            numbers.to_vec()
        };
        ActivityNumbers {
            happened: read(&self.happened),
            unrecorded: read(&self.unrecorded),
            failures: self.failures.load(Relaxed),
        }
    }

    /// Whether what is seen for the first time in this window may have a record.
    fn may_begin(&self, action: Action) -> bool {
        action != Action::LoginFailure || self.failed_logins.fetch_add(1, Relaxed) < FAILED_LOGINS
    }

    /// Gives the record the room that it takes; `None` if there is not enough.
    fn admit(&self, mut record: Record) -> Option<Record> {
        record.permit = Some(self.share.take(record.weight()).ok()?);
        if self.is_half_full() {
            self.is_filling.notify_one();
        }
        Some(record)
    }

    fn lose(&self, action: Action) {
        self.unrecorded[action as usize].fetch_add(1, Relaxed);
        self.uncounted[action as usize].fetch_add(1, Relaxed);
    }
}
