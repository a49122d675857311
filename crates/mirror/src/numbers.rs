//! What a mirror counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use wharf_client::upstream::RateLimit;

/// The kinds of content that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Manifests.
    Manifest,
    /// Blobs.
    Blob,
}

/// Counters of one kind of content.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) pulled_bytes: AtomicU64,
}

/// What is counted of one kind of content, since the start of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests of clients.
    pub requests: u64,
    /// Requests that were answered from what is stored.
    pub hits: u64,
    /// Requests for which the upstream was asked for the content.
    pub misses: u64,
    /// Requests that were answered from what is stored because the upstream failed.
    pub stale: u64,
    /// Bytes that the upstream sent.
    pub pulled_bytes: u64,
}

/// The numbers of one mirror.
#[derive(Debug, Clone)]
pub struct MirrorNumbers {
    /// Scheme, host and port of its upstream.
    pub upstream: String,
    /// What is counted of manifests.
    pub manifests: Counted,
    /// What is counted of blobs.
    pub blobs: Counted,
    /// Whether the upstream is asked as usual: it has not failed again and again.
    pub is_well: bool,
    /// What the upstream allows, as it said last.
    pub rate: Option<RateLimit>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }

    pub(crate) fn read(&self) -> Counted {
        Counted {
            requests: self.requests.load(Relaxed),
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            stale: self.stale.load(Relaxed),
            pulled_bytes: self.pulled_bytes.load(Relaxed),
        }
    }
}
