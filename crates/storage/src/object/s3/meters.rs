//! Counters of the requests to a bucket, by operation.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

use super::operation::Operation;
use crate::metered::{BUCKETS, Histogram};

/// What requests end with: the classes of status codes, and no answer.
pub const OUTCOMES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "none"];

/// The counters of the requests to a bucket. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct RequestMeters(Arc<[Meter; Operation::COUNT]>);

#[derive(Debug, Default)]
struct Meter {
    outcomes: [AtomicU64; OUTCOMES.len()],
    repeats: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    took: Histogram,
}

/// The counters of one operation of S3, at one moment. Each attempt of a request counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredRequests {
    /// Name of the operation, as `GetObject`
    pub operation: &'static str,
    /// How many requests ended with each of the [`OUTCOMES`]
    pub outcomes: [u64; OUTCOMES.len()],
    /// How many of them repeated an earlier one
    pub repeats: u64,
    /// Bytes of bodies that were sent
    pub sent: u64,
    /// Bytes of bodies that were received
    pub received: u64,
    /// How long they took together, until the answer; of an object that is read, its head
    pub total: Duration,
    /// How many took no longer than each bound of [`BUCKETS`]; the last number is that of all
    pub cumulative: [u64; BUCKETS.len() + 1],
}

impl RequestMeters {
    /// What has been counted so far, for each operation that happened at all.
    pub fn snapshot(&self) -> Vec<MeasuredRequests> {
        let measured = Operation::ALL
            .into_iter()
            .map(|operation| self.0[operation as usize].read(operation.name()));
        measured
            .filter(|measured| measured.outcomes.iter().any(|count| *count > 0))
            .collect()
    }

    /// An attempt has ended, with an answer of this status if there was one.
    pub(super) fn count(
        &self,
        operation: Operation,
        status: Option<StatusCode>,
        took: Duration,
        sent: usize,
    ) {
        let meter = &self.0[operation as usize];
        let outcome = match status.map(|status| status.as_u16() / 100) {
            Some(0..=2) => 0,
            Some(3) => 1,
            Some(4) => 2,
            Some(_) => 3,
            None => 4,
        };
        meter.outcomes[outcome].fetch_add(1, Ordering::Relaxed);
        meter.sent.fetch_add(sent as u64, Ordering::Relaxed);
        meter.took.count(took);
    }

    /// A request is repeated.
    pub(super) fn count_repeat(&self, operation: Operation) {
        self.0[operation as usize].repeats.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of a body have come.
    pub(super) fn count_received(&self, operation: Operation, bytes: usize) {
        let received = &self.0[operation as usize].received;
        received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Meter {
    fn read(&self, operation: &'static str) -> MeasuredRequests {
        let (total, cumulative) = self.took.read();
        MeasuredRequests {
            operation,
            outcomes: self
                .outcomes
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed)),
            repeats: self.repeats.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            total,
            cumulative,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_count_by_what_they_end_with() {
        let meters = RequestMeters::default();
        let took = Duration::from_millis(7);
        meters.count(Operation::Put, Some(StatusCode::OK), took, 10);
        meters.count(Operation::Put, Some(StatusCode::SERVICE_UNAVAILABLE), took, 10);
        meters.count_repeat(Operation::Put);
        meters.count(Operation::Put, None, took, 10);
        meters.count_received(Operation::Put, 3);
        let measured = meters.snapshot();
        let [put] = &measured[..] else {
            panic!("{measured:?}")
        };
        assert_eq!((put.operation, put.outcomes), ("PutObject", [1, 0, 0, 1, 1]));
        assert_eq!((put.repeats, put.sent, put.received), (1, 30, 3));
        assert_eq!((put.cumulative[0], put.cumulative[BUCKETS.len()]), (0, 3));
    }
}
