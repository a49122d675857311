//! Checking a store: each kind of damage is named once, with the images that suffer and a remedy, on both engines.

mod beside;
mod links;
mod on_disk;

use std::{num::NonZeroU64, sync::Arc};

use wharf_oci::{Algorithm, Digest, RepoName, media_type};
use wharf_registry::{
    Children, Options, Registry,
    check::{CheckOptions, Checker, Counts, Finding, Severity},
};
use wharf_storage::{
    Key, Operation, Put, Storage,
    faulty::{Fault, Faulty},
    layout,
    object::ObjectStorage,
};

use crate::common::{image, index, name, on_both_engines, over, push_blob, put, tag, write};

/// A store, and a registry over it.
pub(super) struct Scene {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) registry: Arc<Registry>,
    pub(super) app: RepoName,
}

/// What a check said.
pub(super) struct Checked {
    pub(super) counts: Counts,
    pub(super) findings: Vec<Finding>,
}

impl Scene {
    pub(super) fn over(storage: Arc<dyn Storage>) -> Self {
        Self {
            registry: over(Arc::clone(&storage)),
            storage,
            app: name("team/app"),
        }
    }

    /// Pushes an image with one layer of `content`, and returns its digest and size.
    pub(super) async fn image(
        &self,
        repository: &str,
        tagged: Option<&str>,
        content: &str,
    ) -> (Digest, usize) {
        let repository = name(repository);
        let manifest = image(&self.registry, &repository, content, "").await;
        let digest = Digest::sha256_of(manifest.as_bytes());
        match tagged {
            Some(tagged) => put(&self.registry, &repository, tag(tagged), &manifest).await,
            None => put(&self.registry, &repository, digest, &manifest).await,
        };
        (digest, manifest.len())
    }

    /// Pushes an index of an image for each architecture, whose layers are the names of the architectures.
    async fn multi(&self, tagged: &str, architectures: &[&str]) -> Digest {
        let mut children = Vec::new();
        for architecture in architectures {
            let (digest, size) = self.image("team/app", None, architecture).await;
            children.push(child(architecture, &digest, size));
        }
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#,
            media_type::OCI_INDEX,
            children.join(",")
        );
        put(&self.registry, &self.app, tag(tagged), &index).await
    }

    pub(super) async fn remove(&self, key: &Key) {
        self.storage.remove(key, &layout::repositories()).await.unwrap();
    }

    /// Writes other bytes in place of those of a blob.
    async fn damage(&self, digest: &Digest, bytes: &str) {
        write(&*self.storage, &layout::blob(digest), bytes).await;
    }

    pub(super) async fn check(&self) -> Checked {
        self.check_with(CheckOptions::default()).await
    }

    async fn quick(&self) -> Checked {
        let options = CheckOptions {
            is_quick: true,
            ..CheckOptions::default()
        };
        self.check_with(options).await
    }

    pub(super) async fn check_with(&self, options: CheckOptions) -> Checked {
        check(&self.storage, &Options::default(), options).await
    }
}

pub(super) async fn check(storage: &Arc<dyn Storage>, rules: &Options, options: CheckOptions) -> Checked {
    let checker = Checker::new(Arc::clone(storage), rules, options);
    let counts = checker.run().await.unwrap();
    Checked {
        counts,
        findings: checker.progress().take_findings(),
    }
}

impl Checked {
    /// Asserts that nothing was found.
    #[track_caller]
    pub(super) fn is_sound(&self) {
        self.says(&[]);
    }

