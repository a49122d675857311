//! Lists over a bucket, and what they cost: pages of tags and of repositories, and the deletion of a manifest with its tags.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use object_store::path::Path;
use wharf_oci::{Digest, PageRequest, Reference, RepoName};
use wharf_registry::{ManifestPush, Precondition};
use wharf_storage::{
    Operation, Put, Storage,
    faulty::{Fault, Faulty},
    layout,
    object::{Counted, Hashed, Memory, ObjectStorage, Store},
};

use crate::common::{caller, counted_bucket, image, name, over, put, tag, write};

/// Writes to a store without its being counted or slow.
fn behind(memory: &Memory) -> Arc<dyn Storage> {
    Arc::new(ObjectStorage::new(Arc::new(memory.clone()), Path::default()))
}

fn first(n: usize) -> PageRequest {
    PageRequest {
        n: Some(n),
        last: None,
    }
}

fn after(n: usize, last: &str) -> PageRequest {
    PageRequest {
        n: Some(n),
        last: Some(last.to_owned()),
    }
}

/// A tag as a push leaves it, and `moved` more entries of its history.
async fn write_tag(storage: &dyn Storage, repository: &RepoName, name: &str, moved: usize) {
    let digests = (0..=moved).map(|number| Digest::sha256_of(&number.to_le_bytes()));
    let tag = tag(name);
    let histories = digests
        .clone()
        .map(|digest| layout::tag_history_link(repository, &tag, &digest));
    let keys = histories.chain([layout::tag_link(repository, &tag)]);
    let link = Digest::sha256_of(&moved.to_le_bytes()).to_string();
    let puts: Vec<Put> = keys.map(|key| Put::new(key, link.clone())).collect();
    storage.publish(&puts).await.unwrap();
}

/// What each step asks of the store, as one text.
#[derive(Default)]
struct Golden(String);

impl Golden {
    async fn note<T, R>(&mut self, store: &Counted<T>, step: &str, work: impl Future<Output = R>) -> R {
        let (result, cost) = store.measure(work).await;
        writeln!(self.0, "{step}: {cost}").unwrap();
        result
    }
}

/// 10,000 tags, one of which has moved 5,000 times: a page costs what is on it, wherever it is.
#[tokio::test(start_paused = true)]
async fn a_page_of_tags_costs_no_more_when_there_are_many() {
    let memory = Memory::new();
    let (store, storage) = counted_bucket(memory.clone());
    let app = name("app");
    for number in 0..10_000 {
        write_tag(&*behind(&memory), &app, &format!("v{number:05}"), 0).await;
    }
    write_tag(&*behind(&memory), &app, "v05000-moved", 5000).await;
    let registry = over(storage);
    let mut golden = Golden::default();
    let steps = [
        ("the first page", first(100), "v00000", "v00099"),
        ("a page in the middle", after(100, "v02499"), "v02500", "v02599"),
        (
            "a page up to the tag that moved",
            after(10, "v04991"),
            "v04992",
            "v05000-moved",
        ),
        (
            "a page over the tag that moved",
            after(100, "v04999"),
            "v05000",
            "v05098",
        ),
        ("a page behind it", after(100, "v05000-moved"), "v05001", "v05100"),
        ("the last page", after(100, "v09899"), "v09900", "v09999"),
        ("a page behind the end", after(100, "w"), "", ""),
    ];
    for (step, page, from, to) in steps {
        let tags = golden
            .note(&store, step, registry.tags(&app, &page))
            .await
            .unwrap();
        let ends = (tags.names.first(), tags.names.last());
        let text = |name: Option<&Box<str>>| name.map(ToString::to_string).unwrap_or_default();
        assert_eq!(
            (text(ends.0), text(ends.1)),
            (from.to_owned(), to.to_owned()),
            "{step}"
        );
        assert_eq!(tags.more, ["v09999", ""].iter().all(|end| *end != to), "{step}");
    }
    let page = PageRequest::default();
    let all = golden
        .note(&store, "all of them", registry.tags(&app, &page))
        .await;
    assert_eq!(all.unwrap().names.len(), 10_001);
    assert_eq!(
        golden.0,
        "\
the first page: 1 requests in 1 round trips: 1 List
a page in the middle: 1 requests in 1 round trips: 1 List
a page up to the tag that moved: 2 requests in 2 round trips: 2 List
a page over the tag that moved: 2 requests in 2 round trips: 2 List
a page behind it: 2 requests in 2 round trips: 2 List
the last page: 1 requests in 1 round trips: 1 List
a page behind the end: 2 requests in 2 round trips: 2 List
all of them: 22 requests in 22 round trips: 22 List
"
    );
}

