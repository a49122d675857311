//! What is stored on each day: what a collection finds, and that no day gets lost.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use wharf_oci::Digest;
use wharf_registry::{
    Registry,
    collect::{Collected, CollectionReport, OnlineCollector, Stored},
};
use wharf_storage::{
    ErrorKind, Operation, Put, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    object::ObjectStorage,
};

use crate::common::{caller, image, name, over, put, tag, write};

const DAY: Duration = Duration::from_secs(86_400);

fn stored(bytes: u64) -> Stored {
    Stored {
        bytes,
        blobs: 1,
        repositories: 1,
    }
}

async fn collect(registry: &Arc<Registry>) -> CollectionReport {
    match OnlineCollector::new(Arc::clone(registry), false)
        .collect()
        .await
        .unwrap()
    {
        Collected::Done(report) => report,
        other => panic!("{other:?}"),
    }
}

/// Two repositories share an image, one has another one, and there is garbage: an image that was deleted, and bytes without a link.
async fn a_collection_finds_what_is_stored(storage: Arc<dyn Storage>) {
    let registry = over(Arc::clone(&storage));
    let (app, other) = (name("team/app"), name("other"));
    let mut kept = 0;
    for (repository, content) in [(&app, "shared"), (&other, "shared"), (&app, "own")] {
        let manifest = image(&registry, repository, content, "").await;
        put(&registry, repository, tag(content), &manifest).await;
        if repository == &app {
            let config = format!("{{\"config\":\"{content}\"}}");
            kept += manifest.len() + config.len() + content.len();
        }
    }
    let gone = image(&registry, &other, "gone", "").await;
    let digest = put(&registry, &other, tag("gone"), &gone).await;
    registry
        .delete_manifest(&caller(), &other, &digest, false)
        .await
        .unwrap();
    let unlinked = Digest::sha256_of(b"unlinked");
    storage
        .publish(&[Put::new(layout::blob(&unlinked), "unlinked")])
        .await
        .unwrap();
    let report = collect(&registry).await;
    let waiting = report.waiting;
    let expected = Stored {
        bytes: kept as u64 + waiting.bytes,
        blobs: 6 + waiting.blobs,
        repositories: 2,
    };
    assert_eq!(report.stored, expected);
    assert_eq!(report.removed.blobs + waiting.blobs, 4);
}

#[tokio::test]
async fn a_collection_finds_what_is_stored_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    a_collection_finds_what_is_stored(Arc::new(FsStorage::open(directory.path()).unwrap())).await;
}

#[tokio::test(start_paused = true)]
async fn a_collection_finds_what_is_stored_in_a_bucket() {
    a_collection_finds_what_is_stored(Arc::new(ObjectStorage::in_memory())).await;
}

/// Each replica records days of its own, at the same time as the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_record_at_once_lose_no_day() {
    let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
    let record = |replica: u32| {
        let registry = over(Arc::clone(&storage));
        tokio::spawn(async move {
            for number in 0..20 {
                let at = UNIX_EPOCH + (2 * number + replica) * DAY;
                registry
                    .record_growth(at, stored(u64::from(number)))
                    .await
                    .unwrap();
            }
        })
    };
    let (one, other) = (record(0), record(1));
    one.await.unwrap();
    other.await.unwrap();
    let days = over(storage).growth().await.unwrap();
    assert_eq!(days.len(), 40);
    assert_eq!(days["1970-01-02"].stored, stored(0));
    assert_eq!(days["1970-02-09"].measured, UNIX_EPOCH + 39 * DAY);
}

#[tokio::test]
async fn days_are_kept_in_a_directory_and_a_document_that_is_not_understood_stays() {
    let directory = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(FsStorage::open(directory.path()).unwrap());
    let registry = over(Arc::clone(&storage));
    assert!(registry.growth().await.unwrap().is_empty());
    for day in 0..3 {
        registry
            .record_growth(UNIX_EPOCH + day * DAY, stored(7))
            .await
            .unwrap();
    }
    assert_eq!(registry.growth().await.unwrap().len(), 3);
    write(&*storage, &layout::growth(), "a later form").await;
    for failed in [
        registry.growth().await.map(drop),
        registry.record_growth(UNIX_EPOCH, stored(7)).await,
    ] {
        assert_eq!(failed.unwrap_err().storage_kind(), Some(ErrorKind::Damaged));
    }
    let left = storage.read(&layout::growth(), 100).await.unwrap();
    assert_eq!(left.bytes, "a later form");
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_and_no_empty_document() {
    let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let registry = over(Arc::<Faulty>::clone(&faulty));
    registry.record_growth(UNIX_EPOCH, stored(7)).await.unwrap();
    faulty.inject(Fault::permission_denied().on(Operation::Read));
    assert!(registry.record_growth(UNIX_EPOCH + DAY, stored(8)).await.is_err());
    faulty.heal();
    assert_eq!(registry.growth().await.unwrap().len(), 1);
}