    /// Asserts that the findings, in their order, are of these kinds and severities, and name these images; each of them with
    /// what is wrong and a remedy.
    #[track_caller]
    pub(super) fn says(&self, expected: &[(&str, Severity, &[&str])]) {
        let mut found: Vec<(&str, Severity, Vec<String>)> = self
            .findings
            .iter()
            .map(|finding| {
                let images = finding.images.iter().map(ToString::to_string).collect();
                (finding.kind(), finding.severity(), images)
            })
            .collect();
        found.sort_unstable();
        let mut wanted: Vec<(&str, Severity, Vec<String>)> = expected
            .iter()
            .map(|(kind, severity, images)| {
                (*kind, *severity, images.iter().map(ToString::to_string).collect())
            })
            .collect();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{:#?}", self.findings);
        for finding in &self.findings {
            let (text, remedy) = (finding.to_string(), finding.remedy());
            let remedy = remedy.to_string();
            assert!(text.ends_with(&remedy) && remedy.len() > 10, "{text}");
            assert!(text.contains('`') && !text.ends_with('.'), "{text}");
        }
        let count = |severity| {
            let of_severity = self
                .findings
                .iter()
                .filter(|finding| finding.severity() == severity);
            of_severity.count() as u64
        };
        let counted = Severity::ALL.map(count);
        assert_eq!(
            [self.counts.broken, self.counts.untidy, self.counts.unknown],
            counted
        );
    }
}

fn child(architecture: &str, digest: &Digest, size: usize) -> String {
    format!(
        r#"{{"mediaType":"{}","digest":"{digest}","size":{size},"platform":{{"architecture":"{architecture}","os":"linux"}}}}"#,
        media_type::OCI_MANIFEST
    )
}

fn digest(content: &str) -> Digest {
    Digest::sha256_of(content.as_bytes())
}

async fn open(storage: Arc<dyn Storage>, _: bool) -> Scene {
    Scene::over(storage)
}

on_both_engines! { open:
    a_sound_store_has_no_findings
    a_missing_layer_is_named_with_tag_and_platform
    a_damaged_blob_is_named_once_with_all_images_that_need_it
    a_cut_blob_is_found_without_hashing_everything
    a_wrong_size_in_a_manifest_is_no_damage
    damaged_bytes_that_no_image_needs_are_damage
    missing_and_damaged_manifests_are_named_with_their_tags
    what_is_no_manifest_is_named
    schema_1_is_no_damage
    what_need_not_be_there_is_no_damage
    one_repository_is_checked_with_its_blobs
    damaged_bytes_are_moved_aside_and_a_push_heals
    an_interrupted_check_goes_on
    sha_512_is_checked_as_registry_2_stores_it
}

async fn a_sound_store_has_no_findings(scene: Scene) {
    scene.multi("1.0", &["amd64", "arm64"]).await;
    scene.image("lib", Some("1"), "lib").await;
    scene.image("lib", None, "untagged").await;
    let checked = scene.check().await;
    checked.is_sound();
    let counts = checked.counts;
    assert_eq!((counts.repositories, counts.tags, counts.manifests), (2, 2, 5));
    assert_eq!(counts.blobs, 5 + 4 * 2, "{counts:?}");
    assert_eq!(scene.quick().await.counts.blobs, 0);
    let nothing = ObjectStorage::in_memory();
    check(
        &(Arc::new(nothing) as _),
        &Options::default(),
        CheckOptions::default(),
    )
    .await
    .is_sound();
}

async fn a_missing_layer_is_named_with_tag_and_platform(scene: Scene) {
    scene.multi("1.0", &["amd64", "arm64"]).await;
    scene.remove(&layout::blob(&digest("arm64"))).await;
    let images: &[&str] = &["team/app:1.0 (linux/arm64)"];
    let expected = [("missing-blob", Severity::Broken, images)];
    scene.check().await.says(&expected);
    let quick = scene.quick().await;
    quick.says(&expected);
    let text = quick.findings[0].to_string();
    assert!(
        text.starts_with(&format!("the blob `{}` is not stored; push", digest("arm64"))),
        "{text}"
    );
}

async fn a_damaged_blob_is_named_once_with_all_images_that_need_it(scene: Scene) {
    scene.multi("1.0", &["amd64", "arm64"]).await;
    scene.image("other", Some("a"), "arm64").await;
    scene.image("other", Some("b"), "arm64").await;
    scene.image("other", Some("sound"), "sound").await;
    scene.damage(&digest("arm64"), "ARM64").await;
    scene.check().await.says(&[(
        "damaged-blob",
        Severity::Broken,
        &["other:a", "other:b", "team/app:1.0 (linux/arm64)"],
    )]);
    scene.quick().await.is_sound();
}

async fn a_cut_blob_is_found_without_hashing_everything(scene: Scene) {
    scene.image("app", Some("1"), "content").await;
    scene.damage(&digest("content"), "cont").await;
    scene
        .quick()
        .await
        .says(&[("damaged-blob", Severity::Broken, &["app:1"])]);
    scene.damage(&digest("content"), "").await;
    let checked = scene.quick().await;
    checked.says(&[("damaged-blob", Severity::Broken, &["app:1"])]);
    assert!(checked.findings[0].to_string().contains("has no bytes"));
}

async fn a_wrong_size_in_a_manifest_is_no_damage(scene: Scene) {
    let manifest = image(&scene.registry, &scene.app, "content", "").await;
    let wrong = manifest.replace("\"size\":7", "\"size\":8");
    assert_ne!(manifest, wrong);
    put(&scene.registry, &scene.app, tag("1"), &wrong).await;
    scene.check().await.is_sound();
}

async fn damaged_bytes_that_no_image_needs_are_damage(scene: Scene) {
    push_blob(&scene.registry, &scene.app, b"content").await;
    scene.image("team/app", Some("1"), "other").await;
    scene.damage(&digest("content"), "CONTENT").await;
    scene
        .check()
        .await
        .says(&[("damaged-blob", Severity::Broken, &[])]);
    scene.damage(&digest("content"), "").await;
    scene
        .check()
        .await
        .says(&[("damaged-blob", Severity::Untidy, &[])]);
}

async fn missing_and_damaged_manifests_are_named_with_their_tags(scene: Scene) {
    scene.multi("1.0", &["amd64", "arm64"]).await;
    let manifest = image(&scene.registry, &scene.app, "arm64", "").await;
    let child = digest(&manifest);
    scene
        .damage(&child, &manifest.replace("schemaVersion", "schemaversion"))
        .await;
    let images: &[&str] = &["team/app:1.0 (linux/arm64)"];
    scene
        .quick()
        .await
        .says(&[("damaged-blob", Severity::Broken, images)]);
    scene
        .check()
        .await
        .says(&[("damaged-blob", Severity::Broken, images)]);
    scene.remove(&layout::blob(&child)).await;
    scene
        .check()
        .await
        .says(&[("missing-blob", Severity::Broken, images)]);
    scene.remove(&layout::revision_link(&scene.app, &child)).await;
    scene
        .check()
        .await
        .says(&[("unlinked", Severity::Broken, images)]);
    let (untagged, _) = scene.image("lib", None, "untagged").await;
    scene.remove(&layout::blob(&untagged)).await;
    scene.check().await.says(&[
        ("missing-blob", Severity::Broken, &[&format!("lib@{untagged}")]),
        ("unlinked", Severity::Broken, images),
    ]);
}

async fn what_is_no_manifest_is_named(scene: Scene) {
    scene.image("team/app", Some("1"), "content").await;
    let text = "not JSON";
    let digest = digest(text);
    write(&*scene.storage, &layout::blob(&digest), text).await;
    for key in [
        layout::revision_link(&scene.app, &digest),
        layout::tag_history_link(&scene.app, "2", &digest),
        layout::tag_link(&scene.app, "2"),
    ] {
        write(&*scene.storage, &key, &digest.to_string()).await;
    }
    scene
        .check()
        .await
        .says(&[("no-manifest", Severity::Broken, &["team/app:2"])]);
}

async fn schema_1_is_no_damage(scene: Scene) {
    let layer = push_blob(&scene.registry, &scene.app, b"layer").await;
    let text = format!(
        r#"{{"schemaVersion":1,"name":"team/app","tag":"old","fsLayers":[{{"blobSum":"{layer}"}}],"signatures":[]}}"#
    );
    let digest = digest(&text);
    write(&*scene.storage, &layout::blob(&digest), &text).await;
    for key in [
        layout::revision_link(&scene.app, &digest),
        layout::tag_history_link(&scene.app, "old", &digest),
        layout::tag_link(&scene.app, "old"),
    ] {
        write(&*scene.storage, &key, &digest.to_string()).await;
    }
    scene.check().await.is_sound();
    scene.remove(&layout::blob(&layer)).await;
    scene
        .check()
        .await
        .says(&[("missing-blob", Severity::Broken, &["team/app:old"])]);
}

async fn what_need_not_be_there_is_no_damage(scene: Scene) {
    let sparse = Options {
        required_children: Children::OfPlatforms(vec![("amd64".to_owned(), "linux".to_owned())]),
        allow_foreign_layers: true,
        ..Options::default()
    };
    let registry = Arc::new(Registry::new(Arc::clone(&scene.storage), sparse.clone()));
    let (digest, size) = scene.image("team/app", None, "amd64").await;
    let absent = self::digest("absent");
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
        media_type::OCI_INDEX,
        child("amd64", &digest, size),
        child("arm64", &absent, 1),
    );
    put(&registry, &scene.app, tag("sparse"), &text).await;
    let foreign = image(&registry, &scene.app, "content", "").await.replace(
        "\"layers\":[",
        &format!(
            r#""layers":[{{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{}","size":1,"urls":["https://example.com/layer"]}},"#,
            self::digest("elsewhere")
        ),
    );
    put(&registry, &scene.app, tag("foreign"), &foreign).await;
    let signature = image(
        &registry,
        &scene.app,
        "signature",
        &crate::common::about(&absent, 1),
    )
    .await;
    put(&registry, &scene.app, self::digest(&signature), &signature).await;
    check(&scene.storage, &sparse, CheckOptions::default())
        .await
        .is_sound();
    // The same index where a registry takes no sparse ones.
    scene
        .check()
        .await
        .says(&[("unlinked", Severity::Broken, &["team/app:sparse (linux/arm64)"])]);
}

