//! What lists say of what they cannot know, what hidden tags do to them, and how much they read.

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{Digest, RepoName, media_type};
use wharf_registry::{EveryTag, Order, Registry, Search, SearchIn, SearchPage, SearchPlace};
use wharf_storage::{
    ErrorKind, Key, Operation, Put, Removal, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    object::{Hashed, Memory, ObjectStorage, Request},
};

use crate::{
    common::{counted_bucket, image, index, name, on_both_engines, over, put, tag, write},
    overviews::{ALL, Below, Everything, in_pages, list, open, pushed, repositories_of},
};

on_both_engines! { open:
    sizes_that_no_manifest_states_are_unknown
    disk_use_says_what_it_does_not_count
    a_search_says_which_images_it_could_not_look_at
    what_is_damaged_after_it_was_shown_shows
    manifests_that_a_visible_tag_needs_and_that_are_gone_count_as_damaged
    a_repository_that_lists_too_many_manifests_has_no_size
    hidden_tags_are_not_passed_for_ever_to_find_a_visible_one
}

/// Stores a manifest under a tag as another registry may have done: unchecked.
async fn stored(storage: &dyn Storage, app: &RepoName, name: &str, manifest: &str) -> Digest {
    let digest = Digest::sha256_of(manifest.as_bytes());
    write(storage, &layout::blob(&digest), manifest).await;
    for link in [layout::revision_link(app, &digest), layout::tag_link(app, name)] {
        write(storage, &link, &digest.to_string()).await;
    }
    digest
}

