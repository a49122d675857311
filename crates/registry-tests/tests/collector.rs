//! Collectors beside pushes, on replicas over one slow bucket and on one registry over a directory: what was acknowledged
//! stays, and garbage goes.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{Either, join_all, select};
use object_store::path::Path;
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use wharf_oci::{Algorithm, Digest, RepoName, Tag, media_type};
use wharf_registry::{
    Condemned, Error, Registry, Result, Run,
    collect::{CollectOptions, Collector, Garbage},
};
use wharf_storage::{
    ErrorKind, Key, Operation, Put, Removal, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    object::ObjectStorage,
};

use crate::{
    common::{caller, image, name, over, push_blob, put, tag, try_put},
    slow_bucket::{Random, SlowBucket},
};

const HOUR: Duration = Duration::from_secs(3600);

/// What happened in a schedule, to tell that it was not in vain.
#[derive(Debug, Default)]
struct Counts {
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    failed: AtomicUsize,
    swept: AtomicUsize,
    runs: AtomicUsize,
    died: AtomicUsize,
}

fn count(counter: &AtomicUsize, more: usize) {
    counter.fetch_add(more, Relaxed);
}

/// The digests that lose something, with what goes with each.
fn condemned(garbage: &Garbage) -> BTreeMap<Digest, Vec<Key>> {
    let mut keys: BTreeMap<Digest, Vec<Key>> = BTreeMap::new();
    for repository in &garbage.repositories {
        let name = name(repository.name());
        for (tag, digest) in &repository.history {
            let link = layout::tag_history_link(&name, tag, digest);
            keys.entry(*digest).or_default().push(link);
        }
        for manifest in &repository.manifests {
            let link = layout::revision_link(&name, &manifest.digest);
            keys.entry(manifest.digest).or_default().push(link);
        }
        for layer in &repository.layers {
            keys.entry(*layer)
                .or_default()
                .push(layout::layer_link(&name, layer));
        }
    }
    for blob in &garbage.blobs {
        let bytes = layout::blob(&blob.digest);
        keys.entry(blob.digest).or_default().push(bytes);
    }
    keys
}

/// Marks, and does what the run allows. Returns how many digests were swept.
async fn collect(storage: &Arc<dyn Storage>, mut run: Run) -> Result<usize> {
    let options = CollectOptions {
        delete_untagged: true,
        ..CollectOptions::default()
    };
    let collector = Collector::new(Arc::clone(storage), options);
    let marked = collector.mark().await.unwrap().finish().await?;
    let mut keys = condemned(&collector.garbage(marked).await?);
    let garbage: Vec<Digest> = keys.keys().copied().collect();
    let confirmed = run.judge(&garbage).await?;
    let confirmed: Vec<Condemned> = confirmed
        .into_iter()
        .map(|digest| Condemned {
            digest,
            keys: keys.remove(&digest).unwrap_or_default(),
        })
        .collect();
    let swept = run.sweep(&confirmed).await?;
    run.end().await?;
    Ok(swept.len())
}

/// A replica that collects from time to time, dies in the middle, or stands still and goes on much later.
async fn collect_often(
    registry: Arc<Registry>,
    storage: Arc<dyn Storage>,
    random: Random,
    end: Instant,
    counts: Arc<Counts>,
) {
    while Instant::now() < end {
        sleep(random.seconds_below(40 * 60)).await;
        let collected = async {
            match registry.begin_collection().await? {
                Some(run) => collect(&storage, run).await,
                None => Ok(0),
            }
        };
        let (collected, pause) = (pin!(collected), pin!(sleep(random.seconds_below(15 * 60))));
        let swept = match (select(collected, pause).await, random.below(3)) {
            (Either::Left((swept, _)), _) => swept,
            (Either::Right((_, collected)), 0) => {
                sleep(random.seconds_below(90 * 60)).await;
                collected.await
            }
            (Either::Right(_), 1) => {
                count(&counts.died, 1);
                continue;
            }
            (Either::Right((_, collected)), _) => collected.await,
        };
        count(&counts.runs, 1);
        count(&counts.swept, swept.unwrap_or_default());
    }
}