async fn one_repository_is_checked_with_its_blobs(scene: Scene) {
    scene.image("team/app", Some("1"), "content").await;
    scene.image("other", Some("1"), "other").await;
    scene.damage(&digest("content"), "CONTENT").await;
    let of = |repository| CheckOptions {
        repository: Some(name(repository)),
        ..CheckOptions::default()
    };
    let checked = scene.check_with(of("team/app")).await;
    checked.says(&[("damaged-blob", Severity::Broken, &["team/app:1"])]);
    assert_eq!((checked.counts.repositories, checked.counts.blobs), (1, 3));
    scene.check_with(of("other")).await.is_sound();
    assert_eq!(scene.check_with(of("nothing")).await.counts, Counts::default());
}

async fn damaged_bytes_are_moved_aside_and_a_push_heals(scene: Scene) {
    scene.image("team/app", Some("1"), "content").await;
    let repair = CheckOptions {
        repair: true,
        ..CheckOptions::default()
    };
    for number in 0..2 {
        let bytes = format!("CONTENT{number}");
        scene.damage(&digest("content"), &bytes).await;
        let checked = scene.check_with(repair.clone()).await;
        checked.says(&[("damaged-blob", Severity::Broken, &["team/app:1"])]);
        let moved = checked.findings[0].quarantined.clone().unwrap();
        assert_eq!(moved, layout::quarantine(&digest("content"), number));
        let kept = scene.storage.read(&moved, 100).await.unwrap();
        assert_eq!(kept.bytes, bytes, "nothing is lost");
        scene
            .check()
            .await
            .says(&[("missing-blob", Severity::Broken, &["team/app:1"])]);
        let unknown = scene.registry.blob(&scene.app, &digest("content")).await;
        unknown.unwrap_err();
        scene.image("team/app", Some("1"), "content").await;
        scene.check().await.is_sound();
    }
}

