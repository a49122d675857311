//! Cases for pages of tags and of repositories: names in their own order, none lost and none twice.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;

use super::{key, publish};
use crate::{Key, Listed, Put, Storage, Wanted, layout};

/// Names at which the order of names and that of whole keys differ.
const NAMES: [&str; 17] = [
    "1", "1-rc", "1.0", "1.0-a", "1.0-a.b", "1.0.1", "10", "A", "a", "a-b", "a-b-c", "a.b", "a_b", "aa",
    "v1", "v1-", "v1.2",
];

/// Texts after which a page may begin.
const TEXTS: [&str; 22] = [
    "", "1", "1-", "1.0", "1.0-a", "1.0-b", "1.00", "9", "a", "a-", "a.b.c", "a/b", "aaa", "v1.2", "w", ".",
    "..", "/", "a//b", "a b", "a\u{fc}", "\0",
];

/// The objects of a tree, each with its path below some directory and its size.
pub(crate) type Tree = Vec<(String, usize)>;

pub(crate) async fn publish_tree(storage: &Arc<dyn Storage>, dir: &Key, tree: &Tree) {
    let puts: Vec<Put> = tree
        .iter()
        .map(|(path, size)| Put::new(dir.join(path).expect("a key"), Bytes::from(vec![b'x'; *size])))
        .collect();
    storage.publish(&puts).await.expect("publish");
}

/// The names after `after` below which `tree` has the object `object`, not empty, and one of `besides`, if there are any.
pub(crate) fn expected_names(tree: &Tree, object: &str, besides: &[&str], after: &str) -> Vec<String> {
    let has = |name: &str, path: &str, least: usize| {
        let path = format!("{name}/{path}");
        tree.iter().any(|(at, size)| *at == path && *size >= least)
    };
    let names: BTreeSet<&str> = tree
        .iter()
        .filter_map(|(path, _)| path.split('/').next())
        .collect();
    let found = names.into_iter().filter(|name| {
        *name > after
            && has(name, object, 1)
            && (besides.is_empty() || besides.iter().any(|besides| has(name, besides, 0)))
    });
    found.map(str::to_owned).collect()
}

/// Pages of `limit` names from `after` on.
pub(crate) async fn names_in_pages(
    storage: &Arc<dyn Storage>,
    dir: &Key,
    (object, besides): (&str, &[&str]),
    after: &str,
    limit: usize,
) -> Vec<String> {
    let object = key(object);
    let besides: Vec<Key> = besides.iter().copied().map(key).collect();
    let wanted = Wanted {
        object: &object,
        besides: &besides,
        others: 0,
    };
    let mut found: Vec<String> = Vec::new();
    let mut after = (!after.is_empty()).then(|| after.to_owned());
    loop {
        let page = storage
            .names_with(dir, wanted, after.as_deref(), limit)
            .await
            .expect("names");
        assert!(
            page.found.len() == limit || !page.more,
            "a page that is not the last one is full"
        );
        found.extend(page.found.into_iter().map(|found| found.name.into_string()));
        if !page.more {
            return found;
        }
        after = found.last().cloned();
    }
}

/// A tree of tags: some point somewhere, some have an empty link, some only a history.
fn tree_of_tags() -> Tree {
    let mut tree = Tree::new();
    for (number, name) in NAMES.iter().enumerate() {
        tree.push((format!("{name}/current/link"), 1));
        tree.push((format!("{name}/index/sha256/{:02}/link", number % 3), 1));
    }
    for name in ["1.", "1.0-", "a+", "a-b.", "b", "v1.", "z"] {
        tree.push((format!("{name}/index/sha256/00/link"), 1));
    }
    for name in ["1.0-aa", "a-", "aab", "v1.1"] {
        tree.push((format!("{name}/current/link"), 0));
    }
    for history in 0..40 {
        tree.push((format!("a/index/sha256/1{history:02}/link"), 1));
    }
    tree.extend([("object".to_owned(), 1), ("a-file".to_owned(), 0)]);
    tree
}

