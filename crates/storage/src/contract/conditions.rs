//! Cases for conditional writes, on stores that honour them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{assert_kind, exists, key, publish, put, read};
use crate::{ErrorKind, Key, Put, Puts, Removal, Result, Storage, Version};

/// The version of what is at a key; a file system gives none as long as the file is too young.
async fn version(storage: &Arc<dyn Storage>, at: &Key) -> Version {
    super::eventually(async || storage.stat(at).await.expect("stat").version).await
}

fn refused(result: Result<()>, what: &str) {
    assert_kind(result, ErrorKind::Precondition, what);
}

/// `if_absent` creates an object, below directories that exist or not, and never replaces one.
pub async fn condition_absent(storage: &Arc<dyn Storage>) {
    let dir = key("contract/condition_absent");
    for path in ["new/directory/object", "new/directory/other", "new/object"] {
        let at = dir.join(path).expect("a key");
        let first = put(&at, "first").if_absent();
        storage.publish(&[first]).await.expect("nothing is there");
        refused(
            storage.publish(&[put(&at, "second").if_absent()]).await,
            "an object is there",
        );
        assert_eq!(read(storage, &at).await, "first");
        storage.remove(&at, &dir).await.expect("remove");
        storage
            .publish(&[put(&at, "third").if_absent()])
            .await
            .expect("nothing is there any more");
        assert_eq!(read(storage, &at).await, "third");
    }
}

/// `only_if` replaces exactly the version that it names.
pub async fn condition_matches(storage: &Arc<dyn Storage>) {
    let dir = key("contract/condition_matches");
    let at = dir.join("a/object").expect("a key");
    publish(storage, &at, "one").await;
    let first = version(storage, &at).await;
    storage
        .publish(&[put(&at, "two").only_if(first.clone())])
        .await
        .expect("the version is still there");
    assert_eq!(read(storage, &at).await, "two");
    refused(
        storage.publish(&[put(&at, "three").only_if(first.clone())]).await,
        "a stale version",
    );
    assert_eq!(read(storage, &at).await, "two");

    let elsewhere = dir.join("elsewhere").expect("a key");
    publish(storage, &elsewhere, "four").await;
    refused(
        storage
            .publish(&[put(&elsewhere, "five").only_if(first.clone())])
            .await,
        "the version of another key",
    );

    let second = version(storage, &at).await;
    storage.remove(&at, &dir).await.expect("remove");
    for stale in [first, second] {
        refused(
            storage.publish(&[put(&at, "six").only_if(stale)]).await,
            "an object that is gone, and its directory",
        );
    }
    assert!(!exists(storage, &at).await);
    assert_eq!(read(storage, &elsewhere).await, "four");
}

/// A put whose condition does not hold takes along those that wait for it; those that it waits for are published.
pub async fn condition_stops_what_waits_for_it(storage: &Arc<dyn Storage>) {
    let dir = key("contract/condition_stops_what_waits_for_it");
    let at = |name: &str| dir.join(name).expect("a key");
    publish(storage, &at("b"), "before").await;
    let mut puts = Puts::default();
    puts.add(0, put(&at("a"), "1"));
    puts.add(1, put(&at("b"), "2").if_absent());
    puts.add(1, put(&at("beside"), "3"));
    puts.add(2, put(&at("c"), "4"));
    refused(storage.publish_all(&puts).await, "an object is there");
    assert_eq!(read(storage, &at("a")).await, "1");
    assert_eq!(read(storage, &at("b")).await, "before");
    assert!(!exists(storage, &at("c")).await, "it waits for `b`");
}

/// A version of what was read, opened and listed is the same, and good for a write.
pub async fn condition_takes_any_version(storage: &Arc<dyn Storage>) {
    let dir = key("contract/condition_takes_any_version");
    let at = dir.join("object").expect("a key");
    publish(storage, &at, "0").await;
    for way in 0..3 {
        let stat = version(storage, &at).await;
        let found = match way {
            0 => storage.read(&at, 10).await.expect("read").stat.version,
            1 => storage.open(&at).await.expect("open").stat().version,
            _ => storage.scan(&dir, None, 10).await.expect("scan").objects[0]
                .stat
                .version
                .clone(),
        };
        let found = found.expect("a version, as stat has one");
        assert_eq!(found, stat);
        let next = (way + 1).to_string();
        storage
            .publish(&[put(&at, next.clone()).only_if(found)])
            .await
            .expect("publish");
        assert_eq!(read(storage, &at).await, next);
    }
}

