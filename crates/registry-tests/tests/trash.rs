//! The trash: what a deletion leaves behind, and the way back.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::{DeletedKind, Error, Options, Registry, Restored, TrashId, TrashRecord};
use wharf_storage::{Key, Storage, layout};

use crate::common::{about, caller, image, index, name, on_both_engines, push_blob, put, tag, write};

const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// A registry over a store, which keeps deletions for a week.
struct Store {
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
}

async fn open(storage: Arc<dyn Storage>, _is_bucket: bool) -> Store {
    let options = Options {
        delete_enabled: true,
        trash_retention: WEEK,
        ..Options::default()
    };
    Store {
        registry: Arc::new(Registry::new(Arc::clone(&storage), options)),
        storage,
    }
}

impl Store {
    /// The one record that there is.
    async fn record(&self) -> TrashRecord {
        let page = self.registry.trash_page(None, 10, None, &|_| true).await.unwrap();
        assert!(page.damaged.is_empty() && !page.more);
        let [summary] = &page.records[..] else {
            panic!("{page:?}")
        };
        let record = self.registry.trash_record(&summary.id).await.unwrap();
        assert_eq!(record.summary(), *summary);
        record
    }

    async fn records(&self) -> usize {
        self.registry
            .trash_page(None, 10, None, &|_| true)
            .await
            .unwrap()
            .records
            .len()
    }

    async fn restore(&self, id: &TrashId) -> Restored {
        self.registry
            .restore_from_trash(&caller(), id, false)
            .await
            .unwrap()
    }

    async fn times(&self, keys: &[Key]) -> Vec<SystemTime> {
        let mut times = Vec::new();
        for key in keys {
            times.push(self.storage.stat(key).await.unwrap().modified);
        }
        times
    }

    async fn is_pulled(&self, name: &RepoName, tag: &Tag) -> Option<Digest> {
        let found = self.registry.manifest(name, &tag.clone().into()).await;
        found.ok().map(|manifest| manifest.digest)
    }
}

on_both_engines! { open:
    a_tag_comes_back_with_its_history
    a_manifest_comes_back_with_its_tags_and_the_children_that_went_after_it
    a_blob_comes_back
    a_tag_that_was_pushed_again_is_left_alone_unless_it_is_forced
    a_restore_may_be_repeated_and_meet_pointers_that_still_stand
    what_is_lost_is_named_and_the_record_stays
    records_that_cannot_be_read_are_named_and_kept
    the_trash_is_listed_in_pages_and_emptied
    without_a_retention_nothing_is_recorded
    a_tag_comes_back_with_the_layer_that_went_after_it_or_not_at_all
    a_referrer_comes_back_into_the_list_of_its_subject
    nothing_is_linked_that_the_repository_never_had
}

async fn a_tag_comes_back_with_its_history(store: Store) {
    let (app, latest) = (name("team/app"), tag("latest"));
    let mut digests = Vec::new();
    for content in ["one", "two"] {
        let manifest = image(&store.registry, &app, content, "").await;
        digests.push(put(&store.registry, &app, latest.clone(), &manifest).await);
        // A neighbour whose name begins in the same way has a history of its own.
        put(&store.registry, &app, tag("latest-1"), &manifest).await;
    }
    let entries: Vec<Key> = digests
        .iter()
        .map(|digest| layout::tag_history_link(&app, &latest, digest))
        .collect();
    let keys: Vec<Key> = entries
        .into_iter()
        .chain([layout::tag_link(&app, &latest)])
        .collect();
    let before = store.times(&keys).await;
    store.registry.delete_tag(&caller(), &app, &latest).await.unwrap();
    assert_eq!(store.is_pulled(&app, &latest).await, None);

    let record = store.record().await;
    assert_eq!(
        (record.kind, record.repository.as_str()),
        (DeletedKind::Tags, "team/app")
    );
    assert_eq!((record.actor.as_deref(), &*record.surface), (None, "test"));
    let [deleted] = &record.pointers.tags[..] else {
        panic!("{record:?}")
    };
    assert_eq!((&deleted.tag, deleted.digest), (&latest, digests[1]));
    assert_eq!(deleted.history.len(), 2, "{deleted:?}");

    let restored = store.restore(&record.id).await;
    assert_eq!(
        (&restored.tags[..], &restored.left_alone[..]),
        (&[latest.clone()][..], &[][..])
    );
    assert_eq!(store.is_pulled(&app, &latest).await, Some(digests[1]));
    let after = store.times(&keys).await;
    if store.storage.keeps_times() {
        assert_eq!(after, before, "the links are as old as they were");
    }
    let history = store.registry.tag_history(&app, &latest, 10).await.unwrap();
    assert_eq!(history.total, 2);
    assert_eq!(store.records().await, 0, "there is nothing left to restore");
}