/// Every tag once, at pages of any size, and none that points nowhere.
pub async fn names_with_pages(storage: &Arc<dyn Storage>) {
    let dir = key("contract/names_with_pages/tags");
    let tree = tree_of_tags();
    publish_tree(storage, &dir, &tree).await;
    publish(
        storage,
        &key("contract/names_with_pages/tags-/x/current/link"),
        "beside",
    )
    .await;
    for limit in (1..=NAMES.len() + 1).chain([1000, usize::MAX]) {
        let found = names_in_pages(storage, &dir, ("current/link", &[]), "", limit).await;
        assert_eq!(found, NAMES, "limit {limit}");
    }
    let object = key("current/link");
    let wanted = Wanted {
        object: &object,
        besides: &[],
        others: 2,
    };
    let page = storage.names_with(&dir, wanted, None, 0).await.expect("names");
    assert_eq!((page.found.len(), page.more), (0, true));
    for found in storage
        .names_with(&dir, wanted, None, 100)
        .await
        .expect("names")
        .found
    {
        let link = dir.join(&format!("{}/current/link", found.name)).expect("a key");
        let stat = storage.stat(&link).await.expect("stat");
        assert!(
            found.version.is_none() || found.version == stat.version,
            "{}",
            found.name
        );
        assert!(
            found.modified.is_none_or(|modified| modified == stat.modified),
            "{}",
            found.name
        );
        assert!(found.others.len() <= wanted.others, "{}", found.name);
        for (path, modified) in &found.others {
            let other = dir.join(&format!("{}/{path}", found.name)).expect("a key");
            assert_ne!(other, link, "another object");
            let stat = storage.stat(&other).await.expect("another object is there");
            assert_eq!(*modified, stat.modified, "{path}");
        }
    }
}

/// A page may begin after any text.
pub async fn names_with_start_after_any_text(storage: &Arc<dyn Storage>) {
    let dir = key("contract/names_with_start_after_any_text");
    let tree = tree_of_tags();
    publish_tree(storage, &dir, &tree).await;
    for after in TEXTS {
        for limit in [1, 3, 100] {
            let found = names_in_pages(storage, &dir, ("current/link", &[]), after, limit).await;
            let expected = expected_names(&tree, "current/link", &[], after);
            assert_eq!(found, expected, "after {after:?}, limit {limit}");
        }
    }
    let nowhere = dir.join("nowhere").expect("a key");
    let found = names_in_pages(storage, &nowhere, ("current/link", &[]), "", 5).await;
    assert_eq!(found, [""; 0]);
}

/// The names that have another object besides, and no others.
pub async fn names_with_another_object_besides(storage: &Arc<dyn Storage>) {
    let dir = key("contract/names_with_another_object_besides");
    let tree = tree_of_tags();
    publish_tree(storage, &dir, &tree).await;
    let cases: [&[&str]; 5] = [
        &["index/sha256/00/link"],
        &["index/sha256/01/link", "index/sha256/139/link"],
        &["index/sha256/100/link"],
        // Directories are no objects, and objects have nothing below them.
        &["index/sha256/00", "index", "index/sha256/00/link/x"],
        &["nothing", "current"],
    ];
    for besides in cases {
        for (after, limit) in [("", 1), ("", 2), ("", usize::MAX), ("a", 2), ("1.0", 100)] {
            let found = names_in_pages(storage, &dir, ("current/link", besides), after, limit).await;
            let expected = expected_names(&tree, "current/link", besides, after);
            assert_eq!(found, expected, "{besides:?} after {after:?}, limit {limit}");
        }
    }
}

