//! A moment, and how long ago it is, also when the machine was suspended meanwhile.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A moment of this process.
///
/// The monotonic clock stands still while a virtual machine is paused or is restored from a snapshot, and the clock of the
/// system may be set. What must not happen later than some time after a moment is measured by whichever of both says more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    monotonic: Instant,
    system: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            system: SystemTime::now(),
        }
    }

    /// The time since then, at least.
    pub(crate) fn elapsed(&self) -> Duration {
        let by_system = self.system.elapsed().unwrap_or_default();
        self.monotonic.elapsed().max(by_system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_stands_still_or_goes_back_does_not_make_a_moment_younger() {
        let hour = Duration::from_secs(3600);
        let suspended = Moment {
            system: SystemTime::now() - hour,
            ..Moment::now()
        };
        assert!(suspended.elapsed() >= hour);
        let set_back = Moment {
            system: SystemTime::now() + hour,
            ..Moment::now()
        };
        tokio::time::advance(hour / 2).await;
        assert_eq!(set_back.elapsed(), hour / 2);
    }
}