async fn a_manifest_comes_back_with_its_tags_and_the_children_that_went_after_it(store: Store) {
    let app = name("app");
    let child = image(&store.registry, &app, "child", "").await;
    let child_digest = put(&store.registry, &app, tag("child"), &child).await;
    let index = index(&[(child_digest, child.len())]);
    let digest = put(&store.registry, &app, tag("1"), &index).await;
    put(&store.registry, &app, tag("2"), &index).await;

    let registry = &store.registry;
    registry
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
    let record = store.record().await;
    assert_eq!(record.kind, DeletedKind::Manifest);
    let tags: Vec<&str> = record.pointers.tags.iter().map(|tag| tag.tag.as_str()).collect();
    assert_eq!(tags, ["1", "2"]);
    registry
        .delete_manifest(&caller(), &app, &child_digest, false)
        .await
        .unwrap();
    registry
        .delete_blob(&caller(), &app, &Digest::sha256_of(b"child"), false)
        .await
        .unwrap();

    let restored = store.restore(&record.id).await;
    assert_eq!(restored.tags, [tag("1"), tag("2")]);
    assert_eq!(restored.manifests, [digest], "those of this record");
    assert_eq!(restored.layers, 1);
    for tag in ["1", "2"] {
        assert_eq!(store.is_pulled(&app, &self::tag(tag)).await, Some(digest));
    }
    let is_there = registry.manifest(&app, &child_digest.into()).await;
    assert_eq!(is_there.unwrap().digest, child_digest);
    registry.blob(&app, &Digest::sha256_of(b"child")).await.unwrap();
    assert_eq!(store.records().await, 2, "those of the child and the blob");
}

async fn a_blob_comes_back(store: Store) {
    let app = name("app");
    let digest = push_blob(&store.registry, &app, b"content").await;
    store
        .registry
        .delete_blob(&caller(), &app, &digest, false)
        .await
        .unwrap();
    assert!(store.registry.blob(&app, &digest).await.is_err());
    let record = store.record().await;
    assert_eq!(record.kind, DeletedKind::Blob);
    assert_eq!(store.restore(&record.id).await.layers, 1);
    store.registry.blob(&app, &digest).await.unwrap();
}

async fn a_tag_that_was_pushed_again_is_left_alone_unless_it_is_forced(store: Store) {
    let (app, latest) = (name("app"), tag("latest"));
    let (old, new) = (
        image(&store.registry, &app, "old", "").await,
        image(&store.registry, &app, "new", "").await,
    );
    let old = put(&store.registry, &app, latest.clone(), &old).await;
    store.registry.delete_tag(&caller(), &app, &latest).await.unwrap();
    let new = put(&store.registry, &app, latest.clone(), &new).await;

    let record = store.record().await;
    let restored = store.restore(&record.id).await;
    let [left] = &restored.left_alone[..] else {
        panic!("{restored:?}")
    };
    assert_eq!((&left.tag, left.deleted, left.current), (&latest, old, new));
    assert_eq!(store.is_pulled(&app, &latest).await, Some(new));
    assert_eq!(store.records().await, 1, "it may be forced yet");

    let forced = store
        .registry
        .restore_from_trash(&caller(), &record.id, true)
        .await
        .unwrap();
    assert_eq!(
        (forced.left_alone.len(), store.is_pulled(&app, &latest).await),
        (0, Some(old))
    );
    let history = store.registry.tag_history(&app, &latest, 10).await.unwrap();
    assert!(
        history.entries.iter().any(|entry| entry.digest == new),
        "the way back from the way back"
    );
    assert_eq!(store.records().await, 0);
}

async fn a_restore_may_be_repeated_and_meet_pointers_that_still_stand(store: Store) {
    let app = name("app");
    let manifest = image(&store.registry, &app, "content", "").await;
    let digest = put(&store.registry, &app, tag("1"), &manifest).await;
    store
        .registry
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
    let record = store.record().await;
    let key = layout::trash_record(record.id.as_str());
    let json = store.storage.read(&key, 1 << 20).await.unwrap().bytes;
    store.restore(&record.id).await;
    // A crash before the record went.
    write(&*store.storage, &key, std::str::from_utf8(&json).unwrap()).await;
    let again = store.restore(&record.id).await;
    assert_eq!((again.tags, again.manifests), (vec![tag("1")], vec![digest]));
    let gone = store
        .registry
        .restore_from_trash(&caller(), &record.id, false)
        .await;
    assert!(matches!(gone, Err(Error::TrashUnknown { .. })));
}

