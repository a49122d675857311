//! The lease of workers: one holder at a time, another one when that is gone, and none where there is one process.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use uuid::Uuid;
use wharf_registry::Lease;
use wharf_storage::{
    ErrorKind, Operation, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    object::ObjectStorage,
};

use crate::common::write;

const TERM: Duration = Duration::from_secs(60);

fn bucket() -> Arc<dyn Storage> {
    Arc::new(ObjectStorage::in_memory())
}

fn lease(storage: &Arc<dyn Storage>) -> Lease {
    Lease::new(Arc::clone(storage), "test", TERM).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_replica_holds_the_lease_for_as_long_as_it_renews_it() {
    let storage = bucket();
    let (mut first, mut second) = (lease(&storage), lease(&storage));
    for _ in 0..20 {
        assert!(first.hold().await.unwrap());
        assert!(!second.hold().await.unwrap());
        sleep(TERM / 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_dead_replica_is_taken_over_and_it_notices() {
    let storage = bucket();
    let (mut first, mut second) = (lease(&storage), lease(&storage));
    assert!(first.hold().await.unwrap());
    assert!(!second.hold().await.unwrap());
    sleep(TERM - Duration::from_secs(1)).await;
    assert!(!second.hold().await.unwrap(), "not before its end");
    sleep(Duration::from_secs(2)).await;
    assert!(second.hold().await.unwrap());
    assert!(!first.hold().await.unwrap(), "it stood still meanwhile");
    sleep(TERM / 2).await;
    assert!(second.hold().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_is_free_at_once() {
    let storage = bucket();
    let (mut first, mut second) = (lease(&storage), lease(&storage));
    assert!(first.hold().await.unwrap());
    second.give_back().await.unwrap();
    assert!(!second.hold().await.unwrap(), "only its holder gives it back");
    first.give_back().await.unwrap();
    first.give_back().await.unwrap();
    assert!(second.hold().await.unwrap());
    assert!(!first.hold().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_read_ends_as_well() {
    let storage = bucket();
    write(
        &*storage,
        &layout::worker_lease("test").unwrap(),
        "of another version",
    )
    .await;
    let mut lease = lease(&storage);
    assert!(!lease.hold().await.unwrap());
    sleep(TERM).await;
    assert!(lease.hold().await.unwrap());
}

/// Two takers at once: where conditions are honoured, the one that is second is told so.
#[tokio::test(start_paused = true)]
async fn of_two_that_take_a_free_lease_at_once_one_gets_it() {
    let storage = bucket();
    let (mut first, mut second) = (lease(&storage), lease(&storage));
    let (one, other) = futures_util::join!(first.hold(), second.hold());
    assert_ne!(one.unwrap(), other.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_store_is_no_answer() {
    let faulty = Arc::new(Faulty::new(bucket()));
    faulty.inject(
        Fault::before(ErrorKind::Unavailable)
            .on(Operation::Publish)
            .times(1),
    );
    let mut lease = lease(&(Arc::<Faulty>::clone(&faulty) as Arc<dyn Storage>));
    lease.hold().await.unwrap_err();
    assert!(lease.hold().await.unwrap());
}

/// A directory belongs to one process.
#[tokio::test]
async fn on_a_directory_there_is_nothing_to_agree_on() {
    let root = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(FsStorage::open(root.path()).unwrap());
    assert!(lease(&storage).hold().await.unwrap());
    let key = layout::worker_lease("test").unwrap();
    assert!(storage.stat(&key).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_from_lesser_work_at_once_and_from_the_same_work_never() {
    let storage = bucket();
    let mut lesser = lease(&storage);
    let mut check = lease(&storage).for_work("check");
    let mut other = lease(&storage).for_work("check");
    assert!(lesser.hold().await.unwrap());
    assert!(!check.hold().await.unwrap());
    assert_eq!(check.holder().unwrap().work, "test");
    assert!(check.take_from("test").await.unwrap());
    assert!(!other.take_from("test").await.unwrap());
    let holder = other.holder().unwrap();
    assert_eq!((holder.work.as_str(), holder.host.is_empty()), ("check", false));
    sleep(TERM / 2).await;
    assert!(!lesser.hold().await.unwrap(), "it gives up at its next renewal");
    assert!(check.take_from("test").await.unwrap());
    check.give_back().await.unwrap();
    assert!(other.take_from("test").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn it_is_told_which_process_does_the_work() {
    let storage = bucket();
    assert_eq!(Lease::holders(&*storage).await.unwrap(), []);
    let (own, other) = (Uuid::new_v4(), Uuid::new_v4());
    let (mut held, mut waits) = (lease(&storage).held_by(own), lease(&storage).held_by(other));
    assert!(held.hold().await.unwrap() && !waits.hold().await.unwrap());
    let damaged = layout::worker_lease("damaged").unwrap();
    write(&*storage, &damaged, "later form").await;
    assert_eq!(Lease::holders(&*storage).await.unwrap(), [("test".into(), own)]);
    held.give_back().await.unwrap();
    assert!(waits.hold().await.unwrap());
    assert_eq!(Lease::holders(&*storage).await.unwrap(), [("test".into(), other)]);
}
