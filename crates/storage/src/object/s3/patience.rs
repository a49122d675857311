//! How long the client of a bucket waits, and how it repeats requests.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// Bounds on the time of requests to a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Longest time until a connection is open
    pub connect: Duration,
    /// Longest time from the end of a request to the head of its answer, and between two pieces of the answer
    pub answer: Duration,
    /// The same for a request that makes the store copy or put together what it has
    pub work: Duration,
    /// Bytes in a second that a request is sent with at least
    pub slowest: u32,
    /// Time from the begin of a request after which it is not repeated any more
    pub repeat: Duration,
    /// The wait before a request is repeated for the first time
    pub first_wait: Duration,
    /// Each wait is twice as long as the one before, up to this
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Patience {
    /// A request of a client fails before the reverse proxies in front do, which wait a minute.
    pub(super) const DEFAULT: Self = Self {
        connect: Duration::from_secs(5),
        answer: Duration::from_secs(15),
        work: Duration::from_secs(300),
        slowest: 64 << 10,
        repeat: Duration::from_secs(20),
        first_wait: Duration::from_millis(100),
        longest_wait: Duration::from_secs(3),
    };

    /// Longest time until the head of the answer to a request with a body of `bytes`.
    pub(super) fn until_answer(&self, bytes: usize, is_work: bool) -> Duration {
        let seconds = bytes as u64 / u64::from(self.slowest.max(1));
        let rest = if is_work { self.work } else { self.answer };
        rest.saturating_add(Duration::from_secs(seconds))
    }

    /// The wait after so many others: each up to twice as long as the one before, at random, so that requests that failed
    /// together do not come back together.
    pub(in crate::object) fn wait(&self, count: u32) -> Duration {
        let longest = self
            .first_wait
            .saturating_mul(1 << count.min(20))
            .min(self.longest_wait);
        let thousandths = u32::from(u16::from_ne_bytes(random())) % 1000;
        longest / 2 + longest / 2 * thousandths / 1000
    }
}

/// The waits between the attempts of one request.
#[derive(Debug)]
pub(super) struct Waits {
    patience: Patience,
    begun: Instant,
    /// The waits so far
    pub(super) count: u32,
}

impl Waits {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            patience,
            begun: Instant::now(),
            count: 0,
        }
    }

    /// Waits for the next attempt, at least as long as the store asks; `false`, and no wait, when there is no time for it.
    pub(super) async fn next(&mut self, asked: Option<Duration>) -> bool {
        let wait = self.patience.wait(self.count).max(asked.unwrap_or_default());
        if self.begun.elapsed().saturating_add(wait) > self.patience.repeat {
            return false;
        }
        self.count += 1;
        tokio::time::sleep(wait).await;
        true
    }

    /// Time since the first attempt.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// Two bytes of a fresh UUID that its version leaves to chance.
fn random() -> [u8; 2] {
    let [first, second, ..] = *Uuid::new_v4().as_bytes();
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_end() {
        let patience = Patience::default();
        let mut waits = Waits::new(patience);
        let mut longest = Duration::ZERO;
        let mut before = Instant::now();
        while waits.next(None).await {
            longest = longest.max(before.elapsed());
            before = Instant::now();
        }
        assert!((8..20).contains(&waits.count), "{waits:?}");
        assert!(
            longest >= patience.longest_wait / 2
                && longest <= patience.longest_wait + Duration::from_millis(2)
        );
        assert!(waits.elapsed() <= patience.repeat);
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_says_how_long_to_wait() {
        let mut waits = Waits::new(Patience::default());
        assert!(waits.next(Some(Duration::from_secs(7))).await);
        assert!(waits.elapsed() >= Duration::from_secs(7));
        assert!(
            !waits.next(Some(Duration::from_secs(14))).await,
            "there is no time for that"
        );
        assert!(waits.elapsed() < Duration::from_secs(8));
    }

    #[test]
    fn a_large_part_may_take_longer() {
        let patience = Patience::default();
        assert_eq!(patience.until_answer(100, false), Duration::from_secs(15));
        assert_eq!(
            patience.until_answer(8 << 20, false),
            Duration::from_secs(15 + 128)
        );
        assert_eq!(patience.until_answer(0, true), Duration::from_secs(300));
    }
}
