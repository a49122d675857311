//! Cases for listings: order, pages, directories.

use std::{collections::HashMap, sync::Arc};

use super::{key, names, publish};
use crate::{Entry, Key, Storage};

async fn publish_below(storage: &Arc<dyn Storage>, dir: &Key, paths: &[&str]) {
    for path in paths {
        publish(storage, &dir.join(path).expect("a key"), "x").await;
    }
}

/// By bytes of the names, neither by locale nor by the order of whole keys, in which `a-b/x` comes before `a/x`.
pub async fn list_is_sorted_by_bytes(storage: &Arc<dyn Storage>) {
    let sorted = [
        "+", "-", "1.0", "1.0-rc", "1.0.1", "1.0_x", "10", "=", "A", "Z", "_x", "a", "a+b", "a-b", "a.b",
        "a=b", "aa", "b",
    ];
    let files = key("contract/list_is_sorted_by_bytes/files");
    publish_below(storage, &files, &sorted).await;
    assert_eq!(names(storage, &files).await, sorted);

    let directories = key("contract/list_is_sorted_by_bytes/directories");
    for name in sorted.iter().rev() {
        publish_below(
            storage,
            &directories,
            &[&format!("{name}/y/link"), &format!("{name}/x")],
        )
        .await;
    }
    assert_eq!(names(storage, &directories).await, sorted);

    // Page by page it is the same order.
    let mut after = None;
    for name in sorted {
        let page = storage.list(&directories, after, 1).await.expect("list");
        assert_eq!(
            page.entries,
            [Entry {
                name: name.into(),
                is_dir: true
            }]
        );
        assert_eq!(page.more, name != "b");
        after = Some(name);
    }
}

/// Pages of every size cover all names exactly once, and `more` is right on each.
pub async fn list_pages(storage: &Arc<dyn Storage>) {
    const NAMES: usize = 57;
    let dir = key("contract/list_pages");
    let all: Vec<String> = (0..NAMES).map(|number| format!("v{number:03}")).collect();
    for (number, name) in all.iter().enumerate() {
        // Some are objects and some are directories, one of them with many objects below.
        let path = if number % 3 == 0 {
            name.clone()
        } else {
            format!("{name}/current/link")
        };
        publish(storage, &dir.join(&path).expect("a key"), "x").await;
    }
    for number in 0..50 {
        publish(
            storage,
            &dir.join(&format!("v010/index/sha256/{number}/link"))
                .expect("a key"),
            "x",
        )
        .await;
    }

    for limit in [1, 2, 7, NAMES - 1, NAMES, NAMES + 1, 100_000] {
        let (mut got, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let page = storage.list(&dir, after.as_deref(), limit).await.expect("list");
            assert!(page.entries.len() <= limit);
            got.extend(page.entries.iter().map(|entry| entry.name.to_string()));
            assert_eq!(
                page.more,
                got.len() < NAMES,
                "`more` after {} of {NAMES} names, limit {limit}",
                got.len()
            );
            if !page.more {
                break;
            }
            assert_eq!(page.entries.len(), limit, "a page that is not the last is full");
            after = got.last().cloned();
        }
        assert_eq!(got, all, "limit {limit}");
    }

    // `after` need not be a name that exists.
    for (after, expected) in [
        ("", 0),
        ("a", 0),
        ("v", 0),
        ("v009x", 10),
        ("v010", 11),
        ("v056", NAMES),
        ("w", NAMES),
    ] {
        let page = storage.list(&dir, Some(after), 1000).await.expect("list");
        let got: Vec<_> = page.entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!(got, all[expected..], "after `{after}`");
        assert!(!page.more);
    }
}

/// `is_dir` says whether something lies below.
pub async fn list_tells_directories_from_objects(storage: &Arc<dyn Storage>) {
    let dir = key("contract/list_tells_directories_from_objects");
    publish_below(
        storage,
        &dir,
        &["object", "directory/object", "deep/er/and/deeper/object"],
    )
    .await;
    let page = storage.list(&dir, None, 10).await.expect("list");
    let expected = [("deep", true), ("directory", true), ("object", false)];
    assert_eq!(
        page.entries,
        expected.map(|(name, is_dir)| Entry {
            name: name.into(),
            is_dir
        })
    );
    assert!(!page.more);
}

/// A directory that is not there, and an object, have no names below them.
pub async fn list_of_nothing_is_empty(storage: &Arc<dyn Storage>) {
    let dir = key("contract/list_of_nothing_is_empty");
    publish_below(storage, &dir, &["object", "object-2/x"]).await;
    for path in ["missing", "missing/deeper", "object", "object/below", "obj"] {
        for after in [None, Some("a")] {
            let page = storage
                .list(&dir.join(path).expect("a key"), after, 10)
                .await
                .expect("list");
            assert!(page.entries.is_empty() && !page.more, "`{path}`: {page:?}");
        }
    }
}

