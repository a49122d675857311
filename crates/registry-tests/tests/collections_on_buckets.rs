//! Collections on a bucket: what they ask of the store, and that they find there what they find on a directory.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use object_store::path::Path;
use wharf_oci::{Algorithm, Digest, RepoName, media_type};
use wharf_registry::{
    Error, Options, Registry,
    collect::{CollectOptions, Collected, CollectionReport, Collector, OnlineCollector},
};
use wharf_storage::{
    Key, Objects as _, Obstacle, Put, Storage,
    faulty::Faulty,
    fs::FsStorage,
    layout,
    object::{Counted, Hashed, Memory, ObjectStorage, Request, Store},
};

use crate::{
    common::{caller, image, name, over, put, tag, try_put, write},
    slow_bucket::SlowBucket,
};

/// How many repositories the store has whose collection is measured, each with an image.
const REPOSITORIES: usize = 3000;

fn parts(number: usize) -> (Vec<u8>, Vec<u8>, String) {
    let (config, layer) = (format!("config {number}"), format!("layer {number}"));
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        media_type::OCI_MANIFEST,
        Digest::sha256_of(config.as_bytes()),
        config.len(),
        Digest::sha256_of(layer.as_bytes()),
        layer.len(),
    );
    (config.into_bytes(), layer.into_bytes(), manifest)
}

fn link(key: Key, digest: &Digest) -> Put {
    Put::new(key, layout::link_content(digest))
}

/// The objects of a repository that has one image with the tag `1`, as a registry writes them.
fn pushed(app: &RepoName, number: usize) -> Vec<Put> {
    let (config, layer, manifest) = parts(number);
    let digest = Digest::sha256_of(manifest.as_bytes());
    let mut puts = Vec::new();
    for blob in [config, layer] {
        let digest = Digest::sha256_of(&blob);
        puts.push(link(layout::layer_link(app, &digest), &digest));
        puts.push(Put::new(layout::blob(&digest), blob));
    }
    let tag = tag("1");
    puts.push(Put::new(layout::blob(&digest), manifest));
    puts.push(link(layout::revision_link(app, &digest), &digest));
    puts.push(link(layout::tag_history_link(app, &tag, &digest), &digest));
    puts.push(link(layout::tag_link(app, &tag), &digest));
    puts
}

/// A collector of a bucket whose requests are counted.
struct Bucket<T> {
    requests: Counted<T>,
    storage: Arc<dyn Storage>,
    collector: OnlineCollector,
}

impl<T: Store + Clone> Bucket<T> {
    fn over(store: T) -> Self {
        let requests = Counted::new(store);
        let storage: Arc<dyn Storage> =
            Arc::new(ObjectStorage::new(Arc::new(requests.clone()), Path::default()));
        let options = Options {
            delete_enabled: true,
            collect_grace: Duration::ZERO,
            ..Options::default()
        };
        let registry = Arc::new(Registry::new(Arc::clone(&storage), options));
        Self {
            requests,
            storage,
            collector: OnlineCollector::new(registry, false),
        }
    }

    /// Collects once, and counts all requests, and those that read an object.
    async fn collect(&self) -> (CollectionReport, usize, usize) {
        let (collected, cost) = self.requests.measure(self.collector.collect()).await;
        match collected.unwrap() {
            Collected::Done(report) => (report, cost.total(), cost.count(Request::Get)),
            other => panic!("{other:?}"),
        }
    }
}