async fn what_is_lost_is_named_and_the_record_stays(store: Store) {
    let app = name("app");
    let manifest = image(&store.registry, &app, "content", "").await;
    let digest = put(&store.registry, &app, tag("1"), &manifest).await;
    store
        .registry
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
    // The collector of another registry does not know the trash.
    store
        .storage
        .remove(&layout::blob(&digest), &layout::blobs())
        .await
        .unwrap();
    let record = store.record().await;
    let restored = Registry::new(Arc::clone(&store.storage), store.registry.options().clone())
        .restore_from_trash(&caller(), &record.id, false)
        .await
        .unwrap();
    assert_eq!((&restored.lost[..], restored.tags.len()), (&[digest][..], 0));
    assert_eq!(store.is_pulled(&app, &tag("1")).await, None, "no tag dangles");
    assert_eq!(store.records().await, 1);
}

async fn records_that_cannot_be_read_are_named_and_kept(store: Store) {
    let app = name("app");
    let manifest = image(&store.registry, &app, "content", "").await;
    put(&store.registry, &app, tag("1"), &manifest).await;
    store
        .registry
        .delete_tag(&caller(), &app, &tag("1"))
        .await
        .unwrap();
    let record = store.record().await;
    let key = layout::trash_record(record.id.as_str());
    write(&*store.storage, &key, "{\"version\":1,").await;
    write(&*store.storage, &layout::trash().join("note.txt").unwrap(), "x").await;
    let page = store
        .registry
        .trash_page(None, 10, None, &|_| true)
        .await
        .unwrap();
    let [(id, _)] = &page.damaged[..] else {
        panic!("{page:?}")
    };
    assert_eq!((id, page.records.len()), (&record.id, 0));
    let error = store
        .registry
        .restore_from_trash(&caller(), id, false)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains(&format!("wharf/trash/{id}.json")),
        "{error}"
    );
    store.registry.remove_from_trash(id).await.unwrap();
    assert_eq!(store.records().await, 0);
}

async fn the_trash_is_listed_in_pages_and_emptied(store: Store) {
    let app = name("app");
    let manifest = image(&store.registry, &app, "content", "").await;
    for number in 0..3 {
        let tag = tag(&number.to_string());
        put(&store.registry, &app, tag.clone(), &manifest).await;
        store.registry.delete_tag(&caller(), &app, &tag).await.unwrap();
    }
    let first = store.registry.trash_page(None, 2, None, &|_| true).await.unwrap();
    assert_eq!((first.records.len(), first.more), (2, true));
    let rest = store
        .registry
        .trash_page(first.last.as_ref(), 2, None, &|_| true)
        .await
        .unwrap();
    assert_eq!((rest.records.len(), rest.more), (1, false));
    let mut deleted = Vec::new();
    for summary in first.records.iter().chain(&rest.records) {
        let record = store.registry.trash_record(&summary.id).await.unwrap();
        deleted.push(record.pointers.tags[0].tag.to_string());
    }
    assert_eq!(deleted, ["2", "1", "0"], "the last one is the first");
    // What comes and goes meanwhile moves nothing between the pages.
    put(&store.registry, &app, tag("new"), &manifest).await;
    store
        .registry
        .delete_tag(&caller(), &app, &tag("new"))
        .await
        .unwrap();
    let last = first.last.as_ref();
    let again = store.registry.trash_page(last, 2, None, &|_| true).await.unwrap();
    assert_eq!(again.records, rest.records);
    let newest = store.registry.trash_page(None, 1, None, &|_| true).await.unwrap();
    assert!(newest.records[0].id > first.records[0].id);
    for gone in [&newest.records[0].id, &first.records[1].id] {
        store.registry.remove_from_trash(gone).await.unwrap();
    }
    let again = store.registry.trash_page(last, 2, None, &|_| true).await.unwrap();
    assert_eq!(again.records, rest.records);
    let of_others = store
        .registry
        .trash_page(None, 2, None, &|name| name.as_str() != "app");
    let of_others = of_others.await.unwrap();
    assert_eq!((of_others.records.len(), of_others.more), (0, false));
    let now = SystemTime::now();
    assert_eq!(
        store
            .registry
            .empty_trash(now - Duration::from_secs(3600))
            .await
            .unwrap(),
        0
    );
    let later = now + Duration::from_secs(3600);
    assert_eq!(store.registry.empty_trash(later).await.unwrap(), 2);
    assert_eq!(store.records().await, 0);
}

