//! What keeps bytes of a store from being removed beside other processes.

use std::time::Duration;

use jiff::SignedDuration;

/// What a store, or the clock of this machine, lacks that a removal of bytes relies on which other processes may come to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// What the store honours was not found out.
    #[error(
        "it is not known what the store honours: the probe of the bucket has not ended, or has failed; the log of the server says why, \
         and which right is missing"
    )]
    Unknown,
    /// The store obeys a request to remove an object after the time up to which it was signed.
    #[error(
        "the store obeys a signed DELETE after its time, so a removal that was delayed could take what a push has stored since; collect \
         with `garbage-collect` while no server uses the bucket"
    )]
    ObeysExpired,
    /// The store does not show at once what was written or removed.
    #[error(
        "the store gives reads or lists that are older than the last write, so the collector could miss what was pushed; collect \
         with `garbage-collect` while no server uses the bucket"
    )]
    Stale,
    /// The lists of the store are not in the order of their keys.
    #[error(
        "the store does not sort its lists by key, so the collector could miss objects; collect with `garbage-collect` while no server \
         uses the bucket"
    )]
    Unsorted,
    /// The clock of this machine and that of the store are too far apart.
    #[error(
        "the clock of this machine differs from the store's by {:#}; let a time service (NTP) set it, and restart the server",
        .0.abs()
    )]
    Skew(SignedDuration),
}

impl Obstacle {
    /// A larger difference of clocks keeps collections from running.
    pub(crate) const LONGEST_SKEW: Duration = Duration::from_secs(60);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_of_clocks_is_told_as_operators_read_it() {
        let skew = Obstacle::Skew(SignedDuration::from_secs(-423)).to_string();
        assert!(skew.contains("differs from the store's by 7m 3s;"), "{skew}");
    }
}