/// The manifest of an image with a config and a layer that other clients push as well.
fn manifest(config: &[u8], layer: &[u8]) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":{}}},"layers":[{{"mediaType":"{}","digest":"{}","size":{}}}]}}"#,
        media_type::OCI_MANIFEST,
        "application/vnd.oci.image.config.v1+json",
        Digest::sha256_of(config),
        config.len(),
        "application/vnd.oci.image.layer.v1.tar",
        Digest::sha256_of(layer),
        layer.len(),
    )
}

/// Pushes a blob as clients do: only if the registry does not have it.
async fn offer(registry: &Arc<Registry>, app: &RepoName, bytes: &[u8]) -> Result<()> {
    let digest = Digest::sha256_of(bytes);
    match registry.blob_to_rely_on(app, &digest).await {
        Err(Error::BlobUnknown { .. }) => {}
        found => return found.map(drop),
    }
    let id = registry.start_upload(app).await?;
    let mut upload = registry.open_upload(app, &id).await?;
    upload.write(Bytes::copy_from_slice(bytes)).await?;
    upload.finish(&caller(), &digest).await.map(drop)
}

async fn push(
    registry: &Arc<Registry>,
    app: &RepoName,
    as_tag: &Tag,
    config: &str,
    layer: &str,
) -> Result<Digest> {
    offer(registry, app, config.as_bytes()).await?;
    offer(registry, app, layer.as_bytes()).await?;
    let manifest = manifest(config.as_bytes(), layer.as_bytes());
    let pushed = try_put(registry, app, as_tag.clone(), &manifest).await?;
    Ok(pushed.digest)
}

/// Asserts that all of an image is in the bucket.
async fn assert_whole(content: &Arc<Registry>, app: &RepoName, image: &Tag, digest: Digest) {
    let found = content.manifest(app, &image.clone().into()).await;
    let found = found.unwrap_or_else(|error| panic!("{app}:{image}: {error}"));
    assert_eq!(found.digest, digest);
    let view = wharf_oci::ManifestView::parse_stored(&found.bytes).unwrap();
    for blob in view.config.iter().chain(&view.layers) {
        let blob = content.blob(app, &blob.digest).await;
        blob.unwrap_or_else(|error| panic!("{app}:{image}: {error}"));
    }
}

/// A client that has a tag of its own, pushes an image, looks whether it stays whole, and removes the tag.
async fn push_often(
    replicas: Vec<Arc<Registry>>,
    content: Arc<Registry>,
    number: u64,
    random: Random,
    end: Instant,
    counts: Arc<Counts>,
) {
    let (app, own) = (
        name(if number.is_multiple_of(2) { "app" } else { "other" }),
        tag(&format!("t{number}")),
    );
    let replica = || random.one_of(&replicas);
    while Instant::now() < end {
        sleep(random.seconds_below(30 * 60)).await;
        let (config, layer) = (
            format!("config {}", random.below(3)),
            format!("layer {}", random.below(3)),
        );
        match push(replica(), &app, &own, &config, &layer).await {
            Ok(digest) => {
                count(&counts.acknowledged, 1);
                for _ in 0..random.below(4) {
                    sleep(random.seconds_below(40 * 60)).await;
                    assert_whole(&content, &app, &own, digest).await;
                }
            }
            Err(Error::ManifestReferencesUnknown(_) | Error::Busy { .. }) => count(&counts.refused, 1),
            Err(Error::Storage(_)) => count(&counts.failed, 1),
            Err(error) => panic!("{error}"),
        }
        // Until it is certain: the next round counts on it.
        loop {
            match replica().delete_tag(&caller(), &app, &own).await {
                Ok(()) | Err(Error::ManifestUnknown { .. }) => break,
                Err(_) => sleep(Duration::from_secs(60)).await,
            }
        }
        // A put that lost its caller has arrived by then.
        sleep(Duration::from_secs(600)).await;
    }
}