async fn sizes_that_no_manifest_states_are_unknown((registry, storage): (Arc<Registry>, Arc<dyn Storage>)) {
    let (app, layer) = (name("app"), Digest::sha256_of(b"layer"));
    let schema1 = format!(r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{layer}"}}]}}"#);
    stored(&*storage, &app, "schema1", &schema1).await;
    let unknown = format!(r#"{{"mediaType":"application/vnd.example+json","parts":["{layer}"]}}"#);
    stored(&*storage, &app, "unknown", &unknown).await;
    let sizeless = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","layers":[{{"mediaType":"a/b","digest":"{layer}"}}]}}"#,
        media_type::OCI_MANIFEST
    );
    stored(&*storage, &app, "sizeless", &sizeless).await;
    for row in list(&registry, &app, ALL).await.tags {
        let image = &row.image;
        assert_eq!(
            (image.size, image.size_is_unstated, &image.problem),
            (None, true, &None),
            "{row:?}"
        );
        let shown = registry
            .show_image(&app, &row.tag.into(), &EveryTag)
            .await
            .unwrap();
        let manifest = shown.manifest.unwrap();
        assert_eq!((manifest.size, manifest.size_is_unstated), (None, true));
    }
    let rows = repositories_of(&registry, Order::Name, 10, &Everything).await;
    assert_eq!((rows[0].size, rows[0].damaged), (None, 0));
    assert!(
        rows[0].problem.as_ref().unwrap().contains("3 of its manifests"),
        "{rows:?}"
    );

    // What others state is a lower bound.
    pushed(&registry, &app, "whole").await;
    let rows = repositories_of(&registry, Order::Name, 10, &Everything).await;
    assert!(rows[0].size.is_some() && rows[0].problem.is_some(), "{rows:?}");
    let tags = list(&registry, &app, ALL).await.tags;
    assert!(
        tags.iter()
            .any(|row| row.image.size.is_some() && !row.image.size_is_unstated)
    );
}

async fn disk_use_says_what_it_does_not_count((registry, storage): (Arc<Registry>, Arc<dyn Storage>)) {
    let app = name("app");
    pushed(&registry, &app, "whole").await;
    let usage = registry.usage(10).await.unwrap();
    assert_eq!((usage.uncounted, &usage.problem), (0, &None));
    let schema1 = format!(
        r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{}"}}]}}"#,
        Digest::sha256_of(b"layer")
    );
    stored(&*storage, &app, "schema1", &schema1).await;
    let damaged = pushed(&registry, &app, "damaged").await;
    write(&*storage, &layout::blob(&damaged), "{").await;
    let usage = over(storage).usage(10).await.unwrap();
    let row = &usage.repositories[0];
    assert_eq!((usage.uncounted, row.damaged, row.unstated), (2, 1, 1));
    assert!(usage.problem.unwrap().contains("lower bounds"));
    assert!(row.unique.is_some(), "as far as it is known");
}

async fn search(registry: &Registry, text: &str, limit: usize, after: Option<&SearchPlace>) -> SearchPage {
    let search = Search {
        text,
        within: &SearchIn::ALL,
        after,
        limit,
    };
    registry.search(search, &Below("")).await.unwrap()
}

async fn a_search_says_which_images_it_could_not_look_at(
    (registry, storage): (Arc<Registry>, Arc<dyn Storage>),
) {
    let app = name("app");
    pushed(&registry, &app, "whole").await;
    let damaged = pushed(&registry, &app, "damaged").await;
    assert_eq!(search(&registry, "nothing", 10, None).await.incomplete, 0);
    write(&*storage, &layout::blob(&damaged), "{").await;
    let page = search(&over(storage), "nothing", 10, None).await;
    assert_eq!((page.incomplete, page.hits.len(), page.next), (1, 0, None));
}

async fn what_is_damaged_after_it_was_shown_shows((registry, storage): (Arc<Registry>, Arc<dyn Storage>)) {
    let app = name("app");
    let [cut, gone, without_config] = [
        pushed(&registry, &app, "cut").await,
        pushed(&registry, &app, "gone").await,
        pushed(&registry, &app, "without-config").await,
    ];
    for row in list(&registry, &app, ALL).await.tags {
        assert_eq!(row.image.problem, None, "{row:?}");
        registry
            .show_image(&app, &row.tag.into(), &EveryTag)
            .await
            .unwrap();
    }
    write(&*storage, &layout::blob(&cut), "{").await;
    storage
        .remove(&layout::blob(&gone), &layout::blobs())
        .await
        .unwrap();
    let config = Digest::sha256_of(br#"{"config":"without-config"}"#);
    storage
        .remove(&layout::blob(&config), &layout::blobs())
        .await
        .unwrap();

    if !storage.is_shared() {
        let tags = list(&registry, &app, ALL).await.tags;
        let problems = tags
            .iter()
            .map(|row| row.image.problem.as_deref().unwrap_or_default());
        let problems: Vec<&str> = problems.collect();
        assert!(problems[0].contains("are damaged"), "{problems:?}");
        assert!(problems[1].contains("is not stored"), "{problems:?}");
        assert!(problems[2].contains("is not stored"), "{problems:?}");
    }
    for digest in [cut, gone] {
        let shown = registry
            .show_image(&app, &digest.into(), &EveryTag)
            .await
            .unwrap();
        assert!(shown.problem.is_some() && shown.manifest.is_none(), "{shown:?}");
    }
    let shown = registry
        .show_image(&app, &without_config.into(), &EveryTag)
        .await
        .unwrap();
    let config = shown.manifest.unwrap().config.unwrap();
    assert!(config.problem.unwrap().contains("is not stored"));
}

async fn manifests_that_a_visible_tag_needs_and_that_are_gone_count_as_damaged(
    (registry, storage): (Arc<Registry>, Arc<dyn Storage>),
) {
    let app = name("app");
    let mut children = Vec::new();
    for content in ["one", "two"] {
        let manifest = image(&registry, &app, content, "").await;
        let digest = Digest::sha256_of(manifest.as_bytes());
        put(&registry, &app, digest, &manifest).await;
        children.push((digest, manifest.len()));
    }
    put(&registry, &app, tag("both"), &index(&children)).await;
    let link = layout::revision_link(&app, &children[1].0);
    storage.remove(&link, &layout::manifests(&app)).await.unwrap();
    let rows = repositories_of(&registry, Order::Name, 10, &Below("")).await;
    assert_eq!((rows[0].manifests, rows[0].damaged), (Some(3), 1), "{rows:?}");
}

async fn a_repository_that_lists_too_many_manifests_has_no_size(
    (registry, storage): (Arc<Registry>, Arc<dyn Storage>),
) {
    let app = name("app");
    pushed(&registry, &app, "one").await;
    // Each of several indexes lists the same manifests: these count once.
    let children = |numbers: std::ops::Range<u32>| -> Vec<(Digest, usize)> {
        let digests = numbers.map(|number| Digest::sha256_of(&number.to_le_bytes()));
        digests.map(|digest| (digest, 100)).collect()
    };
    for (name, numbers) in [("a", 0..2000), ("b", 0..1999), ("c", 1..2000)] {
        stored(&*storage, &app, name, &index(&children(numbers))).await;
    }
    let rows = repositories_of(&registry, Order::Name, 10, &Below("")).await;
    assert_eq!(
        (rows[0].manifests, rows[0].damaged),
        (Some(2004), 2000),
        "{rows:?}"
    );
    stored(&*storage, &app, "d", &index(&children(2000..5000))).await;
    let rows = repositories_of(&registry, Order::Name, 10, &Below("")).await;
    assert_eq!((rows[0].manifests, rows[0].size), (None, None), "{rows:?}");
}

/// A client that may see one of very many tags learns nothing of the others, and does not let the server walk through all of them.
async fn hidden_tags_are_not_passed_for_ever_to_find_a_visible_one(
    (registry, storage): (Arc<Registry>, Arc<dyn Storage>),
) {
    let app = name("app");
    let digest = pushed(&registry, &app, "a").await;
    linked(&*storage, &app, "hidden", 21_000, &digest).await;
    for tag in ["z1", "z2"] {
        write(&*storage, &layout::tag_link(&app, tag), &digest.to_string()).await;
    }
    pushed(&registry, &name("next"), "whale").await;
    let (mut hits, mut incomplete, mut after) = (Vec::new(), 0, None::<SearchPlace>);
    for _ in 0..10 {
        let page = search(&registry, "whale", 10, after.as_ref()).await;
        hits.extend(page.hits);
        incomplete += page.incomplete;
        after = page.next;
        match &after {
            Some(next) => assert!(!next.to_string().contains("hidden"), "{next}"),
            None => break,
        }
    }
    assert_eq!((hits.len(), incomplete, after), (1, 1, None), "{hits:?}");
}

/// registry:2 leaves the directories of manifests behind that it deletes.
#[tokio::test]
async fn directories_of_deleted_manifests_are_not_counted() {
    let directory = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(FsStorage::open(directory.path()).unwrap());
    let registry = over(Arc::clone(&storage));
    let app = name("app");
    pushed(&registry, &app, "one").await;
    let links = (0..6000_u32).map(|number| {
        let digest = Digest::sha256_of(&number.to_le_bytes());
        layout::revision_link(&app, &digest)
    });
    let links: Vec<Key> = links.collect();
    for links in links.chunks(1000) {
        let puts = links.iter().map(|link| Put::new(link.clone(), "deleted"));
        storage.publish(&puts.collect::<Vec<_>>()).await.unwrap();
        let removals = links.iter().map(|link| Removal {
            key: link.clone(),
            keep: link.parent().unwrap(),
        });
        storage.remove_many(&removals.collect::<Vec<_>>()).await.unwrap();
    }
    let rows = repositories_of(&registry, Order::Name, 10, &Everything).await;
    assert_eq!(
        (rows[0].manifests, &rows[0].problem),
        (Some(1), &None),
        "{rows:?}"
    );
}

/// A list by time looks at the tags of all repositories, also at those that the client may not see.
#[tokio::test]
async fn repositories_with_too_many_hidden_tags_are_not_sorted_by_time() {
    let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
    let registry = over(Arc::clone(&storage));
    for repository in ["a", "b", "c"] {
        let app = name(repository);
        let digest = pushed(&registry, &app, "one").await;
        linked(&*storage, &app, "hidden", 7_000, &digest).await;
    }
    let wanted = wharf_registry::RepositoriesWanted {
        matching: None,
        order: Order::Pushed,
        after: None,
        limit: 10,
    };
    let refused = registry.list_repositories(wanted, &Below("")).await;
    assert!(
        matches!(refused, Err(wharf_registry::Error::TooManyToSort)),
        "{refused:?}"
    );
    let sorted = registry.list_repositories(wanted, &Below("a")).await.unwrap();
    assert_eq!(sorted.repositories.len(), 1);
}

#[tokio::test]
async fn a_row_says_without_a_number_that_there_are_too_many_tags_to_count() {
    let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
    let registry = over(Arc::clone(&storage));
    let app = name("app");
    let digest = pushed(&registry, &app, "one").await;
    linked(&*storage, &app, "hidden", 100_000, &digest).await;
    let rows = repositories_of(&registry, Order::Name, 10, &Below("")).await;
    assert_eq!((rows[0].tags, rows[0].manifests), (None, None), "{rows:?}");
    let problem = rows[0].problem.as_deref().unwrap();
    assert!(
        !problem.contains(|character: char| character.is_ascii_digit()),
        "{problem}"
    );
}

/// What a search reads does not grow with what the tags point at, and pages that end early miss nothing.
#[tokio::test(start_paused = true)]
async fn a_search_reads_no_more_than_a_request_may() {
    let (bucket, storage) = counted_bucket(Hashed::new(Memory::new()));
    let registry = over(Arc::clone(&storage));
    let app = name("app");
    let mut puts = Vec::new();
    let mut store = |manifest: String, tag: Option<String>| {
        let digest = Digest::sha256_of(manifest.as_bytes());
        let link = Bytes::from(digest.to_string());
        puts.push(Put::new(layout::revision_link(&app, &digest), link.clone()));
        puts.extend(tag.map(|tag| Put::new(layout::tag_link(&app, &tag), link)));
        let size = manifest.len();
        puts.push(Put::new(layout::blob(&digest), manifest));
        (digest, size)
    };
    let annotated = |text: String| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","annotations":{{"a":"{text}"}},"manifests":[]}}"#,
            media_type::OCI_INDEX
        )
    };
    for number in 0..24 {
        let mut indexes = Vec::new();
        for part in 0..8 {
            let leaves = (0..60).map(|leaf| store(annotated(format!("{number}-{part}-{leaf}.")), None));
            let leaves: Vec<_> = leaves.collect();
            indexes.push(store(index(&leaves), None));
        }
        store(index(&indexes), Some(format!("t{number:02}")));
    }
    for puts in puts.chunks(1000) {
        storage.publish(puts).await.unwrap();
    }
    let (mut hits, mut after) = (Vec::new(), None::<SearchPlace>);
    for _ in 0..2 {
        let (page, cost) = bucket
            .measure(search(&registry, "1-7-59.", 10, after.as_ref()))
            .await;
        assert!(cost.total() < 15_000, "{cost}");
        assert_eq!(page.incomplete, 0);
        hits.extend(page.hits);
        after = page.next;
        assert!(after.is_some());
    }
    assert_eq!(hits.len(), 1, "{hits:?}");
}

