//! The log on both engines, from what happens to what a reader finds.

use std::{sync::Arc, thread, time::Duration};

use proptest::prelude::*;
use wharf_activity::{Action, Entry, Filter, Outcome, Pulls, Reader};
use wharf_registry::{Event, EventKind, Origin, Subscriber as _};
use wharf_storage::{
    ErrorKind, Operation,
    faulty::{Fault, Faulty},
    object::ObjectStorage,
};

use crate::common::{Client, Engine, Server, all, digest, entries, manifest, name, options, pulled, tag};

const SECOND: Duration = Duration::from_secs(1);

fn counts(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.count).sum()
}

fn change(kind: EventKind) -> Event {
    Event {
        id: uuid::Uuid::new_v4(),
        time: std::time::SystemTime::now(),
        origin: Client::new("alice").origin(),
        repository: name("team/app"),
        kind,
    }
}

#[tokio::test]
async fn what_happens_is_in_the_log_after_a_clean_stop() {
    for engine in Engine::both() {
        let server = Server::start(&engine).await;
        let alice = Client::new("alice");
        let blob = digest("blob");
        for kind in [
            EventKind::BlobPushed {
                digest: blob,
                size: 7,
            },
            EventKind::BlobMounted {
                digest: blob,
                size: 7,
                from: Some(name("base")),
            },
            EventKind::ManifestPushed {
                manifest: manifest("image"),
                tag: Some(tag("1.0")),
            },
            EventKind::TagDeleted { tag: tag("0.9") },
        ] {
            server.activity.deliver(&change(kind)).await;
        }
        for _ in 0..3 {
            pulled(&server.activity, &alice, "image", Some("1.0"));
        }
        pulled(&server.activity, &alice.by("HEAD"), "image", Some("1.0"));
        server
            .activity
            .login_failed(&alice.facts(), Some("bob"), "wrong password");
        server.activity.token_used(&alice.facts(), "ci");
        server
            .activity
            .administered(&alice.facts(), "add the user bob", Outcome::Ok);
        server.stop().await;

        let found = entries(&engine).await;
        let shown: Vec<String> = found
            .iter()
            .map(|entry| {
                let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or("-").to_owned();
                format!(
                    "{} {} {} {} {} {} {}",
                    entry.action,
                    entry.count,
                    entry.result.as_str(),
                    text(&entry.actor.name),
                    text(&entry.target.repository),
                    text(&entry.target.tag),
                    text(&entry.detail)
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "push 1 ok alice team/app - -",
                "mount 1 ok alice team/app - -",
                "push 1 ok alice team/app 1.0 -",
                "delete 1 ok alice team/app 0.9 -",
                "pull 3 ok alice team/app 1.0 -",
                "login_failure 1 denied bob - - wrong password",
                "token_use 1 ok alice - - ci",
                "administration 1 ok alice - - add the user bob",
            ]
        );
        let pull = &found[4];
        assert_eq!(pull.request.addr.as_deref(), Some("192.0.2.1"));
        assert_eq!(pull.request.user_agent.as_deref(), Some("docker/29"));
        assert_eq!(pull.request.id, Some(alice.request.to_string().into()));
        assert_eq!(
            pull.target.digest,
            Some(manifest("image").digest.to_string().into())
        );
        assert_eq!(found[1].target.from_repository.as_deref(), Some("base"));
        let pulls = Pulls::written(&*engine.to_read()).await.unwrap().repositories;
        assert_eq!(pulls["team/app"].total.count, 3);
        assert_eq!(pulls["team/app"].tags["1.0"].count, 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever the threads do, and whenever the log is written meanwhile, each pull is counted once.
    #[test]
    fn counts_add_up_to_the_number_of_pulls(
        threads in prop::collection::vec(prop::collection::vec((0..3_u8, 0..3_u8), 1..200), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let expected: usize = threads.iter().map(Vec::len).sum();
        runtime.block_on(async {
            let engine = Engine::memory();
            let server = Server::start_with(&engine, options(Duration::from_millis(1)), 4 << 20).await;
            let workers: Vec<_> = threads.into_iter().map(|pulls| {
                let activity = server.activity.clone();
                thread::spawn(move || {
                    for (account, image) in pulls {
                        pulled(&activity, &Client::new(&format!("user{account}")), &format!("image{image}"), Some("1"));
                    }
                })
            }).collect();
            tokio::task::spawn_blocking(|| workers.into_iter().for_each(|worker| worker.join().unwrap())).await.unwrap();
            server.stop().await;
            let found = entries(&engine).await;
            assert_eq!(counts(&found), expected as u64);
            let pulls = Pulls::written(&*engine.to_read()).await.unwrap().repositories;
            assert_eq!(pulls["team/app"].total.count, expected as u64);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_is_counted() {
    let engine = Engine::memory();
    let server = Server::start_with(&engine, options(SECOND), 4000).await;
    for number in 0..100 {
        pulled(
            &server.activity,
            &Client::new(&format!("user{number}")),
            "image",
            None,
        );
        let digest = digest(&number.to_string());
        let deleted = change(EventKind::BlobDeleted { digest });
        server.activity.deliver(&deleted).await;
    }
    let numbers = server.activity.numbers();
    let of = |numbers: &[(Action, u64)], wanted| {
        let mut numbers = numbers.iter().filter(|(action, _)| *action == wanted);
        numbers.next().unwrap().1
    };
    assert_eq!(of(&numbers.happened, Action::Pull), 100);
    assert!(of(&numbers.unrecorded, Action::Pull) > 50);
    server.stop().await;
    let found = entries(&engine).await;
    for action in [Action::Pull, Action::Delete] {
        let of_action: Vec<Entry> = found
            .iter()
            .filter(|entry| entry.action == action)
            .cloned()
            .collect();
        assert_eq!(counts(&of_action), 100, "{action}");
        let unrecorded = of_action
            .iter()
            .filter(|entry| entry.result == Outcome::Unrecorded);
        assert_eq!(
            unrecorded.map(|entry| entry.count).sum::<u64>(),
            of(&numbers.unrecorded, action)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn guessing_does_not_fill_the_log() {
    let engine = Engine::memory();
    let server = Server::start(&engine).await;
    for number in 0..1000 {
        let client = Client::new("-");
        let name = format!("user{}", number % 500);
        server
            .activity
            .login_failed(&client.facts(), Some(&name), "wrong password");
    }
    server.stop().await;
    let found = entries(&engine).await;
    assert_eq!(found.len(), 21, "{found:?}");
    assert_eq!(counts(&found), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_costs_nothing_but_time() {
    let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let engine = Engine::Objects(Arc::clone(&faulty) as _);
    let server = Server::start(&engine).await;
    faulty.inject(Fault::before(ErrorKind::NoSpace).on(Operation::Publish).times(5));
    server
        .activity
        .deliver(&change(EventKind::TagDeleted { tag: tag("1") }))
        .await;
    let alice = Client::new("alice");
    for _ in 0..20 {
        pulled(&server.activity, &alice, "image", None);
        tokio::time::sleep(SECOND).await;
    }
    let numbers = server.activity.numbers();
    assert!(numbers.failures >= 1, "{numbers:?}");
    assert!(
        numbers.unrecorded.iter().all(|(_, count)| *count == 0),
        "{numbers:?}"
    );
    let status = server.supervisor.statuses();
    assert!(
        status[0]
            .last_error
            .as_deref()
            .is_some_and(|error| !error.is_empty()),
        "/debug/workers says so: {status:?}"
    );
    tokio::time::sleep(60 * SECOND).await;
    server.stop().await;
    let found = entries(&engine).await;
    assert_eq!(counts(&found), 21, "nothing is lost, nor twice: {found:?}");
}

#[tokio::test(start_paused = true)]
async fn the_log_stays_within_its_size() {
    for engine in Engine::both() {
        let small = wharf_activity::ActivityOptions {
            bytes: 1 << 20,
            ..options(SECOND)
        };
        let server = Server::start_with(&engine, small, 4 << 20).await;
        for round in 0..60 {
            for number in 0..100 {
                let digest = digest(&format!("{round} {number}"));
                let deleted = change(EventKind::BlobDeleted { digest });
                server.activity.deliver(&deleted).await;
            }
            tokio::time::sleep(SECOND).await;
        }
        server.stop().await;
        let directory = wharf_storage::layout::activity();
        let segments = wharf_storage::journal::segments(&*engine.to_read(), &directory)
            .await
            .unwrap();
        let size: u64 = segments.iter().map(|segment| segment.size).sum();
        assert!(size <= 1 << 20 && size > 700 << 10, "{size}");
        let found = entries(&engine).await;
        let newest = digest("59 99").to_string();
        assert!(
            found
                .iter()
                .any(|entry| entry.target.digest.as_deref() == Some(newest.as_str())),
            "the newest are kept"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_write_apart_and_are_read_as_one() {
    let engine = Engine::bucket();
    let (one, other) = (Server::start(&engine).await, Server::start(&engine).await);
    for round in 0..3 {
        pulled(&one.activity, &Client::new("alice"), "image", Some("1"));
        pulled(&other.activity, &Client::new("bob"), "image", Some("1"));
        tokio::time::sleep(Duration::from_secs(31)).await;
        let _ = round;
    }
    let pulls = one
        .activity
        .pulls()
        .of(&name("team/app"), &["1"], &[])
        .await
        .unwrap();
    assert_eq!((pulls.total.count, pulls.tags["1"].count), (6, 6));
    one.stop().await;
    other.stop().await;
    let found = entries(&engine).await;
    assert_eq!(counts(&found), 6);
    assert!(found.is_sorted_by_key(|entry| entry.timestamp));
    let written = Pulls::written(&*engine.to_read()).await.unwrap().repositories;
    assert_eq!(written["team/app"].total.count, 6);
}

#[tokio::test(start_paused = true)]
async fn a_reader_takes_the_newest_and_then_what_comes() {
    let engine = Engine::memory();
    let server = Server::start(&engine).await;
    let delete = async |number: u32| {
        let deleted = change(EventKind::TagDeleted {
            tag: tag(&number.to_string()),
        });
        server.activity.deliver(&deleted).await;
    };
    for number in 0..5 {
        delete(number).await;
    }
    tokio::time::sleep(40 * SECOND).await;
    let tags = |found: wharf_activity::Found| -> Vec<String> {
        let tags = found
            .entries
            .into_iter()
            .map(|entry| entry.target.tag.unwrap().into());
        tags.collect()
    };
    let mut reader = Reader::new(engine.to_read(), Filter::default());
    assert_eq!(tags(reader.newest(2).await.unwrap()), ["3", "4"]);
    assert!(tags(reader.further().await.unwrap()).is_empty());
    delete(5).await;
    tokio::time::sleep(40 * SECOND).await;
    assert_eq!(tags(reader.further().await.unwrap()), ["5"]);
    let other = Filter {
        repository: Some(Box::new(|name| name == "other")),
        ..Filter::default()
    };
    assert!(tags(Reader::new(engine.to_read(), other).newest(9).await.unwrap()).is_empty());
    let wanted = Filter {
        account: Some("alice".to_owned()),
        action: Some(Action::Delete),
        repository: Some(Box::new(|name| name.starts_with("team/"))),
        ..Filter::default()
    };
    assert_eq!(
        tags(Reader::new(engine.to_read(), wanted).newest(9).await.unwrap()).len(),
        6
    );
    let late = Filter {
        since: Some(jiff::Timestamp::MAX),
        ..Filter::default()
    };
    assert_eq!(
        Reader::new(engine.to_read(), late).newest(9).await.unwrap(),
        all()
    );
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_counting_and_a_deleted_tag_has_no_pulls() {
    let engine = Engine::directory();
    let server = Server::start(&engine).await;
    pulled(&server.activity, &Client::new("alice"), "image", Some("1"));
    pulled(&server.activity, &Client::new("alice"), "image", Some("2"));
    server.stop().await;
    let server = Server::start(&engine).await;
    pulled(&server.activity, &Client::new("alice"), "image", Some("1"));
    let deleted = change(EventKind::TagDeleted { tag: tag("2") });
    server.activity.deliver(&deleted).await;
    let activity = server.activity.clone();
    server.stop().await;
    let pulls = activity
        .pulls()
        .of(&name("team/app"), &["1", "2"], &[])
        .await
        .unwrap();
    let tags: Vec<(&str, u64)> = pulls
        .tags
        .iter()
        .map(|(tag, pulls)| (&**tag, pulls.count))
        .collect();
    assert_eq!((pulls.total.count, tags), (3, vec![("1", 2)]));
}

#[tokio::test]
async fn an_origin_of_a_worker_has_no_request() {
    let engine = Engine::memory();
    let server = Server::start(&engine).await;
    let event = Event {
        origin: Arc::new(Origin::worker("test")),
        ..change(EventKind::TagDeleted { tag: tag("1") })
    };
    server.activity.deliver(&event).await;
    server.stop().await;
    let found = entries(&engine).await;
    assert_eq!(found[0].request, wharf_activity::Request::default());
    assert_eq!(found[0].actor.name, None);
}
