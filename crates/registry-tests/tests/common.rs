//! Shared parts of the tests of this crate: a registry on a store in memory, and small images.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use object_store::path::Path;
use wharf_oci::{Digest, Reference, RepoName, Tag, media_type};
use wharf_registry::{ManifestPush, Options, Origin, Precondition, PushedManifest, Registry, Result};
use wharf_storage::{
    Key, Put, Storage,
    metered::{Metered, Meters},
    object::{Counted, Memory, ObjectStorage, Store},
};

/// Runs each story on a bucket in memory and on a directory. `open` makes of the store what a story takes, and is told
/// whether the store is a bucket.
macro_rules! on_both_engines {
    ($open:ident: $($story:ident)*) => {
        mod bucket {
            $(#[tokio::test]
            async fn $story() {
                let storage = std::sync::Arc::new(wharf_storage::object::ObjectStorage::in_memory());
                super::$story(super::$open(storage, true).await).await;
            })*
        }
        mod directory {
            $(#[tokio::test]
            async fn $story() {
                let directory = tempfile::tempdir().unwrap();
                let storage = wharf_storage::fs::FsStorage::open(directory.path()).unwrap();
                super::$story(super::$open(std::sync::Arc::new(storage), false).await).await;
            })*
        }
    };
}

pub(crate) use on_both_engines;

/// A registry over `storage` that may delete, and has no grace period.
pub(crate) fn over(storage: Arc<dyn Storage>) -> Arc<Registry> {
    let options = Options {
        delete_enabled: true,
        collect_grace: Duration::ZERO,
        ..Options::default()
    };
    Arc::new(Registry::new(storage, options))
}

/// A registry over `storage` that may delete, and keeps a fallback tag for every subject.
pub(crate) fn with_referrers_tags(storage: &Arc<dyn Storage>) -> Arc<Registry> {
    let options = Options {
        delete_enabled: true,
        referrers_tags: true,
        ..Options::default()
    };
    Arc::new(Registry::new(Arc::clone(storage), options))
}

/// A registry in memory that may delete, and its store.
pub(crate) fn registry() -> (Arc<Registry>, Arc<dyn Storage>) {
    let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
    (over(Arc::clone(&storage)), storage)
}

/// The same registry, and the counts of the operations of its store.
pub(crate) fn metered() -> (Arc<Registry>, Meters) {
    let storage = Metered::new(Arc::new(ObjectStorage::in_memory()));
    let meters = storage.meters();
    (over(Arc::new(storage)), meters)
}

/// Virtual time that each request to a bucket takes; the tests' clock only moves while they wait for it.
pub(crate) const ROUND_TRIP: Duration = Counted::<Memory>::TICK;

/// A registry over a bucket that answers after [`ROUND_TRIP`], and its store.
pub(crate) fn far_away() -> (Arc<Registry>, Arc<dyn Storage>) {
    let (_, storage) = counted_bucket(Memory::new());
    (over(Arc::clone(&storage)), storage)
}

/// A bucket whose requests are counted and take [`ROUND_TRIP`], and a store over it.
pub(crate) fn counted_bucket<T: Store + Clone>(bucket: T) -> (Counted<T>, Arc<dyn Storage>) {
    let bucket = Counted::new(bucket);
    let storage = ObjectStorage::new(Arc::new(bucket.clone()), Path::default());
    (bucket, Arc::new(storage))
}

/// A registry over a bucket whose requests are counted, and its store.
pub(crate) fn counted() -> (Arc<Registry>, Counted<Memory>) {
    let store = Counted::new(Memory::new());
    (on_bucket(&store), store)
}

/// Another process over the same bucket.
pub(crate) fn on_bucket(store: &Counted<Memory>) -> Arc<Registry> {
    over(Arc::new(ObjectStorage::new(
        Arc::new(store.clone()),
        Path::default(),
    )))
}

/// The origin of what tests do.
pub(crate) fn caller() -> Arc<Origin> {
    Arc::new(Origin::worker("test"))
}

pub(crate) fn name(name: &str) -> RepoName {
    name.parse().unwrap()
}

pub(crate) fn tag(tag: &str) -> Tag {
    tag.parse().unwrap()
}

pub(crate) async fn push_blob(registry: &Arc<Registry>, name: &RepoName, bytes: &[u8]) -> Digest {
    let id = registry.start_upload(name).await.unwrap();
    let mut upload = registry.open_upload(name, &id).await.unwrap();
    upload.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    let digest = Digest::sha256_of(bytes);
    upload.finish(&caller(), &digest).await.unwrap().digest
}

/// The manifest of an image with one layer of `content`; its blobs are pushed, it is not.
pub(crate) async fn image(registry: &Arc<Registry>, name: &RepoName, content: &str, extra: &str) -> String {
    let config = format!("{{\"config\":\"{content}\"}}");
    let config_digest = push_blob(registry, name, config.as_bytes()).await;
    let layer_digest = push_blob(registry, name, content.as_bytes()).await;
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer_digest}","size":{}}}]{extra}}}"#,
        media_type::OCI_MANIFEST,
        config.len(),
        content.len(),
    )
}

/// The field `subject` of a manifest that refers to `subject`, of `size` bytes; for [`image`].
pub(crate) fn about(subject: &Digest, size: usize) -> String {
    format!(
        r#","artifactType":"example/signature","subject":{{"mediaType":"{}","digest":"{subject}","size":{size}}}"#,
        media_type::OCI_MANIFEST
    )
}

pub(crate) fn index(children: &[(Digest, usize)]) -> String {
    let children: Vec<String> = children
        .iter()
        .map(|(digest, size)| {
            format!(
                r#"{{"mediaType":"{}","digest":"{digest}","size":{size}}}"#,
                media_type::OCI_MANIFEST
            )
        })
        .collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#,
        media_type::OCI_INDEX,
        children.join(",")
    )
}

pub(crate) async fn put(
    registry: &Arc<Registry>,
    name: &RepoName,
    reference: impl Into<Reference>,
    manifest: &str,
) -> Digest {
    try_put(registry, name, reference, manifest).await.unwrap().digest
}

/// Pushes a manifest that may be refused.
pub(crate) async fn try_put(
    registry: &Registry,
    name: &RepoName,
    reference: impl Into<Reference>,
    manifest: &str,
) -> Result<PushedManifest> {
    let push = ManifestPush {
        reference: &reference.into(),
        tags: &[],
        content_type: None,
        bytes: &Bytes::copy_from_slice(manifest.as_bytes()),
        condition: &Precondition::default(),
        creates_only: false,
    };
    registry.put_manifest(&caller(), name, push).await
}

/// Writes to the store directly, without the registry.
pub(crate) async fn write(storage: &dyn Storage, key: &Key, bytes: &str) {
    storage
        .publish(&[Put::new(key.clone(), Bytes::copy_from_slice(bytes.as_bytes()))])
        .await
        .unwrap();
}
