//! Delivery at least once, in order and within the bound, whatever happens to the server or to the endpoint.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use wharf_testkit::{Behaviour, ClosedPort, Receiver, Server, ServerBuilder, eventually, image::Blob};

use super::{blobs, digests, digests_of, telling};

wharf_testkit::on_disk![crate::BINARY;
    an_event_of_an_acknowledged_push_survives_kill_9,
    kill_9_under_load_loses_nothing_that_was_acknowledged,
    a_restart_keeps_events_in_order,
    what_waits_is_delivered_before_a_graceful_stop_ends,
    a_torn_end_of_the_queue_is_cut_off,
];

wharf_testkit::configured_on_both_engines![crate::BINARY;
    an_endpoint_that_is_down_gets_everything_when_it_is_back,
    an_endpoint_that_hangs_holds_up_nobody,
    a_full_queue_drops_the_oldest_and_says_so,
];

const QUICK: &str = ", backoff: 50ms, maxbackoff: 100ms";

async fn an_event_of_an_acknowledged_push_survives_kill_9(builder: ServerBuilder) {
    let port = ClosedPort::new();
    let mut server = telling(builder, &port.url(), QUICK).start();
    let blobs = blobs(20);
    push(&server, &blobs).await;
    server.kill9();
    let receiver = port.open();
    server.start_again();
    assert_eq!(digests(&receiver.wait_for(20).await), digests_of(&blobs));
}

async fn kill_9_under_load_loses_nothing_that_was_acknowledged(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let mut server = telling(builder, &receiver.url(), QUICK).start();
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for cycle in 0..3 {
        let pushers: Vec<_> = (0..4)
            .map(|pusher| {
                let repository = server.anonymous().repository(&format!("app{pusher}"));
                let acknowledged = Arc::clone(&acknowledged);
                tokio::spawn(async move {
                    for number in 0.. {
                        let blob = Blob::random(cycle << 32 | pusher << 16 | number, 100);
                        let start = repository.client().post(&repository.uploads_path());
                        let Ok(started) = start.try_send().await else {
                            return;
                        };
                        let finish = repository.finish(&started.location(), &blob.digest, blob.bytes.clone());
                        match finish.try_send().await {
                            Ok(answer) if answer.status == 201 => {
                                acknowledged.lock().unwrap().insert(blob.digest);
                            }
                            _ => return,
                        }
                    }
                })
            })
            .collect();
        let enough = 5 * (usize::try_from(cycle).unwrap() + 1);
        let counted = Arc::clone(&acknowledged);
        eventually("some pushes were acknowledged", || {
            let is_enough = counted.lock().unwrap().len() >= enough;
            async move { is_enough }
        })
        .await;
        server.kill9();
        for pusher in pushers {
            pusher.await.unwrap();
        }
        server.start_again();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    eventually("every acknowledged push was told", || {
        let told: BTreeSet<String> = digests(&receiver.accepted()).into_iter().collect();
        let is_complete = told.is_superset(&acknowledged);
        async move { is_complete }
    })
    .await;
}

async fn a_restart_keeps_events_in_order(builder: ServerBuilder) {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Answer(500, ""));
    let mut server = telling(builder, &receiver.url(), QUICK).start();
    let blobs = blobs(12);
    push(&server, &blobs[..6]).await;
    receiver.wait_for_attempts(1).await;
    server.restart();
    push(&server, &blobs[6..]).await;
    receiver.behave(Behaviour::Answer(200, ""));
    assert_eq!(digests(&receiver.wait_for(12).await), digests_of(&blobs));
    assert_eq!(receiver.accepted().len(), 12);
}

async fn what_waits_is_delivered_before_a_graceful_stop_ends(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let mut server = telling(builder, &receiver.url(), QUICK).start();
    let blobs = blobs(30);
    push(&server, &blobs).await;
    server.stop();
    assert_eq!(digests(&receiver.accepted()), digests_of(&blobs));
}

async fn a_torn_end_of_the_queue_is_cut_off(builder: ServerBuilder) {
    let port = ClosedPort::new();
    let mut server = telling(builder, &port.url(), QUICK).start();
    let blobs = blobs(4);
    push(&server, &blobs[..3]).await;
    server.kill9();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&segments(&server)[0])
        .unwrap();
    file.write_all(&[40, 0, 0, 0, 1, 2, 3]).unwrap();
    let receiver = port.open();
    server.start_again();
    server.says("it is cut off").await;
    push(&server, &blobs[3..]).await;
    assert_eq!(digests(&receiver.wait_for(4).await), digests_of(&blobs));
}

async fn an_endpoint_that_is_down_gets_everything_when_it_is_back(builder: ServerBuilder) {
    let port = ClosedPort::new();
    let server = telling(builder, &port.url(), QUICK).start();
    let blobs = blobs(20);
    push(&server, &blobs[..10]).await;
    server.says("does not take an event").await;
    let receiver = port.open();
    receiver.wait_for(10).await;
    receiver.behave(Behaviour::Close);
    push(&server, &blobs[10..]).await;
    receiver.wait_for_attempts(12).await;
    receiver.behave(Behaviour::Answer(200, ""));
    assert_eq!(digests(&receiver.wait_for(20).await), digests_of(&blobs));
}

async fn an_endpoint_that_hangs_holds_up_nobody(builder: ServerBuilder) {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Hang);
    let more = format!("{QUICK}, timeout: 100ms");
    let server = telling(builder, &receiver.url(), &more).start();
    let blobs = blobs(5);
    push(&server, &blobs).await;
    // It was given up, and tried again.
    receiver.wait_for_attempts(2).await;
    receiver.behave(Behaviour::Answer(204, ""));
    assert_eq!(digests(&receiver.wait_for(5).await), digests_of(&blobs));
}

async fn a_full_queue_drops_the_oldest_and_says_so(builder: ServerBuilder) {
    let port = ClosedPort::new();
    let more = format!("{QUICK}, queue: {{events: 16}}");
    let server = telling(builder, &port.url(), &more).start();
    let blobs = blobs(40);
    push(&server, &blobs).await;
    server.says("the queue of events is full").await;
    let log = server.log();
    assert_eq!(log.matches("the queue of events is full").count(), 1, "{log}");
    let receiver = port.open();
    let last = &blobs[39].digest;
    eventually("the newest event was told", || {
        let is_told = digests(&receiver.accepted()).contains(last);
        async move { is_told }
    })
    .await;
    let told = digests(&receiver.accepted());
    assert!((14..=16).contains(&told.len()), "{told:?}");
    assert_eq!(told, digests_of(&blobs[40 - told.len()..]));
}

async fn push(server: &Server, blobs: &[Blob]) {
    let repository = server.anonymous().repository("app");
    for blob in blobs {
        repository.push_blob(blob).await;
    }
}

/// The files of the one queue there is.
fn segments(server: &Server) -> Vec<PathBuf> {
    let list = |directory: PathBuf| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let queues = list(server.root().join("wharf/events"));
    assert_eq!(queues.len(), 1, "{queues:?}");
    let mut files = list(queues[0].clone());
    files.retain(|file| !file.ends_with("cursor"));
    files.sort();
    files
}
