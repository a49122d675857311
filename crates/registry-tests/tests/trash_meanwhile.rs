//! The trash beside other requests: records name what really goes, and what comes back takes nothing from later pushes.

use std::{sync::Arc, time::Duration};

use tokio::{join, time::sleep};
use wharf_oci::{Digest, RepoName};
use wharf_registry::{Registry, TrashId, TrashRecord};
use wharf_storage::{
    Operation, Storage,
    faulty::{Fault, Faulty},
    layout,
};

use crate::{
    common::{caller, image, name, on_both_engines, put, tag, write},
    planning::{keeping, records},
};

/// A time that the clock of the tests only passes when nothing else is left to do.
const PAUSE: Duration = Duration::from_secs(10);

/// A store, and a registry over it that keeps deletions for a week.
struct Store {
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    /// Another process over the same bucket; of a directory there is one only.
    other: Arc<Registry>,
    slow: Arc<Faulty>,
}

async fn open(storage: Arc<dyn Storage>, is_bucket: bool) -> Store {
    tokio::time::pause();
    let slow = Arc::new(Faulty::new(Arc::clone(&storage)));
    let registry = keeping(Arc::clone(&slow) as _);
    Store {
        other: match is_bucket {
            true => keeping(Arc::clone(&storage)),
            false => Arc::clone(&registry),
        },
        storage,
        registry,
        slow,
    }
}

impl Store {
    async fn image(&self, name: &RepoName, content: &str, reference: &str) -> Digest {
        let manifest = image(&self.other, name, content, "").await;
        put(&self.other, name, tag(reference), &manifest).await
    }

    async fn records(&self) -> Vec<TrashRecord> {
        records(&self.registry).await
    }

    async fn pulled(&self, name: &RepoName, reference: &str) -> Option<Digest> {
        let found = self.registry.manifest(name, &tag(reference).into()).await;
        found.ok().map(|manifest| manifest.digest)
    }

    async fn has(&self, name: &RepoName, digest: &Digest) -> bool {
        self.registry.manifest(name, &(*digest).into()).await.is_ok()
    }
}

on_both_engines! { open:
    the_record_of_a_tag_names_what_it_pointed_at_when_it_went
    a_manifest_comes_back_although_its_only_tag_moved_on
    a_page_of_the_trash_reads_some_records_and_no_more
    a_restore_reads_the_records_of_its_repository_alone
    large_records_are_read_few_at_a_time
}

async fn the_record_of_a_tag_names_what_it_pointed_at_when_it_went(store: Store) {
    let (app, latest) = (name("app"), tag("latest"));
    store.image(&app, "old", "latest").await;
    // Once the tag was looked at, its record is being written.
    let slow = Fault::delay(PAUSE).on(Operation::Publish).key("wharf/trash/");
    store.slow.inject(slow.times(1));
    let caller = caller();
    let (deleted, moved) = join!(store.registry.delete_tag(&caller, &app, &latest), async {
        sleep(PAUSE / 2).await;
        store.image(&app, "new", "latest").await
    });
    deleted.unwrap();
    assert_eq!(store.slow.struck(), 1);
    let records = store.records().await;
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    match store.pulled(&app, "latest").await {
        // In one process the push waited for the deletion.
        Some(current) => assert_eq!(current, moved),
        None => {
            assert_eq!(record.pointers.tags[0].digest, moved, "what went");
            let restored = store.registry.restore_from_trash(&caller, &record.id, false);
            assert_eq!(restored.await.unwrap().tags, [latest]);
            assert_eq!(store.pulled(&app, "latest").await, Some(moved));
        }
    }
}

async fn a_manifest_comes_back_although_its_only_tag_moved_on(store: Store) {
    let app = name("app");
    let old = store.image(&app, "old", "latest").await;
    let caller = caller();
    let deleted = store.registry.delete_manifest(&caller, &app, &old, false);
    deleted.await.unwrap();
    let new = store.image(&app, "new", "latest").await;
    let [record] = <[TrashRecord; 1]>::try_from(store.records().await).unwrap();
    let restored = store.registry.restore_from_trash(&caller, &record.id, false);
    let restored = restored.await.unwrap();
    assert_eq!(
        (restored.tags.len(), restored.left_alone.len(), &restored.lost[..]),
        (0, 1, &[][..])
    );
    assert_eq!(restored.manifests, [old]);
    assert!(store.has(&app, &old).await, "it can be pulled by its digest");
    assert_eq!(store.pulled(&app, "latest").await, Some(new));
}

