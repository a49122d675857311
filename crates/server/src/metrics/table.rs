//! The table of the metrics of surfaces and the registry.

wharf_http::metrics! {
    STORAGE_ACTION "registry_storage_action_seconds" Histogram ["action", "driver"]
        "The number of seconds that the storage action takes";
    STORAGE_FAILURES "wharf_storage_failures_total" Counter ["action", "driver"]
        "Storage actions that failed; that a file does not exist is not a failure";
    BUCKET_REQUESTS "wharf_s3_requests_total" Counter ["operation", "outcome"]
        "Requests to the bucket by operation of S3, and by what they ended with: the class of the status, or `none` without an answer; each attempt counts";
    BUCKET_REPEATS "wharf_s3_repeats_total" Counter ["operation"]
        "Requests to the bucket that repeated an earlier one, because the store was busy or out of reach";
    BUCKET_SECONDS "wharf_s3_request_seconds" Histogram ["operation"]
        "The number of seconds until the answer to a request to the bucket; of an object that is read, until its head";
    BUCKET_BYTES "wharf_s3_bytes_total" Counter ["direction", "operation"]
        "Bytes of bodies that came from the bucket, and that went to it";
    CACHE_REQUESTS "registry_storage_cache_requests_total" Counter []
        "Lookups of links in the cache";
    CACHE_HITS "registry_storage_cache_hits_total" Counter []
        "Lookups that found the link in the cache, unchanged in the store since";
    CACHE_ERRORS "registry_storage_cache_errors_total" Counter []
        "Failures of the cache; always 0, because it is in memory";
    CACHE_TOTAL "registry_storage_cache_total" Counter ["type"]
        "Lookups, hits and misses of the cache under the name of registry:2";
    UNREADABLE "wharf_repository_unreadable" Gauge ["repository"]
        "1 for a repository that the process has no right to read: the catalogue leaves it out, and no garbage can be collected";
    EVENTS "registry_notifications_events_total" Counter ["endpoint", "type"]
        "Events for each endpoint, and delivery attempts: accepted, refused, or without an answer";
    EVENTS_PENDING "registry_notifications_pending_total" Gauge ["endpoint"]
        "Events in the queue of an endpoint; a gauge despite its name, which is that of registry:2";
    EVENTS_STATUS "registry_notifications_status_total" Counter ["code", "endpoint"]
        "Answers of each endpoint, by status code";
    EVENTS_DROPPED "wharf_notifications_dropped_total" Counter ["endpoint"]
        "Events that were dropped before their delivery, because the queue was full";
    ACTIVITY "wharf_activity_total" Counter ["action"]
        "Pulls, pushes and other actions that the activity log was told of";
    ACTIVITY_UNRECORDED "wharf_activity_unrecorded_total" Counter ["action"]
        "Actions without an entry of their own in the activity log, for want of room; the log says how many";
    ACTIVITY_FAILURES "wharf_activity_write_failures_total" Counter []
        "Attempts to write the activity log, or the counts of pulls, that failed; `/debug/workers` has the last error";
    COLLECTIONS "wharf_collections_total" Counter ["outcome"]
        "Collections of garbage that came to their end, and those that ended early";
    COLLECTED_BLOBS "wharf_collected_blobs_total" Counter []
        "Blobs that collections have removed";
    COLLECTED_BYTES "wharf_collected_bytes_total" Counter []
        "Bytes of the blobs that collections have removed";
    COLLECTION_WAITING "wharf_collection_waiting_bytes" Gauge []
        "Bytes that the last collection found to be garbage, and a later one removes";
    TRASH_GIVEN_UP "wharf_trash_given_up_total" Counter []
        "Deletions in the trash that were given up because the file system was nearly full (`trash.pressure`)";
    RETENTION_RUNS "wharf_retention_runs_total" Counter []
        "Runs of retention that came to their end";
    RETENTION_TAGS "wharf_retention_deleted_tags_total" Counter []
        "Tags that retention has deleted";
    RETENTION_MANIFESTS "wharf_retention_deleted_manifests_total" Counter []
        "Manifests that retention has deleted";
    RETENTION_REFUSED "wharf_retention_refused_repositories" Gauge []
        "Repositories from which the last run of retention took nothing, because too many tags would go or they could not be read";
    MIRROR_REQUESTS "registry_proxy_requests_total" Counter ["type"]
        "Requests for content of mirrors";
    MIRROR_HITS "registry_proxy_hits_total" Counter ["type"]
        "Requests for content of mirrors that were answered from the store";
    MIRROR_MISSES "registry_proxy_misses_total" Counter ["type"]
        "Requests for content of mirrors for which it was downloaded";
    MIRROR_PULLED "registry_proxy_pulled_bytes_total" Counter ["type"]
        "Bytes that upstreams of mirrors have sent";
    MIRROR_STALE "wharf_mirror_stale_total" Counter ["upstream"]
        "Manifests that were served although the upstream could not be asked whether the tag still points at them";
    MIRROR_UP "wharf_mirror_upstream_up" Gauge ["upstream"]
        "1 for an upstream that is asked as usual, 0 for one that is left alone because it fails again and again";
    MIRROR_LIMIT "wharf_mirror_upstream_limit" Gauge ["upstream"]
        "Requests that the upstream allows in its window, as it said last; absent for one that says nothing";
    MIRROR_REMAINING "wharf_mirror_upstream_remaining" Gauge ["upstream"]
        "Requests of these that are left, as the upstream said last";
    UPLOADS "wharf_uploads_in_progress" Gauge []
        "Requests that are sending the bytes of a blob now";
    BLOB_BYTES "wharf_blob_bytes_total" Counter ["direction"]
        "Bytes of blobs received from clients, and sent to them";
    HEALTH "wharf_health_check_failing" Gauge ["check"]
        "1 while a configured health check fails, 0 while it does not";
    ACCESS_FILE_OK "wharf_access_file_ok" Gauge ["file"]
        "1 while the file of `users`, of access `rules`, or of the `keys` of a token server, or the files of TLS `certificates` are used as they are, 0 while the last good content of them stays in force; as the last request or handshake found them";
    ACCESS_FILE_PROBLEMS "wharf_access_file_problems" Gauge ["file"]
        "Problems that were found in the file of `users`, of access `rules`, or of the `keys` of a token server, or in the files of TLS `certificates`, ten lines at most";
    WORKER_STATE "wharf_worker_state" Gauge ["state", "worker"]
        "1 for the state that a worker beside the requests is in, 0 for the others; `/debug/workers` says more";
    WORKER_UNITS "wharf_worker_units_total" Counter ["worker"]
        "Units of work that a worker has done, such as one upload purge or one event delivered";
    WORKER_FAILURES "wharf_worker_failures_total" Counter ["worker"]
        "Units of work that failed; the worker tries again";
    SCRUB_BLOBS "wharf_scrub_blobs_total" Counter []
        "Blobs that the scrub of this process has read";
    SCRUB_BYTES "wharf_scrub_bytes_total" Counter []
        "Bytes of these blobs";
    SCRUB_DAMAGED "wharf_scrub_damaged_blobs" Gauge []
        "Blobs that the scrub has found damaged, and that were not pushed again since; `/debug/health` names the images";
    SCRUB_ROUND "wharf_scrub_last_round_end_timestamp_seconds" Gauge []
        "When the scrub, of this process or of another replica, last came to the end of all blobs; absent before that";
    ABILITY "wharf_bucket_ability" Gauge ["ability"]
        "1 for what the store of a bucket honours, 0 for what it is not known to honour; from the end of the probe at the start on";
    PERMISSION "wharf_bucket_permission" Gauge ["operation"]
        "0 for an operation that the policy of the bucket did not allow at the start, 1 for the others";
    SKEW "wharf_bucket_clock_skew_seconds" Gauge []
        "How far the clock of this machine was ahead of the store's at the start";
    REPLICAS "wharf_replicas" Gauge ["address", "host", "instance", "state", "version"]
        "1 for each process that serves the bucket, as this one saw them within the last minute";
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
