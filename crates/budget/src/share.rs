//! One share of the budget, and permits on it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

/// A part of the budget with a limit. Cloning it clones a handle of the same share.
#[derive(Clone)]
pub struct Share(Arc<Inner>);

struct Inner {
    name: &'static str,
    limit: usize,
    /// One permit for each unit that is free.
    free: Arc<Semaphore>,
    refused: AtomicU64,
}

/// The right to use an amount of a share. Dropping it gives the amount back.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once permits nothing"]
pub struct Permit(OwnedSemaphorePermit);

/// A share has not enough left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's limit of {limit} for {share} is reached; try again in a moment")]
pub struct Exhausted {
    /// Name of the share.
    pub share: &'static str,
    /// Its limit.
    pub limit: usize,
}

impl Share {
    /// A share of `limit` units, all of them free. `name` is its name in metrics and messages.
    pub fn new(name: &'static str, limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            name,
            limit,
            free: Arc::new(Semaphore::new(limit)),
            refused: AtomicU64::new(0),
        }))
    }

    /// Takes `amount` if it is free. A failure is not counted: the caller waits, or refuses by [`take`](Self::take).
    pub fn try_take(&self, amount: usize) -> Option<Permit> {
        self.free()
            .try_acquire_many_owned(self.units(amount))
            .ok()
            .map(Permit)
    }

    /// Takes `amount` at once. An amount of more than the whole share is cut to it: such work runs alone.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if less is free. It is counted.
    pub fn take(&self, amount: usize) -> Result<Permit, Exhausted> {
        self.try_take(amount).ok_or_else(|| self.refuse())
    }

    /// Takes `amount` as soon as it is free. Earlier waiting requests come first. An amount of more than the whole
    /// share is cut to it.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if it is not free within `patience`. It is counted.
    pub async fn wait(&self, amount: usize, patience: Duration) -> Result<Permit, Exhausted> {
        let permit = self.free().acquire_many_owned(self.units(amount));
        match time::timeout(patience, permit).await {
            Ok(Ok(permit)) => Ok(Permit(permit)),
            Ok(Err(_)) | Err(_) => Err(self.refuse()),
        }
    }

    /// Takes `amount` at once, as [`take`](Self::take) does, if `reserve` stays free beside it. The reserve is for
    /// requests that take little: it is looked at and not taken, so two requests at once may leave less of it.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub fn take_beside(&self, amount: usize, reserve: usize) -> Result<Permit, Exhausted> {
        let amount = amount.min(self.limit().saturating_sub(reserve));
        if self.0.free.available_permits() < amount.saturating_add(reserve) {
            return Err(self.refuse());
        }
        self.take(amount)
    }

    /// Counts a refusal that has another reason than the limit of the share as a whole.
    pub fn refuse(&self) -> Exhausted {
        self.0.refused.fetch_add(1, Relaxed);
        Exhausted {
            share: self.0.name,
            limit: self.0.limit,
        }
    }

    /// Name in metrics and messages.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How much may be used at once.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How much is used now.
    pub fn used(&self) -> usize {
        self.0.limit - self.0.free.available_permits()
    }

    /// How often there was not enough left.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }

    fn free(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.free)
    }

    fn units(&self, amount: usize) -> u32 {
        u32::try_from(amount.min(self.0.limit)).unwrap_or(u32::MAX)
    }
}

impl Permit {
    /// How much is permitted.
    pub fn amount(&self) -> usize {
        self.0.num_permits()
    }

    /// Adds another permit of the same share to this one.
    ///
    /// # Panics
    ///
    /// Panics if the permits are of two shares.
    pub fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    /// Gives back all but `amount`.
    pub fn shrink_to(&mut self, amount: usize) {
        let surplus = self.amount().saturating_sub(amount);
        drop(self.0.split(surplus));
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.name(), self.used(), self.limit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn permits_never_exceed_the_limit_and_give_back() {
        let share = Share::new("bodies", 10);
        let mut six = share.take(6).unwrap();
        let refusal = share.take(5).unwrap_err();
        assert_eq!((refusal.share, refusal.limit), ("bodies", 10));
        six.merge(share.take(4).unwrap());
        assert_eq!((six.amount(), share.used(), share.refused()), (10, 10, 1));
        six.shrink_to(3);
        assert_eq!(share.used(), 3);
        six.shrink_to(7);
        assert_eq!(six.amount(), 3);
        drop(six);
        assert_eq!(share.used(), 0);
    }

    #[test]
    fn work_that_is_larger_than_the_share_runs_alone() {
        let share = Share::new("bodies", 10);
        let all = share.take(1000).unwrap();
        assert_eq!((all.amount(), share.used()), (10, 10));
        assert!(share.take(1).is_err());
    }

    #[test]
    fn large_work_leaves_a_reserve() {
        let share = Share::new("bodies", 10);
        let large = share.take_beside(100, 3).unwrap();
        assert_eq!((large.amount(), share.used()), (7, 7));
        assert!(share.take_beside(1, 3).is_err());
        assert!(share.take(3).is_ok());
        assert_eq!(share.refused(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_permit_or_with_its_patience() {
        let share = Share::new("requests", 1);
        let first = share.take(1).unwrap();
        assert!(share.wait(1, PATIENCE).await.is_err());
        let waiting = tokio::spawn({
            let share = share.clone();
            async move { share.wait(1, PATIENCE).await }
        });
        time::sleep(PATIENCE / 2).await;
        drop(first);
        assert!(waiting.await.unwrap().is_ok());
        assert_eq!((share.used(), share.refused()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_wait_is_not_overtaken_by_small_ones() {
        let share = Share::new("bodies", 10);
        let _held = share.take(5).unwrap();
        let mut large = std::pin::pin!(share.wait(10, PATIENCE));
        assert!(time::timeout(PATIENCE / 2, large.as_mut()).await.is_err());
        assert!(share.wait(1, PATIENCE / 4).await.is_err(), "it came later");
    }
}
