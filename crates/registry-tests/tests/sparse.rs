//! Sparse repositories, those of mirrors: what their manifests name need not be there, and is no damage; and blobs that are linked without
//! a push.

use std::{sync::Arc, time::Duration};

use wharf_oci::{Digest, Reference};
use wharf_registry::{
    Error, Options, Registry, SparseNames,
    check::CheckOptions,
    collect::{Collected, OnlineCollector},
};
use wharf_storage::{Storage, fs::FsStorage, object::ObjectStorage};

use crate::{
    checking::check,
    common::{caller, index, name, push_blob, tag, try_put},
};

fn options() -> Options {
    Options {
        delete_enabled: true,
        collect_grace: Duration::ZERO,
        sparse: SparseNames::below([name("hub")]),
        ..Options::default()
    }
}

fn over(storage: &Arc<dyn Storage>) -> Arc<Registry> {
    Arc::new(Registry::new(Arc::clone(storage), options()))
}

async fn collect(registry: &Arc<Registry>) {
    let collector = OnlineCollector::new(Arc::clone(registry), false);
    for _ in 0..2 {
        let collected = collector.collect().await.unwrap();
        assert!(matches!(collected, Collected::Done(_)), "{collected:?}");
    }
}

/// An index of which one image was fetched, and of this its manifest and its layer, is stored, served, sound, and stays.
async fn what_was_fetched_stays(storage: Arc<dyn Storage>) {
    let registry = over(&storage);
    let (mirror, own) = (name("hub/library/app"), name("own/app"));
    let (config, content) = (Digest::sha256_of(b"config"), Digest::sha256_of(b"content"));
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":6}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{content}","size":7}}]}}"#
    );
    let child = Digest::sha256_of(manifest.as_bytes());
    let list = index(&[(child, manifest.len()), (Digest::sha256_of(b"another"), 700)]);
    for refused in [&manifest, &list] {
        let error = try_put(&registry, &own, tag("1"), refused).await.unwrap_err();
        assert!(matches!(error, Error::ManifestReferencesUnknown(_)), "{error}");
    }
    try_put(&registry, &mirror, tag("1"), &list).await.unwrap();
    try_put(&registry, &mirror, child, &manifest).await.unwrap();
    let layer = push_blob(&registry, &mirror, b"content").await;
    collect(&registry).await;
    let served = registry
        .manifest(&mirror, &Reference::Tag(tag("1")))
        .await
        .unwrap();
    assert_eq!(served.bytes, list.as_bytes());
    assert!(
        registry
            .manifest(&mirror, &Reference::Digest(child))
            .await
            .is_ok()
    );
    assert!(registry.blob(&mirror, &layer).await.is_ok());
    let checked = check(&storage, &options(), CheckOptions::default()).await;
    checked.is_sound();
    let strict = Options {
        sparse: SparseNames::none(),
        ..options()
    };
    let checked = check(&storage, &strict, CheckOptions::default()).await;
    assert!(
        !checked.findings.is_empty(),
        "the same tree is damaged where nothing is sparse"
    );
}

/// A blob that is stored for one repository becomes one of another, and stays when the first one loses it.
async fn a_stored_blob_is_linked(storage: Arc<dyn Storage>) {
    let registry = over(&storage);
    let (mirror, own) = (name("hub/app"), name("own/app"));
    let digest = push_blob(&registry, &own, b"content").await;
    assert_eq!(registry.has_stored_blob(&digest).await.unwrap(), Some(7));
    let linked = registry
        .link_stored_blob(&caller(), &mirror, &digest)
        .await
        .unwrap();
    assert_eq!(linked.map(|blob| blob.size), Some(7));
    registry
        .delete_blob(&caller(), &own, &digest, false)
        .await
        .unwrap();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":7}},"layers":[]}}"#
    );
    try_put(&registry, &mirror, tag("1"), &manifest).await.unwrap();
    collect(&registry).await;
    assert!(registry.blob(&mirror, &digest).await.is_ok());
    let unknown = Digest::sha256_of(b"unknown");
    assert_eq!(registry.has_stored_blob(&unknown).await.unwrap(), None);
    let linked = registry
        .link_stored_blob(&caller(), &mirror, &unknown)
        .await
        .unwrap();
    assert_eq!(linked, None);
}

#[tokio::test]
async fn what_was_fetched_into_a_directory_stays() {
    let directory = tempfile::tempdir().unwrap();
    what_was_fetched_stays(Arc::new(FsStorage::open(directory.path()).unwrap())).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_into_a_bucket_stays() {
    what_was_fetched_stays(Arc::new(ObjectStorage::in_memory())).await;
}

#[tokio::test]
async fn a_stored_blob_is_linked_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    a_stored_blob_is_linked(Arc::new(FsStorage::open(directory.path()).unwrap())).await;
}

#[tokio::test(start_paused = true)]
async fn a_stored_blob_is_linked_in_a_bucket() {
    a_stored_blob_is_linked(Arc::new(ObjectStorage::in_memory())).await;
}
