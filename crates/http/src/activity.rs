//! Detects clients that stall: counters so cheap that every read can afford them, and a watch that compares them.
//!
//! Deadlines that are set and cleared for each request cost clock reads and timer updates on the
//! hot path. Here the path only counts; a few times in each limit the connection's task looks
//! whether the counts moved.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::limits::Limits;

/// Counters of reads, writes and requests on one connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    reads: AtomicU64,
    writes: AtomicU64,
    write_blocked: AtomicBool,
    started: AtomicU64,
    finished: AtomicU64,
    reads_at_finish: AtomicU64,
    /// Milliseconds without a request, as of the last check of the [`Watch`].
    idle: AtomicU64,
    /// Whether the protocol is known and the TLS handshake done.
    is_open: AtomicBool,
}

impl Activity {
    /// Counts bytes that the client sent.
    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Relaxed);
    }

    /// Counts bytes that the client took.
    pub(crate) fn wrote(&self) {
        self.writes.fetch_add(1, Relaxed);
        self.write_blocked.store(false, Relaxed);
    }

    /// Records that bytes wait for the client to take them.
    pub(crate) fn write_blocked(&self) {
        self.write_blocked.store(true, Relaxed);
    }

    /// Records that requests may come: the protocol is known, and the TLS handshake done.
    pub(crate) fn opened(&self) {
        self.is_open.store(true, Relaxed);
    }

    /// Whether requests may come.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Whether the client has had an answer.
    pub(crate) fn has_answered(&self) -> bool {
        self.finished.load(Relaxed) > 0
    }

    /// For how long there has been no request, to the interval of the [`Watch`]; `None`: there is one.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let is_idle = self.started.load(Relaxed) == self.finished.load(Relaxed);
        is_idle.then(|| Duration::from_millis(self.idle.load(Relaxed)))
    }

    /// Records for how long there has been no request.
    pub(crate) fn set_idle(&self, idle: Duration) {
        self.idle
            .store(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts a request whose head is complete.
    pub(crate) fn request_started(&self) {
        self.started.fetch_add(1, Relaxed);
    }

    /// Counts a request whose answer is complete, or given up.
    pub(crate) fn request_finished(&self) {
        self.reads_at_finish.store(self.reads.load(Relaxed), Relaxed);
        self.idle.store(0, Relaxed);
        self.finished.fetch_add(1, Relaxed);
    }
}

/// Reason to close a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// The head of a request was not complete in time.
    Headers,
    /// No new request came in time.
    Idle,
    /// The client does not take its answer.
    Write,
}

/// Judges the [`Activity`] of one connection at regular intervals.
#[derive(Debug)]
pub(crate) struct Watch {
    limits: Limits,
    interval: Duration,
    /// Whether bytes between requests begin a request; on HTTP/2 they are pings and window updates.
    heads_show_as_reads: bool,
    finished: u64,
    writes: u64,
    in_headers: Duration,
    in_idle: Duration,
    in_write: Duration,
}

impl Watch {
    pub(crate) fn new(limits: Limits, heads_show_as_reads: bool) -> Self {
        let interval = limits.headers.min(limits.idle).min(limits.keep_alive) / 2;
        Self {
            limits,
            interval: interval.max(Duration::from_millis(10)),
            heads_show_as_reads,
            finished: 0,
            writes: 0,
            in_headers: Duration::ZERO,
            in_idle: Duration::ZERO,
            in_write: Duration::ZERO,
        }
    }

    /// Interval at which [`check`](Self::check) must be called.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Checks the limits after one more interval; the reason if the connection is to be closed.
    pub(crate) fn check(&mut self, activity: &Activity) -> Option<Stalled> {
        let started = activity.started.load(Relaxed);
        let finished = activity.finished.load(Relaxed);
        let writes = activity.writes.load(Relaxed);
        // A request that ended just before this check: the time since is less than an interval.
        let has_finished = std::mem::replace(&mut self.finished, finished) != finished;
        let has_written = std::mem::replace(&mut self.writes, writes) != writes;

        if activity.write_blocked.load(Relaxed) && !has_written {
            self.in_write += self.interval;
        } else {
            self.in_write = Duration::ZERO;
        }

        let is_busy = started != finished;
        if is_busy || has_finished {
            (self.in_headers, self.in_idle) = (Duration::ZERO, Duration::ZERO);
        } else {
            self.in_idle += self.interval;
            let has_begun = activity.reads.load(Relaxed) != activity.reads_at_finish.load(Relaxed);
            if self.heads_show_as_reads && (has_begun || started == 0) {
                self.in_headers += self.interval;
            } else {
                self.in_headers = Duration::ZERO;
            }
        }

        activity.set_idle(self.in_idle);

        if self.in_write >= self.limits.answer {
            Some(Stalled::Write)
        } else if self.in_headers >= self.limits.headers {
            Some(Stalled::Headers)
        } else if self.in_idle >= self.limits.keep_alive {
            Some(Stalled::Idle)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(heads_show_as_reads: bool) -> (Activity, Watch) {
        let limits = Limits {
            headers: Duration::from_secs(2),
            idle: Duration::from_secs(3),
            answer: Duration::from_secs(3),
            keep_alive: Duration::from_secs(4),
            ..Limits::default()
        };
        (Activity::default(), Watch::new(limits, heads_show_as_reads))
    }

    /// Checks until the watch closes the connection; how many checks were fine before.
    fn fine_checks(activity: &Activity, watch: &mut Watch) -> (usize, Stalled) {
        (0..100)
            .find_map(|n| watch.check(activity).map(|why| (n, why)))
            .expect("the connection is closed")
    }

    #[test]
    fn a_connection_that_says_nothing_is_closed() {
        let (activity, mut watch) = watch(true);
        assert_eq!(fine_checks(&activity, &mut watch), (1, Stalled::Headers));
    }

    #[test]
    fn a_head_that_trickles_is_closed_though_bytes_keep_coming() {
        let (activity, mut watch) = watch(true);
        activity.request_started();
        activity.request_finished();
        assert_eq!(watch.check(&activity), None);
        for _ in 0..1 {
            activity.read();
            assert_eq!(watch.check(&activity), None);
        }
        activity.read();
        assert_eq!(watch.check(&activity), Some(Stalled::Headers));
    }

    #[test]
    fn between_requests_the_idle_limit_counts() {
        let (activity, mut watch) = watch(true);
        activity.read();
        activity.request_started();
        activity.request_finished();
        assert_eq!(fine_checks(&activity, &mut watch), (4, Stalled::Idle));
    }

    #[test]
    fn a_busy_connection_is_left_alone_until_the_client_stops_reading() {
        let (activity, mut watch) = watch(true);
        activity.request_started();
        for _ in 0..20 {
            assert_eq!(watch.check(&activity), None);
        }
        activity.write_blocked();
        activity.wrote();
        activity.write_blocked();
        assert_eq!(fine_checks(&activity, &mut watch), (3, Stalled::Write));
    }

    #[test]
    fn pings_do_not_look_like_a_slow_request() {
        let (activity, mut watch) = watch(false);
        activity.request_started();
        activity.request_finished();
        assert_eq!(watch.check(&activity), None);
        activity.read();
        assert_eq!(fine_checks(&activity, &mut watch), (3, Stalled::Idle));
    }
}