/// Three replicas, each with a collector, and five clients, for a day and a half.
async fn schedule(seed: u64, honours_conditions: bool) -> Arc<Counts> {
    let random = Random::new(seed);
    let bucket = SlowBucket::new(random.clone(), honours_conditions);
    let content: Arc<dyn Storage> = Arc::new(ObjectStorage::new(Arc::new(bucket.content()), Path::default()));
    let content = over(content);
    let store =
        || -> Arc<dyn Storage> { Arc::new(ObjectStorage::new(Arc::new(bucket.clone()), Path::default())) };
    let stores: Vec<Arc<dyn Storage>> = (0..3).map(|_| store()).collect();
    let replicas: Vec<Arc<Registry>> = stores.iter().map(|store| over(Arc::clone(store))).collect();
    let (end, counts) = (Instant::now() + 36 * HOUR, Arc::new(Counts::default()));
    let collectors = replicas.iter().zip(&stores).map(|(registry, store)| {
        let (registry, store) = (Arc::clone(registry), Arc::clone(store));
        tokio::spawn(collect_often(
            registry,
            store,
            random.clone(),
            end,
            Arc::clone(&counts),
        ))
    });
    let clients = (0..5).map(|number| {
        let (replicas, content) = (replicas.clone(), Arc::clone(&content));
        tokio::spawn(push_often(
            replicas,
            content,
            number,
            random.clone(),
            end,
            Arc::clone(&counts),
        ))
    });
    let tasks: Vec<_> = collectors.chain(clients).collect();
    for ended in join_all(tasks).await {
        ended.unwrap();
    }
    counts
}

