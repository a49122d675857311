//! Handlers: the parts of a surface by which requests are counted and traced.

/// A part of a surface. A surface has a fixed list of them, which [`HttpMetrics`](crate::HttpMetrics) is made of.
#[derive(Debug, PartialEq, Eq)]
pub struct Handler {
    /// Index in the list of handlers of its surface.
    pub index: usize,
    /// Value of the label `handler` in metrics.
    pub name: &'static str,
    /// Value of the attribute `http.route` in traces.
    pub route: &'static str,
}
