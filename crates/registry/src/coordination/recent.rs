//! The digests on which clients were told lately that they may rely, in memory of a fixed size.
//!
//! Between the answer that a layer is there and the push of the manifest that needs it, nothing in the store says that the
//! layer is needed. On a bucket half an hour lies between a doom and its confirmation. In one process the second mark may
//! follow the first one at once, and so the answers themselves are remembered: a digest that is noted is kept by every run
//! that begins within the period after it.
//!
//! Two generations of a Bloom filter are enough: an error only keeps a digest for one more round. A generation lasts one
//! period, so that a digest is remembered for at least one and at most two of them.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use wharf_oci::Digest;

/// Bits of one generation: with a quarter of a million digests in it, one in a thousand others is taken for noted.
const BITS: usize = 1 << 22;
const WORDS: usize = BITS / 64;

/// How many bits a digest sets.
const HASHES: usize = 4;

/// The digests that were noted within the last one to two periods.
#[derive(Debug)]
pub(super) struct Recent {
    period: Duration,
    generations: [Box<[AtomicU64]>; 2],
    /// The generation that notes.
    current: AtomicUsize,
    /// When it began to.
    since: Mutex<Instant>,
}

impl Recent {
    pub(super) fn new(period: Duration) -> Self {
        // Memory that is not written to is not taken.
        let generation = || (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        Self {
            period,
            generations: [generation(), generation()],
            current: AtomicUsize::new(0),
            since: Mutex::new(Instant::now()),
        }
    }

    /// Notes `digest`.
    pub(super) fn note(&self, digest: &Digest) {
        if self.period.is_zero() {
            return;
        }
        self.turn();
        let generation = &self.generations[self.current.load(SeqCst)];
        for (word, bit) in places(digest) {
            generation[word].fetch_or(bit, SeqCst);
        }
    }

    /// Whether `digest` was noted within the period; it may say so of others.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        if self.period.is_zero() {
            return false;
        }
        self.turn();
        self.generations
            .iter()
            .any(|generation| places(digest).all(|(word, bit)| generation[word].load(SeqCst) & bit != 0))
    }

    /// Begins a new generation when the period is over, in place of the older one.
    fn turn(&self) {
        let mut since = self.since.lock();
        let periods = since.elapsed().as_nanos() / self.period.as_nanos().max(1);
        if periods == 0 {
            return;
        }
        *since = Instant::now();
        let older = 1 - self.current.load(SeqCst);
        self.clear(older);
        if periods > 1 {
            // Nothing was noted, or asked, for longer than a generation lasts.
            self.clear(1 - older);
        }
        self.current.store(older, SeqCst);
    }

    fn clear(&self, generation: usize) {
        for word in &self.generations[generation] {
            if word.load(SeqCst) != 0 {
                word.store(0, SeqCst);
            }
        }
    }
}

/// The bits of `digest`, which is as good as random: each as the number of its word, and its mask.
fn places(digest: &Digest) -> impl Iterator<Item = (usize, u64)> {
    let bytes = digest.bytes();
    (0..HASHES).map(move |hash| {
        let start = 4 * hash;
        let number = bytes[start..start + 4]
            .iter()
            .fold(0_usize, |number, byte| (number << 8) | usize::from(*byte));
        let bit = number % BITS;
        (bit / 64, 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn digest(number: u32) -> Digest {
        Digest::sha256_of(&number.to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn a_digest_is_remembered_for_one_to_two_periods() {
        let recent = Recent::new(HOUR);
        advance(HOUR / 2).await;
        recent.note(&digest(1));
        advance(HOUR - Duration::from_secs(1)).await;
        assert!(recent.has(&digest(1)) && !recent.has(&digest(2)));
        recent.note(&digest(2));
        advance(HOUR).await;
        assert!(!recent.has(&digest(1)) && recent.has(&digest(2)));
        recent.note(&digest(3));
        advance(3 * HOUR).await;
        assert!(!recent.has(&digest(2)) && !recent.has(&digest(3)));
    }

    #[test]
    fn few_others_are_taken_for_noted() {
        let recent = Recent::new(HOUR);
        (0..100_000).for_each(|number| recent.note(&digest(number)));
        assert!((0..100_000).all(|number| recent.has(&digest(number))));
        let wrong = (200_000..300_000)
            .filter(|number| recent.has(&digest(*number)))
            .count();
        assert!(wrong < 100, "{wrong}");
    }
}