/// The place at which a page ends goes to the client.
#[tokio::test]
async fn a_search_ends_its_pages_at_tags_that_its_client_may_see() {
    let registry = over(Arc::new(ObjectStorage::in_memory()));
    let app = name("app");
    let manifest = image(&registry, &app, "one", "").await;
    for number in 0..1600 {
        let hidden = if number % 2 == 1 { "-hidden" } else { "" };
        put(&registry, &app, tag(&format!("t{number:04}{hidden}")), &manifest).await;
    }
    let (mut pages, mut after) = (0, None::<SearchPlace>);
    loop {
        let page = search(&registry, "nothing", 10, after.as_ref()).await;
        assert!(page.hits.is_empty());
        pages += 1;
        let Some(next) = page.next else { break };
        assert!(!next.to_string().contains("hidden"), "{next}");
        after = Some(next);
    }
    assert!(pages > 1, "it has to end somewhere in the middle");
}

#[tokio::test(start_paused = true)]
async fn a_search_looks_into_several_repositories_at_once() {
    let (bucket, storage) = counted_bucket(Hashed::new(Memory::new()));
    let registry = over(storage);
    for number in 0..32 {
        pushed(&registry, &name(&format!("r{number:02}")), "latest").await;
    }
    let (page, cost) = bucket.measure(search(&registry, "latest", 100, None)).await;
    assert_eq!((page.hits.len(), page.next), (32, None));
    // Several of them for each repository, one after the other, would be more than a hundred.
    assert!(cost.round_trips < 60, "{cost}");
}

