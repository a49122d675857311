//! Counters of each endpoint.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use http::StatusCode;
use parking_lot::Mutex;

/// Counters of one endpoint since the start. The names are those of registry:2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointMetrics {
    /// Name of the endpoint.
    pub name: String,
    /// Events for it (`registry_notifications_events_total{type="Events"}`).
    pub events: u64,
    /// Attempts that it accepted (`type="Successes"`).
    pub successes: u64,
    /// Attempts that it answered, but did not accept (`type="Failures"`).
    pub failures: u64,
    /// Attempts without an answer (`type="Errors"`).
    pub errors: u64,
    /// Events that it will never get (`wharf_notifications_dropped_total`).
    pub dropped: u64,
    /// Events that wait (`registry_notifications_pending_total`).
    pub pending: u64,
    /// How often it answered with each status (`registry_notifications_status_total{code="200 OK"}`).
    pub statuses: Vec<(StatusCode, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    events: AtomicU64,
    successes: AtomicU64,
    failures: AtomicU64,
    errors: AtomicU64,
    dropped: AtomicU64,
    is_dropping: AtomicBool,
    statuses: Mutex<BTreeMap<StatusCode, u64>>,
}

impl Counters {
    pub(super) fn came_in(&self) {
        self.events.fetch_add(1, Relaxed);
    }

    /// Counts dropped events. Returns whether they are the first of a series.
    pub(super) fn dropped(&self, events: u64) -> bool {
        self.dropped.fetch_add(events, Relaxed);
        !self.is_dropping.swap(true, Relaxed)
    }

    /// A queue that is full drops a part of it at a time, so there is room again at once. Only one that has taken in
    /// events for a while since is full anew.
    pub(super) fn emptied(&self) {
        self.is_dropping.store(false, Relaxed);
    }

    pub(super) fn answered(&self, status: StatusCode, is_accepted: bool) {
        *self.statuses.lock().entry(status).or_default() += 1;
        let counter = if is_accepted {
            &self.successes
        } else {
            &self.failures
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self, name: &str, pending: u64) -> EndpointMetrics {
        let statuses = self
            .statuses
            .lock()
            .iter()
            .map(|(status, count)| (*status, *count))
            .collect();
        EndpointMetrics {
            name: name.to_owned(),
            events: self.events.load(Relaxed),
            successes: self.successes.load(Relaxed),
            failures: self.failures.load(Relaxed),
            errors: self.errors.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            pending,
            statuses,
        }
    }
}
