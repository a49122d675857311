//! Servers on one bucket: one of them checks at a time.

use wharf_storage::{
    Operation, Put,
    faulty::{Fault, Faulty},
    layout,
    object::ObjectStorage,
};
use wharf_workers::{Handle, Supervisor};

use super::*;

fn server(store: &Arc<dyn Storage>) -> (Checks, Handle) {
    let checks = Checks::of(Arc::clone(store), Options::default(), None, false);
    let worker = checks.worker(CheckTurn::new(store).unwrap());
    (checks, Supervisor::default().spawn(worker))
}

async fn until(is_so: impl AsyncFn() -> bool) {
    for _ in 0..100_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never was so");
}

#[tokio::test(start_paused = true)]
async fn of_two_servers_on_a_bucket_one_checks_and_the_other_says_for_which_it_waits() {
    let slow = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let store: Arc<dyn Storage> = Arc::<Faulty>::clone(&slow);
    for content in ["one", "two"] {
        let key = layout::blob(&Digest::sha256_of(content.as_bytes()));
        store.publish(&[Put::new(key, content)]).await.unwrap();
    }
    let delay = Fault::delay(Duration::from_secs(20)).on(Operation::Open);
    slow.inject(delay.key("docker/"));
    let servers = [server(&store), server(&store)];
    // A command checks already.
    let mut command = CheckTurn::new(&store).unwrap();
    assert_eq!(command.take().await.unwrap(), None);
    for (checks, _) in &servers {
        checks.ask(false);
        until(async || checks.show().await.unwrap().waits_for.is_some()).await;
        let shown = checks.show().await.unwrap();
        assert!(shown.running.is_none());
        assert!(!shown.waits_for.unwrap().host.is_empty());
    }
    command.give_back().await;
    let mut seen_waiting = false;
    let shown = async || {
        let [one, other] = &servers;
        (one.0.show().await.unwrap(), other.0.show().await.unwrap())
    };
    for _ in 0..100_000 {
        let (one, other) = shown().await;
        assert!(one.running.is_none() || other.running.is_none(), "both check");
        seen_waiting |= one.running.is_some() && other.waits_for.is_some();
        seen_waiting |= other.running.is_some() && one.waits_for.is_some();
        if one.last.is_some() && other.last.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (one, other) = shown().await;
    for shown in [one, other] {
        let last = shown.last.unwrap();
        assert_eq!((last.error, last.blobs), (None, 2));
        assert_eq!(shown.waits_for, None);
    }
    assert!(seen_waiting);
    for (_, worker) in servers {
        assert!(worker.stop(Duration::from_secs(60)).await);
    }
}