/// The list goes on although the tag at which a page ends vanishes while the page is made.
#[tokio::test]
async fn a_tag_that_vanishes_meanwhile_ends_no_list() {
    let directory = tempfile::tempdir().unwrap();
    let faulty = Arc::new(Faulty::new(Arc::new(FsStorage::open(directory.path()).unwrap())));
    let registry = over(Arc::clone(&faulty) as Arc<dyn Storage>);
    let app = name("app");
    for content in ["a", "b", "c"] {
        pushed(&registry, &app, content).await;
    }
    let vanished = Fault::before(ErrorKind::NotFound).on(Operation::Stat);
    faulty.inject(vanished.key("/tags/c/current/link"));
    assert_eq!(
        in_pages(&registry, &app, Order::NameDescending, 1).await,
        ["b", "a"]
    );
}

/// Stores `count` tags of one manifest, with names after `start`, and nothing but their links.
async fn linked(storage: &dyn Storage, app: &RepoName, start: &str, count: usize, digest: &Digest) {
    let link = Bytes::from(digest.to_string());
    let puts: Vec<Put> = (0..count)
        .map(|number| {
            Put::new(
                layout::tag_link(app, &format!("{start}{number:05}")),
                link.clone(),
            )
        })
        .collect();
    for puts in puts.chunks(1000) {
        storage.publish(puts).await.unwrap();
    }
}

