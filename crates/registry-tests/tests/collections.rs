//! Collections beside requests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use wharf_oci::{Algorithm, Digest, RepoName};
use wharf_registry::{
    Options, Registry,
    collect::{Collected, CollectionReport, OnlineCollector},
};
use wharf_storage::{Key, Put, Storage, fs::FsStorage, layout, object::ObjectStorage};

use crate::common::{caller, image, name, push_blob, put, tag, write};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A registry over a store, and its collector.
struct Store {
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    collector: OnlineCollector,
}

impl Store {
    fn over(storage: Arc<dyn Storage>, grace: Duration, trash_retention: Duration) -> Self {
        let options = Options {
            delete_enabled: true,
            trash_retention,
            collect_grace: grace,
            ..Options::default()
        };
        let registry = Arc::new(Registry::new(Arc::clone(&storage), options));
        Self {
            collector: OnlineCollector::new(Arc::clone(&registry), false),
            registry,
            storage,
        }
    }

    async fn collect(&self) -> CollectionReport {
        match self.collector.collect().await.unwrap() {
            Collected::Done(report) => report,
            other => panic!("{other:?}"),
        }
    }

    /// Pushes an image and deletes it.
    async fn garbage(&self, name: &RepoName, content: &str) -> Digest {
        let manifest = image(&self.registry, name, content, "").await;
        let digest = put(&self.registry, name, tag("garbage"), &manifest).await;
        self.registry
            .delete_manifest(&caller(), name, &digest, false)
            .await
            .unwrap();
        digest
    }

    async fn is_stored(&self, digest: &Digest) -> bool {
        self.storage.stat(&layout::blob(digest)).await.is_ok()
    }

    async fn is_linked(&self, name: &RepoName, layer: &Digest) -> bool {
        self.storage.stat(&layout::layer_link(name, layer)).await.is_ok()
    }
}

fn on_disk(grace: Duration, trash_retention: Duration) -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let storage = FsStorage::open(directory.path()).unwrap();
    (Store::over(Arc::new(storage), grace, trash_retention), directory)
}

/// Lets the blob `content` be as old as that, with a link of `name` to it.
async fn aged(store: &Store, name: &RepoName, content: &[u8], age: Duration) -> Digest {
    let (digest, then) = (Digest::sha256_of(content), SystemTime::now() - age);
    let puts = [
        Put::new(layout::blob(&digest), content.to_vec()).at(then),
        Put::new(layout::layer_link(name, &digest), layout::link_content(&digest)).at(then),
    ];
    store.storage.publish(&puts).await.unwrap();
    digest
}

#[tokio::test]
async fn one_process_frees_at_once_what_nothing_needs() {
    let (store, _directory) = on_disk(Duration::ZERO, Duration::ZERO);
    let (app, other) = (name("team/app"), name("other"));
    let kept = image(&store.registry, &app, "kept", "").await;
    put(&store.registry, &app, tag("1"), &kept).await;
    let gone = store.garbage(&app, "gone").await;
    // The same image, of which the other repository has no tag any more.
    let shared = push_blob(&store.registry, &app, b"kept").await;
    store.garbage(&other, "kept").await;

    let report = store.collect().await;
    let layer = Digest::sha256_of(b"gone");
    assert!(!store.is_stored(&gone).await && !store.is_stored(&layer).await);
    assert!(!store.is_linked(&app, &layer).await, "its link went with it");
    assert!(store.is_stored(&shared).await && store.is_linked(&app, &shared).await);
    assert_eq!((report.removed.blobs, report.waiting.blobs), (3, 0), "{report:?}");
    assert!(report.removed.bytes > 0 && report.needed == 3 && report.repositories == 2);
    store.registry.manifest(&app, &tag("1").into()).await.unwrap();
    let again = store.collect().await;
    assert_eq!((again.removed.blobs, again.waiting.blobs), (0, 0));
}

#[tokio::test]
async fn what_is_younger_than_the_grace_period_stays() {
    let (store, _directory) = on_disk(HOUR, Duration::ZERO);
    let app = name("app");
    let young = push_blob(&store.registry, &app, b"young").await;
    let old = aged(&store, &app, b"old", DAY).await;
    // Old bytes, which this repository has come to read just now.
    let mounted = aged(&store, &name("other"), b"mounted", DAY).await;
    write(
        &*store.storage,
        &layout::layer_link(&app, &mounted),
        &mounted.to_string(),
    )
    .await;
    let report = store.collect().await;
    assert_eq!((report.removed.blobs, report.links), (1, 1), "{report:?}");
    assert!(store.is_stored(&young).await && store.is_stored(&mounted).await && !store.is_stored(&old).await);
    assert!(store.is_linked(&app, &mounted).await);
    assert!(
        !store.is_linked(&name("other"), &mounted).await,
        "its bytes stay, and the link that nothing needs goes"
    );
}

