//! Events: each operation reports exactly what happened, in order, and nothing when it fails or no subscriber listens.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use async_trait::async_trait;
use bytes::Bytes;
use wharf_oci::{Digest, Reference, RepoName, Tag, media_type, referrers_tag};
use wharf_registry::{
    Caller, CallerFacts, Error, Event, EventKind, ManifestPush, Options, Origin, Precondition, Pull, Pulled,
    Registry, Subscriber, Surface,
};
use wharf_storage::object::ObjectStorage;

use crate::common::{about, caller, image, index, name, push_blob, tag, try_put};

/// Keeps the events that it is told.
#[derive(Debug, Default)]
struct Recorder {
    ignores_pulls: bool,
    delivered: Mutex<Vec<Event>>,
    tried: Mutex<Vec<Event>>,
    observed: Mutex<Vec<String>>,
}

#[async_trait]
impl Subscriber for Recorder {
    fn wants_pulls(&self) -> bool {
        !self.ignores_pulls
    }

    fn observe(&self, pull: Pull<'_>) {
        let caller = pull.caller.facts();
        let what = match pull.content {
            Pulled::Manifest { manifest, tag } => format!("{} {}", manifest.digest, text(tag)),
            Pulled::Blob { digest, size } => format!("{digest} {size}"),
        };
        let actor = caller.actor.unwrap_or("-");
        let line = format!("{actor} {} {}: {what}", caller.method, pull.repository);
        self.observed.lock().unwrap().push(line);
    }

    async fn deliver(&self, event: &Event) {
        // Being told of an event takes time; the operation waits.
        tokio::task::yield_now().await;
        self.delivered.lock().unwrap().push(event.clone());
    }

    fn try_deliver(&self, event: &Event) {
        self.tried.lock().unwrap().push(event.clone());
    }
}

impl Recorder {
    /// Changes since the last time, each in a line.
    fn changes(&self) -> Vec<String> {
        self.delivered
            .lock()
            .unwrap()
            .drain(..)
            .map(|event| line(&event))
            .collect()
    }

    /// Pulls since the last time, each in a line.
    fn pulls(&self) -> Vec<String> {
        self.tried
            .lock()
            .unwrap()
            .drain(..)
            .map(|event| line(&event))
            .collect()
    }
}

fn text(tag: Option<&Tag>) -> String {
    tag.map_or("-".to_owned(), Tag::to_string)
}

fn line(event: &Event) -> String {
    let text = |tag: &Option<Tag>| text(tag.as_ref());
    let what = match &event.kind {
        EventKind::ManifestPushed { manifest, tag } => format!(
            "push manifest {} {} {}",
            manifest.digest,
            manifest.media_type,
            text(tag)
        ),
        EventKind::ManifestPulled { manifest, tag } => format!(
            "pull manifest {} {} {}",
            manifest.digest,
            manifest.media_type,
            text(tag)
        ),
        EventKind::ManifestDeleted { digest } => format!("delete manifest {digest}"),
        EventKind::TagDeleted { tag } => format!("delete tag {tag}"),
        EventKind::BlobPushed { digest, size } => format!("push blob {digest} {size}"),
        EventKind::BlobPulled { digest, size } => format!("pull blob {digest} {size}"),
        EventKind::BlobMounted { digest, size, from } => {
            let from = from.as_ref().map_or("-", RepoName::as_str);
            format!("mount blob {digest} {size} {from}")
        }
        EventKind::BlobDeleted { digest } => format!("delete blob {digest}"),
    };
    format!("{}: {what}", event.repository)
}

/// A caller that counts how often its origin is made.
#[derive(Default)]
struct CountingCaller(AtomicUsize);

impl Caller for CountingCaller {
    fn origin(&self) -> Arc<Origin> {
        self.0.fetch_add(1, Relaxed);
        Arc::new(Origin {
            actor: Some("alice".into()),
            surface: Surface::Distribution,
            request: None,
        })
    }

    fn facts(&self) -> CallerFacts<'_> {
        CallerFacts {
            actor: Some("alice"),
            method: "GET",
            ..CallerFacts::default()
        }
    }
}

fn registry_with(subscribers: &[&Arc<Recorder>]) -> Arc<Registry> {
    let options = Options {
        delete_enabled: true,
        ..Options::default()
    };
    let registry = Registry::new(Arc::new(ObjectStorage::in_memory()), options);
    Arc::new(subscribers.iter().fold(registry, |registry, subscriber| {
        registry.with_subscriber(Arc::clone(subscriber) as _)
    }))
}

fn recorded() -> (Arc<Registry>, Arc<Recorder>, RepoName) {
    let recorder = Arc::new(Recorder::default());
    (registry_with(&[&recorder]), recorder, name("team/app"))
}

