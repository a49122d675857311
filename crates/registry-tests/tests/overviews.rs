//! What lists show of tags and repositories, also of what is damaged, and what they cost.

use std::{sync::Arc, time::SystemTime};

use wharf_oci::{ArtifactKind, Digest, RepoName, Tag};
use wharf_pattern::Pattern;
use wharf_registry::{
    EveryTag, ImageDetails, Order, PartDetails, Registry, RepositoriesWanted, RepositoryRow, RepositorySight,
    Result, Search, SearchIn, SearchPlace, TagList, TagRow, TagsWanted,
};
use wharf_storage::{
    Put, Storage, layout,
    object::{Hashed, Memory, ObjectStorage, Request},
};

use crate::common::{counted_bucket, image, index, name, on_both_engines, over, put, tag, write};

on_both_engines! { open:
    what_is_missing_or_damaged_keeps_its_row
    the_newest_tags_come_first
    a_blob_counts_once_in_the_size_of_an_image
    repositories_show_what_is_in_them
    repositories_come_in_every_order_and_in_pages
    a_pattern_finds_its_repositories_among_their_neighbours
    an_image_says_which_of_its_parts_are_missing_or_damaged
    disk_use_tells_what_only_one_repository_needs
}

/// A registry, and its store.
pub(crate) async fn open<S: Storage>(storage: Arc<S>, _is_bucket: bool) -> (Arc<Registry>, Arc<dyn Storage>) {
    let storage: Arc<dyn Storage> = storage;
    (over(Arc::clone(&storage)), storage)
}

pub(crate) const ALL: TagsWanted<'_> = TagsWanted {
    matching: None,
    order: Order::Name,
    after: None,
    limit: 1000,
};

pub(crate) async fn list(registry: &Registry, name: &RepoName, wanted: TagsWanted<'_>) -> TagList {
    registry.list_tags(name, wanted, &EveryTag).await.unwrap()
}

/// The names of all tags, from pages of `limit`.
pub(crate) async fn in_pages(
    registry: &Registry,
    name: &RepoName,
    order: Order,
    limit: usize,
) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let wanted = TagsWanted {
            order,
            after: after.as_ref(),
            limit,
            ..ALL
        };
        let page = list(registry, name, wanted).await;
        found.extend(page.tags.into_iter().map(|row| row.tag.to_string()));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// Pushes an image, of which `content` is the layer, under the tag of the same text.
pub(crate) async fn pushed(registry: &Arc<Registry>, name: &RepoName, content: &str) -> Digest {
    let manifest = image(registry, name, content, "").await;
    put(registry, name, tag(content), &manifest).await
}

fn names(tags: &[TagRow]) -> Vec<&str> {
    tags.iter().map(|row| row.tag.as_str()).collect()
}

async fn what_is_missing_or_damaged_keeps_its_row((registry, storage): (Arc<Registry>, Arc<dyn Storage>)) {
    let app = name("app");
    for content in ["absent", "flipped", "linkless", "unlinked", "whole"] {
        pushed(&registry, &app, content).await;
    }
    let digest = |tag: &str, rows: &[TagRow]| rows.iter().find(|row| row.tag.as_str() == tag).unwrap().digest;
    let before = list(&registry, &app, ALL).await.tags;
    assert!(before.iter().all(|row| row.image.problem.is_none()), "{before:?}");
    let blob = |tag: &str| layout::blob(&digest(tag, &before).unwrap());
    storage.remove(&blob("absent"), &layout::blobs()).await.unwrap();
    write(&*storage, &blob("flipped"), "{}").await;
    write(&*storage, &layout::tag_link(&app, &tag("linkless")), "sha256:1").await;
    let revision = layout::revision_link(&app, &digest("unlinked", &before).unwrap());
    storage.remove(&revision, &layout::manifests(&app)).await.unwrap();

    // As a server that was just started, which remembers nothing.
    let registry = over(storage);
    let after = list(&registry, &app, ALL).await.tags;
    assert_eq!(
        names(&after),
        ["absent", "flipped", "linkless", "unlinked", "whole"]
    );
    let problems: Vec<&str> = after
        .iter()
        .map(|row| row.image.problem.as_deref().unwrap_or_default())
        .collect();
    for (problem, expected) in problems.iter().zip([
        "is not stored",
        "its 2 bytes are damaged",
        "the link of the tag does not hold a digest",
        "is not in the repository",
        "",
    ]) {
        assert!(problem.contains(expected), "{problem}: {expected}");
        assert_eq!(problem.is_empty(), expected.is_empty(), "{problem}");
    }
    assert_eq!(after[0].digest, before[0].digest);
    assert_eq!((after[2].digest, after[0].image.size), (None, None));
    assert_eq!(after[4], before[4]);
}