/// A client that was told that its repository has a layer names it in a manifest, which must find it.
#[tokio::test]
async fn a_link_on_which_a_client_may_rely_stays() {
    let (store, _directory) = on_disk(HOUR, Duration::ZERO);
    let (app, other) = (name("app"), name("other"));
    let layer = aged(&store, &app, b"shared", DAY).await;
    aged(&store, &other, b"shared", DAY).await;
    let pushed = image(&store.registry, &app, "shared", "").await;
    put(&store.registry, &app, tag("1"), &pushed).await;
    store.registry.blob_to_rely_on(&other, &layer).await.unwrap();
    assert_eq!(store.collect().await.links, 0);
    assert!(store.is_linked(&other, &layer).await, "it was told to be there");
    let relied = aged(&store, &name("third"), b"shared", DAY).await;
    let report = store.collect().await;
    assert_eq!((report.removed.blobs, report.links), (0, 1), "{report:?}");
    assert!(store.is_linked(&other, &layer).await && !store.is_linked(&name("third"), &relied).await);
    assert!(store.is_stored(&layer).await);
}

/// What registry:2 was sent by SHA-512 it keeps by SHA-256, and the link says so.
#[tokio::test]
async fn a_link_by_sha512_goes_when_nothing_needs_it() {
    let (store, _directory) = on_disk(HOUR, Duration::ZERO);
    let app = name("app");
    let stored = aged(&store, &app, b"content", DAY).await;
    let digest = Digest::of(Algorithm::Sha512, b"content");
    let link = Put::new(layout::layer_link(&app, &digest), layout::link_content(&stored));
    let link = link.at(SystemTime::now() - DAY);
    store.storage.publish(&[link]).await.unwrap();
    let report = store.collect().await;
    assert_eq!((report.removed.blobs, report.links), (1, 1), "{report:?}");
    assert!(!store.is_linked(&app, &digest).await && !store.is_linked(&app, &stored).await);
}

/// A process that was killed between a removal of a file and that of its directory leaves the directory.
#[tokio::test]
async fn empty_directories_go() {
    let (store, directory) = on_disk(Duration::ZERO, Duration::ZERO);
    let (app, gone) = (name("team/app"), name("gone/deep"));
    let kept = image(&store.registry, &app, "kept", "").await;
    put(&store.registry, &app, tag("1"), &kept).await;
    let digest = Digest::sha256_of(b"nothing");
    let path = |key: Key| directory.path().join(key.as_str());
    let directories = [
        path(layout::blob(&digest)),
        path(layout::layer_link(&app, &digest)),
        path(layout::revision_link(&app, &digest)),
        path(layout::layer_link(&gone, &digest)),
        path(layout::revision_link(&gone, &digest)),
        path(layout::tags(&gone).join("nothing").unwrap()),
    ];
    for file in &directories {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    }
    store.collect().await;
    for file in &directories {
        assert!(!file.parent().unwrap().exists(), "{}", file.display());
    }
    let repositories = path(layout::repositories());
    let names: Vec<_> = std::fs::read_dir(repositories).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    store.registry.manifest(&app, &tag("1").into()).await.unwrap();
    // A push makes what it needs again.
    let again = image(&store.registry, &gone, "again", "").await;
    put(&store.registry, &gone, tag("1"), &again).await;
}

/// A client that was told that a layer is there does not send it. In one process nothing else keeps it until the manifest comes.
#[tokio::test]
async fn what_a_client_was_told_that_it_may_rely_on_stays() {
    let (store, _directory) = on_disk(HOUR, Duration::ZERO);
    let app = name("app");
    let relied = aged(&store, &app, b"relied on", DAY).await;
    let other = aged(&store, &app, b"not relied on", DAY).await;
    store.registry.blob_to_rely_on(&app, &relied).await.unwrap();
    assert_eq!(store.collect().await.removed.blobs, 1);
    assert!(store.is_stored(&relied).await && !store.is_stored(&other).await);
    let told = store.registry.blob_to_rely_on(&app, &other).await;
    assert!(told.is_err(), "what is gone is sent again");
}

