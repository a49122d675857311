//! What there is to measure: the table of all metrics, the counters behind them, and the page that Prometheus reads.
//!
//! The encoder and the counters are our own. A request costs about ten relaxed additions to numbers whose place is
//! known when its route is: a library would look each label up in a map behind a lock, or keep a handle for each of
//! some thousand combinations. What is left of such a library, the text format, is the hundred lines of [`text`].

mod events;
mod http;
mod process;
mod store;
mod table;
mod text;

pub use self::{
    events::WebhookMetrics,
    store::{CacheMetrics, StoreMetrics},
    table::{Kind, METRICS, Metric},
    text::{Exposition, Family},
};
pub(crate) use self::{
    http::{Handler, HttpMeters, MethodLabel, Sample},
    table::{HEALTH, SPANS},
    text::number,
};

use std::fmt;

/// What the page of Prometheus is called, as a type.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Somebody who has numbers for the page.
pub trait Source: Send + Sync + 'static {
    /// Adds them. Runs on an async thread: what it reads must lie in memory.
    fn write(&self, page: &mut Exposition);
}

/// Everything that is measured.
#[derive(Default)]
pub struct Metrics {
    pub(crate) http: HttpMeters,
    sources: Vec<Box<dyn Source>>,
}

impl Metrics {
    /// What the server itself measures.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the numbers of somebody else. Each metric belongs to one source, and stands in [`METRICS`].
    #[must_use]
    pub fn with(mut self, source: impl Source) -> Self {
        self.sources.push(Box::new(source));
        self
    }

    /// The page, as it is now.
    pub fn page(&self) -> String {
        let mut page = Exposition::default();
        self.http.write(&mut page);
        for source in &self.sources {
            source.write(&mut page);
        }
        process::write(&mut page);
        page.finish()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