/// A store with many images, collected twice.
async fn collected_again<T: Store + Clone>(store: T, reads_of_an_image: usize) {
    let bucket = Bucket::over(store);
    for number in 0..REPOSITORIES {
        let puts = pushed(&name(&format!("team{}/app{number}", number % 7)), number);
        bucket.storage.publish_all(&at_once(puts)).await.unwrap();
    }
    let (report, first, read) = bucket.collect().await;
    assert_eq!(
        (report.repositories, report.needed),
        (REPOSITORIES, 3 * REPOSITORIES)
    );
    assert_eq!(report.findings, []);
    let reads = reads_of_an_image * REPOSITORIES;
    assert!(
        (reads..reads + 20).contains(&read),
        "{read} reads, {reads} expected"
    );
    let (report, again, read) = bucket.collect().await;
    assert_eq!(
        (report.repositories, report.needed),
        (REPOSITORIES, 3 * REPOSITORIES)
    );
    assert!(read < 20, "{read} reads");
    assert!(again * 50 <= first, "{again} requests after {first}");

    // What changed is read, and nothing else.
    let (app, other) = (name("team0/app0"), parts(1));
    let manifest = Digest::sha256_of(other.2.as_bytes());
    write(
        &*bucket.storage,
        &layout::tag_link(&app, &tag("1")),
        &manifest.to_string(),
    )
    .await;
    let (report, _, read) = bucket.collect().await;
    assert!(read < 20, "{read} reads");
    assert_eq!(report.needed, 3 * REPOSITORIES);
}

fn at_once(puts: Vec<Put>) -> wharf_storage::Puts {
    let mut all = wharf_storage::Puts::default();
    puts.into_iter().for_each(|put| all.add(0, put));
    all
}

/// Mostly an entity tag is the MD5 of the object: then a listing tells what a link holds, and only manifests are read, once.
#[tokio::test(start_paused = true)]
async fn an_unchanged_bucket_costs_a_listing() {
    collected_again(Hashed::new(Memory::new()), 1).await;
}

/// Where an entity tag is only a version, each link of a tag or a manifest is read once as well.
#[tokio::test(start_paused = true)]
async fn an_unchanged_bucket_with_opaque_entity_tags_costs_a_listing() {
    collected_again(Memory::new(), 3).await;
}

/// A tag that moves between two runs keeps its new manifest, and no longer the old one.
async fn moved<T: Store + Clone>(store: T) {
    let bucket = Bucket::over(store);
    let app = name("app");
    for number in [1, 2] {
        bucket.storage.publish(&pushed(&app, number)).await.unwrap();
    }
    let options = CollectOptions {
        delete_untagged: true,
        ..CollectOptions::default()
    };
    let collector = Collector::new(Arc::clone(&bucket.storage), options);
    for number in [2, 1, 2] {
        let (.., manifest) = parts(number);
        let digest = Digest::sha256_of(manifest.as_bytes());
        write(
            &*bucket.storage,
            &layout::tag_link(&app, &tag("1")),
            &digest.to_string(),
        )
        .await;
        let marked = collector.mark().await.unwrap().finish().await.unwrap();
        let garbage = collector.garbage(marked).await.unwrap();
        let doomed: Vec<Digest> = garbage.blobs.iter().map(|blob| blob.digest).collect();
        let (config, layer, manifest) = parts(3 - number);
        let mut expected = [&config[..], &layer, manifest.as_bytes()].map(Digest::sha256_of);
        expected.sort_unstable();
        assert_eq!(doomed, expected);
    }
}

#[tokio::test]
async fn a_tag_that_moves_is_read_again() {
    moved(Hashed::new(Memory::new())).await;
    moved(Memory::new()).await;
}