async fn the_newest_tags_come_first((registry, storage): (Arc<Registry>, Arc<dyn Storage>)) {
    let app = name("app");
    for content in ["a", "b", "c", "d"] {
        pushed(&registry, &app, content).await;
    }
    let times = async |registry: &Registry| -> Vec<(SystemTime, Tag)> {
        let rows = list(registry, &app, ALL).await.tags;
        rows.into_iter().map(|row| (row.pushed, row.tag)).collect()
    };
    if storage.keeps_times() {
        // A pushed tag has the time of its link, which moves with each push.
        let old = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(7);
        let link = layout::tag_link(&app, &tag("c"));
        let bytes = storage.read(&link, 100).await.unwrap().bytes;
        storage.publish(&[Put::new(link, bytes).at(old)]).await.unwrap();
        assert_eq!(times(&registry).await[2].0, old);
    }
    let mut expected = times(&registry).await;
    expected.sort();
    let expected: Vec<&str> = expected.iter().map(|(_, tag)| tag.as_str()).collect();
    for limit in 1..=5 {
        let found = in_pages(&registry, &app, Order::Pushed, limit).await;
        assert_eq!(found, expected, "{limit}");
    }
    let newest = TagsWanted {
        order: Order::PushedDescending,
        limit: 1,
        ..ALL
    };
    let page = list(&registry, &app, newest).await;
    assert_eq!(names(&page.tags), expected[3..], "the newest one");
    assert!(page.next.is_some());
}