/// 5,000 repositories, one of which has 3,000 layers and another 3,000 tags.
#[tokio::test(start_paused = true)]
async fn a_page_of_the_catalogue_costs_no_more_when_there_are_many() {
    let memory = Memory::new();
    let (store, storage) = counted_bucket(memory.clone());
    let direct = behind(&memory);
    let digest = |number: usize| Digest::sha256_of(&number.to_le_bytes());
    for number in 0..5_000 {
        let repository = name(&format!("team-{}/r{number:04}", number / 1000));
        write_tag(&*direct, &repository, "latest", 0).await;
        let mut keys = vec![layout::revision_link(&repository, &digest(0))];
        let layers = if number == 1010 { 3_000 } else { 3 };
        keys.extend((0..layers).map(|layer| layout::layer_link(&repository, &digest(layer))));
        let puts: Vec<Put> = keys.into_iter().map(|key| Put::new(key, "x")).collect();
        direct.publish(&puts).await.unwrap();
    }
    for number in 0..3_000 {
        write_tag(&*direct, &name("team-2/r2010"), &format!("v{number}"), 0).await;
    }
    let registry = over(storage);
    let mut golden = Golden::default();
    let steps = [
        ("the first page", first(100), "team-0/r0000", "team-0/r0099"),
        (
            "a page in the middle",
            after(100, "team-3/r3499"),
            "team-3/r3500",
            "team-3/r3599",
        ),
        (
            "a page over many layers",
            after(100, "team-0/r0999"),
            "team-1/r1000",
            "team-1/r1099",
        ),
        (
            "a page over many tags",
            after(100, "team-2/r2000"),
            "team-2/r2001",
            "team-2/r2100",
        ),
        (
            "a page behind many tags",
            after(100, "team-2/r2010"),
            "team-2/r2011",
            "team-2/r2110",
        ),
        (
            "the last page",
            after(100, "team-4/r4899"),
            "team-4/r4900",
            "team-4/r4999",
        ),
    ];
    for (step, page, from, to) in steps {
        let page = golden.note(&store, step, registry.catalog(&page)).await.unwrap();
        assert_eq!(page.names.len(), 100, "{step}");
        let ends = (&*page.names[0], &*page.names[99]);
        assert_eq!(ends, (from, to), "{step}");
        assert_eq!(page.more, to != "team-4/r4999", "{step}");
    }
    assert_eq!(
        golden.0,
        // On the first page there might be a repository `team`, whose keys come after those of `team-0/…`.
        "\
the first page: 2 requests in 2 round trips: 2 List
a page in the middle: 1 requests in 1 round trips: 1 List
a page over many layers: 2 requests in 2 round trips: 2 List
a page over many tags: 2 requests in 2 round trips: 2 List
a page behind many tags: 2 requests in 2 round trips: 2 List
the last page: 1 requests in 1 round trips: 1 List
"
    );
}

/// Of 40 tags 31 point at the manifest that goes.
async fn cost_of_deletion<T: Store + Clone>(store: T) -> String {
    let (store, storage) = counted_bucket(store);
    let registry = over(storage);
    let app = name("app");
    let (gone, kept) = (
        image(&registry, &app, "gone", "").await,
        image(&registry, &app, "kept", "").await,
    );
    let tags: Vec<_> = (0..31).map(|number| tag(&format!("t{number}"))).collect();
    let bytes = Bytes::from(gone.clone());
    let digest = Digest::sha256_of(&bytes);
    let push = ManifestPush {
        reference: &Reference::from(digest),
        tags: &tags,
        content_type: None,
        bytes: &bytes,
        condition: &Precondition::default(),
        creates_only: false,
    };
    registry.put_manifest(&caller(), &app, push).await.unwrap();
    for number in 0..9 {
        put(&registry, &app, tag(&format!("kept-{number}")), &kept).await;
    }
    let caller = caller();
    let deletion = registry.delete_manifest(&caller, &app, &digest, false);
    let (removed, cost) = store.measure(deletion).await;
    assert_eq!(removed.unwrap().len(), 31);
    let left = registry.tags(&app, &PageRequest::default()).await.unwrap();
    assert_eq!(left.names.len(), 9);
    cost.to_string()
}

#[tokio::test(start_paused = true)]
async fn deleting_a_manifest_with_its_tags_takes_few_requests() {
    assert_eq!(
        cost_of_deletion(Hashed::new(Memory::new())).await,
        "14 requests in 14 round trips: 1 Get, 10 List, 3 Delete"
    );
    // Where entity tags say nothing of the content, each link is read, sixteen at a time.
    assert_eq!(
        cost_of_deletion(Memory::new()).await,
        "45 requests in 15 round trips: 32 Get, 10 List, 3 Delete"
    );
}

/// Another process over the bucket takes no part in the locks of this one.
#[tokio::test(start_paused = true)]
async fn a_tag_that_another_process_moves_during_a_deletion_stays() {
    let faulty = Arc::new(Faulty::new(behind(&Memory::new())));
    let (storage, registry) = (faulty.inner(), over(Arc::clone(&faulty) as _));
    let app = name("app");
    let gone = image(&registry, &app, "gone", "").await;
    let kept = image(&registry, &app, "kept", "").await;
    let other = put(&registry, &app, tag("other"), &kept).await;
    for name in ["1", "moved", "same"] {
        put(&registry, &app, tag(name), &gone).await;
    }
    let digest = Digest::sha256_of(gone.as_bytes());
    let second = Duration::from_secs(1);
    faulty.inject(Fault::delay(2 * second).on(Operation::RemoveTree).times(1));
    let caller = caller();
    let deletion = registry.delete_manifest(&caller, &app, &digest, false);
    let meanwhile = async {
        tokio::time::sleep(second).await;
        for (name, digest) in [("moved", other), ("same", digest)] {
            let link = layout::tag_link(&app, &tag(name));
            write(&**storage, &link, &digest.to_string()).await;
        }
    };
    let (removed, ()) = tokio::join!(deletion, meanwhile);
    assert_eq!(faulty.struck(), 1);
    assert_eq!(removed.unwrap(), [tag("1"), tag("same")]);
    let left = registry.tags(&app, &PageRequest::default()).await.unwrap().names;
    assert_eq!(*left, ["moved".into(), "other".into()]);
}