#[tokio::test]
async fn the_tags_of_an_image_are_not_looked_for_among_too_many() {
    let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
    let registry = over(Arc::clone(&storage));
    let app = name("app");
    let digest = pushed(&registry, &app, "one").await;
    linked(&*storage, &app, "t", 10_000, &digest).await;
    let shown = registry
        .show_image(&app, &tag("one").into(), &EveryTag)
        .await
        .unwrap();
    assert_eq!((shown.tags, shown.tags_total), (vec![tag("one")], None));
    assert!(shown.left_out[0].starts_with("tags: "), "{:?}", shown.left_out);
}

#[tokio::test]
async fn a_page_of_repositories_ends_where_it_has_read_enough() {
    let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
    let registry = over(Arc::clone(&storage));
    for repository in ["a", "b", "c", "d"] {
        let app = name(repository);
        let digest = pushed(&registry, &app, "one").await;
        linked(&*storage, &app, "t", 9_000, &digest).await;
    }
    let wanted = wharf_registry::RepositoriesWanted {
        matching: None,
        order: Order::Name,
        after: None,
        limit: 10,
    };
    let page = registry.list_repositories(wanted, &Everything).await.unwrap();
    assert!((1..4).contains(&page.repositories.len()), "{page:?}");
    assert!(page.next.is_some());
    let rows = repositories_of(&registry, Order::Name, 10, &Everything).await;
    let counts: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.tags)).collect();
    assert_eq!(counts, ["a", "b", "c", "d"].map(|name| (name, Some(9_001))));
}

#[tokio::test(start_paused = true)]
async fn a_list_on_a_bucket_passes_over_long_histories() {
    let (bucket, storage) = counted_bucket(Hashed::new(Memory::new()));
    let registry = over(Arc::clone(&storage));
    let app = name("app");
    for content in ["a", "b", "c", "d", "e", "f"] {
        pushed(&registry, &app, content).await;
    }
    let past = (0..5000_u32).map(|number| {
        let digest = Digest::sha256_of(&number.to_le_bytes());
        let link = layout::tag_history_link(&app, &tag("b"), &digest);
        Put::new(link, Bytes::from(digest.to_string()))
    });
    let past: Vec<Put> = past.collect();
    storage.publish(&past).await.unwrap();
    list(&registry, &app, ALL).await;
    let (page, cost) = bucket.measure(list(&registry, &app, ALL)).await;
    assert_eq!(page.tags.len(), 6);
    assert!(
        page.tags.iter().all(|row| row.image.problem.is_none()),
        "{page:?}"
    );
    assert!(cost.count(Request::List) <= 5, "{cost}");
}