/// A tree with everything that operators, crashes and other registries leave behind.
async fn odd_tree(storage: &dyn Storage) {
    let put = async |key: Key, content: &str| write(storage, &key, content).await;
    for (number, app) in ["app", "app/sub", "app-2", "app.b", "0/1/2"].iter().enumerate() {
        storage.publish(&pushed(&name(app), number)).await.unwrap();
    }
    let app = name("app");
    let digest = |number| Digest::sha256_of(parts(number).2.as_bytes());
    let below = |dir: Key, path: &str| dir.join(path).unwrap();
    // Garbage, with a link and without.
    let garbage = Digest::sha256_of(b"garbage");
    put(layout::blob(&garbage), "garbage").await;
    put(layout::layer_link(&app, &garbage), &garbage.to_string()).await;
    put(layout::blob(&Digest::sha256_of(b"unlinked")), "unlinked").await;
    // A link that an operator has edited, an empty one, and one that points elsewhere.
    put(
        layout::tag_link(&app, &tag("edited")),
        &format!("{}\n", digest(0)),
    )
    .await;
    put(layout::tag_link(&app, &tag("empty")), "").await;
    let history = layout::tag_history_link(&app, &tag("empty"), &digest(0));
    put(history, &digest(0).to_string()).await;
    let sub = name("app/sub");
    put(layout::revision_link(&sub, &digest(2)), &digest(1).to_string()).await;
    // A tag without a link, and entries that are not of the layout.
    let lost = layout::tag_history_link(&app, &tag("lost"), &digest(0));
    put(lost, &digest(0).to_string()).await;
    put(below(layout::tags(&name("app-2")), "README"), "?").await;
    put(below(layout::layers(&name("app-2")), "sha256/README"), "?").await;
    // Algorithms that are not known.
    put(below(layout::revisions(&name("app.b")), "blake3/0123/link"), "?").await;
    let foreign = below(layout::layers(&name("app-2")), "blake3/0123/link");
    put(foreign, &garbage.to_string()).await;
    // What registry:2 was sent by SHA-512.
    let (config, layer, manifest) = parts(7);
    let by_sha512 = Digest::of(Algorithm::Sha512, &layer);
    let manifest = manifest.replace(&Digest::sha256_of(&layer).to_string(), &by_sha512.to_string());
    let (other, digest) = (name("long"), Digest::sha256_of(manifest.as_bytes()));
    for blob in [&config[..], &layer, manifest.as_bytes()] {
        storage
            .publish(&[Put::new(layout::blob(&Digest::sha256_of(blob)), blob.to_vec())])
            .await
            .unwrap();
    }
    put(layout::revision_link(&other, &digest), &digest.to_string()).await;
    let stored = Digest::sha256_of(&layer);
    put(layout::layer_link(&other, &by_sha512), &stored.to_string()).await;
    // Manifests without bytes, and directories that are no repositories.
    let gone = Digest::sha256_of(b"gone");
    put(layout::revision_link(&name("half"), &gone), &gone.to_string()).await;
    put(below(layout::uploads(&name("half/up")), "1/startedat"), "?").await;
    put(below(layout::repositories(), "README"), "?").await;
}

/// What a collection says of a store: for each repository its needs, then its losses and findings, and the garbage.
type Told = (
    BTreeMap<String, Vec<String>>,
    BTreeMap<String, String>,
    Vec<String>,
    Vec<Digest>,
);

async fn told(storage: &Arc<dyn Storage>, delete_untagged: bool) -> Told {
    let options = CollectOptions {
        delete_untagged,
        ..CollectOptions::default()
    };
    let collector = Collector::new(Arc::clone(storage), options);
    let mut told = None;
    // Also of what is remembered.
    for _ in 0..2 {
        let mut marking = collector.mark().await.unwrap();
        let mut marks = BTreeMap::new();
        while let Some(repository) = marking.next().await.unwrap() {
            let mut needed: Vec<String> = repository.marks.iter().map(|mark| format!("{mark:?}")).collect();
            needed.sort_unstable();
            assert_eq!(marks.insert(repository.name.to_string(), needed), None);
        }
        let marked = marking.finish().await.unwrap();
        let garbage = collector.garbage(marked).await.unwrap();
        let losses = garbage.repositories.iter();
        let losses = losses
            .map(|lost| (lost.name().to_owned(), format!("{lost:?}")))
            .collect();
        let mut findings: Vec<String> = garbage.findings.iter().map(ToString::to_string).collect();
        findings.sort_unstable();
        let blobs = garbage.blobs.iter().map(|blob| blob.digest).collect();
        let now = (marks, losses, findings, blobs);
        assert!(told.is_none() || told.as_ref() == Some(&now));
        told = Some(now);
    }
    told.unwrap()
}