/// A repository may lie below another one, beside its `_layers`.
pub async fn list_repository_that_is_a_parent(storage: &Arc<dyn Storage>) {
    let dir = key("contract/list_repository_that_is_a_parent");
    for repository in ["a", "a-b", "a.b", "a/b", "a/b/c", "a/b-c"] {
        for path in [
            "_layers/sha256/00/link",
            "_manifests/tags/latest/current/link",
            "_manifests/revisions/sha256/00/link",
        ] {
            publish(
                storage,
                &dir.join(&format!("{repository}/{path}")).expect("a key"),
                "x",
            )
            .await;
        }
    }
    assert_eq!(names(storage, &dir).await, ["a", "a-b", "a.b"]);
    assert_eq!(
        names(storage, &dir.join("a").expect("a key")).await,
        ["_layers", "_manifests", "b", "b-c"]
    );
    assert_eq!(
        names(storage, &dir.join("a/b").expect("a key")).await,
        ["_layers", "_manifests", "c"]
    );
    assert_eq!(
        names(storage, &dir.join("a-b").expect("a key")).await,
        ["_layers", "_manifests"]
    );
    assert_eq!(
        names(storage, &dir.join("a/_manifests/tags").expect("a key")).await,
        ["latest"]
    );
}

/// Each directory on the way to a deep key has one name.
pub async fn list_deep_keys(storage: &Arc<dyn Storage>) {
    let components: Vec<String> = (0..30).map(|depth| format!("component-{depth}")).collect();
    let dir = key("contract/list_deep_keys");
    publish(storage, &dir.join(&components.join("/")).expect("a key"), "x").await;
    let mut below = dir;
    for (depth, component) in components.iter().enumerate() {
        let page = storage.list(&below, None, 10).await.expect("list");
        let is_dir = depth + 1 < components.len();
        assert_eq!(
            page.entries,
            [Entry {
                name: component.as_str().into(),
                is_dir
            }]
        );
        below = below.join(component).expect("a key");
    }
}

/// One version of a directory never stands for two sets of names, and is the same on each page.
pub async fn list_versions_tell_name_sets_apart(storage: &Arc<dyn Storage>) {
    let dir = key("contract/list_versions_tell_name_sets_apart");
    let mut seen = HashMap::new();
    for round in 0..60 {
        let at = dir.join(&format!("tag-{}", round % 10)).expect("a key");
        if round % 4 == 3 {
            match storage.remove(&at.join("link").expect("a key"), &dir).await {
                Err(error) if !error.is_not_found() => panic!("remove: {error}"),
                _ => {}
            }
        } else {
            publish(storage, &at.join("link").expect("a key"), "x").await;
        }
        let page = storage.list(&dir, None, 1000).await.expect("list");
        let got: Vec<_> = page.entries.iter().map(|entry| entry.name.clone()).collect();
        if let Some(version) = page.version {
            assert_eq!(
                *seen.entry(version).or_insert_with(|| got.clone()),
                got,
                "one version, two sets of names"
            );
        }
        let second = storage.list(&dir, Some("tag-5"), 1).await.expect("list");
        if let Some(known) = second.version.and_then(|version| seen.get(&version)) {
            assert_eq!(*known, got, "the version is of the directory, not of the page");
        }
    }
}

/// Names that are there all the time are in every listing, whatever comes and goes beside them.
pub async fn list_never_misses_a_name_that_stays(storage: &Arc<dyn Storage>) {
    let dir = key("contract/list_never_misses_a_name_that_stays");
    let stays: Vec<String> = (0..40).map(|number| format!("stays-{number:02}")).collect();
    for name in &stays {
        publish(storage, &dir.join(&format!("{name}/link")).expect("a key"), "x").await;
    }
    let restless = {
        let (storage, dir) = (Arc::clone(storage), dir.clone());
        tokio::spawn(async move {
            for round in 0..80 {
                for prefix in ["a", "stays-2", "z"] {
                    let at = dir.join(&format!("{prefix}-{}/link", round % 8)).expect("a key");
                    publish(&storage, &at, "x").await;
                    if round % 2 == 1 {
                        storage.remove(&at, &dir).await.expect("remove");
                    }
                }
            }
        })
    };
    while !restless.is_finished() {
        let got = names(storage, &dir).await;
        assert!(got.is_sorted(), "{got:?}");
        let missed: Vec<_> = stays.iter().filter(|name| !got.contains(name)).collect();
        assert!(missed.is_empty(), "missed {missed:?}");
    }
    restless.await.expect("the restless task");
}