async fn a_blob_counts_once_in_the_size_of_an_image((registry, storage): (Arc<Registry>, Arc<dyn Storage>)) {
    let app = name("app");
    let one = image(&registry, &app, "shared", "").await;
    let other = image(&registry, &app, "shared", r#","annotations":{"a":"b"}"#).await;
    let mut children = Vec::new();
    for child in [&one, &other] {
        let digest = Digest::sha256_of(child.as_bytes());
        put(&registry, &app, digest, child).await;
        children.push((digest, child.len()));
    }
    put(&registry, &app, tag("both"), &index(&children)).await;
    let row = list(&registry, &app, ALL).await.tags.remove(0);
    let blobs = "shared".len() + r#"{"config":"shared"}"#.len();
    assert_eq!(row.image.size, Some(blobs as u64));
    assert_eq!(row.image.kind, Some(ArtifactKind::Image));

    // Without one of its children the size is not known, and it is said which one is missing.
    let missing = children[1].0;
    let link = layout::revision_link(&app, &missing);
    storage.remove(&link, &layout::manifests(&app)).await.unwrap();
    let row = list(&registry, &app, ALL).await.tags.remove(0);
    assert_eq!(row.image.size, None);
    let problem = row.image.problem.unwrap();
    assert_eq!(
        problem.as_str(),
        format!("the manifest `{missing}` is not in the repository")
    );
}

/// Sees the repositories with names that begin with the text, and of their tags those without `hidden`.
pub(crate) struct Below(pub(crate) &'static str);

/// Sees everything.
pub(crate) struct Everything;

impl RepositorySight for Everything {
    fn sees(&self, _: &RepoName, _: Option<&Tag>) -> bool {
        true
    }

    fn sees_all_of(&self, _: &RepoName) -> bool {
        true
    }

    fn go_on_after(&self, after: &str) -> Option<Box<str>> {
        Some(after.into())
    }
}

impl RepositorySight for Below {
    fn sees(&self, name: &RepoName, tag: Option<&Tag>) -> bool {
        name.as_str().starts_with(self.0) && tag.is_none_or(|tag| !tag.as_str().contains("hidden"))
    }

    fn sees_all_of(&self, _: &RepoName) -> bool {
        false
    }

    fn go_on_after(&self, after: &str) -> Option<Box<str>> {
        Some(after.into())
    }
}

pub(crate) async fn repositories_of(
    registry: &Registry,
    order: Order,
    limit: usize,
    sight: &dyn RepositorySight,
) -> Vec<RepositoryRow> {
    repositories_like(registry, None, order, limit, sight).await
}

/// The repositories that match a pattern.
async fn repositories_like(
    registry: &Registry,
    matching: Option<&Pattern>,
    order: Order,
    limit: usize,
    sight: &dyn RepositorySight,
) -> Vec<RepositoryRow> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let wanted = RepositoriesWanted {
            matching,
            order,
            after: after.as_ref(),
            limit,
        };
        let page = registry.list_repositories(wanted, sight).await.unwrap();
        assert!(page.repositories.len() <= limit);
        rows.extend(page.repositories);
        match page.next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}

async fn repositories_show_what_is_in_them((registry, storage): (Arc<Registry>, Arc<dyn Storage>)) {
    let app = name("app");
    for content in ["one", "two", "hidden"] {
        pushed(&registry, &app, content).await;
    }
    // The same image under a digest alone, which shares its blobs with the tag.
    let again = image(&registry, &app, "one", r#","annotations":{"a":"b"}"#).await;
    let digest = Digest::sha256_of(again.as_bytes());
    put(&registry, &app, digest, &again).await;
    pushed(&registry, &name("other"), "three").await;

    let size = |content: &str| (content.len() + format!(r#"{{"config":"{content}"}}"#).len()) as u64;
    let sizes = |contents: &[&str]| Some(contents.iter().map(|content| size(content)).sum::<u64>());
    let rows = repositories_of(&registry, Order::Name, 10, &Everything).await;
    assert_eq!(rows.len(), 2);
    let row = &rows[0];
    assert_eq!(
        (row.name.as_str(), row.tags, row.manifests),
        ("app", Some(3), Some(4))
    );
    assert_eq!((row.damaged, &row.problem, row.is_whole), (0, &None, true));
    assert_eq!(row.size, sizes(&["one", "two", "hidden"]));

    // Of what a client may not see in a repository nothing shows in the numbers, nor do manifests that no visible tag needs.
    let rows = repositories_of(&registry, Order::Name, 10, &Below("")).await;
    let row = &rows[0];
    assert_eq!(
        (row.tags, row.manifests, row.size),
        (Some(2), Some(2), sizes(&["one", "two"]))
    );
    assert!(!row.is_whole);
    let tags = list(&registry, &app, ALL).await.tags;
    let visible = tags.iter().filter(|row| row.tag.as_str() != "hidden");
    assert_eq!(row.pushed, visible.map(|row| row.pushed).max());

    write(&*storage, &layout::blob(&tags[2].digest.unwrap()), "{}").await;
    let registry = over(storage);
    let rows = repositories_of(&registry, Order::Name, 10, &Below("")).await;
    assert_eq!(
        (rows[0].damaged, rows[0].manifests, rows[0].size),
        (1, Some(2), sizes(&["one"]))
    );
    let rows = repositories_of(&registry, Order::Name, 10, &Everything).await;
    assert_eq!((rows[0].damaged, rows[0].size), (1, sizes(&["one", "hidden"])));
}

async fn a_pattern_finds_its_repositories_among_their_neighbours(
    (registry, _): (Arc<Registry>, Arc<dyn Storage>),
) {
    for repository in [
        "tea",
        "team",
        "team-x/a",
        "team.a",
        "team/app",
        "team/app-2",
        "team/app/sub",
        "team0",
        "z",
    ] {
        pushed(&registry, &name(repository), "latest").await;
    }
    for (pattern, mut expected) in [
        ("team/app", vec!["team/app"]),
        ("team", vec!["team"]),
        ("team/**", vec!["team", "team/app", "team/app-2", "team/app/sub"]),
        ("team*", vec!["team", "team.a", "team0"]),
        ("z", vec!["z"]),
        ("a", vec![]),
        ("zz/**", vec![]),
        ("*/a", vec!["team-x/a"]),
    ] {
        let pattern = Pattern::parse(pattern).unwrap();
        for limit in [1, 2, 9] {
            let names = async |order| -> Vec<String> {
                let rows = repositories_like(&registry, Some(&pattern), order, limit, &Everything).await;
                rows.iter().map(|row| row.name.to_string()).collect()
            };
            assert_eq!(names(Order::Name).await, expected, "{limit}");
            expected.reverse();
            assert_eq!(names(Order::NameDescending).await, expected, "{limit}");
            expected.reverse();
            assert_eq!(names(Order::Pushed).await.len(), expected.len(), "{limit}");
        }
    }
}

async fn repositories_come_in_every_order_and_in_pages((registry, _): (Arc<Registry>, Arc<dyn Storage>)) {
    for repository in ["b", "a/x", "hidden", "a", "c/d", "a/y"] {
        pushed(&registry, &name(repository), "latest").await;
    }
    for (sight, mut expected) in [
        (Below(""), vec!["a", "a/x", "a/y", "b", "c/d", "hidden"]),
        (Below("a"), vec!["a", "a/x", "a/y"]),
        (Below("none"), vec![]),
    ] {
        for limit in [1, 2, 3, 6, 7] {
            let names = async |order| -> Vec<String> {
                let rows = repositories_of(&registry, order, limit, &sight).await;
                rows.iter().map(|row| row.name.to_string()).collect()
            };
            assert_eq!(names(Order::Name).await, expected, "{limit}");
            let mut by_time = repositories_of(&registry, Order::PushedDescending, limit, &sight).await;
            assert!(
                by_time.is_sorted_by_key(|row| std::cmp::Reverse(row.pushed)),
                "{by_time:?}"
            );
            by_time.sort_by(|one, other| one.name.cmp(&other.name));
            let by_time: Vec<&str> = by_time.iter().map(|row| row.name.as_str()).collect();
            assert_eq!(by_time, expected, "{limit}");
            expected.reverse();
            assert_eq!(names(Order::NameDescending).await, expected, "{limit}");
            expected.reverse();
        }
    }
}

async fn an_image_says_which_of_its_parts_are_missing_or_damaged(
    (registry, storage): (Arc<Registry>, Arc<dyn Storage>),
) {
    let app = name("app");
    let digest = pushed(&registry, &app, "one").await;
    let show = async |registry: &Registry, reference: &str| -> Result<ImageDetails> {
        registry
            .show_image(&app, &reference.parse().unwrap(), &EveryTag)
            .await
    };
    let whole = show(&registry, "one").await.unwrap();
    let manifest = whole.manifest.as_ref().unwrap();
    assert_eq!(
        (manifest.layers[0].problem.as_ref(), &whole.problem),
        (None, &None)
    );
    let (layer, config) = (
        manifest.layers[0].descriptor.digest,
        manifest.config.as_ref().unwrap().descriptor.digest,
    );
    assert!(manifest.image_config.is_some());

    write(&*storage, &layout::blob(&config), "{}").await;
    write(&*storage, &layout::blob(&layer), "on").await;
    let broken = show(&over(Arc::clone(&storage)), "one")
        .await
        .unwrap()
        .manifest
        .unwrap();
    let problem = |part: &PartDetails| part.problem.clone().unwrap_or_default();
    assert_eq!(
        problem(&broken.layers[0]),
        "2 bytes of it are stored, and the manifest says 3"
    );
    assert!(
        problem(broken.config.as_ref().unwrap()).contains("are damaged"),
        "{broken:?}"
    );
    assert_eq!((broken.image_config, broken.size), (None, manifest.size));
    let keep = layout::blobs();
    for blob in [&layer, &config] {
        storage.remove(&layout::blob(blob), &keep).await.unwrap();
    }
    let broken = show(&over(Arc::clone(&storage)), "one")
        .await
        .unwrap()
        .manifest
        .unwrap();
    assert_eq!(problem(&broken.layers[0]), "it is not stored");
    assert!(
        problem(broken.config.as_ref().unwrap()).contains("is not stored"),
        "{broken:?}"
    );
    let layers = layout::layers(&app);
    storage
        .remove(&layout::layer_link(&app, &layer), &layers)
        .await
        .unwrap();
    let broken = show(&over(Arc::clone(&storage)), "one")
        .await
        .unwrap()
        .manifest
        .unwrap();
    assert_eq!(problem(&broken.layers[0]), "it is not in the repository");

    storage.remove(&layout::blob(&digest), &keep).await.unwrap();
    let registry = over(Arc::clone(&storage));
    let gone = show(&registry, "one").await.unwrap();
    assert_eq!(
        (gone.digest, &gone.manifest, gone.tags_total),
        (digest, &None, Some(1))
    );
    assert!(gone.problem.unwrap().ends_with("is not stored"));
    let manifests = layout::manifests(&app);
    storage
        .remove(&layout::revision_link(&app, &digest), &manifests)
        .await
        .unwrap();
    let gone = show(&registry, "one").await.unwrap();
    assert!(gone.problem.unwrap().ends_with("is not in the repository"));
    show(&registry, &digest.to_string()).await.unwrap_err();
}

async fn disk_use_tells_what_only_one_repository_needs(
    (registry, storage): (Arc<Registry>, Arc<dyn Storage>),
) {
    let (one, other) = (name("team/one"), name("other"));
    for (repository, contents) in [(&one, ["shared", "own of one"]), (&other, ["shared", "of other"])] {
        for content in contents {
            let manifest = image(&registry, repository, content, "").await;
            let digest = Digest::sha256_of(manifest.as_bytes());
            put(&registry, repository, digest, &manifest).await;
        }
    }
    let size = |content: &str| (content.len() + format!(r#"{{"config":"{content}"}}"#).len()) as u64;
    let usage = registry.usage(10).await.unwrap();
    assert_eq!((usage.total, &usage.problem), (2, &None));
    assert_eq!(
        usage.size,
        ["shared", "own of one", "of other"].map(size).iter().sum::<u64>()
    );
    assert_eq!(usage.space.is_some(), storage.space().await.unwrap().is_some());
    let rows = usage
        .repositories
        .iter()
        .map(|row| (row.name.as_str(), row.manifests, row.size, row.unique));
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            (
                "team/one",
                2,
                size("shared") + size("own of one"),
                Some(size("own of one"))
            ),
            (
                "other",
                2,
                size("shared") + size("of other"),
                Some(size("of other"))
            ),
        ],
        "also of untagged manifests"
    );
    let first = registry.usage(1).await.unwrap();
    assert_eq!(
        (first.repositories.as_slice(), first.total),
        (&usage.repositories[..1], 2)
    );
}

/// A search reads as much as one request may, and goes on with the next one.
#[tokio::test]
async fn a_search_of_many_images_has_pages_without_hits_and_ends() {
    let registry = over(Arc::new(ObjectStorage::in_memory()));
    let app = name("app");
    let manifest = image(&registry, &app, "one", "").await;
    for number in 0..1200 {
        put(&registry, &app, tag(&format!("tag{number:04}")), &manifest).await;
    }
    pushed(&registry, &app, "whale").await;
    let (mut pages, mut hits, mut after) = (0, Vec::new(), None::<SearchPlace>);
    loop {
        let search = Search {
            text: "whale",
            within: &SearchIn::ALL,
            after: after.as_ref(),
            limit: 10,
        };
        let page = registry.search(search, &Below("")).await.unwrap();
        pages += 1;
        hits.extend(page.hits);
        match page.next {
            Some(next) => after = Some(next.to_string().parse().unwrap()),
            None => break,
        }
    }
    assert!((2..10).contains(&pages), "{pages}");
    let hits: Vec<_> = hits.iter().map(|hit| hit.tag.as_ref().map(Tag::as_str)).collect();
    assert_eq!(hits, [Some("whale")]);
}

#[tokio::test(start_paused = true)]
async fn on_a_bucket_a_page_of_tags_that_were_shown_before_costs_listings_alone() {
    let (bucket, storage) = counted_bucket(Hashed::new(Memory::new()));
    let registry = over(storage);
    let app = name("app");
    for number in 0..200 {
        pushed(&registry, &app, &format!("tag{number:03}")).await;
    }
    let (first, _) = bucket.measure(list(&registry, &app, ALL)).await;
    let (second, cost) = bucket.measure(list(&registry, &app, ALL)).await;
    assert_eq!((first.tags.len(), &first), (200, &second));
    assert_eq!(cost.count(Request::List), cost.total(), "{cost}");
    assert!(cost.total() <= 4, "{cost}");

    // A page of few costs no more than to look at each of them.
    let few = TagsWanted { limit: 10, ..ALL };
    let (_, cost) = bucket.measure(list(&registry, &app, few)).await;
    assert!(cost.round_trips <= 4, "{cost}");
}