#[tokio::test]
async fn a_listing_shows_what_directories_show() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk: Arc<dyn Storage> = Arc::new(FsStorage::open(directory.path()).unwrap());
    odd_tree(&*on_disk).await;
    let buckets: [Arc<dyn Storage>; 2] = [
        Arc::new(ObjectStorage::in_memory()),
        Arc::new(ObjectStorage::new(
            Arc::new(Hashed::new(Memory::new())),
            Path::default(),
        )),
    ];
    for bucket in &buckets {
        odd_tree(&**bucket).await;
    }
    for delete_untagged in [false, true] {
        let expected = told(&on_disk, delete_untagged).await;
        assert!(expected.2.len() >= 4 && !expected.3.is_empty(), "{expected:#?}");
        for bucket in &buckets {
            assert_eq!(told(bucket, delete_untagged).await, expected);
        }
    }
}

/// A registry over a bucket with garbage that a run may remove, its store, and the garbage.
async fn with_garbage() -> (OnlineCollector, Arc<Faulty>, Digest) {
    let storage = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let garbage = Digest::sha256_of(b"garbage");
    write(&*storage, &layout::blob(&garbage), "garbage").await;
    let options = Options {
        collect_grace: Duration::ZERO,
        ..Options::default()
    };
    let registry = Arc::new(Registry::new(Arc::clone(&storage) as _, options));
    (OnlineCollector::new(registry, false), storage, garbage)
}

/// A removal that comes late, or a listing that is old, would take what a push relies on.
#[tokio::test(start_paused = true)]
async fn nothing_is_collected_where_the_store_does_not_keep_what_removals_rely_on() {
    let (collector, storage, garbage) = with_garbage().await;
    for obstacle in [
        Obstacle::ObeysExpired,
        Obstacle::Stale,
        Obstacle::Unsorted,
        Obstacle::Unknown,
    ] {
        storage.obstruct(obstacle);
        let error = collector.collect().await.unwrap_err().to_string();
        assert_eq!(error, format!("nothing is collected: {obstacle}"));
        let dooms = storage.scan(&layout::dooms(), None, 1).await.unwrap();
        assert!(dooms.objects.is_empty(), "{obstacle}");
        let lease = storage.stat(&layout::collector_lease()).await;
        assert!(lease.unwrap_err().is_not_found(), "{obstacle}");
        storage.heal();
    }
    assert!(
        matches!(collector.collect().await.unwrap(), Collected::Done(report) if report.waiting.blobs == 1)
    );
    storage.stat(&layout::blob(&garbage)).await.unwrap();
}

/// A server that has just started tries what its store honours.
#[tokio::test(start_paused = true)]
async fn a_collection_waits_until_it_is_known_what_the_store_honours() {
    let (collector, storage, _) = with_garbage().await;
    storage.obstruct(Obstacle::Unknown);
    let probe = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        storage.heal();
    };
    let (collected, ()) = futures_util::future::join(collector.collect(), probe).await;
    assert!(matches!(collected.unwrap(), Collected::Done(report) if report.waiting.blobs == 1));
}

/// Longer than a doom waits to be confirmed.
const LATER: Duration = Duration::from_secs(31 * 60);

/// Two servers of one bucket, in which `other` may read layers that only `app` needs.
struct Shared {
    storage: Arc<dyn Storage>,
    servers: [Arc<Registry>; 2],
    manifest: String,
    layer: Digest,
}

impl Shared {
    async fn new() -> Self {
        let bucket = SlowBucket::quick(true);
        let storage = || -> Arc<dyn Storage> {
            Arc::new(ObjectStorage::new(Arc::new(bucket.clone()), Path::default()))
        };
        let servers = [over(storage()), over(storage())];
        let (app, other) = (name("app"), name("other"));
        let manifest = image(&servers[0], &app, "shared", "").await;
        put(&servers[0], &app, tag("1"), &manifest).await;
        image(&servers[0], &other, "shared", "").await;
        Self {
            storage: storage(),
            servers,
            manifest,
            layer: Digest::sha256_of(b"shared"),
        }
    }

    /// Collects, half an hour after the last time. Returns how many links went, and how many wait.
    async fn collect(&self) -> (u64, u64) {
        self.collect_after(LATER).await
    }