async fn put_tags(
    registry: &Registry,
    caller: &dyn Caller,
    reference: &Reference,
    tags: &[Tag],
    manifest: &str,
) {
    let push = ManifestPush {
        reference,
        tags,
        content_type: None,
        bytes: &Bytes::copy_from_slice(manifest.as_bytes()),
        condition: &Precondition::default(),
        creates_only: false,
    };
    registry
        .put_manifest(caller, &name("team/app"), push)
        .await
        .unwrap();
}

/// Subscribers hear of the referrer; the list of referrers is the registry's own work.
#[tokio::test]
async fn keeping_a_fallback_tag_is_no_event() {
    let recorder = Arc::new(Recorder::default());
    let options = Options {
        delete_enabled: true,
        referrers_tags: true,
        ..Options::default()
    };
    let registry = Registry::new(Arc::new(ObjectStorage::in_memory()), options);
    let registry = Arc::new(registry.with_subscriber(Arc::clone(&recorder) as _));
    let app = name("team/app");
    let subject = image(&registry, &app, "subject", "").await;
    let digest = try_put(&registry, &app, tag("1"), &subject).await.unwrap().digest;
    let artifact = image(&registry, &app, "artifact", &about(&digest, subject.len())).await;
    recorder.changes();
    let artifact = try_put(&registry, &app, tag("sbom"), &artifact)
        .await
        .unwrap()
        .digest;
    let fallback = Reference::Tag(referrers_tag(&digest));
    registry.manifest(&app, &fallback).await.unwrap();
    let pushed = format!(
        "team/app: push manifest {artifact} {} sbom",
        media_type::OCI_MANIFEST
    );
    assert_eq!(recorder.changes(), [pushed]);
    let deleted = registry.delete_manifest(&caller(), &app, &artifact, false).await;
    assert_eq!(deleted.unwrap(), [tag("sbom")]);
    let deleted = [
        format!("team/app: delete manifest {artifact}"),
        "team/app: delete tag sbom".to_owned(),
    ];
    assert_eq!(recorder.changes(), deleted);
}

#[tokio::test]
async fn a_blob_is_pushed_pulled_mounted_and_deleted() {
    let (registry, recorder, app) = recorded();
    let other = name("other");
    let digest = push_blob(&registry, &app, b"content").await;
    assert_eq!(recorder.changes(), [format!("team/app: push blob {digest} 7")]);

    let caller = CountingCaller::default();
    let blob = registry.blob(&app, &digest).await.unwrap();
    registry.open_blob(&app, &digest).await.unwrap();
    assert!(recorder.pulls().is_empty(), "nothing was sent so far");
    registry.pulled_blob(&caller, &app, &blob);
    assert_eq!(recorder.pulls(), [format!("team/app: pull blob {digest} 7")]);

    for (from, shown) in [(Some(&app), "team/app"), (None, "-")] {
        registry
            .mount_blob(&caller, &other, &digest, from)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            recorder.changes(),
            [format!("other: mount blob {digest} 7 {shown}")]
        );
    }

    registry
        .delete_blob(&caller, &other, &digest, false)
        .await
        .unwrap();
    assert_eq!(recorder.changes(), [format!("other: delete blob {digest}")]);
    assert!(recorder.pulls().is_empty());
}

#[tokio::test]
async fn a_push_is_one_event_for_each_tag_in_the_order_of_the_client() {
    let (registry, recorder, app) = recorded();
    let manifest = image(&registry, &app, "content", "").await;
    let digest = Digest::sha256_of(manifest.as_bytes());
    assert_eq!(recorder.changes().len(), 2, "its blobs");
    let caller = CountingCaller::default();
    let pushed = |tag: &str| {
        format!(
            "team/app: push manifest {digest} {} {tag}",
            media_type::OCI_MANIFEST
        )
    };

    put_tags(&registry, &caller, &digest.into(), &[], &manifest).await;
    assert_eq!(recorder.changes(), [pushed("-")]);

    put_tags(
        &registry,
        &caller,
        &digest.into(),
        &[tag("b"), tag("a")],
        &manifest,
    )
    .await;
    assert_eq!(recorder.changes(), [pushed("b"), pushed("a")]);

    put_tags(
        &registry,
        &caller,
        &tag("z").into(),
        &[tag("c"), tag("z")],
        &manifest,
    )
    .await;
    assert_eq!(recorder.changes(), [pushed("z"), pushed("c")]);
    assert_eq!(caller.0.load(Relaxed), 3, "once for an operation");
}

