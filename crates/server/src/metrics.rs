//! Metrics: those of the surfaces and of the registry, and the page with these and the transport's.

mod access;
mod activity;
mod bucket;
mod bucket_requests;
mod collections;
mod events;
mod mirrors;
mod retention;
mod scrub;
mod store;
mod table;
mod transfers;
mod workers;

pub(crate) use self::table::HEALTH;
pub use self::{
    access::AccessMetrics,
    activity::ActivityMetrics,
    bucket::BucketMetrics,
    bucket_requests::BucketRequestMetrics,
    collections::CollectionMetrics,
    events::WebhookMetrics,
    mirrors::MirrorMetrics,
    retention::RetentionMetrics,
    scrub::ScrubMetrics,
    store::{CacheMetrics, StoreMetrics},
    table::METRICS,
    workers::WorkerMetrics,
};

use std::{fmt, sync::Arc};

use wharf_http::{Exposition, HttpMetrics, ProcessMetrics, Source};

use self::transfers::TransferMetrics;
use crate::handlers::HANDLERS;

/// All metrics of a server.
pub struct Metrics {
    http: Arc<HttpMetrics>,
    transfers: TransferMetrics,
    sources: Vec<Box<dyn Source>>,
}

impl Metrics {
    /// The metrics of the server itself.
    pub fn new() -> Self {
        let http = Arc::new(HttpMetrics::new(&HANDLERS));
        Self {
            transfers: TransferMetrics::new(Arc::clone(&http)),
            http,
            sources: Vec::new(),
        }
    }

    /// Adds the metrics of `source`. Each metric belongs to one source, and is in the table of its crate.
    #[must_use]
    pub fn with(mut self, source: impl Source) -> Self {
        self.sources.push(Box::new(source));
        self
    }

    /// The page with the current values.
    pub fn page(&self) -> String {
        let mut page = Exposition::default();
        self.http.write(&mut page);
        self.transfers.write(&mut page);
        for source in &self.sources {
            source.write(&mut page);
        }
        ProcessMetrics.write(&mut page);
        page.finish()
    }

    /// The counters of requests and connections.
    pub(crate) fn http(&self) -> Arc<HttpMetrics> {
        Arc::clone(&self.http)
    }

    /// The counters of blob transfers.
    pub(crate) fn transfers(&self) -> &TransferMetrics {
        &self.transfers
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