/// A tag that points nowhere may come to life, and one may be added, between two pages of any age.
pub async fn names_with_are_those_of_the_moment(storage: &Arc<dyn Storage>) {
    let dir = key("contract/names_with_are_those_of_the_moment");
    let tree: Tree = vec![
        ("a/current/link".into(), 1),
        ("b/index/x".into(), 1),
        ("c/current/link".into(), 0),
    ];
    publish_tree(storage, &dir, &tree).await;
    let names = async || names_in_pages(storage, &dir, ("current/link", &[]), "", 10).await;
    assert_eq!(names().await, ["a"]);
    // Old enough for a file system to be sure of what it read.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    for _ in 0..2 {
        assert_eq!(names().await, ["a"]);
    }
    for (path, expected) in [
        ("b", &["a", "b"][..]),
        ("c", &["a", "b", "c"]),
        ("aa", &["a", "aa", "b", "c"]),
    ] {
        publish(
            storage,
            &dir.join(&format!("{path}/current/link")).expect("a key"),
            "x",
        )
        .await;
        assert_eq!(names().await, expected);
    }
    storage
        .remove_tree(&dir.join("b").expect("a key"))
        .await
        .expect("remove");
    assert_eq!(names().await, ["a", "aa", "c"]);
}

pub(crate) fn counts(tag: &str) -> bool {
    !tag.starts_with("hidden")
}

/// The repositories after `after` that `tree` has and that are `listed`.
pub(crate) fn expected_repositories(tree: &Tree, listed: Listed, after: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (path, size) in tree {
        let Some((repository, path)) = path.split_once("/_").filter(|_| !path.starts_with('_')) else {
            continue;
        };
        let is_listed = match listed {
            Listed::WithContent => path.starts_with("manifests/") || path.starts_with("layers/"),
            Listed::Tagged(counts) => {
                let tag = path
                    .strip_prefix("manifests/tags/")
                    .and_then(|path| path.strip_suffix("/current/link"));
                *size > 0 && tag.is_some_and(counts)
            }
        };
        if is_listed && repository > after {
            found.insert(repository.to_owned());
        }
    }
    found.into_iter().collect()
}

/// The repositories of this case, as other cases have some too, in pages from `after` on.
pub(crate) async fn repositories_in_pages(
    storage: &Arc<dyn Storage>,
    listed: Listed,
    after: &str,
    limit: usize,
) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut after = format!("{REPOSITORIES}{after}");
    loop {
        let page = storage
            .repositories(listed, &after, limit)
            .await
            .expect("repositories");
        assert!(
            page.names.len() == limit || !page.more,
            "a page that is not the last one is full"
        );
        assert!(page.unreadable.is_empty());
        let is_last = !page.more || page.names.iter().any(|name| !name.starts_with(REPOSITORIES));
        after = page.names.last().map_or(after, ToString::to_string);
        let names = page
            .names
            .iter()
            .filter_map(|name| name.strip_prefix(REPOSITORIES));
        found.extend(names.map(str::to_owned));
        if is_last {
            return found;
        }
    }
}

/// Where the repositories of this case are.
pub(crate) const REPOSITORIES: &str = "contract/repositories_page/";

/// Repositories that nest, that have much, little or nothing, and directories that are none.
fn tree_of_repositories() -> Tree {
    let mut tree = Tree::new();
    for name in [
        "a", "a-b", "a-b/c", "a.b/c", "a/1", "a/1-x", "a/b", "a/b-c", "a/b/c", "a0", "aa", "b/c/d/e", "c",
        "c-1", "c/0", "z",
    ] {
        for path in [
            "_layers/sha256/00/link",
            "_layers/sha256/01/link",
            "_manifests/revisions/sha256/00/link",
            "_manifests/tags/1/current/link",
            "_manifests/tags/1/index/sha256/00/link",
        ] {
            tree.push((format!("{name}/{path}"), 1));
        }
    }
    tree.extend(
        [
            ("a-/_layers/sha256/00/link", 1),
            ("a./_manifests/revisions/sha256/00/link", 1),
            ("a/0/_manifests/tags/1/index/sha256/00/link", 1),
            ("b/_manifests/tags/1/current/link", 0),
            ("b/c/_manifests/tags/hidden/current/link", 1),
            ("b/c/_manifests/tags/hidden-1/current/link", 1),
            ("b/c/d/_manifests/tags/hidden/current/link", 1),
            ("b/c/d/_manifests/tags/2/current/link", 1),
            ("c/_uploads/u/data", 1),
            ("d/_uploads/u/data", 1),
            ("_wharf/staging/x/_manifests/tags/1/current/link", 1),
            ("file", 1),
            ("e/file", 1),
        ]
        .map(|(path, size)| (path.to_owned(), size)),
    );
    for number in 0..30 {
        tree.push((format!("c/_layers/sha256/1{number:02}/link"), 1));
        tree.push((format!("c/_manifests/tags/1/index/sha256/1{number:02}/link"), 1));
    }
    tree.sort();
    tree.dedup();
    tree
}

