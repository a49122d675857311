//! The table of the metrics that surfaces and the registry have.

wharf_http::metrics! {
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
    UPLOADS "wharf_uploads_in_progress" Gauge []
        "Requests that are sending the bytes of a blob at this moment";
    BLOB_BYTES "wharf_blob_bytes_total" Counter ["direction"]
        "Bytes of blobs that came in from clients, and that went out to them";
    HEALTH "wharf_health_check_failing" Gauge ["check"]
        "1 while a configured health check fails, 0 while it does not";
    WORKER_STATE "wharf_worker_state" Gauge ["state", "worker"]
        "1 for the state that a worker beside the requests is in, 0 for the others; `/debug/workers` says more";
    WORKER_UNITS "wharf_worker_units_total" Counter ["worker"]
        "Units of work that a worker has done, such as one upload purge or one event delivered";
    WORKER_FAILURES "wharf_worker_failures_total" Counter ["worker"]
        "Units of work that failed; the worker tries again";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wharf_http::{Kind, Metric};

    use super::*;

    fn all() -> impl Iterator<Item = &'static Metric> {
        wharf_http::METRICS.iter().chain(METRICS).copied()
    }

    /// The table of `docs/metrics.md`.
    fn documented() -> String {
        let mut text = String::from("| metric | type | labels | what |\n|---|---|---|---|\n");
        for metric in all() {
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
        for metric in all() {
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
