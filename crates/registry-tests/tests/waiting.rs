//! Waits for locks and for other requests: bounded, in order, and left by requests whose clients hang up.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::join_all};
use object_store::{
    path::Path,
    throttle::{ThrottleConfig, ThrottledStore},
};
use tokio::time;
use wharf_budget::{Budget, Limits, Machine};
use wharf_oci::{Digest, Reference, RepoName};
use wharf_registry::{Error, ManifestPush, Options, Precondition, PreparedManifest, Registry, Result};
use wharf_storage::{
    Operation, Storage,
    metered::{Metered, Meters},
    object::{Memory, ObjectStorage},
};

use crate::common::{caller, image, index, name, push_blob, put, registry, tag, try_put};

/// Longer than any request waits.
const PATIENT: Duration = Duration::from_secs(60);

/// Prepares a push of `manifest` to the tag `1`.
async fn prepare(registry: &Registry, name: &RepoName, manifest: &str) -> Result<PreparedManifest> {
    let push = ManifestPush {
        reference: &Reference::Tag(tag("1")),
        tags: &[],
        content_type: None,
        bytes: &Bytes::copy_from_slice(manifest.as_bytes()),
        condition: &Precondition::default(),
        creates_only: false,
    };
    registry.prepare_manifest(name, push).await
}

#[tokio::test]
async fn pushes_whose_clients_hang_up_leave_the_queue_of_their_tag() {
    let (registry, _) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "first", "").await;
    let honest = image(&registry, &app, "honest", "").await;
    let held = prepare(&registry, &app, &manifest).await.unwrap();
    let mut hanging = Box::pin(join_all((0..500).map(|_| prepare(&registry, &app, &manifest))));
    assert!(hanging.as_mut().now_or_never().is_none(), "the tag is locked");
    let waiting = tokio::spawn({
        let (registry, app, honest) = (Arc::clone(&registry), app.clone(), honest.clone());
        async move { put(&registry, &app, tag("1"), &honest).await }
    });
    tokio::task::yield_now().await;
    drop(hanging);
    registry.publish_manifest(&caller(), held).await.unwrap();
    let pushed = waiting.await.unwrap();
    let found = registry.manifest(&app, &tag("1").into()).await.unwrap();
    assert_eq!((found.digest, &*found.bytes), (pushed, honest.as_bytes()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_tag_has_a_limit() {
    let (registry, _) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let held = prepare(&registry, &app, &manifest).await.unwrap();
    let wait = time::timeout(PATIENT, prepare(&registry, &app, &manifest));
    let error = wait.await.expect("the wait has a limit of its own").unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    let (caller, tag) = (caller(), tag("1"));
    let delete = time::timeout(PATIENT, registry.delete_tag(&caller, &app, &tag));
    assert!(matches!(delete.await.unwrap(), Err(Error::Busy { .. })));
    drop(held);
    prepare(&registry, &app, &manifest).await.unwrap();
}

/// Hashing 1 GB takes seconds, in which nothing else may wait for it.
#[tokio::test(start_paused = true)]
async fn a_blob_that_is_hashed_again_is_not_locked() {
    let slow = ThrottleConfig {
        wait_get_per_byte: Duration::from_millis(1),
        ..ThrottleConfig::default()
    };
    let store = ThrottledStore::new(Memory::new(), slow);
    let storage = Arc::new(ObjectStorage::new(Arc::new(store), Path::default()));
    let options = Options {
        delete_enabled: true,
        ..Options::default()
    };
    let registry = Arc::new(Registry::new(storage, options));
    let (app, content) = (name("app"), "x".repeat(100_000));
    let manifest = image(&registry, &app, &content, "").await;
    let wrong_size = manifest.replace(":100000}", ":99999}");
    assert_ne!(manifest, wrong_size);
    let push = tokio::spawn({
        let (registry, app) = (Arc::clone(&registry), app.clone());
        async move { try_put(&registry, &app, tag("1"), &wrong_size).await }
    });
    time::sleep(Duration::from_secs(20)).await;
    assert!(!push.is_finished(), "it reads the layer for 100 seconds");
    let digest = Digest::sha256_of(content.as_bytes());
    registry
        .delete_blob(&caller(), &app, &digest, false)
        .await
        .unwrap();
    assert!(!push.is_finished(), "the deletion did not wait for it");
    let error = push.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::ManifestReferencesUnknown(_)), "{error}");
    push_blob(&registry, &app, content.as_bytes()).await;
    put(&registry, &app, tag("1"), &manifest).await;
}