#[tokio::test]
async fn a_pulled_manifest_is_reported_by_the_tag_that_the_client_used() {
    let (registry, recorder, app) = recorded();
    let manifest = image(&registry, &app, "content", "").await;
    try_put(&registry, &app, tag("1"), &manifest).await.unwrap();
    recorder.changes();
    let digest = Digest::sha256_of(manifest.as_bytes());
    for (reference, shown) in [(Reference::from(tag("1")), "1"), (digest.into(), "-")] {
        let found = registry.manifest(&app, &reference).await.unwrap();
        assert!(recorder.pulls().is_empty(), "nothing was sent so far");
        registry.pulled_manifest(&CountingCaller::default(), &app, &reference, &found);
        let expected = format!(
            "team/app: pull manifest {digest} {} {shown}",
            media_type::OCI_MANIFEST
        );
        assert_eq!(recorder.pulls(), [expected]);
    }
    assert!(recorder.changes().is_empty());
}

#[tokio::test]
async fn a_deleted_manifest_comes_before_the_tags_that_go_with_it() {
    let (registry, recorder, app) = recorded();
    let caller = CountingCaller::default();
    let manifest = image(&registry, &app, "content", "").await;
    let digest = Digest::sha256_of(manifest.as_bytes());
    put_tags(
        &registry,
        &caller,
        &digest.into(),
        &[tag("b"), tag("a"), tag("c")],
        &manifest,
    )
    .await;
    recorder.changes();

    registry.delete_tag(&caller, &app, &tag("c")).await.unwrap();
    assert_eq!(recorder.changes(), ["team/app: delete tag c"]);

    registry
        .delete_manifest(&caller, &app, &digest, false)
        .await
        .unwrap();
    let expected = [
        format!("team/app: delete manifest {digest}"),
        "team/app: delete tag a".to_owned(),
        "team/app: delete tag b".to_owned(),
    ];
    assert_eq!(recorder.changes(), expected);
}

#[tokio::test]
async fn an_operation_that_fails_is_no_event() {
    let (registry, recorder, app) = recorded();
    let caller = CountingCaller::default();
    let manifest = image(&registry, &app, "content", "").await;
    let digest = try_put(&registry, &app, tag("1"), &manifest)
        .await
        .unwrap()
        .digest;
    try_put(&registry, &app, tag("multi"), &index(&[(digest, manifest.len())]))
        .await
        .unwrap();
    recorder.changes();
    let absent = Digest::sha256_of(b"absent");

    let id = registry.start_upload(&app).await.unwrap();
    let mut upload = registry.open_upload(&app, &id).await.unwrap();
    upload.write(Bytes::from_static(b"other")).await.unwrap();
    let mismatch = upload.finish(&caller, &absent).await;
    assert!(
        matches!(mismatch, Err(Error::DigestMismatch { .. })),
        "{mismatch:?}"
    );
    let unmounted = registry
        .mount_blob(&caller, &name("other"), &absent, Some(&app))
        .await;
    assert_eq!(unmounted.unwrap(), None);
    let unknown = registry.delete_blob(&caller, &app, &absent, false).await;
    assert!(matches!(unknown, Err(Error::BlobUnknown { .. })), "{unknown:?}");
    let missing = try_put(&registry, &name("other"), tag("1"), &manifest).await;
    assert!(
        matches!(missing, Err(Error::ManifestReferencesUnknown(_))),
        "{missing:?}"
    );
    let unknown = registry.delete_tag(&caller, &app, &tag("none")).await;
    assert!(
        matches!(unknown, Err(Error::ManifestUnknown { .. })),
        "{unknown:?}"
    );
    let needed = registry.delete_manifest(&caller, &app, &digest, false).await;
    assert!(matches!(needed, Err(Error::NeededByIndex { .. })), "{needed:?}");
    registry.blob(&app, &absent).await.unwrap_err();
    registry.manifest(&app, &absent.into()).await.unwrap_err();

    assert!(recorder.changes().is_empty() && recorder.pulls().is_empty());
    assert_eq!(caller.0.load(Relaxed), 0);
}

#[tokio::test]
async fn what_cannot_be_deleted_is_no_event() {
    let recorder = Arc::new(Recorder::default());
    let registry = Registry::new(Arc::new(ObjectStorage::in_memory()), Options::default());
    let registry = Arc::new(registry.with_subscriber(Arc::clone(&recorder) as _));
    let (app, caller) = (name("app"), CountingCaller::default());
    let manifest = image(&registry, &app, "content", "").await;
    let digest = try_put(&registry, &app, tag("1"), &manifest)
        .await
        .unwrap()
        .digest;
    recorder.changes();
    for refused in [
        registry.delete_tag(&caller, &app, &tag("1")).await,
        registry
            .delete_manifest(&caller, &app, &digest, true)
            .await
            .map(drop),
        registry
            .delete_blob(&caller, &app, &Digest::sha256_of(b"content"), false)
            .await,
    ] {
        assert!(matches!(refused, Err(Error::DeleteDisabled)), "{refused:?}");
    }
    assert!(recorder.changes().is_empty());
}

