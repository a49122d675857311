//! The limits that no client may exceed.

use std::time::Duration;

/// Limits that no client may exceed. Times are checked at intervals, so each may take up to a half longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum time from the first byte of a request, or the start of the connection, to the end of its headers.
    pub headers: Duration,
    /// Maximum time within a request in which the client neither sends a byte of the body that the server waits for,
    /// nor takes a byte of the answer.
    pub idle: Duration,
    /// Maximum time between two requests of a connection.
    pub keep_alive: Duration,
    /// Maximum time from the order to stop until running requests are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            // Longer than the 90 s for which Go's HTTP client, and so docker, keeps a connection:
            // else a request could cross our closing it.
            keep_alive: Duration::from_secs(120),
            drain: Duration::from_secs(8),
        }
    }
}