/// Records of another repository, as many as a page reads at most.
async fn fill(store: &Store, times: usize) -> Vec<TrashId> {
    let other = name("other");
    store.image(&other, "content", "1").await;
    let caller = caller();
    store
        .registry
        .delete_tag(&caller, &other, &tag("1"))
        .await
        .unwrap();
    let [record] = <[TrashRecord; 1]>::try_from(store.records().await).unwrap();
    let key = layout::trash_record(record.id.as_str());
    let json = store.storage.read(&key, 1 << 20).await.unwrap().bytes;
    let json = std::str::from_utf8(&json).unwrap();
    let mut ids = vec![record.id.clone()];
    for number in 1..times {
        let (head, tail) = record.id.as_str().split_at("20261129T101500.123-".len());
        let id = format!("{head}{number:08x}{}", &tail[8..]);
        write(&*store.storage, &layout::trash_record(&id), json).await;
        ids.push(id.parse().unwrap());
    }
    ids.sort_unstable();
    ids
}

/// Counts the records that `work` reads: each read of one meets a delay of nothing.
async fn reads<T>(store: &Store, work: impl Future<Output = T>) -> (T, u64) {
    let before = store.slow.struck();
    let counted = Fault::delay(Duration::ZERO).on(Operation::Read);
    store.slow.inject(counted.key("wharf/trash/"));
    let done = work.await;
    store.slow.heal();
    (done, store.slow.struck() - before)
}

async fn a_page_of_the_trash_reads_some_records_and_no_more(store: Store) {
    const MOST: u64 = 256;
    let ids = fill(&store, 300).await;
    let hides_all = |_: &RepoName| false;
    let page = store.registry.trash_page(None, 10, None, &hides_all);
    let (page, count) = reads(&store, page).await;
    let page = page.unwrap();
    assert_eq!((page.records.len(), page.more, count), (0, true, MOST));
    // The cursor goes on behind what was looked at, whatever was restored or given up meanwhile.
    assert_eq!(page.last.as_ref(), Some(&ids[44]));
    store.registry.remove_from_trash(&ids[44]).await.unwrap();
    let rest = store
        .registry
        .trash_page(page.last.as_ref(), 100, None, &|_| true);
    let (rest, count) = reads(&store, rest).await;
    let rest = rest.unwrap();
    assert_eq!((rest.records.len(), rest.more, count), (44, false, 44));
    assert_eq!(rest.records[0].id, ids[43]);
    // Records of another repository are not read.
    let app = name("app");
    let page = store.registry.trash_page(None, 100, Some(&app), &|_| true);
    let (page, count) = reads(&store, page).await;
    let page = page.unwrap();
    assert_eq!((page.records.len(), page.more, count), (0, false, 0));
}

async fn a_restore_reads_the_records_of_its_repository_alone(store: Store) {
    fill(&store, 20).await;
    let app = name("app");
    store.image(&app, "content", "1").await;
    let caller = caller();
    store.registry.delete_tag(&caller, &app, &tag("1")).await.unwrap();
    let page = store.registry.trash_page(None, 10, Some(&app), &|_| true);
    let [record] = &page.await.unwrap().records[..] else {
        panic!("one record of the repository")
    };
    let restored = store.registry.restore_from_trash(&caller, &record.id, false);
    let (restored, count) = reads(&store, restored).await;
    assert_eq!(restored.unwrap().tags, [tag("1")]);
    assert_eq!(
        count, 2,
        "the record, once for itself and once among all of the repository"
    );
}

/// Two records of more than 64 KiB are in memory at once, and others wait.
async fn large_records_are_read_few_at_a_time(store: Store) {
    let app = name("app");
    store.image(&app, "content", "1").await;
    let caller = caller();
    store.registry.delete_tag(&caller, &app, &tag("1")).await.unwrap();
    let [record] = <[TrashRecord; 1]>::try_from(store.records().await).unwrap();
    let key = layout::trash_record(record.id.as_str());
    let json = store.storage.read(&key, 1 << 20).await.unwrap().bytes;
    let large = " ".repeat(100 << 10) + std::str::from_utf8(&json).unwrap();
    write(&*store.storage, &key, &large).await;
    let held = store.registry.budget().large_reads.take(2).unwrap();
    let waiting = store.registry.trash_record(&record.id);
    let (read, ()) = join!(waiting, async {
        sleep(PAUSE / 2).await;
        drop(held);
    });
    assert_eq!(read.unwrap().pointers, record.pointers);
    let held = store.registry.budget().large_reads.take(2).unwrap();
    assert!(store.registry.trash_record(&record.id).await.is_err());
    drop(held);
}
