//! The parts of a surface by which requests are counted and traced.

/// A part of a surface. A surface has a fixed list of them, which [`HttpMetrics`](crate::HttpMetrics) is made of.
#[derive(Debug, PartialEq, Eq)]
pub struct Handler {
    /// Its place in the list of its surface.
    pub index: usize,
    /// The label `handler` of metrics.
    pub name: &'static str,
    /// The attribute `http.route` of traces.
    pub route: &'static str,
}
