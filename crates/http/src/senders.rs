//! Requests whose bodies are on their way, and which of them bring next to nothing.
//!
//! A client that sends a byte a minute keeps its connection, its request and what was gathered of its body. While a
//! request waits for bytes only counters are written; they are compared when something is short.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{end::End, turns::Source};

/// A sender has stalled when it brings less than this within the time of grace.
const PROGRESS: u64 = 8 << 10;

/// The requests that have waited for bytes of their body.
#[derive(Debug, Default)]
pub(crate) struct Senders {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    senders: BTreeMap<u64, Sender>,
    next: u64,
}

#[derive(Debug)]
struct Sender {
    origin: Origin,
    progress: Arc<Progress>,
    /// Bytes at the last look that found progress.
    seen: u64,
    /// Time of that look; `None` before the first one.
    since: Option<Instant>,
}

/// The client of a request, and the order to end it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) client: Option<SocketAddr>,
    pub(crate) source: Source,
    pub(crate) end: Arc<End>,
}

#[derive(Debug, Default)]
struct Progress {
    bytes: AtomicU64,
    is_waiting: AtomicBool,
}

/// A request that receives its body. Dropping it takes it out of the table.
#[derive(Debug)]
pub(crate) struct Receiving {
    senders: Arc<Senders>,
    number: u64,
    progress: Arc<Progress>,
}

/// The wait of a request for the next bytes of its body.
#[derive(Debug)]
pub struct BodyWait<'a>(&'a Progress);

/// A sender that brings next to nothing.
#[derive(Debug)]
pub(crate) struct StalledSender {
    pub(crate) origin: Origin,
    pub(crate) stalled: Duration,
}

impl Senders {
    /// Adds a request that begins to receive its body.
    pub(crate) fn add(self: &Arc<Self>, origin: Origin) -> Receiving {
        let progress = Arc::<Progress>::default();
        let sender = Sender {
            origin,
            progress: Arc::clone(&progress),
            seen: 0,
            since: None,
        };
        let mut table = self.lock();
        let number = table.next;
        table.next += 1;
        table.senders.insert(number, sender);
        Receiving {
            senders: Arc::clone(self),
            number,
            progress,
        }
    }

    /// Looks at all senders. Returns those that have stalled for `grace` at least. A sender needs two looks with so much
    /// time between them, because a server that was slow itself says nothing of its clients.
    pub(crate) fn stalled(&self, grace: Duration) -> Vec<StalledSender> {
        let now = Instant::now();
        let mut table = self.lock();
        let looked_at = table.senders.values_mut();
        looked_at
            .filter_map(|sender| {
                let stalled = sender.look(now);
                (stalled >= grace && !sender.origin.end.is_unconditional()).then(|| StalledSender {
                    origin: sender.origin.clone(),
                    stalled,
                })
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// For how long it has stalled.
    fn look(&mut self, now: Instant) -> Duration {
        let bytes = self.progress.bytes.load(Relaxed);
        let has_moved = bytes - self.seen >= PROGRESS || !self.progress.is_waiting.load(Relaxed);
        match self.since {
            Some(since) if !has_moved => now - since,
            _ => {
                self.seen = bytes;
                self.since = Some(now);
                Duration::ZERO
            }
        }
    }
}

impl Receiving {
    /// Begins the wait for the next bytes.
    pub(crate) fn wait(&self) -> BodyWait<'_> {
        self.progress.is_waiting.store(true, Relaxed);
        BodyWait(&self.progress)
    }
}

impl BodyWait<'_> {
    /// Counts bytes that came.
    pub fn received(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

impl Drop for BodyWait<'_> {
    fn drop(&mut self) {
        self.0.is_waiting.store(false, Relaxed);
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.senders.lock().senders.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    fn add(senders: &Arc<Senders>) -> Receiving {
        senders.add(Origin {
            client: None,
            source: Source::Connection(0),
            end: Arc::default(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_of_a_few_bytes_stalls_and_one_that_goes_on_does_not() {
        let senders = Arc::<Senders>::default();
        let (slow, fast) = (add(&senders), add(&senders));
        let (slow_wait, fast_wait) = (slow.wait(), fast.wait());
        for _ in 0..5 {
            assert!(senders.stalled(GRACE).is_empty());
            tokio::time::advance(GRACE / 5).await;
            slow_wait.received(1);
            fast_wait.received(4096);
        }
        assert_eq!(senders.stalled(GRACE).len(), 1);
        drop(slow_wait);
        drop(slow);
        assert!(senders.stalled(GRACE).is_empty());
        drop(fast_wait);
        drop(fast);
        assert!(senders.lock().senders.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_not_blamed_while_the_server_does_not_wait_for_it() {
        let senders = Arc::<Senders>::default();
        let sender = add(&senders);
        drop(sender.wait());
        for _ in 0..3 {
            assert!(senders.stalled(GRACE).is_empty());
            tokio::time::advance(GRACE).await;
        }
        assert!(senders.stalled(GRACE).is_empty());
        let _wait = sender.wait();
        tokio::time::advance(GRACE).await;
        assert_eq!(senders.stalled(GRACE).len(), 1);
    }
}
