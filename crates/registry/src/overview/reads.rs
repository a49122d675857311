//! How much one request may read: so many tags, manifests and configurations, and no more.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::error::Error;

/// What one request may still read. Parts of it that are made at once share it.
#[derive(Debug)]
pub(super) struct Reads(AtomicUsize);

/// The request has read as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent;

/// Why a part of an answer was not made.
#[derive(Debug)]
pub(super) enum Stop {
    /// The request has read as much as it may.
    Spent,
    /// Something failed.
    Failed(Error),
}

impl Reads {
    pub(super) fn new(most: usize) -> Self {
        Self(AtomicUsize::new(most))
    }

    /// Takes `count` reads, before they are made.
    ///
    /// # Errors
    ///
    /// [`Spent`] when there are not so many left; then none are.
    pub(super) fn take(&self, count: usize) -> Result<(), Spent> {
        let taken = self
            .0
            .fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(count)));
        match taken.is_ok_and(|left| left >= count) {
            true => Ok(()),
            false => Err(Spent),
        }
    }

    /// Whether there are none left.
    pub(super) fn are_spent(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}

impl From<Spent> for Stop {
    fn from(_: Spent) -> Self {
        Self::Spent
    }
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_a_request_may() {
        let reads = Reads::new(3);
        assert_eq!((reads.take(2), reads.are_spent()), (Ok(()), false));
        assert_eq!((reads.take(2), reads.are_spent()), (Err(Spent), true));
        assert_eq!((reads.take(1), reads.take(0)), (Err(Spent), Ok(())));
    }
}
