//! Names in a bucket, where keys sort otherwise than names, and where there are keys that no registry wrote.

use futures_util::TryStreamExt;
use proptest::prelude::*;

use super::*;
use crate::{
    Listed, TreeRemoval, Version, Wanted,
    contract::{
        REPOSITORIES, Tree, counts, expected_names, expected_repositories, names_in_pages, publish_tree,
        repositories_in_pages,
    },
};

/// A bucket that lists `listed` keys at a time.
fn bucket(store: impl Store, listed: usize) -> Arc<dyn Storage> {
    let limits = Limits {
        listed,
        ..Limits::default()
    };
    Arc::new(ObjectStorage::with_limits(
        Arc::new(store),
        Path::default(),
        Share::new("parts", 64 * limits.part_size),
        limits,
    ))
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work);
}

fn trees(path: &'static str, most: usize) -> impl Strategy<Value = Tree> {
    let objects = prop::collection::btree_map(path, 0..2_usize, 0..most);
    objects.prop_map(|objects| objects.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn names_are_those_of_a_naive_listing(
        tree in trees("[a1]([-.+0a]?[a1]?){0,2}/(current/link|current/x|index/[0-3]|x)", 60),
        after in "[a1]?([-.+0a/ ]?[a1]?){0,2}",
        besides in prop::collection::vec("index/[0-3]", 0..3),
        limit in 1_usize..8,
        listed in 1_usize..12,
    ) {
        run(async {
            let storage = bucket(Memory::new(), listed);
            let dir = key("some/where");
            publish_tree(&storage, &dir, &tree).await;
            publish_tree(&storage, &key("some"), &vec![("where-/a/current/link".to_owned(), 1)]).await;
            let besides: Vec<&str> = besides.iter().map(String::as_str).collect();
            let found = names_in_pages(&storage, &dir, ("current/link", &besides), &after, limit).await;
            assert_eq!(found, expected_names(&tree, "current/link", &besides, &after));

            let page = storage.list(&dir, Some(&after), limit).await.unwrap();
            let names: std::collections::BTreeSet<&str> =
                tree.iter().filter_map(|(path, _)| path.split('/').next()).filter(|name| **name > *after).collect();
            let found: Vec<&str> = page.entries.iter().map(|entry| &*entry.name).collect();
            assert_eq!(found, names.iter().copied().take(limit).collect::<Vec<_>>());
            assert_eq!(page.more, names.len() > limit);
        });
    }

    #[test]
    fn repositories_are_those_of_a_naive_listing(
        tree in trees(
            "[a1](-[a1])?(/[a1](-[a1])?){0,2}/(_layers/[0-3]|_manifests/(revisions/0|tags/(hidden|t|t-)/(current/link|index/[0-3]))|_uploads/0|x)",
            80,
        ),
        after in "[a1]?([-./ ]?[a1]?){0,3}",
        show in 0..3_usize,
        limit in 1_usize..8,
        listed in 1_usize..12,
    ) {
        run(async {
            let storage = bucket(Memory::new(), listed);
            let root = layout::repositories().join(REPOSITORIES.trim_end_matches('/')).unwrap();
            publish_tree(&storage, &root, &tree).await;
            let listed = [Listed::Tagged(counts), Listed::Tagged(|_| true), Listed::WithContent][show];
            let found = repositories_in_pages(&storage, listed, &after, limit).await;
            assert_eq!(found, expected_repositories(&tree, listed, &after));
        });
    }

    #[test]
    fn trees_are_removed_and_nothing_else_is(
        tree in trees("[a1]([-.0a]?[a1]?){0,2}/(current/link|index/[0-9])", 60),
        doomed in prop::collection::btree_set("[a1]([-.0a]?[a1]?){0,2}", 0..8),
        listed in 1_usize..12,
    ) {
        run(async {
            let storage = bucket(Memory::new(), listed);
            let dir = key("some/where");
            publish_tree(&storage, &dir, &tree).await;
            let removals = doomed.iter().map(|name| TreeRemoval {
                dir: dir.join(name).unwrap(),
                unless_changed: None,
            });
            let removed = storage.remove_trees(&removals.collect::<Vec<_>>()).await.unwrap();
            let is_below = |path: &str, name: &str| path.starts_with(&format!("{name}/"));
            for (name, removed) in doomed.iter().zip(removed) {
                assert_eq!(removed, tree.iter().any(|(path, _)| is_below(path, name)), "{name}");
            }
            let left = storage.scan(&dir, None, 1000).await.unwrap().objects;
            let left: Vec<&str> = left.iter().map(|object| &object.key.as_str()["some/where/".len()..]).collect();
            let expected: Vec<&str> = tree
                .iter()
                .map(|(path, _)| path.as_str())
                .filter(|path| !doomed.iter().any(|name| is_below(path, name)))
                .collect();
            assert_eq!(left, expected);
        });
    }
}

/// Objects that stand for directories, names that no key has, and objects where directories are.
#[tokio::test]
async fn stray_keys_break_no_listing() {
    let tags = "docker/registry/v2/repositories/app/_manifests/tags";
    let root = "docker/registry/v2/repositories";
    for listed in 1..12 {
        let mut store = Weak::new(Conditions::Honoured);
        store.markers = ["", "/1", "/1.0", "/1.0/current", "/1.0-a", "/2", "/9", "/z/index"]
            .map(|marker| format!("{tags}{marker}/"))
            .to_vec();
        store
            .markers
            .extend(["", "/a", "/app", "/app/_manifests", "/z"].map(|marker| format!("{root}{marker}/")));
        let memory = store.inner.clone();
        let storage = bucket(store, listed);
        let tree: Tree = ["1.0", "1.0-a", "1.0-b", "1.0.1", "1", "2"]
            .into_iter()
            .flat_map(|tag| {
                [
                    (format!("{tag}/current/link"), 1),
                    (format!("{tag}/index/0/link"), 1),
                ]
            })
            .chain([("9/current/link".to_owned(), 0), ("1.0/x".to_owned(), 0)])
            .collect();
        publish_tree(&storage, &key(tags), &tree).await;
        for stray in [
            "1.0-\u{fc}/current/link",
            "\u{fc}/current/link",
            "1/\u{fc}",
            "1",
            "2",
            "1.0-b/current/link/x",
            "0 0",
        ] {
            let path = Path::parse(format!("{tags}/{stray}")).unwrap();
            memory.put(&path, "x".into()).await.unwrap();
        }
        for stray in [
            "b \u{fc}/_manifests/tags/1/current/link",
            "app/\u{fc}",
            "app/_manifests/\u{fc}",
            "\u{fc}",
        ] {
            let path = Path::parse(format!("{root}/{stray}")).unwrap();
            memory.put(&path, "x".into()).await.unwrap();
        }
        for limit in 1..9 {
            let found = names_in_pages(&storage, &key(tags), ("current/link", &[]), "", limit).await;
            assert_eq!(
                found,
                ["1", "1.0", "1.0-a", "1.0-b", "1.0.1", "2"],
                "{limit} of {listed}"
            );
        }
        let page = storage
            .repositories(Listed::Tagged(|_| true), "", 5)
            .await
            .unwrap();
        assert_eq!((&*page.names, page.more), (&["app".into()][..], false));
        let listing = storage.list(&key(tags), None, 100).await.unwrap();
        let names: Vec<&str> = listing.entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!(names, ["1", "1.0", "1.0-a", "1.0-b", "1.0.1", "2", "9", "z"]);
        storage
            .remove_tree(&key("docker/registry/v2/repositories/app"))
            .await
            .unwrap();
        let left: Vec<ObjectMeta> = memory.list(Some(&Path::from(tags))).try_collect().await.unwrap();
        assert_eq!(left, [], "{listed}");
    }
}

/// A tree that is too large to be noted is removed in the same order.
#[tokio::test]
async fn a_large_tree_is_removed_from_its_pointers_on() {
    let store = Weak::new(Conditions::Honoured);
    let deleted = Arc::clone(&store.deleted);
    let storage = bucket(store, 3);
    let dir = key("docker/registry/v2/repositories/a/_manifests/tags");
    let history = |tag: &str, number: usize| (format!("{tag}/index/sha256/{number:02}/link"), 1);
    let mut tree: Tree = (0..30).map(|number| history("1", number)).collect();
    tree.extend([
        ("1/current/link".to_owned(), 1),
        ("2/current/link".to_owned(), 1),
        history("2", 0),
    ]);
    publish_tree(&storage, &dir, &tree).await;
    let link = dir.join("2/current/link").unwrap();
    let version = storage.stat(&link).await.unwrap().version.unwrap();
    publish_tree(&storage, &dir, &vec![("2/current/link".to_owned(), 2)]).await;
    let trees = [("1", None), ("2", Some((link, version)))].map(|(tag, unless_changed)| TreeRemoval {
        dir: dir.join(tag).unwrap(),
        unless_changed,
    });
    assert_eq!(storage.remove_trees(&trees).await.unwrap(), [true, false]);
    let deleted = deleted.lock().clone();
    assert_eq!(deleted.len(), 31);
    assert!(deleted[0].ends_with("/1/current/link"), "{deleted:?}");
}

/// A link that was moved away and back has the content, and so the entity tag, that it had, but another time; and a versioned
/// bucket tells the number of a version in its answer to a GET alone. A conditional read confirms the version that is
/// remembered, by the tag, and so the tree must go: otherwise its tag could not be deleted until the link is forgotten.
#[tokio::test]
async fn a_tree_goes_though_its_link_was_written_again_with_the_same_content() {
    for listed in [1, 1000] {
        let storage = bucket(Weak::new(Conditions::Honoured), listed);
        let dir = key("docker/registry/v2/repositories/a/_manifests/tags/1");
        let history = (0..30).map(|number| (format!("index/sha256/{number:02}/link"), 1));
        let tree: Tree = history.chain([("current/link".to_owned(), 1)]).collect();
        publish_tree(&storage, &dir, &tree).await;
        let link = dir.join("current/link").unwrap();
        let version = storage.stat(&link).await.unwrap().version.unwrap();
        let mark = version.as_object().unwrap();
        let earlier = |e_tag: &str| TreeRemoval {
            dir: dir.clone(),
            unless_changed: Some((
                link.clone(),
                Version::object(ObjectMark {
                    e_tag: e_tag.to_owned(),
                    version: Some("7".to_owned()),
                    size: mark.size,
                    modified: SystemTime::UNIX_EPOCH,
                }),
            )),
        };
        assert_eq!(
            storage.remove_trees(&[earlier("\"another\"")]).await.unwrap(),
            [false]
        );
        assert_eq!(
            storage.remove_trees(&[earlier(&mark.e_tag)]).await.unwrap(),
            [true]
        );
    }
}

/// A version tells what a link holds, where the store's entity tags are hashes.
#[tokio::test]
async fn a_version_tells_the_content_where_entity_tags_are_hashes() {
    let link = key("some/where/tag/current/link");
    let object = key("current/link");
    for (store, told) in [
        (
            Arc::new(Hashed::new(Memory::new())) as Arc<dyn Store>,
            Some(crate::Fingerprint::of(b"text")),
        ),
        (Arc::new(Memory::new()), None),
    ] {
        let storage = ObjectStorage::new(store, Path::default());
        storage.publish(&[Put::new(link.clone(), "text")]).await.unwrap();
        let wanted = Wanted {
            object: &object,
            besides: &[],
            others: 0,
        };
        let page = storage
            .names_with(&key("some/where"), wanted, None, 5)
            .await
            .unwrap();
        let version = page.found[0].version.clone().unwrap();
        assert_eq!(version.fingerprint(), told);
        let put = Put::new(link.clone(), "other").only_if(version.clone());
        storage.publish(std::slice::from_ref(&put)).await.unwrap();
        storage.publish(&[put]).await.unwrap_err();
    }
}
