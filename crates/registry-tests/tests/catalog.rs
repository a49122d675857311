//! The catalogue is sorted by bytes, pages join without gap or repetition, and empty repositories stay out.

use std::{collections::BTreeSet, sync::Arc};

use crate::common::{caller, image, name, put, registry, tag, write};
use proptest::prelude::*;
use wharf_oci::{Digest, PageRequest};
use wharf_registry::{
    Options, Registry,
    collect::{CollectOptions, Collector},
};
use wharf_storage::{
    Operation, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    object::ObjectStorage,
};

async fn tagged(storage: &dyn Storage, repository: &str) {
    let link = layout::tag_link(&name(repository), &tag("1"));
    write(storage, &link, &Digest::sha256_of(b"manifest").to_string()).await;
}

async fn page(registry: &Registry, n: Option<usize>, last: Option<&str>) -> (Vec<String>, bool) {
    let page = registry
        .catalog(&PageRequest {
            n,
            last: last.map(str::to_owned),
        })
        .await
        .unwrap();
    (page.names.iter().map(ToString::to_string).collect(), page.more)
}

#[tokio::test]
async fn nested_and_hyphenated_names_come_in_byte_order() {
    let (registry, storage) = registry();
    for repository in ["a/b", "a", "a-b", "a.b/c", "ab", "a/b/c", "b"] {
        tagged(&*storage, repository).await;
    }
    let expected = ["a", "a-b", "a.b/c", "a/b", "a/b/c", "ab", "b"];
    assert_eq!(
        page(&registry, None, None).await,
        (expected.map(str::to_owned).to_vec(), false)
    );
    for (index, last) in expected.iter().enumerate() {
        let rest = expected[index + 1..].iter().map(ToString::to_string).collect();
        assert_eq!(
            page(&registry, None, Some(last)).await,
            (rest, false),
            "after {last}"
        );
    }
}

/// Its files belong to another user, after a restore by root.
#[tokio::test]
async fn a_repository_that_may_not_be_read_is_left_out_and_ends_a_collection() {
    let storage = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let registry = Registry::new(Arc::clone(&storage) as _, Options::default());
    for repository in ["a", "a/b", "c"] {
        tagged(&*storage, repository).await;
    }
    let unreadable = Fault::permission_denied()
        .on(Operation::List)
        .key("repositories/a");
    storage.inject(unreadable);
    for _ in 0..2 {
        assert_eq!(page(&registry, None, None).await, (vec!["c".into()], false));
        assert_eq!(*registry.unreadable_repositories(), ["a".into()]);
    }
    storage.heal();
    let all = vec!["a".into(), "a/b".into(), "c".into()];
    assert_eq!(page(&registry, None, None).await, (all, false));
    assert!(registry.unreadable_repositories().is_empty());

    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(Faulty::new(Arc::new(FsStorage::open(directory.path()).unwrap())));
    tagged(&*storage, "a").await;
    let unreadable = Fault::permission_denied()
        .on(Operation::List)
        .key("repositories/a");
    storage.inject(unreadable);
    let collector = Collector::new(Arc::clone(&storage) as _, CollectOptions::default());
    let error = collector
        .mark()
        .await
        .unwrap()
        .finish()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("repositories/a") && error.contains("nothing may be removed"),
        "{error}"
    );

    storage.heal();
    collector.mark().await.unwrap().finish().await.unwrap();
}

#[tokio::test]
async fn a_page_that_ends_with_the_last_repository_has_no_next() {
    let (registry, storage) = registry();
    for repository in ["a", "b"] {
        tagged(&*storage, repository).await;
    }
    assert_eq!(
        page(&registry, Some(2), None).await,
        (vec!["a".into(), "b".into()], false)
    );
    assert_eq!(page(&registry, Some(1), None).await, (vec!["a".into()], true));
    assert_eq!(page(&registry, Some(0), None).await, (vec![], false));
}

#[tokio::test]
async fn any_text_may_stand_in_last() {
    let (registry, storage) = registry();
    tagged(&*storage, "m/n").await;
    for last in [
        "..", "../..", "m/../..", "/", "//", "m/", "\0", "ü", "m//n", "-", ".",
    ] {
        let (names, more) = page(&registry, None, Some(last)).await;
        let expected: Vec<String> = if "m/n" > last { vec!["m/n".into()] } else { vec![] };
        assert_eq!((names, more), (expected, false), "after {last:?}");
    }
}

#[tokio::test]
async fn a_repository_leaves_with_its_last_tag() {
    let (registry, _) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    assert_eq!(
        page(&registry, None, None).await.0,
        Vec::<String>::new(),
        "only blobs so far"
    );
    put(&registry, &app, tag("1"), &manifest).await;
    assert_eq!(page(&registry, None, None).await.0, ["app"]);
    registry.delete_tag(&caller(), &app, &tag("1")).await.unwrap();
    assert_eq!(page(&registry, None, None).await.0, Vec::<String>::new());
}

#[tokio::test]
async fn requests_that_come_together_share_a_walk_and_miss_nothing_pushed_before() {
    let (registry, storage) = registry();
    tagged(&*storage, "a").await;
    let request = PageRequest {
        n: Some(10),
        last: None,
    };
    let (first, second, third) = tokio::join!(
        registry.catalog(&request),
        registry.catalog(&request),
        registry.catalog(&request)
    );
    let (first, second, third) = (first.unwrap(), second.unwrap(), third.unwrap());
    assert!(
        Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first, &third),
        "one walk"
    );
    tagged(&*storage, "b").await;
    assert_eq!(
        registry.catalog(&request).await.unwrap().names,
        ["a".into(), "b".into()]
    );
}

#[tokio::test]
async fn followers_of_a_request_that_goes_away_get_their_answer() {
    let (registry, storage) = registry();
    tagged(&*storage, "a").await;
    let request = PageRequest {
        n: Some(10),
        last: None,
    };
    let mut leader = Box::pin(registry.catalog(&request));
    let mut follower = Box::pin(registry.catalog(&request));
    assert!(futures_util::poll!(&mut leader).is_pending());
    assert!(futures_util::poll!(&mut follower).is_pending());
    drop(leader);
    assert_eq!(follower.await.unwrap().names, ["a".into()]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_the_sorted_names(
        names in prop::collection::btree_set("[ab]([-._]?[ab]){0,2}(/[ab]([-._]?[ab]){0,2}){0,2}", 1..24),
        last in prop::option::of("[ab]?([-./_]?[ab]){0,4}"),
        n in 1_usize..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (registry, storage) = registry();
            for repository in &names {
                tagged(&*storage, repository).await;
            }
            let expected: BTreeSet<&String> =
                names.iter().filter(|name| last.as_ref().is_none_or(|last| *name > last)).collect();
            let mut found = Vec::new();
            let mut after = last.clone();
            loop {
                let (names, more) = page(&registry, Some(n), after.as_deref()).await;
                assert!(names.len() == n || !more, "a page that is not the last one is full");
                found.extend(names);
                if !more {
                    break;
                }
                after = found.last().cloned();
            }
            assert_eq!(found, expected.into_iter().cloned().collect::<Vec<_>>());
        });
    }
}
