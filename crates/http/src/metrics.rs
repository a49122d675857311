//! Metrics: the table of the transport's metrics, their counters, and the page that Prometheus reads.
//!
//! The encoder and the counters are our own. A request costs about ten relaxed additions to numbers whose place is
//! known with the route: a library would look each label up in a map behind a lock, or keep a handle for each of
//! some thousand combinations. The rest of such a library, the text format, is the hundred lines of [`text`].

mod budget;
mod http;
mod logs;
mod process;
mod table;
mod text;

pub use self::{
    budget::BudgetMetrics,
    http::{BuildInfo, HttpMetrics},
    logs::{DroppedLines, LogMetrics},
    process::ProcessMetrics,
    table::{Kind, METRICS, Metric},
    text::{CONTENT_TYPE, Exposition, Family, Source, number},
};
pub(crate) use self::{
    http::{MethodLabel, Sample},
    table::SPANS,
};
