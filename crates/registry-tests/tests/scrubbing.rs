//! The scrub: reads all blobs at its rate, goes on after a restart, names what is damaged, and lets a push heal it.

use std::{
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep};
use wharf_oci::Digest;
use wharf_registry::{Error, Registry, Scrub, ScrubOptions, ScrubRecord};
use wharf_storage::{
    ErrorKind, Operation, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    object::{Counted, Memory, ObjectStorage},
};
use wharf_workers::{Handle, State, Supervisor};

use crate::common::{image, name, on_bucket, over, push_blob, put, tag, write};

const HOUR: Duration = Duration::from_secs(60 * 60);

const OPTIONS: ScrubOptions = ScrubOptions {
    interval: Duration::from_secs(30 * 24 * 60 * 60),
    rate: NonZeroU64::new(10 << 20).unwrap(),
};

fn start(registry: &Arc<Registry>, options: ScrubOptions) -> (Handle, Arc<ScrubRecord>) {
    let (scrub, record) = Scrub::new(Arc::clone(registry), options).unwrap();
    (Supervisor::default().spawn(scrub), record)
}

/// Pushes `app:1`, whose layer is `content`.
async fn push(registry: &Arc<Registry>) {
    let app = name("app");
    let manifest = image(registry, &app, "content", "").await;
    put(registry, &app, tag("1"), &manifest).await;
}

fn layer() -> Digest {
    Digest::sha256_of(b"content")
}

async fn damage(storage: &dyn Storage) {
    write(storage, &layout::blob(&layer()), "CONTENT").await;
}

async fn is_absent(registry: &Registry) -> bool {
    matches!(
        registry.blob(&name("app"), &layer()).await,
        Err(Error::BlobUnknown { .. })
    )
}

