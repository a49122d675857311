//! What every request of one process to a store passes: it can stop there, and it can fail.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use object_store::{Error, Result};
use tokio::sync::Notify;

/// A gate that lets everything pass until it is told otherwise.
#[derive(Debug)]
pub(super) struct Gate {
    /// How many requests still pass.
    left: AtomicU64,
    has_stopped: AtomicBool,
    opened: Notify,
    /// A state of xorshift.
    random: AtomicU64,
    /// How many of a thousand requests fail.
    failing: AtomicU64,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            left: AtomicU64::new(u64::MAX),
            has_stopped: AtomicBool::new(false),
            opened: Notify::new(),
            random: AtomicU64::new(1),
            failing: AtomicU64::new(0),
        }
    }
}

/// Whether the answer to a request gets lost.
pub(super) struct Lost(bool);

impl Gate {
    /// From now on `per_mille` of a thousand requests fail, half of them after their effect.
    pub(super) fn fail(&self, seed: u64, per_mille: u64) {
        self.random
            .store(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, SeqCst);
        self.failing.store(per_mille, SeqCst);
    }

    /// Closes after so many more requests.
    pub(super) fn stop_after(&self, requests: u64) {
        self.left.store(requests, SeqCst);
    }

    /// Lets all requests pass, also those that wait.
    pub(super) fn open(&self) {
        self.left.store(u64::MAX, SeqCst);
        self.opened.notify_waiters();
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.has_stopped.load(SeqCst)
    }

    pub(super) async fn pass(&self) -> Result<Lost> {
        loop {
            let opened = self.opened.notified();
            let passed = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
            if passed.is_ok() {
                break;
            }
            self.has_stopped.store(true, SeqCst);
            opened.await;
        }
        match self.draw() {
            None => Ok(Lost(false)),
            Some(true) => Ok(Lost(true)),
            Some(false) => Err(fault("before")),
        }
    }

    /// Whether this request fails, and if so, whether after its effect.
    fn draw(&self) -> Option<bool> {
        let failing = self.failing.load(SeqCst);
        if failing == 0 {
            return None;
        }
        let mut random = self.random.load(SeqCst);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random.store(random, SeqCst);
        ((random >> 32) % 1000 < failing).then_some(random >> 20 & 1 == 1)
    }
}

impl Lost {
    /// The answer to a request that had its effect.
    pub(super) fn after<T>(self, result: Result<T>) -> Result<T> {
        match (self.0, result) {
            (true, Ok(_)) => Err(fault("after")),
            (_, result) => result,
        }
    }
}

fn fault(when: &str) -> Error {
    Error::Generic {
        store: "weak",
        source: format!("a fault injected {when} the effect").into(),
    }
}