/// Puts before one whose condition does not hold are published; this put and those after it are not.
pub async fn condition_ends_a_call(storage: &Arc<dyn Storage>) {
    let dir = key("contract/condition_ends_a_call");
    let at = |path: &str| dir.join(path).expect("a key");
    let there = at("there");
    publish(storage, &there, "there").await;
    let stale = version(storage, &there).await;
    publish(storage, &there, "changed").await;
    let failing: [(&str, Put); 3] = [
        ("absent", put(&there, "bad").if_absent()),
        ("stale", put(&there, "bad").only_if(stale.clone())),
        // Its directory is made by the put before it, and holds no such object.
        ("missing", put(&at("missing/new/gone"), "bad").only_if(stale)),
    ];
    for (name, bad) in failing {
        let before = at(&format!("{name}/new/before"));
        let after = at(&format!("{name}/new/after"));
        let puts = [put(&before, "good"), bad.clone(), put(&after, "bad")];
        refused(storage.publish(&puts).await, name);
        assert_eq!(read(storage, &before).await, "good");
        assert!(!exists(storage, &after).await);
        if bad.key == there {
            assert_eq!(read(storage, &there).await, "changed");
        } else {
            assert!(!exists(storage, &bad.key).await);
        }
    }

    // Within one call the earlier puts count.
    let twice = at("twice/new/object");
    refused(
        storage
            .publish(&[put(&twice, "1").if_absent(), put(&twice, "2").if_absent()])
            .await,
        "the first put of the call is there",
    );
    assert_eq!(read(storage, &twice).await, "1");
}

/// Of many requests that create one object at once, exactly one does, also when its directory is new to all of them.
pub async fn condition_absent_has_one_winner(storage: &Arc<dyn Storage>) {
    for round in 0..10 {
        let at = key(format!(
            "contract/condition_absent_has_one_winner/{round}/a/object"
        ));
        let racers: Vec<_> = (0..6)
            .map(|racer: u32| {
                let (storage, at) = (Arc::clone(storage), at.clone());
                tokio::spawn(async move { storage.publish(&[put(&at, racer.to_string()).if_absent()]).await })
            })
            .collect();
        let mut winners = Vec::new();
        for (racer, result) in racers.into_iter().enumerate() {
            match result.await.expect("a racer") {
                Ok(()) => winners.push(racer.to_string()),
                lost => refused(lost, "another one was first"),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(read(storage, &at).await, winners[0]);
    }
}

/// Two loops that read, add one and replace what they read lose no addition.
pub async fn condition_counts_without_loss(storage: &Arc<dyn Storage>) {
    const EACH: u32 = 10;
    let at = key("contract/condition_counts_without_loss/counter");
    publish(storage, &at, "0").await;
    let counters: Vec<_> = (0..2)
        .map(|_| {
            let (storage, at) = (Arc::clone(storage), at.clone());
            tokio::spawn(async move {
                for _ in 0..EACH {
                    add_one(&storage, &at).await;
                }
            })
        })
        .collect();
    for counter in counters {
        counter.await.expect("a counter");
    }
    assert_eq!(read(storage, &at).await, (2 * EACH).to_string());
}

async fn add_one(storage: &Arc<dyn Storage>, at: &Key) {
    loop {
        let object = storage.read(at, 100).await.expect("read");
        let Some(version) = object.stat.version else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let text = std::str::from_utf8(&object.bytes).expect("digits");
        let next = text.parse::<u32>().expect("a number") + 1;
        match storage
            .publish(&[put(at, Bytes::from(next.to_string())).only_if(version)])
            .await
        {
            Ok(()) => return,
            lost => refused(lost, "the other one was first"),
        }
    }
}

/// `remove_until` removes before the time, and an absent object is no error; afterwards a store that others share refuses.
pub async fn condition_until(storage: &Arc<dyn Storage>) {
    let dir = key("contract/condition_until");
    let removal = Removal {
        key: dir.join("below/object").expect("a key"),
        keep: dir.clone(),
    };
    let (hour, now) = (Duration::from_secs(3600), SystemTime::now());
    publish(storage, &removal.key, "content").await;
    if storage.is_shared() {
        refused(storage.remove_until(&removal, now - hour).await, "it is too late");
        assert!(exists(storage, &removal.key).await);
    }
    for _ in 0..2 {
        storage.remove_until(&removal, now + hour).await.expect("in time");
        assert!(!exists(storage, &removal.key).await);
    }
}