async fn damage_is_named_and_healed(storage: Arc<dyn Storage>) {
    let registry = over(Arc::clone(&storage));
    push(&registry).await;
    let (scrub, record) = start(&registry, OPTIONS);
    sleep(HOUR).await;
    let numbers = record.numbers();
    assert_eq!((numbers.blobs, numbers.damaged), (3, 0));
    assert!(
        numbers.ended.is_some() && scrub.status().state == State::Idle,
        "{:?}",
        scrub.status()
    );

    damage(&*storage).await;
    // Another process, after the interval.
    write(&*storage, &layout::scrub(), r#"{"began":1,"ended":2}"#).await;
    assert!(scrub.stop(HOUR).await);
    write(&*storage, &layout::scrub(), r#"{"began":1,"ended":2}"#).await;
    let registry = over(Arc::clone(&storage));
    assert!(!is_absent(&registry).await, "nothing has read it");
    let (scrub, record) = start(&registry, OPTIONS);
    sleep(HOUR).await;
    let damaged = record.damage();
    assert_eq!(
        damaged.keys().collect::<Vec<_>>(),
        [&layer()],
        "{:?}",
        scrub.status()
    );
    assert!(
        damaged[&layer()].ends_with("push one of these images again: app:1"),
        "{damaged:?}"
    );
    assert!(is_absent(&registry).await, "a client pushes it");
    assert!(
        scrub.status().detail.ends_with("damaged: 1"),
        "{:?}",
        scrub.status()
    );

    // It is known after a restart as well, before the next round.
    assert!(scrub.stop(HOUR).await);
    let registry = over(Arc::clone(&storage));
    let (_scrub, record) = start(&registry, OPTIONS);
    sleep(HOUR).await;
    assert!(is_absent(&registry).await);
    assert_eq!((record.numbers().damaged, record.numbers().blobs), (1, 1));

    push(&registry).await;
    assert!(!is_absent(&registry).await);
    sleep(3 * HOUR).await;
    assert_eq!(record.numbers().damaged, 0, "{:?}", record.damage());
    assert!(!is_absent(&registry).await);
}

#[tokio::test(start_paused = true)]
async fn damage_is_named_and_healed_in_a_bucket() {
    damage_is_named_and_healed(Arc::new(ObjectStorage::in_memory())).await;
}

#[tokio::test(start_paused = true)]
async fn damage_is_named_and_healed_in_a_directory() {
    let root = tempfile::tempdir().unwrap();
    damage_is_named_and_healed(Arc::new(FsStorage::open(root.path()).unwrap())).await;
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_where_it_was() {
    let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
    let registry = over(Arc::clone(&storage));
    let mut digests = Vec::new();
    for number in 0..20 {
        digests.push(push_blob(&registry, &name("app"), format!("{number}").as_bytes()).await);
    }
    digests.sort_unstable();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let note = format!(
        r#"{{"last":"{}","began":{},"ended":1,"blobs":10}}"#,
        digests[9],
        now.as_secs()
    );
    write(&*storage, &layout::scrub(), &note).await;
    let (scrub, record) = start(&registry, OPTIONS);
    sleep(HOUR).await;
    assert_eq!(record.numbers().blobs, 10);
    assert_eq!(
        scrub.status().detail,
        "blobs of the last round: 20, bytes: 15; damaged: 0"
    );
}

/// A large blob is read in pieces, with rests between them, and a stop need not wait for its end.
#[tokio::test(start_paused = true)]
async fn it_reads_no_more_than_its_rate_and_stops_at_once() {
    let registry = over(Arc::new(ObjectStorage::in_memory()));
    let content = "0123456789".repeat(1 << 20);
    push_blob(&registry, &name("app"), content.as_bytes()).await;
    let rate = NonZeroU64::new(1 << 20).unwrap();
    let (scrub, record) = start(&registry, ScrubOptions { rate, ..OPTIONS });
    let begun = Instant::now();
    while record.numbers().blobs == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    let seconds = begun.elapsed().as_secs() - 15 * 60;
    assert!((9..=11).contains(&seconds), "{seconds}");
    drop(scrub);
    let (scrub, record) = start(&registry, ScrubOptions { rate, ..OPTIONS });
    // The round that has just ended is noted.
    sleep(HOUR).await;
    assert_eq!(record.numbers().blobs, 0);
    assert!(scrub.stop(Duration::from_millis(1)).await);
}

/// Of two replicas one reads. What it finds counts in both.
#[tokio::test(start_paused = true)]
async fn of_two_replicas_one_reads() {
    let bucket = Counted::new(Memory::new());
    let (first, second) = (on_bucket(&bucket), on_bucket(&bucket));
    push(&first).await;
    let storage = ObjectStorage::new(Arc::new(bucket.clone()), object_store::path::Path::default());
    damage(&storage).await;
    let (scrub, found) = start(&first, OPTIONS);
    let (_other, also_found) = start(&second, OPTIONS);
    sleep(HOUR).await;
    assert!(is_absent(&first).await && is_absent(&second).await);
    assert_eq!((found.numbers().damaged, also_found.numbers().damaged), (1, 1));
    let read = found.numbers().blobs + also_found.numbers().blobs;
    assert_eq!(read, 3 + 1, "one read all, and the other one what was damaged");
    // The other one takes over.
    assert!(scrub.stop(HOUR).await);
    push(&second).await;
    sleep(3 * HOUR).await;
    assert_eq!(also_found.numbers().damaged, 0);
}

/// A store that does not answer is tried again, and no blob is left out.
#[tokio::test(start_paused = true)]
async fn a_failure_of_the_store_leaves_no_blob_out() {
    let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let registry = over(Arc::<Faulty>::clone(&faulty));
    push(&registry).await;
    faulty.inject(
        Fault::before(ErrorKind::Unavailable)
            .on(Operation::Open)
            .after(1)
            .times(3),
    );
    let (scrub, record) = start(&registry, OPTIONS);
    sleep(HOUR).await;
    assert_eq!(record.numbers().blobs, 3, "{:?}", scrub.status());
    assert_eq!(scrub.status().failures, 3);
}

#[tokio::test(start_paused = true)]
async fn the_scrub_stands_back_while_a_check_runs() {
    let directory = tempfile::tempdir().unwrap();
    let directory: Arc<dyn Storage> = Arc::new(FsStorage::open(directory.path()).unwrap());
    for storage in [directory, Arc::new(ObjectStorage::in_memory())] {
        let registry = over(storage);
        push(&registry).await;
        let (scrub, record) = start(&registry, OPTIONS);
        let check = record.stand_back();
        sleep(HOUR).await;
        assert_eq!(record.numbers().blobs, 0);
        drop(check);
        sleep(HOUR).await;
        assert!(record.numbers().blobs > 0);
        assert!(scrub.stop(HOUR).await);
    }
}