async fn without_a_retention_nothing_is_recorded(store: Store) {
    let registry = crate::common::over(Arc::clone(&store.storage));
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    put(&registry, &app, tag("1"), &manifest).await;
    registry.delete_tag(&caller(), &app, &tag("1")).await.unwrap();
    assert_eq!(store.records().await, 0);
}

/// The image has no tag, so its layer may be deleted, although the image itself is still there.
async fn a_tag_comes_back_with_the_layer_that_went_after_it_or_not_at_all(store: Store) {
    let (app, layer) = (name("app"), Digest::sha256_of(b"content"));
    let manifest = image(&store.registry, &app, "content", "").await;
    put(&store.registry, &app, tag("1"), &manifest).await;
    let records = async || {
        let page = store.registry.trash_page(None, 10, None, &|_| true);
        let mut records = page.await.unwrap().records;
        records.reverse();
        records
    };
    let delete = async || {
        store
            .registry
            .delete_tag(&caller(), &app, &tag("1"))
            .await
            .unwrap();
        store
            .registry
            .delete_blob(&caller(), &app, &layer, false)
            .await
            .unwrap();
    };
    delete().await;
    let restored = store.restore(&records().await[0].id).await;
    assert_eq!((restored.layers, &restored.lost[..]), (1, &[][..]));
    store.registry.blob(&app, &layer).await.unwrap();

    store
        .registry
        .empty_trash(SystemTime::now() + WEEK)
        .await
        .unwrap();
    delete().await;
    let both = records().await;
    store.registry.remove_from_trash(&both[1].id).await.unwrap();
    let restored = store.restore(&both[0].id).await;
    assert_eq!((&restored.lost[..], restored.tags.len()), (&[layer][..], 0));
    assert_eq!(
        store.is_pulled(&app, &tag("1")).await,
        None,
        "no tag of an image that is not whole"
    );
    assert_eq!(
        records().await.len(),
        1,
        "it may be restored when the layer was pushed again"
    );
    push_blob(&store.registry, &app, b"content").await;
    assert_eq!(store.restore(&both[0].id).await.tags, [tag("1")]);
}

async fn a_referrer_comes_back_into_the_list_of_its_subject(store: Store) {
    let options = Options {
        referrers_tags: true,
        ..store.registry.options().clone()
    };
    let store = Store {
        registry: Arc::new(Registry::new(Arc::clone(&store.storage), options)),
        storage: store.storage,
    };
    let app = name("app");
    let subject = image(&store.registry, &app, "content", "").await;
    let digest = put(&store.registry, &app, tag("1"), &subject).await;
    let signature = image(&store.registry, &app, "signature", &about(&digest, subject.len())).await;
    let signature = put(
        &store.registry,
        &app,
        Digest::sha256_of(signature.as_bytes()),
        &signature,
    )
    .await;
    let list = wharf_oci::referrers_tag(&digest);
    let listing = store.is_pulled(&app, &list).await;
    assert!(listing.is_some());
    store
        .registry
        .delete_manifest(&caller(), &app, &signature, false)
        .await
        .unwrap();
    assert_ne!(store.is_pulled(&app, &list).await, listing);
    let restored = store.restore(&store.record().await.id).await;
    assert_eq!(restored.manifests, [signature]);
    assert_eq!(store.is_pulled(&app, &list).await, listing);
}

/// A manifest may name what its repository does not have. Restoring it must not be a way to get that.
async fn nothing_is_linked_that_the_repository_never_had(store: Store) {
    let options = Options {
        required_children: wharf_registry::Children::None,
        ..store.registry.options().clone()
    };
    let store = Store {
        registry: Arc::new(Registry::new(Arc::clone(&store.storage), options)),
        storage: store.storage,
    };
    let (secret, mine) = (name("secret"), name("mine"));
    let manifest = image(&store.registry, &secret, "secret", "").await;
    let child = put(&store.registry, &secret, tag("1"), &manifest).await;
    let sparse = index(&[(child, manifest.len())]);
    let digest = put(&store.registry, &mine, tag("1"), &sparse).await;
    store
        .registry
        .delete_manifest(&caller(), &mine, &digest, false)
        .await
        .unwrap();
    let restored = store.restore(&store.record().await.id).await;
    assert_eq!(
        (restored.tags, restored.manifests),
        (vec![tag("1")], vec![digest])
    );
    assert!(store.registry.manifest(&mine, &child.into()).await.is_err());
    let layer = Digest::sha256_of(b"secret");
    assert!(store.registry.blob(&mine, &layer).await.is_err());
}
