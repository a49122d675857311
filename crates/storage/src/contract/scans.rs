//! Cases for scans: all objects below a prefix in the order of their keys, page by page.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{key, publish};
use crate::{Key, ScanPage, Storage};

/// Keys at the edges of directories, where the order of names and that of whole keys differ.
const PATHS: [&str; 24] = [
    "1.0-a/current/link",
    "1.0/current/link",
    "1.0/index/sha256/00/link",
    "1.0/index/sha256/01/link",
    "1.0.1/current/link",
    "1.0_x",
    "10",
    "A",
    "a+b",
    "a+b.d/x",
    "a-b",
    "a-b.d/x",
    "a.b",
    "a.b.d/x",
    "a/b",
    "a/b-c/x",
    "a/b.c",
    "a/bb/x",
    "a/c/d/e/f/g",
    "a=b",
    "a_b",
    "aa",
    "b",
    "z/z/z",
];

async fn scan(storage: &Arc<dyn Storage>, prefix: &Key, after: Option<&Key>, limit: usize) -> ScanPage {
    let page = storage.scan(prefix, after, limit).await.expect("scan");
    assert!(page.objects.len() <= limit);
    page
}

async fn publish_all(storage: &Arc<dyn Storage>, prefix: &Key) -> Vec<Key> {
    let mut keys = Vec::new();
    for path in PATHS {
        let at = prefix.join(path).expect("a key");
        publish(storage, &at, path).await;
        keys.push(at);
    }
    // By the bytes of the whole keys.
    keys.sort_by(|one, other| one.as_str().as_bytes().cmp(other.as_str().as_bytes()));
    keys
}

/// Every object once, in the order of the bytes of its key, and nothing from beside the prefix.
pub async fn scan_is_sorted_by_keys(storage: &Arc<dyn Storage>) {
    let dir = key("contract/scan_is_sorted_by_keys");
    let prefix = dir.join("p").expect("a key");
    let keys = publish_all(storage, &prefix).await;
    for beside in ["p-", "p.q/x", "o/x", "p0/x", "pp"] {
        publish(storage, &dir.join(beside).expect("a key"), "beside").await;
    }
    let page = scan(storage, &prefix, None, 1000).await;
    assert!(!page.more);
    let got: Vec<_> = page.objects.iter().map(|object| object.key.clone()).collect();
    assert_eq!(got, keys);
    assert_eq!(
        got.iter().map(Key::as_str).position(|at| at.ends_with("/a-b")),
        got.iter()
            .map(Key::as_str)
            .position(|at| at.ends_with("/a-b.d/x"))
            .map(|after| after - 1),
    );
}

/// Pages of every size cover all objects exactly once.
pub async fn scan_pages(storage: &Arc<dyn Storage>) {
    let prefix = key("contract/scan_pages");
    let keys = publish_all(storage, &prefix).await;
    for limit in (1..=keys.len() + 1).chain([1000]) {
        let (mut got, mut after) = (Vec::new(), None);
        loop {
            let page = scan(storage, &prefix, after.as_ref(), limit).await;
            got.extend(page.objects.into_iter().map(|object| object.key));
            assert_eq!(page.more, got.len() < keys.len(), "`more`, limit {limit}");
            if !page.more {
                break;
            }
            after = got.last().cloned();
        }
        assert_eq!(got, keys, "limit {limit}");
    }
    assert_eq!(scan(storage, &prefix, None, 0).await.objects, []);
}

/// `after` is excluded, need not exist, and may lie anywhere.
pub async fn scan_starts_after(storage: &Arc<dyn Storage>) {
    let prefix = key("contract/scan_starts_after");
    let keys = publish_all(storage, &prefix).await;
    let elsewhere = ["contract/scan", "contract/scan_starts_after-", "a", "contract/z"].map(key);
    let inside = [
        "0",
        "1.0",
        "1.0/current",
        "1.0/current/link/x",
        "1.0/index",
        "1.0/zzz",
        "1.0-",
        "a",
        "a/b",
        "a/b-c",
        "a/c/d",
        "a-",
        "zz",
    ]
    .map(|path| prefix.join(path).expect("a key"));
    for after in keys.iter().chain(&inside).chain(&elsewhere) {
        let expected: Vec<_> = keys.iter().filter(|at| at.as_str() > after.as_str()).collect();
        let page = scan(storage, &prefix, Some(after), 1000).await;
        let got: Vec<_> = page.objects.iter().map(|object| &object.key).collect();
        assert_eq!(got, expected, "after `{after}`");
        assert!(!page.more);
    }
}

/// Sizes, times and versions are those that `stat` gives.
pub async fn scan_tells_sizes_and_times(storage: &Arc<dyn Storage>) {
    let prefix = key("contract/scan_tells_sizes_and_times");
    for size in [0, 1, 1000] {
        let at = prefix.join(&format!("{size}/object")).expect("a key");
        publish(storage, &at, super::pattern(4, size)).await;
    }
    let page = scan(storage, &prefix, None, 10).await;
    let sizes: BTreeMap<_, _> = page
        .objects
        .iter()
        .map(|object| (object.key.as_str(), object.stat.size))
        .collect();
    assert_eq!(sizes.into_values().collect::<Vec<_>>(), [0, 1, 1000]);
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    for object in &page.objects {
        let stat = storage.stat(&object.key).await.expect("stat");
        assert_eq!(stat.size, object.stat.size);
        assert_eq!(stat.modified, object.stat.modified);
        assert!(now - hour < stat.modified && stat.modified < now + hour);
        if let (Some(one), Some(other)) = (&stat.version, &object.stat.version) {
            assert_eq!(one, other);
        }
    }
}

/// A prefix that does not exist, and an object, have nothing below them.
pub async fn scan_of_nothing_is_empty(storage: &Arc<dyn Storage>) {
    let dir = key("contract/scan_of_nothing_is_empty");
    for path in ["object", "object-2/x"] {
        publish(storage, &dir.join(path).expect("a key"), "x").await;
    }
    for path in ["missing", "missing/deeper", "object", "object/below", "obj"] {
        let page = scan(storage, &dir.join(path).expect("a key"), None, 10).await;
        assert_eq!(page, ScanPage::default(), "`{path}`");
    }
}

/// Objects that are there all the time are in every scan, whatever comes and goes beside them.
pub async fn scan_never_misses_an_object_that_stays(storage: &Arc<dyn Storage>) {
    let prefix = key("contract/scan_never_misses_an_object_that_stays");
    let keys = publish_all(storage, &prefix).await;
    let restless = {
        let (storage, prefix) = (Arc::clone(storage), prefix.clone());
        tokio::spawn(async move {
            for round in 0..40 {
                for path in ["a/aa/x", "a/b-a", "1.0/index/sha256/02/link"] {
                    let at = prefix.join(path).expect("a key");
                    publish(&storage, &at, "x").await;
                    if round % 2 == 1 {
                        storage.remove(&at, &prefix).await.expect("remove");
                    }
                }
            }
        })
    };
    while !restless.is_finished() {
        let (mut got, mut after) = (Vec::new(), None);
        loop {
            let page = scan(storage, &prefix, after.as_ref(), 5).await;
            got.extend(page.objects.into_iter().map(|object| object.key));
            if !page.more {
                break;
            }
            after = got.last().cloned();
        }
        assert!(got.is_sorted(), "{got:?}");
        let missed: Vec<_> = keys.iter().filter(|at| !got.contains(at)).collect();
        assert!(missed.is_empty(), "missed {missed:?}");
    }
    restless.await.expect("the restless task");
}