async fn an_interrupted_check_goes_on(scene: Scene) {
    let contents: Vec<String> = (0..20).map(|number| format!("content {number}")).collect();
    let mut digests = Vec::new();
    for content in &contents {
        digests.push(push_blob(&scene.registry, &scene.app, content.as_bytes()).await);
    }
    scene.image("other", Some("1"), "other").await;
    digests.extend([digest("other"), digest("{\"config\":\"other\"}")]);
    let manifest = image(&scene.registry, &name("other"), "other", "").await;
    digests.push(digest(&manifest));
    digests.sort_unstable();
    // One is interrupted after it has found the first blob damaged.
    scene.damage(&digests[0], "damaged").await;
    let note = format!(
        r#"{{"last":"{}","began":9,"ended":1,"damaged":["{}"]}}"#,
        digests[9], digests[0]
    );
    write(&*scene.storage, &layout::check(), &note).await;
    let checked = scene.check().await;
    assert_eq!(checked.counts.goes_on_after, Some(digests[9]));
    assert_eq!(checked.counts.blobs, digests.len() as u64 - 10);
    let mut found = checked.findings.iter().filter_map(Finding::digest);
    assert!(
        found.any(|digest| *digest == digests[0]),
        "{:?}",
        checked.findings
    );
    // The next one begins anew.
    let checked = scene.check().await;
    assert_eq!(checked.counts.blobs, digests.len() as u64);
    assert_eq!(checked.counts.goes_on_after, None);
    write(&*scene.storage, &layout::check(), "not a note").await;
    assert_eq!(scene.check().await.counts.blobs, digests.len() as u64);
}

