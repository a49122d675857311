//! The metrics of the store and of the cache of links, under the names of registry:2.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use wharf_http::{Exposition, Source, number};
use wharf_registry::Registry;
use wharf_storage::{
    Operation,
    metered::{BUCKETS, Measured, Meters},
};

use super::table::{
    CACHE_ERRORS, CACHE_HITS, CACHE_REQUESTS, CACHE_TOTAL, STORAGE_ACTION, STORAGE_FAILURES, UNREADABLE,
};

/// The counters of a [metered](wharf_storage::metered::Metered) store.
#[derive(Debug)]
pub struct StoreMetrics {
    /// The counters of the store.
    pub meters: Meters,
    /// Name of the storage driver in registry:2: `filesystem`, `inmemory`.
    pub driver: &'static str,
}

impl Source for StoreMetrics {
    fn write(&self, page: &mut Exposition) {
        let mut by_action = BTreeMap::<&str, Measured>::new();
        for measured in self.meters.snapshot() {
            by_action
                .entry(action(measured.operation))
                .and_modify(|sum| add(sum, &measured))
                .or_insert(measured);
        }
        let mut actions = page.family(&STORAGE_ACTION);
        for (action, measured) in &by_action {
            let bounds = BUCKETS.into_iter().zip(measured.cumulative);
            actions.histogram(
                &[action, self.driver],
                bounds,
                measured.calls,
                measured.total.as_secs_f64(),
            );
        }
        let mut failures = page.family(&STORAGE_FAILURES);
        for (action, measured) in &by_action {
            failures.value(&[action, self.driver], number(measured.failures));
        }
    }
}

fn add(sum: &mut Measured, other: &Measured) {
    sum.calls += other.calls;
    sum.failures += other.failures;
    sum.total = sum.total.saturating_add(other.total).min(Duration::MAX);
    for (sum, other) in sum.cumulative.iter_mut().zip(other.cumulative) {
        *sum += other;
    }
}

/// The equivalent method of registry:2's storage drivers. Operations without an equivalent get a similar name.
fn action(operation: Operation) -> &'static str {
    match operation {
        Operation::Stat | Operation::UploadSize => "Stat",
        Operation::Read => "GetContent",
        Operation::Open | Operation::Stream => "Reader",
        Operation::Publish => "PutContent",
        Operation::Remove | Operation::RemoveTree | Operation::Discard => "Delete",
        Operation::List => "List",
        Operation::OpenUpload => "Writer",
        Operation::PublishBlob | Operation::Rename => "Move",
        Operation::Location => "Location",
        Operation::Scan => "Scan",
        Operation::CreateUpload => "CreateUpload",
        Operation::ListUploads | Operation::RemoveUpload => "PurgeUploads",
        Operation::Write => "Write",
        Operation::Suspend => "Suspend",
        Operation::Finish => "Finish",
    }
}

/// The counters of a registry's cache of links, and the repositories that it cannot read.
#[derive(Debug)]
pub struct CacheMetrics(
    /// The registry that has the cache.
    pub Arc<Registry>,
);

impl Source for CacheMetrics {
    fn write(&self, page: &mut Exposition) {
        let counts = self.0.link_lookups();
        let (requests, hits) = (number(counts.requests), number(counts.hits));
        page.family(&CACHE_REQUESTS).value(&[], requests);
        page.family(&CACHE_HITS).value(&[], hits);
        page.family(&CACHE_ERRORS).value(&[], 0.0);
        let mut total = page.family(&CACHE_TOTAL);
        total.value(&["Hit"], hits);
        total.value(&["Miss"], (requests - hits).max(0.0));
        total.value(&["Request"], requests);
        let mut unreadable = page.family(&UNREADABLE);
        for repository in self.0.unreadable_repositories() {
            unreadable.value(&[&repository], 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wharf_storage::{Key, Objects as _, Put, metered::Metered, object::ObjectStorage};

    use super::*;

    #[tokio::test]
    async fn operations_count_as_the_actions_of_registry_2() {
        let storage = Metered::new(Arc::new(ObjectStorage::in_memory()));
        let metrics = StoreMetrics {
            meters: storage.meters(),
            driver: "inmemory",
        };
        let key = Key::new("a/b").unwrap();
        let put = Put::new(key.clone(), Bytes::from_static(b"x"));
        storage.publish(&[put]).await.unwrap();
        storage.remove(&key, &Key::new("a").unwrap()).await.unwrap();
        storage.remove_tree(&key).await.unwrap_err();
        let mut page = Exposition::default();
        metrics.write(&mut page);
        let page = page.finish();
        for line in [
            "registry_storage_action_seconds_count{action=\"PutContent\",driver=\"inmemory\"} 1",
            "registry_storage_action_seconds_count{action=\"Delete\",driver=\"inmemory\"} 2",
            "registry_storage_action_seconds_bucket{action=\"Delete\",driver=\"inmemory\",le=\"+Inf\"} 2",
            "wharf_storage_failures_total{action=\"Delete\",driver=\"inmemory\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
