//! How fast a worker may go.

use std::time::Duration;

/// How fast a worker may go. It takes effect between two units of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// One unit after the other.
    #[default]
    Full,
    /// After each unit that was [`Busy`](crate::Work::Busy), a rest of so many times its duration: with 3, the worker
    /// uses a quarter of the time.
    Tranquil(u32),
    /// No further unit starts.
    Paused,
}

impl Pace {
    /// The rest after a unit of work that took `duration`.
    pub(crate) fn rest_after(self, duration: Duration) -> Duration {
        match self {
            Self::Tranquil(times) => duration.saturating_mul(times),
            Self::Full | Self::Paused => Duration::ZERO,
        }
    }
}