async fn sha_512_is_checked_as_registry_2_stores_it(scene: Scene) {
    let stored = push_blob(&scene.registry, &scene.app, b"content").await;
    let alias = Digest::of(Algorithm::Sha512, b"content");
    let text = image(&scene.registry, &scene.app, "content", "")
        .await
        .replace(&stored.to_string(), &alias.to_string());
    let link = layout::layer_link(&scene.app, &alias);
    write(&*scene.storage, &link, &stored.to_string()).await;
    scene.remove(&layout::layer_link(&scene.app, &stored)).await;
    put(&scene.registry, &scene.app, tag("1"), &text).await;
    scene.check().await.is_sound();
    scene.damage(&stored, "CONTENT").await;
    scene
        .check()
        .await
        .says(&[("damaged-blob", Severity::Broken, &["team/app:1"])]);
    scene.remove(&layout::blob(&stored)).await;
    scene
        .check()
        .await
        .says(&[("missing-blob", Severity::Broken, &["team/app:1"])]);
}

/// What the process may not read is named and does not end the check.
#[tokio::test]
async fn what_may_not_be_read_is_unknown() {
    let inner: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
    Scene::over(Arc::clone(&inner))
        .image("team/app", Some("1"), "content")
        .await;
    for (part, operations, images) in [
        (
            "/_manifests/tags/1/current",
            &[Operation::Read][..],
            vec!["team/app:1"],
        ),
        ("/_layers/sha256/", &[Operation::Read][..], vec!["team/app:1"]),
        ("/blobs/", &[Operation::Open][..], vec![]),
        ("/blobs/", &[Operation::List][..], vec![]),
        ("/_manifests/tags", &[Operation::List][..], vec![]),
    ] {
        let faulty = Arc::new(Faulty::new(Arc::clone(&inner)));
        for operation in operations {
            faulty.inject(Fault::permission_denied().on(*operation).key(part));
        }
        let scene = Scene::over(Arc::<Faulty>::clone(&faulty));
        let checked = scene.check().await;
        assert!(checked.counts.unknown > 0, "{part}: {:?}", checked.findings);
        assert_eq!(checked.counts.broken, 0, "{part}: {:?}", checked.findings);
        let named: Vec<String> = checked
            .findings
            .iter()
            .flat_map(|finding| finding.images.iter().map(ToString::to_string))
            .collect();
        for image in images {
            assert!(named.iter().any(|named| named == image), "{part}: {named:?}");
        }
    }
}

/// A store that does not answer says nothing of what is stored.
#[tokio::test]
async fn a_store_that_is_out_of_reach_ends_the_check() {
    let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let scene = Scene::over(Arc::<Faulty>::clone(&faulty));
    scene.image("team/app", Some("1"), "content").await;
    faulty.inject(Fault::before(wharf_storage::ErrorKind::Unavailable).on(Operation::Stat));
    let checker = Checker::new(
        Arc::clone(&scene.storage),
        &Options::default(),
        CheckOptions::default(),
    );
    checker.run().await.unwrap_err();
}

/// No more is read in a second than the rate allows.
#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let scene = Scene::over(Arc::new(ObjectStorage::in_memory()));
    let content = "0123456789".repeat(100_000);
    push_blob(&scene.registry, &scene.app, content.as_bytes()).await;
    let options = CheckOptions {
        rate: NonZeroU64::new(100_000),
        ..CheckOptions::default()
    };
    let begun = tokio::time::Instant::now();
    let checked = scene.check_with(options).await;
    assert_eq!(checked.counts.bytes, 1_000_000);
    let seconds = begun.elapsed().as_secs();
    assert!((8..=10).contains(&seconds), "{seconds}");
}

/// Images that are indexes of indexes are named by the innermost platform.
#[tokio::test]
async fn an_index_of_indexes_has_the_platform_of_the_innermost() {
    let scene = Scene::over(Arc::new(ObjectStorage::in_memory()));
    let inner = scene.multi("inner", &["arm64"]).await;
    let size = scene.storage.stat(&layout::blob(&inner)).await.unwrap().size;
    let outer = index(&[(inner, usize::try_from(size).unwrap())]);
    put(&scene.registry, &scene.app, tag("outer"), &outer).await;
    scene.remove(&layout::blob(&digest("arm64"))).await;
    scene.check().await.says(&[(
        "missing-blob",
        Severity::Broken,
        &["team/app:inner (linux/arm64)", "team/app:outer (linux/arm64)"],
    )]);
}

/// A put that a test makes in one step with others.
pub(super) fn put_at(key: Key, text: &str) -> Put {
    Put::new(key, text.to_owned())
}