async fn schedules(honours_conditions: bool) {
    let mut totals = [0; 6];
    for seed in 0..12 {
        let counts = schedule(seed, honours_conditions).await;
        let Counts {
            acknowledged,
            refused,
            failed,
            swept,
            runs,
            died,
        } = &*counts;
        for (total, counter) in totals
            .iter_mut()
            .zip([acknowledged, refused, failed, swept, runs, died])
        {
            *total += counter.load(Relaxed);
        }
    }
    assert!(
        totals.iter().all(|total| *total > 0),
        "something never happened: {totals:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_acknowledged_image_loses_a_blob_on_a_slow_bucket() {
    schedules(true).await;
}

#[tokio::test(start_paused = true)]
async fn no_acknowledged_image_loses_a_blob_on_a_slow_bucket_that_ignores_conditions() {
    schedules(false).await;
}

/// Longer than a doom waits to be confirmed, and a lease for its run.
const LATER: Duration = Duration::from_secs(31 * 60);

/// A registry, and its store.
struct Scene {
    registry: Arc<Registry>,
    storage: Arc<dyn Storage>,
}

impl Scene {
    fn of(storage: Arc<dyn Storage>) -> Self {
        Self {
            registry: over(Arc::clone(&storage)),
            storage,
        }
    }

    fn bucket() -> Self {
        Self::over(&SlowBucket::quick(true))
    }

    fn over(bucket: &SlowBucket) -> Self {
        let bucket = Arc::new(bucket.clone());
        Self::of(Arc::new(ObjectStorage::new(bucket, Path::default())))
    }

    /// A run, half an hour after the one before.
    async fn collect(&self) -> usize {
        sleep(LATER).await;
        let run = self.registry.begin_collection().await.unwrap();
        collect(&self.storage, run.unwrap()).await.unwrap()
    }

    /// An image that had a tag.
    async fn untagged_image(&self) -> String {
        let app = name("app");
        let manifest = image(&self.registry, &app, "content", "").await;
        put(&self.registry, &app, tag("1"), &manifest).await;
        self.registry
            .delete_tag(&caller(), &app, &tag("1"))
            .await
            .unwrap();
        manifest
    }

    async fn has(&self, content: &[u8]) -> bool {
        let blob = layout::blob(&Digest::sha256_of(content));
        self.storage.stat(&blob).await.is_ok()
    }

    async fn pinned(&self) -> Vec<Digest> {
        let pins = self.storage.scan(&layout::pins(), None, 1000).await.unwrap();
        let pinned = pins
            .objects
            .iter()
            .filter_map(|pin| layout::marked_digest(&pin.key));
        pinned.collect()
    }

    /// The flag of a sweep of all that is doomed.
    async fn raise_flag(&self) {
        let dooms = self.storage.scan(&layout::dooms(), None, 1000).await.unwrap();
        let doomed = dooms
            .objects
            .iter()
            .filter_map(|doom| layout::marked_digest(&doom.key));
        let lines: String = doomed.map(|digest| format!("{digest}\n")).collect();
        self.storage.publish(&[Put::new(flag(), lines)]).await.unwrap();
    }

    async fn lower_flag(&self) {
        let (key, keep) = (flag(), layout::pins());
        self.storage.remove_many(&[Removal { key, keep }]).await.unwrap();
    }
}

/// The flag of a run that has died.
fn flag() -> Key {
    layout::sweep_flag(&Uuid::nil(), 1)
}

/// Runs a story on a bucket, and on a directory.
macro_rules! on_both {
    ($($story:ident)*) => {
        $(mod $story {
            #[tokio::test(start_paused = true)]
            async fn in_a_bucket() {
                super::$story(super::Scene::bucket()).await;
            }

            #[tokio::test(start_paused = true)]
            async fn in_a_directory() {
                let directory = tempfile::tempdir().unwrap();
                let storage = super::FsStorage::open(directory.path()).unwrap();
                super::$story(super::Scene::of(std::sync::Arc::new(storage))).await;
            }
        })*
    };
}

on_both! {
    garbage_goes_by_the_second_run
    what_a_client_was_told_is_kept_for_another_round
    one_run_is_under_way_at_a_time
}

async fn garbage_goes_by_the_second_run(scene: Scene) {
    let manifest = scene.untagged_image().await;
    let kept = image(&scene.registry, &name("app"), "other content", "").await;
    put(&scene.registry, &name("app"), tag("2"), &kept).await;
    assert_eq!(scene.collect().await, 0, "doomed");
    assert!(scene.has(b"content").await);
    assert_eq!(scene.collect().await, 3, "the manifest, its config, its layer");
    assert!(!scene.has(b"content").await && !scene.has(manifest.as_bytes()).await);
    assert!(scene.has(b"other content").await && scene.has(kept.as_bytes()).await);
    put(&scene.registry, &name("app"), tag("2"), &kept).await;
    let marks = scene
        .storage
        .scan(&Key::new("wharf/gc").unwrap(), None, 9)
        .await
        .unwrap();
    let marks: Vec<&str> = marks.objects.iter().map(|mark| mark.key.as_str()).collect();
    let lease = layout::collector_lease();
    assert!(marks.is_empty() || marks == [lease.as_str()], "{marks:?}");
}

async fn what_a_client_was_told_is_kept_for_another_round(scene: Scene) {
    let app = name("app");
    scene.untagged_image().await;
    scene.collect().await;
    let layer = Digest::sha256_of(b"content");
    sleep(LATER).await;
    scene.registry.blob_to_rely_on(&app, &layer).await.unwrap();
    let run = scene.registry.begin_collection().await.unwrap().unwrap();
    assert_eq!(collect(&scene.storage, run).await.unwrap(), 2);
    assert!(
        scene.has(b"content").await,
        "a client that pushes was told that it is there"
    );
    scene.collect().await;
    assert!(scene.has(b"content").await, "doomed anew");
    assert_eq!(scene.collect().await, 1);
    assert!(!scene.has(b"content").await, "the client never came back");
}

async fn one_run_is_under_way_at_a_time(scene: Scene) {
    let begin = || scene.registry.begin_collection();
    let first = begin().await.unwrap().unwrap();
    assert!(begin().await.unwrap().is_none());
    first.end().await.unwrap();
    let second = begin().await.unwrap().unwrap();
    assert!(begin().await.unwrap().is_none());
    // It dies, or is thought dead.
    drop(second);
    begin().await.unwrap();
    sleep(LATER).await;
    if begin().await.unwrap().is_none() {
        sleep(LATER).await;
        assert!(begin().await.unwrap().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lost_its_lease_removes_nothing() {
    let scene = Scene::bucket();
    scene.untagged_image().await;
    scene.collect().await;
    sleep(LATER).await;
    let mut stopped = scene.registry.begin_collection().await.unwrap().unwrap();
    let confirmed = stopped.judge(&[Digest::sha256_of(b"content")]).await.unwrap();
    let condemned = confirmed.iter().map(|digest| Condemned {
        digest: *digest,
        keys: vec![layout::blob(digest)],
    });
    let condemned: Vec<Condemned> = condemned.collect();
    assert_eq!(condemned.len(), 1);
    let other = over(Arc::clone(&scene.storage));
    assert!(other.begin_collection().await.unwrap().is_none());
    sleep(LATER).await;
    assert!(other.begin_collection().await.unwrap().is_some());
    let error = stopped.sweep(&condemned).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    assert!(scene.has(b"content").await);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stood_still_while_it_renewed_its_lease_removes_nothing() {
    // The store ignores conditions, so the renewal overwrites the lease of the successor.
    let bucket = SlowBucket::quick(false);
    let (scene, faulty) = (
        Scene::over(&bucket),
        Arc::new(Faulty::new(Scene::over(&bucket).storage)),
    );
    let stopped = Scene::of(Arc::clone(&faulty) as _);
    scene.untagged_image().await;
    scene.collect().await;
    sleep(LATER).await;
    let mut run = stopped.registry.begin_collection().await.unwrap().unwrap();
    let layer = Digest::sha256_of(b"content");
    assert_eq!(run.judge(&[layer]).await.unwrap(), [layer]);
    let condemned = [Condemned {
        digest: layer,
        keys: vec![layout::blob(&layer)],
    }];
    sleep(Duration::from_secs(31)).await;
    let pause = Fault::delay(3 * LATER)
        .on(Operation::Publish)
        .key("gc/lease")
        .times(1);
    faulty.inject(pause);
    let successor = async {
        assert!(scene.registry.begin_collection().await.unwrap().is_none());
        sleep(LATER).await;
        assert!(scene.registry.begin_collection().await.unwrap().is_some());
    };
    let (swept, ()) = futures_util::join!(run.sweep(&condemned), successor);
    assert!(matches!(swept, Err(Error::Busy { .. })), "{swept:?}");
    assert!(scene.has(b"content").await);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_fails_lowers_its_flag() {
    let faulty = Arc::new(Faulty::new(Scene::bucket().storage));
    let scene = Scene::of(Arc::clone(&faulty) as _);
    scene.untagged_image().await;
    scene.collect().await;
    sleep(LATER).await;
    let mut run = scene.registry.begin_collection().await.unwrap().unwrap();
    let layer = Digest::sha256_of(b"content");
    assert_eq!(run.judge(&[layer]).await.unwrap(), [layer]);
    let condemned = Condemned {
        digest: layer,
        keys: vec![layout::blob(&layer)],
    };
    faulty.inject(Fault::before(ErrorKind::Other).on(Operation::Scan).times(1));
    let swept = run.sweep(std::slice::from_ref(&condemned)).await;
    assert!(matches!(swept, Err(Error::Storage(_))), "{swept:?}");
    let flags = scene.storage.scan(&layout::sweep_flags(), None, 9).await;
    assert!(flags.unwrap().objects.is_empty());
    // The removal takes effect, and its answer is lost.
    faulty.inject(
        Fault::after_effect(ErrorKind::Other)
            .on(Operation::Remove)
            .key("/data")
            .times(1),
    );
    let begun = Instant::now();
    assert_eq!(
        run.sweep(std::slice::from_ref(&condemned)).await.unwrap(),
        [layer]
    );
    assert!(
        begun.elapsed() >= Duration::from_secs(5 * 60),
        "it waits until it is certain"
    );
    // Neither effect nor answer.
    push_blob(&scene.registry, &name("app"), b"content").await;
    faulty.inject(
        Fault::before(ErrorKind::Other)
            .on(Operation::Remove)
            .key("/data")
            .times(1),
    );
    assert!(run.sweep(&[condemned]).await.unwrap().is_empty());
    assert!(scene.has(b"content").await);
}

#[tokio::test(start_paused = true)]
async fn what_is_swept_counts_as_absent_and_an_upload_of_it_waits() {
    let scene = Scene::bucket();
    let (app, registry) = (name("app"), &scene.registry);
    let manifest = scene.untagged_image().await;
    let layer = Digest::sha256_of(b"content");
    scene.collect().await;
    registry.blob_to_rely_on(&app, &layer).await.unwrap();

    scene.raise_flag().await;
    let found = registry.blob_to_rely_on(&app, &layer).await;
    assert!(matches!(found, Err(Error::BlobUnknown { .. })), "{found:?}");
    let mounted = registry
        .mount_blob(&caller(), &name("other"), &layer, Some(&app))
        .await;
    assert_eq!(mounted.unwrap(), None);
    let pushed = try_put(registry, &app, tag("1"), &manifest).await;
    assert!(
        matches!(pushed, Err(Error::Busy { .. })),
        "its own bytes are doomed as well: {pushed:?}"
    );
    let another = manifest
        .replace("\n", "")
        .replace("schemaVersion\":2", "schemaVersion\": 2");
    let pushed = try_put(registry, &app, tag("1"), &another).await;
    let Err(Error::ManifestReferencesUnknown(missing)) = pushed else {
        panic!("{pushed:?}")
    };
    assert_eq!(missing.len(), 2);

    let begun = Instant::now();
    let upload = push_blob(registry, &app, b"content");
    let lower = async {
        sleep(Duration::from_secs(5)).await;
        scene.lower_flag().await;
    };
    futures_util::join!(upload, lower);
    assert!(
        begun.elapsed() >= Duration::from_secs(5),
        "the upload waits for the end of the sweep"
    );
    put(registry, &app, tag("1"), &manifest).await;
    assert_eq!(scene.collect().await, 0);
    assert!(scene.has(b"content").await && scene.has(manifest.as_bytes()).await);
}

/// The link of a layer by its SHA-512 leads to bytes that lie under their SHA-256, in a tree that registry:2 wrote.
#[tokio::test(start_paused = true)]
async fn what_a_link_leads_to_is_pinned_with_what_it_is_named_by() {
    let scene = Scene::bucket();
    let (app, content) = (name("app"), b"content by two names");
    let stored = push_blob(&scene.registry, &app, content).await;
    let named = Digest::of(Algorithm::Sha512, content);
    let link = Put::new(layout::layer_link(&app, &named), stored.to_string());
    let doom = Put::new(layout::doom(&stored), "");
    scene.storage.publish(&[link, doom]).await.unwrap();
    sleep(LATER).await;

    let config = push_blob(&scene.registry, &app, b"{}").await;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{named}","size":{}}}]}}"#,
        media_type::OCI_MANIFEST,
        content.len()
    );
    put(&scene.registry, &app, tag("1"), &manifest).await;
    assert_eq!(scene.pinned().await, [stored]);

    let other = name("other");
    scene.raise_flag().await;
    let mounted = scene
        .registry
        .mount_blob(&caller(), &other, &named, Some(&app))
        .await;
    assert_eq!(mounted.unwrap(), None, "its bytes are being removed");
}