/// How many objects were read so far.
/// An index may name hundreds of manifests of 4 MiB.
#[tokio::test(start_paused = true)]
async fn a_large_manifest_that_an_index_lists_is_not_locked_while_it_is_read() {
    let slow = ThrottleConfig {
        wait_get_per_byte: Duration::from_millis(1),
        ..ThrottleConfig::default()
    };
    let store = ThrottledStore::new(Memory::new(), slow);
    let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::new(Arc::new(store), Path::default()));
    let options = Options {
        delete_enabled: true,
        ..Options::default()
    };
    let earlier = Arc::new(Registry::new(Arc::clone(&storage), options.clone()));
    let app = name("app");
    let extra = format!(r#","annotations":{{"long":"{}"}}"#, "x".repeat(100_000));
    let manifest = image(&earlier, &app, "content", &extra).await;
    let child = put(&earlier, &app, tag("child"), &manifest).await;
    let index = index(&[(child, manifest.len())]);

    // It does not remember the manifest.
    let registry = Arc::new(Registry::new(storage, options));
    let push = || {
        let (registry, app, index) = (Arc::clone(&registry), app.clone(), index.clone());
        tokio::spawn(async move { try_put(&registry, &app, tag("index"), &index).await })
    };
    let first = push();
    time::sleep(Duration::from_secs(20)).await;
    assert!(!first.is_finished(), "it reads the manifest for 100 seconds");
    let (caller, force) = (caller(), true);
    let deleted = registry.delete_manifest(&caller, &app, &child, force).await;
    assert_eq!(deleted.unwrap(), [tag("child")]);
    assert!(!first.is_finished(), "the deletion did not wait for it");
    let error = first.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::ManifestReferencesUnknown(_)), "{error}");
    put(&earlier, &app, tag("child"), &manifest).await;
    push().await.unwrap().unwrap();
}

fn reads(meters: &Meters) -> u64 {
    let measured = meters.snapshot();
    let reads = measured
        .iter()
        .find(|measured| measured.operation == Operation::Read);
    reads.map_or(0, |reads| reads.calls)
}

/// An index that names its children again and again, and many requests at once for what refers to it.
#[tokio::test]
async fn many_requests_for_referrers_read_the_manifests_once() {
    let metered = Metered::new(Arc::new(ObjectStorage::in_memory()));
    let meters = metered.meters();
    let storage: Arc<dyn Storage> = Arc::new(metered);
    let app = name("app");
    let pushed = Arc::new(Registry::new(Arc::clone(&storage), Options::default()));
    let manifest = image(&pushed, &app, "content", "").await;
    let child = put(&pushed, &app, tag("child"), &manifest).await;
    let often = index(&vec![(child, manifest.len()); 24_000]);
    assert!(often.len() > 3 << 20);
    for turn in 0..4 {
        put(
            &pushed,
            &app,
            tag(&format!("t{turn}")),
            &format!("{often}{}", " ".repeat(turn)),
        )
        .await;
    }
    let fresh = Registry::new(storage, Options::default());
    let before = reads(&meters);
    let requests = (0..32).map(|_| fresh.referrers(&app, &child, None, None));
    for page in join_all(requests).await {
        assert!(page.unwrap().descriptors.is_empty());
    }
    // The image is read once, and each index twice: its size is known when it was not read whole.
    assert_eq!(reads(&meters) - before, 1 + 2 * 4);
}

#[tokio::test]
async fn a_page_of_large_referrers_is_charged_to_the_budget() {
    let (_, storage) = registry();
    let budget = Budget::new(Limits {
        bodies: 1 << 20,
        ..Limits::of(Machine::read())
    });
    let registry = Arc::new(Registry::new(storage, Options::default()).with_budget(budget.clone()));
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let subject = put(&registry, &app, tag("1"), &manifest).await;
    for number in 0..2 {
        let extra = format!(
            r#","subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject}","size":{}}},"annotations":{{"x":"{number}{}"}}"#,
            manifest.len(),
            "x".repeat(100_000)
        );
        let referrer = image(&registry, &app, "content", &extra).await;
        put(&registry, &app, tag(&format!("r{number}")), &referrer).await;
    }
    let page = registry.referrers(&app, &subject, None, None).await.unwrap();
    assert_eq!(page.descriptors.len(), 2);
    assert!(budget.bodies.used() > 200_000, "{budget:?}");
    let error = registry.referrers(&app, &subject, None, None).await.unwrap_err();
    assert!(matches!(error, Error::Exhausted(_)), "{error}");
    drop(page);
    assert_eq!(budget.bodies.used(), 0);
    registry.referrers(&app, &subject, None, None).await.unwrap();
}