#[tokio::test]
async fn without_a_subscriber_no_origin_is_made() {
    let registry = registry_with(&[]);
    let (app, other) = (name("team/app"), name("other"));
    let caller = CountingCaller::default();
    let manifest = image(&registry, &app, "content", "").await;
    let id = registry.start_upload(&app).await.unwrap();
    let mut upload = registry.open_upload(&app, &id).await.unwrap();
    upload.write(Bytes::from_static(b"more")).await.unwrap();
    let more = Digest::sha256_of(b"more");
    let blob = upload.finish(&caller, &more).await.unwrap();
    registry.pulled_blob(&caller, &app, &blob);
    registry
        .mount_blob(&caller, &other, &more, Some(&app))
        .await
        .unwrap()
        .unwrap();
    registry.delete_blob(&caller, &other, &more, false).await.unwrap();
    put_tags(&registry, &caller, &tag("1").into(), &[tag("2")], &manifest).await;
    let reference = tag("1").into();
    let found = registry.manifest(&app, &reference).await.unwrap();
    registry.pulled_manifest(&caller, &app, &reference, &found);
    registry.delete_tag(&caller, &app, &tag("1")).await.unwrap();
    let removed = registry
        .delete_manifest(&caller, &app, &found.digest, false)
        .await;
    assert_eq!(removed.unwrap(), [tag("2")]);
    assert_eq!(caller.0.load(Relaxed), 0);
}

#[tokio::test]
async fn a_pull_that_no_subscriber_wants_makes_no_origin() {
    let changes_only = Arc::new(Recorder {
        ignores_pulls: true,
        ..Recorder::default()
    });
    let app = name("team/app");
    let registry = registry_with(&[&changes_only]);
    let digest = push_blob(&registry, &app, b"content").await;
    let blob = registry.blob(&app, &digest).await.unwrap();
    let caller = CountingCaller::default();
    registry.pulled_blob(&caller, &app, &blob);
    assert_eq!(caller.0.load(Relaxed), 0);
    assert_eq!(changes_only.changes().len(), 1);

    let everything = Arc::new(Recorder::default());
    let registry = registry_with(&[&changes_only, &everything]);
    push_blob(&registry, &app, b"content").await;
    registry.pulled_blob(&caller, &app, &blob);
    assert_eq!(caller.0.load(Relaxed), 1);
    assert_eq!((changes_only.changes().len(), everything.changes().len()), (1, 1));
    assert_eq!((changes_only.pulls().len(), everything.pulls().len()), (0, 1));
}

#[tokio::test]
async fn a_subscriber_that_wants_no_events_of_pulls_sees_them() {
    let looking = Arc::new(Recorder {
        ignores_pulls: true,
        ..Recorder::default()
    });
    let app = name("team/app");
    let registry = registry_with(&[&looking]);
    let caller = CountingCaller::default();
    let manifest = image(&registry, &app, "content", "").await;
    put_tags(&registry, &caller, &tag("1").into(), &[], &manifest).await;
    let made = caller.0.load(Relaxed);
    let found = registry.manifest(&app, &tag("1").into()).await.unwrap();
    registry.pulled_manifest(&caller, &app, &tag("1").into(), &found);
    registry.pulled_manifest(&caller, &app, &found.digest.into(), &found);
    let layer = Digest::sha256_of(b"content");
    let blob = registry.blob(&app, &layer).await.unwrap();
    registry.pulled_blob(&caller, &app, &blob);
    let digest = found.digest;
    assert_eq!(
        *looking.observed.lock().unwrap(),
        [
            format!("alice GET team/app: {digest} 1"),
            format!("alice GET team/app: {digest} -"),
            format!("alice GET team/app: {layer} 7"),
        ]
    );
    assert_eq!(caller.0.load(Relaxed), made, "no origin is made for that");
    assert!(looking.pulls().is_empty());
}

#[tokio::test]
async fn events_of_one_operation_have_one_origin_and_an_id_each() {
    let (registry, recorder, app) = recorded();
    let manifest = image(&registry, &app, "content", "").await;
    recorder.changes();
    let caller = CountingCaller::default();
    put_tags(&registry, &caller, &tag("1").into(), &[tag("2")], &manifest).await;
    let events = std::mem::take(&mut *recorder.delivered.lock().unwrap());
    let [first, second] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(Arc::ptr_eq(&first.origin, &second.origin));
    assert_eq!(first.origin.actor.as_deref(), Some("alice"));
    assert_ne!(first.id, second.id);
    assert!(first.time <= second.time);
}
