//! Every metric that there is: its name, its type, its labels, and what it counts.

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the process ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many observations were no larger than each of some bounds, and their sum.
    Histogram,
}

impl Kind {
    /// As the text format calls it.
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
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels, in the order in which values are given: that of the alphabet, as registry:2 has it.
    pub labels: &'static [&'static str],
    /// What it counts, in one sentence without a full stop.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident $name:literal $kind:ident [$($label:literal),*] $help:literal;)+) => {
        $(pub(crate) static $constant: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// All metrics, in the order in which they are documented.
        pub static METRICS: &[&Metric] = &[$(&$constant),+];
    };
}

metrics! {
    HTTP_IN_FLIGHT "registry_http_in_flight_requests" Gauge ["handler"]
        "The in-flight HTTP requests";
    HTTP_REQUESTS "registry_http_requests_total" Counter ["code", "handler", "method"]
        "Total number of HTTP requests made";
    HTTP_DURATION "registry_http_request_duration_seconds" Histogram ["handler", "method"]
        "The HTTP request latencies in seconds, from the end of the request's head to the end of the answer";
    HTTP_REQUEST_SIZE "registry_http_request_size_bytes" Histogram ["handler"]
        "The HTTP request sizes in bytes, with the head, as far as they were announced";
    HTTP_RESPONSE_SIZE "registry_http_response_size_bytes" Histogram ["handler"]
        "The HTTP response sizes in bytes, without the head, as far as they were sent";
    STORAGE_ACTION "registry_storage_action_seconds" Histogram ["action", "driver"]
        "The number of seconds that the storage action takes";
    STORAGE_FAILURES "wharf_storage_failures_total" Counter ["action", "driver"]
        "Storage actions that failed because of trouble with the store; that something is not there is none";
    CACHE_REQUESTS "registry_storage_cache_requests_total" Counter []
        "How often a link was looked up in the cache";
    CACHE_HITS "registry_storage_cache_hits_total" Counter []
        "How often the cache had the link, and the store had not changed since";
    CACHE_ERRORS "registry_storage_cache_errors_total" Counter []
        "How often the cache failed; it is in memory, so never";
    CACHE_TOTAL "registry_storage_cache_total" Counter ["type"]
        "The same three numbers under the name that registry:2 gives them";
    EVENTS "registry_notifications_events_total" Counter ["endpoint", "type"]
        "Events for each endpoint, and attempts to tell it of one: accepted, refused, or without an answer";
    EVENTS_PENDING "registry_notifications_pending_total" Gauge ["endpoint"]
        "Events that wait for an endpoint; the name is that of registry:2, though it goes down as well";
    EVENTS_STATUS "registry_notifications_status_total" Counter ["code", "endpoint"]
        "How often each endpoint answered what";
    EVENTS_DROPPED "wharf_notifications_dropped_total" Counter ["endpoint"]
        "Events that an endpoint will never be told of, because its queue was full";
    BUILD_INFO "wharf_build_info" Gauge ["version"]
        "Always 1; the version of the program is in the label";
    CONNECTIONS "wharf_connections" Gauge []
        "Connections that are open";
    CONNECTIONS_TOTAL "wharf_connections_total" Counter []
        "Connections that were accepted";
    UPLOADS "wharf_uploads_in_progress" Gauge []
        "Requests that are sending the bytes of a blob at this moment";
    BLOB_BYTES "wharf_blob_bytes_total" Counter ["direction"]
        "Bytes of blobs that came in from clients, and that went out to them";
    HEALTH "wharf_health_check_failing" Gauge ["check"]
        "1 while a configured health check fails, 0 while it does not";
    SPANS "wharf_trace_spans_total" Counter ["result"]
        "Spans of requests that a collector has taken, and that were dropped because it did not";
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The table of `docs/metrics.md`.
    fn documented() -> String {
        let mut text = String::from("| metric | type | labels | what |\n|---|---|---|---|\n");
        for metric in METRICS {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            text.push_str(&format!(
                "| `{}` | {} | {} | {} |\n",
                metric.name,
                metric.kind.name(),
                labels.join(", "),
                metric.help
            ));
        }
        text
    }

    #[test]
    fn the_document_has_this_table() {
        let document = include_str!("../../../../docs/metrics.md");
        let table = documented();
        assert!(
            document.contains(&table),
            "docs/metrics.md must have this table:\n{table}"
        );
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let mut names = BTreeSet::new();
        for metric in METRICS {
            assert!(names.insert(metric.name), "{} is there twice", metric.name);
            let is_counter = metric.kind == Kind::Counter;
            assert!(!is_counter || metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.labels.is_sorted(), "{}", metric.name);
            assert!(
                !metric.help.ends_with('.') && !metric.help.contains('|'),
                "{}",
                metric.name
            );
        }
    }
}
