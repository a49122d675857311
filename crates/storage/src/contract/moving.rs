//! Cases for moving objects from key to key.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use super::{assert_kind, exists, key, names, pattern, publish, read};
use crate::{ErrorKind, Key, Removal, Storage};

fn removal(from: &Key, keep: &Key) -> Removal {
    Removal {
        key: from.clone(),
        keep: keep.clone(),
    }
}

/// The object is at its new key and no longer at the old one, whose empty directories go; what was there is replaced.
pub async fn rename_moves_an_object(storage: &Arc<dyn Storage>) {
    let dir = key("contract/rename_moves_an_object");
    let at = |path: &str| dir.join(path).expect("a key");
    let content = pattern(3, 300_000);
    publish(storage, &at("from/deep/object"), content.clone()).await;
    publish(storage, &at("from/beside"), "stays").await;
    publish(storage, &at("there"), "replaced").await;

    let mut from = at("from/deep/object");
    for to in [
        "new/directories/object",
        "new/directories/other",
        "there",
        "from/again/object",
    ] {
        let opened = storage.open(&from).await.expect("open");
        storage
            .rename(&removal(&from, &dir), &at(to))
            .await
            .unwrap_or_else(|error| panic!("rename to `{to}`: {error}"));
        assert!(read(storage, &at(to)).await == content);
        assert!(!exists(storage, &from).await, "`{from}` is gone");
        let size = opened.stat().size;
        assert!(
            super::collect(opened, 0..size).await.expect("stream") == content,
            "what was opened under the old key stays readable"
        );
        from = at(to);
    }
    assert_eq!(names(storage, &dir).await, ["from"], "empty directories are gone");
    assert_eq!(names(storage, &at("from")).await, ["again", "beside"]);
    assert_eq!(read(storage, &at("from/beside")).await, "stays");
}

/// A move of an absent object fails and replaces nothing; to its own key an object moves without harm.
pub async fn rename_of_nothing(storage: &Arc<dyn Storage>) {
    let dir = key("contract/rename_of_nothing");
    let at = |path: &str| dir.join(path).expect("a key");
    publish(storage, &at("a/there"), "stays").await;
    for from in ["missing", "missing/deeper", "a", "a/there/below"] {
        assert_kind(
            storage.rename(&removal(&at(from), &dir), &at("a/there")).await,
            ErrorKind::NotFound,
            from,
        );
    }
    storage
        .rename(&removal(&at("a/there"), &dir), &at("a/there"))
        .await
        .expect("rename to itself");
    assert_eq!(read(storage, &at("a/there")).await, "stays");
}

/// A reader that looks under the old key and then under the new one finds the object, all the time.
pub async fn rename_is_never_missed(storage: &Arc<dyn Storage>) {
    let dir = key("contract/rename_is_never_missed");
    let at = |number: u32| dir.join(&format!("{number:02}/object")).expect("a key");
    let last = 40;
    let highest = Arc::new(AtomicU32::new(0));
    publish(storage, &at(0), "here").await;
    let mover = {
        let (storage, dir, highest) = (Arc::clone(storage), dir.clone(), Arc::clone(&highest));
        tokio::spawn(async move {
            let at = |number: u32| dir.join(&format!("{number:02}/object")).expect("a key");
            for number in 0..last {
                highest.store(number + 1, Ordering::SeqCst);
                storage
                    .rename(&removal(&at(number), &dir), &at(number + 1))
                    .await
                    .expect("rename");
                tokio::task::yield_now().await;
            }
        })
    };
    // It only moves up, so where a reader that goes up as well does not find it, it must have gone higher.
    let mut number = 0;
    while number < last {
        match storage.read(&at(number), 10).await {
            Ok(object) => assert_eq!(object.bytes, "here", "whole at each key"),
            Err(error) => {
                assert!(error.is_not_found(), "read: {error}");
                number += 1;
                let highest = highest.load(Ordering::SeqCst);
                assert!(number <= highest, "the object was under none of its keys");
            }
        }
    }
    mover.await.expect("the mover");
    assert_eq!(read(storage, &at(last)).await, "here");
}