    async fn collect_after(&self, pause: Duration) -> (u64, u64) {
        tokio::time::sleep(pause).await;
        let collector = OnlineCollector::new(Arc::clone(&self.servers[0]), false);
        match collector.collect().await.unwrap() {
            Collected::Done(report) => {
                assert_eq!((report.removed.blobs, report.waiting.blobs), (0, 0), "{report:?}");
                (report.links, report.links_waiting)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn is_linked(&self, name: &RepoName) -> bool {
        let link = layout::layer_link(name, &self.layer);
        self.storage.stat(&link).await.is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_goes_whose_bytes_another_repository_needs() {
    let shared = Shared::new().await;
    assert_eq!(shared.collect().await, (0, 2), "config and layer");
    assert_eq!(shared.collect().await, (2, 0));
    assert!(shared.is_linked(&name("app")).await && !shared.is_linked(&name("other")).await);
    let refused = try_put(&shared.servers[1], &name("other"), tag("1"), &shared.manifest).await;
    assert!(
        matches!(refused, Err(Error::ManifestReferencesUnknown(_))),
        "{refused:?}"
    );
    shared.servers[1]
        .manifest(&name("app"), &tag("1").into())
        .await
        .unwrap();
    assert_eq!(shared.collect().await, (0, 0));
}

/// Another server tells a client that its repository has the layer. The manifest that comes then finds the link.
#[tokio::test(start_paused = true)]
async fn a_link_on_which_a_client_of_another_server_relies_stays() {
    let shared = Shared::new().await;
    let other = name("other");
    assert_eq!(shared.collect().await, (0, 2));
    tokio::time::sleep(LATER - Duration::from_secs(60)).await;
    let server = &shared.servers[1];
    let config = Digest::sha256_of(br#"{"config":"shared"}"#);
    for digest in [config, shared.layer] {
        server.blob_to_rely_on(&other, &digest).await.unwrap();
    }
    assert_eq!(shared.collect_after(Duration::from_secs(60)).await.0, 0);
    put(server, &other, tag("1"), &shared.manifest).await;
    for _ in 0..2 {
        assert_eq!(shared.collect().await, (0, 0));
        assert!(shared.is_linked(&other).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_swept_counts_as_absent_in_its_repository_alone() {
    let shared = Shared::new().await;
    let (app, other, server) = (name("app"), name("other"), &shared.servers[1]);
    assert_eq!(shared.collect().await, (0, 2));
    // What a run that has died was about to remove.
    let dooms = shared.storage.scan(&layout::dooms(), None, 9).await.unwrap();
    let doomed = dooms
        .objects
        .iter()
        .filter_map(|doom| layout::marked_digest(&doom.key));
    let lines: String = doomed.map(|digest| format!("{digest}\n")).collect();
    let flag = layout::sweep_flag(&uuid::Uuid::nil(), 1);
    write(&*shared.storage, &flag, &lines).await;
    tokio::time::sleep(Duration::from_secs(300)).await;

    let found = server.blob_to_rely_on(&other, &shared.layer).await;
    assert!(matches!(found, Err(Error::BlobUnknown { .. })), "{found:?}");
    let mounted = server
        .mount_blob(&caller(), &other, &shared.layer, Some(&app))
        .await;
    assert_eq!(mounted.unwrap(), None);
    let pushed = try_put(server, &other, tag("1"), &shared.manifest).await;
    assert!(
        matches!(pushed, Err(Error::ManifestReferencesUnknown(_))),
        "{pushed:?}"
    );
    // Neither a pull nor the other repository is concerned.
    server.blob(&other, &shared.layer).await.unwrap();
    server.blob_to_rely_on(&app, &shared.layer).await.unwrap();
    put(server, &app, tag("2"), &shared.manifest).await;

    // The next run lowers the flag. It could confirm the doom, but what was pinned stays.
    assert_eq!(shared.collect_after(LATER - Duration::from_secs(300)).await.0, 0);
    assert!(shared.is_linked(&other).await);
    put(server, &other, tag("1"), &shared.manifest).await;
    assert_eq!(shared.collect().await, (0, 0));
}