#[tokio::test]
async fn what_the_trash_names_stays_until_it_is_given_up_or_too_old() {
    let (store, _directory) = on_disk(Duration::ZERO, DAY);
    let app = name("app");
    let digest = store.garbage(&app, "content").await;
    let layer = Digest::sha256_of(b"content");
    let report = store.collect().await;
    assert_eq!(
        (report.removed.blobs, report.records, report.expired),
        (0, 1, 0),
        "{report:?}"
    );
    assert!(
        store.is_linked(&app, &layer).await,
        "the repository may read it when it is restored"
    );

    let page = store.registry.trash_page(None, 10, &|_| true).await.unwrap();
    let restored = store
        .registry
        .restore_from_trash(&caller(), &page.records[0].id, false)
        .await;
    assert_eq!(restored.unwrap().manifests, [digest]);
    store
        .registry
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
    store
        .registry
        .empty_trash(SystemTime::now() + HOUR)
        .await
        .unwrap();
    assert_eq!(store.collect().await.removed.blobs, 3);

    // A record of the day before yesterday.
    let digest = store.garbage(&app, "content").await;
    let page = store.registry.trash_page(None, 10, &|_| true).await.unwrap();
    let record = layout::trash_record(page.records[0].id.as_str());
    let json = store.storage.read(&record, 1 << 20).await.unwrap().bytes;
    store.storage.remove(&record, &layout::own()).await.unwrap();
    let old = layout::trash_record("20260101T000000.000-00000000");
    write(&*store.storage, &old, std::str::from_utf8(&json).unwrap()).await;
    let report = store.collect().await;
    assert_eq!((report.expired, report.records), (1, 0));
    assert!(!store.is_stored(&digest).await);
}

/// A repository whose directory was removed by other means has nothing but its record.
#[tokio::test]
async fn the_trash_keeps_what_a_repository_needs_that_is_gone() {
    let (store, _directory) = on_disk(Duration::ZERO, DAY);
    let app = name("team/app");
    let digest = store.garbage(&app, "content").await;
    store
        .storage
        .remove_tree(&layout::repository(&app))
        .await
        .unwrap();
    assert_eq!(store.collect().await.removed.blobs, 0);
    let page = store.registry.trash_page(None, 10, &|_| true).await.unwrap();
    let id = &page.records[0].id;
    let restored = store.registry.restore_from_trash(&caller(), id, false).await;
    assert_eq!(
        restored.unwrap().lost.len(),
        2,
        "no record says that it could read these"
    );
    image(&store.registry, &app, "content", "").await;
    let restored = store.registry.restore_from_trash(&caller(), id, false).await;
    assert_eq!(restored.unwrap().tags, [tag("garbage")]);
    let manifest = store
        .registry
        .manifest(&app, &tag("garbage").into())
        .await
        .unwrap();
    assert_eq!(manifest.digest, digest);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_ends_the_collection() {
    let (store, _directory) = on_disk(Duration::ZERO, DAY);
    let app = name("app");
    store.garbage(&app, "content").await;
    let page = store.registry.trash_page(None, 10, &|_| true).await.unwrap();
    let id = &page.records[0].id;
    write(&*store.storage, &layout::trash_record(id.as_str()), "{").await;
    let error = store.collector.collect().await.unwrap_err().to_string();
    assert!(
        error.contains(id.as_str()) && error.contains("wharf trash empty"),
        "{error}"
    );
    assert!(store.is_stored(&Digest::sha256_of(b"content")).await);
    store.registry.remove_from_trash(id).await.unwrap();
    store.collect().await;
    assert!(!store.is_stored(&Digest::sha256_of(b"content")).await);
}

/// On a bucket another process may rely on what the first run finds.
#[tokio::test(start_paused = true)]
async fn on_a_bucket_a_later_run_removes_what_a_first_one_has_found() {
    let storage = Arc::new(ObjectStorage::in_memory());
    let store = Store::over(storage, Duration::ZERO, Duration::ZERO);
    let app = name("app");
    let kept = image(&store.registry, &app, "kept", "").await;
    put(&store.registry, &app, tag("1"), &kept).await;
    let gone = store.garbage(&app, "gone").await;
    let first = store.collect().await;
    assert_eq!((first.removed.blobs, first.waiting.blobs), (0, 3), "{first:?}");
    assert!(store.is_stored(&gone).await);
    assert!(
        matches!(store.collector.collect().await.unwrap(), Collected::Done(report) if report.removed.blobs == 0),
        "it is too early to confirm that"
    );
}

#[tokio::test(start_paused = true)]
async fn another_registry_that_writes_to_the_bucket_pauses_the_collection() {
    let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
    let store = Store::over(Arc::clone(&storage), Duration::ZERO, Duration::ZERO);
    let app = name("app");
    store.garbage(&app, "gone").await;
    let upload = layout::uploads(&app)
        .join("5d0b2a4e-6f6e-4f0e-8d38-0f3c0a3c5a55")
        .unwrap();
    write(
        &*storage,
        &upload.join("startedat").unwrap(),
        "2026-11-29T10:00:00Z",
    )
    .await;
    let paused = store.collector.collect().await.unwrap();
    assert!(matches!(paused, Collected::ForeignWriter(_)), "{paused:?}");
    let ignoring = OnlineCollector::new(Arc::clone(&store.registry), true);
    assert!(matches!(ignoring.collect().await.unwrap(), Collected::Done(_)));
}
