//! The limits that no client may exceed.

use std::time::Duration;

/// Limits that no client may exceed. Times are checked at intervals, so each may take up to a half longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum time from the first byte of a request, or the start of the connection, to the end of its headers.
    pub headers: Duration,
    /// Maximum time within a request in which the client sends no byte of the body that the server waits for.
    pub idle: Duration,
    /// Maximum time in which the client takes nothing of its answer. Much longer than [`idle`](Self::idle): the reader may
    /// be a pipe that is full, or a machine that sleeps. Peers that are gone are found by TCP.
    pub answer: Duration,
    /// Maximum time between two requests of a connection.
    pub keep_alive: Duration,
    /// Maximum number of connections from one address; `None`: only their number altogether has a limit.
    pub connections_per_address: Option<usize>,
    /// Maximum time from the order to stop until running requests are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(15 * 60),
            // Longer than the 90 s for which Go's HTTP client, and so docker, keeps a connection:
            // else a request could cross our closing it.
            keep_alive: Duration::from_secs(120),
            connections_per_address: None,
            drain: Duration::from_secs(8),
        }
    }
}
