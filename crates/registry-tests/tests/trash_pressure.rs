//! Collections when the file system is nearly full: the trash gives the oldest deletions up.

use std::{sync::Arc, time::Duration};

use tokio::{join, time::sleep};
use wharf_oci::Digest;
use wharf_registry::{
    Options, Pressure, Registry, TrashId,
    collect::{Collected, CollectionReport, OnlineCollector},
};
use wharf_storage::{
    Objects as _, Operation, Space, Storage,
    faulty::{Fault, Faulty},
    layout,
};

use crate::common::{caller, image, name, on_both_engines, put, tag};

/// A time that the clock of the tests only passes when nothing else is left to do.
const PAUSE: Duration = Duration::from_secs(10);

const FULL: Space = Space { free: 4, total: 100 };
const ROOMY: Space = Space { free: 5, total: 100 };

/// A store that says how much space it has, with four deletions in its trash.
struct Store {
    storage: Arc<Faulty>,
    registry: Arc<Registry>,
    collector: OnlineCollector,
    /// What was deleted, the oldest first.
    layers: Vec<Digest>,
    is_bucket: bool,
}

async fn open(storage: Arc<dyn Storage>, is_bucket: bool) -> Store {
    tokio::time::pause();
    let storage = Arc::new(Faulty::new(storage));
    let options = Options {
        delete_enabled: true,
        trash_retention: Duration::from_secs(7 * 86_400),
        trash_pressure: Pressure::Percent(5),
        collect_grace: Duration::ZERO,
        ..Options::default()
    };
    let registry = Arc::new(Registry::new(Arc::clone(&storage) as _, options));
    let (app, mut layers) = (name("app"), Vec::new());
    for content in ["one", "two", "three", "four"] {
        let manifest = image(&registry, &app, content, "").await;
        let digest = put(&registry, &app, tag(content), &manifest).await;
        let caller = caller();
        let deleted = registry.delete_manifest(&caller, &app, &digest, false);
        deleted.await.unwrap();
        layers.push(Digest::sha256_of(content.as_bytes()));
    }
    Store {
        collector: OnlineCollector::new(Arc::clone(&registry), true),
        storage,
        registry,
        layers,
        is_bucket,
    }
}

impl Store {
    async fn collect(&self) -> CollectionReport {
        match self.collector.collect().await.unwrap() {
            Collected::Done(report) => report,
            other => panic!("{other:?}"),
        }
    }

    async fn records(&self) -> Vec<TrashId> {
        let page = self.registry.trash_page(None, 100, None, &|_| true);
        let records = page.await.unwrap().records;
        // In the order in which they were made.
        records.into_iter().rev().map(|record| record.id).collect()
    }

    /// Of each deletion whether its bytes are stored.
    async fn are_stored(&self) -> Vec<bool> {
        let mut stored = Vec::new();
        for layer in &self.layers {
            stored.push(self.storage.stat(&layout::blob(layer)).await.is_ok());
        }
        stored
    }
}

on_both_engines! { open:
    with_enough_space_every_deletion_can_be_taken_back
    without_space_all_deletions_are_given_up_and_their_bytes_come_free
    the_newest_deletions_stay_when_the_oldest_were_enough
}

async fn with_enough_space_every_deletion_can_be_taken_back(store: Store) {
    // What the machine of this test says: a bucket has no end.
    let told = store.storage.space().await.unwrap();
    assert_eq!(told.is_none(), store.is_bucket);
    assert!(told.is_none_or(|space| space.free <= space.total && space.total > 0));
    store.storage.tell_space(Some(ROOMY));
    assert!(!store.collector.is_pressed().await.unwrap());
    let report = store.collect().await;
    assert_eq!((report.given_up, report.records, report.removed.blobs), (0, 4, 0));
    assert_eq!(store.records().await.len(), 4);
}

async fn without_space_all_deletions_are_given_up_and_their_bytes_come_free(store: Store) {
    store.storage.tell_space(Some(FULL));
    assert!(store.collector.is_pressed().await.unwrap());
    let report = store.collect().await;
    assert_eq!((report.given_up, report.records), (4, 0));
    assert_eq!(store.collector.progress().given_up, 4);
    assert_eq!(store.records().await, []);
    // A bucket has other servers, which have half an hour.
    assert_eq!(store.are_stored().await, [store.is_bucket; 4]);
    assert_eq!(report.removed.blobs, if store.is_bucket { 0 } else { 12 });
    assert!(
        !store.collector.is_pressed().await.unwrap(),
        "nothing is left to give up"
    );
    assert_eq!(store.collect().await.given_up, 0);
}

async fn the_newest_deletions_stay_when_the_oldest_were_enough(store: Store) {
    if store.is_bucket {
        return;
    }
    let records = store.records().await;
    store.storage.tell_space(Some(FULL));
    let slow = Fault::delay(PAUSE).on(Operation::Remove).key("blobs/");
    store.storage.inject(slow.times(1));
    let (report, ()) = join!(store.collect(), async {
        sleep(PAUSE / 2).await;
        store.storage.tell_space(Some(ROOMY));
    });
    assert_eq!(store.storage.struck(), 1);
    assert_eq!((report.given_up, report.records, report.removed.blobs), (1, 3, 3));
    assert_eq!(store.records().await, records[1..]);
    assert_eq!(store.are_stored().await, [false, true, true, true]);
}