/// Every repository once, in the order of the bytes of its name, at pages of any size and after any text.
pub async fn repositories_page(storage: &Arc<dyn Storage>) {
    let root = layout::repositories()
        .join(REPOSITORIES.trim_end_matches('/'))
        .expect("a key");
    let tree = tree_of_repositories();
    publish_tree(storage, &root, &tree).await;
    for listed in [
        Listed::Tagged(counts),
        Listed::Tagged(|_| true),
        Listed::WithContent,
    ] {
        let expected = expected_repositories(&tree, listed, "");
        assert!(expected.len() >= 16, "{expected:?}");
        for limit in (1..=17).chain([1000, usize::MAX]) {
            let found = repositories_in_pages(storage, listed, "", limit).await;
            assert_eq!(found, expected, "{listed:?}, limit {limit}");
        }
        let more = [
            "a/b/",
            "a/b/0",
            "a/b/../c",
            "a//b",
            "b/c/d",
            "b/c/d/\u{fc}",
            "z/",
            "z/z",
        ];
        for after in TEXTS.into_iter().chain(more) {
            for limit in [1, 2, 100] {
                let found = repositories_in_pages(storage, listed, after, limit).await;
                let expected = expected_repositories(&tree, listed, after);
                assert_eq!(found, expected, "{listed:?} after {after:?}, limit {limit}");
            }
        }
    }
    storage.remove_tree(&root).await.expect("remove");
    let left = repositories_in_pages(storage, Listed::WithContent, "", 10).await;
    assert_eq!(left, [""; 0]);
}

/// Trees of random names and objects, at random places.
pub async fn names_in_random_trees(storage: &Arc<dyn Storage>) {
    for seed in 0..12 {
        let mut random = super::pattern(seed, 4096).into_iter();
        let mut pick = |of: &[&'static str]| of[usize::from(random.next().unwrap_or(0)) % of.len()];
        let mut tree = Tree::new();
        for _ in 0..40 {
            let name = [
                pick(&["1", "a", "v"]),
                pick(&["", "-", ".", "0", "a"]),
                pick(&["", "-a", ".1", "0"]),
            ]
            .concat();
            let path = pick(&["current/link", "current/link", "index/0", "index/1", "other/x"]);
            tree.push((
                format!("{name}/{path}"),
                usize::from(pick(&["", "x", "x"]) == "x"),
            ));
        }
        tree.sort();
        tree.dedup_by(|one, other| one.0 == other.0);
        let dir = key(format!("contract/names_in_random_trees/{seed}"));
        publish_tree(storage, &dir, &tree).await;
        for besides in [&[][..], &["index/0"], &["index/1", "other/x"]] {
            for limit in [1, 2, 3, 7, 100] {
                let after = pick(&["", "1", "a-", "a.1", "v0"]);
                let found = names_in_pages(storage, &dir, ("current/link", besides), after, limit).await;
                let expected = expected_names(&tree, "current/link", besides, after);
                assert_eq!(
                    found, expected,
                    "seed {seed}, {besides:?} after {after:?}, limit {limit}"
                );
            }
        }
    }
}
