//! The type of metrics, and the table of the transport's metrics.

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows until the process ends.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// Numbers of observations no larger than each of several bounds, and the sum of all.
    Histogram,
}

impl Kind {
    /// Name of the type in the text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name, unique among all metrics.
    pub name: &'static str,
    /// Type: counter, gauge or histogram.
    pub kind: Kind,
    /// Names of the labels, in the order in which values are given: alphabetical, as in registry:2.
    pub labels: &'static [&'static str],
    /// Description of what is counted, in one sentence without a full stop.
    pub help: &'static str,
}

/// Makes a static of each metric of a table, and the list `METRICS` of all of them in the order of the table.
#[macro_export]
macro_rules! metrics {
    ($($constant:ident $name:literal $kind:ident [$($label:literal),*] $help:literal;)+) => {
        $(pub(crate) static $constant: $crate::Metric = $crate::Metric {
            name: $name,
            kind: $crate::Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// All metrics of this table, in the order in which they are documented.
        pub static METRICS: &[&$crate::Metric] = &[$(&$constant),+];
    };
}

crate::metrics! {
    HTTP_IN_FLIGHT "registry_http_in_flight_requests" Gauge ["handler"]
        "The in-flight HTTP requests";
    HTTP_REQUESTS "registry_http_requests_total" Counter ["code", "handler", "method"]
        "Total number of HTTP requests made";
    HTTP_DURATION "registry_http_request_duration_seconds" Histogram ["handler", "method"]
        "The HTTP request latencies in seconds, from the end of the request's head to the end of the answer";
    HTTP_REQUEST_SIZE "registry_http_request_size_bytes" Histogram ["handler"]
        "The HTTP request sizes in bytes: the head and the announced length of the body";
    HTTP_RESPONSE_SIZE "registry_http_response_size_bytes" Histogram ["handler"]
        "The HTTP response sizes in bytes: the part of the body that was sent";
    BUILD_INFO "wharf_build_info" Gauge ["build", "commit", "version"]
        "Always 1; version, commit and build of the program are in the labels";
    CONNECTIONS "wharf_connections" Gauge []
        "Connections that are open";
    CONNECTIONS_TOTAL "wharf_connections_total" Counter []
        "Connections that were accepted";
    BUDGET_USED "wharf_budget_used" Gauge ["share"]
        "How much of a share of the budget is used: connections, requests, or bytes";
    BUDGET_LIMIT "wharf_budget_limit" Gauge ["share"]
        "How much of a share of the budget all clients together may use";
    BUDGET_REFUSED "wharf_budget_refused_total" Counter ["share"]
        "How often a client was refused, or had to wait too long, because a share was used up";
    LOG_DROPPED "wharf_log_lines_dropped_total" Counter ["log"]
        "Lines of the application log and of the access log that were dropped because the reader was too slow, or lost because writing failed";
    SPANS "wharf_trace_spans_total" Counter ["result"]
        "Spans of requests that the collector has accepted, and that were dropped";
    PROCESS_CPU "process_cpu_seconds_total" Counter []
        "Total user and system CPU time spent in seconds";
    PROCESS_MAX_FDS "process_max_fds" Gauge []
        "Maximum number of open file descriptors";
    PROCESS_OPEN_FDS "process_open_fds" Gauge []
        "Number of open file descriptors";
    PROCESS_RESIDENT "process_resident_memory_bytes" Gauge []
        "Resident memory size in bytes";
    PROCESS_START "process_start_time_seconds" Gauge []
        "Start time of the process since unix epoch in seconds";
    PROCESS_VIRTUAL "process_virtual_memory_bytes" Gauge []
        "Virtual memory size in bytes";
}
