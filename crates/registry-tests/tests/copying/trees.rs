//! Trees to copy, and what must be true of every copy.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use wharf_oci::{Digest, RepoName, media_type};
use wharf_storage::{Storage, layout};

use crate::common::{index, name, write};

/// Names that sort otherwise as keys than as names.
const REPOSITORIES: [&str; 4] = ["a", "a/b", "a-b", "team/app"];

/// The layer that is larger than what is written in one piece.
const LARGE: u8 = 7;

/// One push of an image, or of an index of it.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    pub(crate) repository: usize,
    pub(crate) layers: Vec<u8>,
    pub(crate) is_index: bool,
    pub(crate) tag: Option<u8>,
}

pub(crate) fn pushes(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Push>> {
    let layers = prop::collection::vec(0..8_u8, 0..4);
    let one = (
        0..REPOSITORIES.len(),
        layers,
        any::<bool>(),
        prop::option::of(0..3_u8),
    )
        .prop_map(|(repository, layers, is_index, tag)| Push {
            repository,
            layers,
            is_index,
            tag,
        });
    prop::collection::vec(one, count)
}

/// The bytes of a layer.
pub(crate) fn layer(number: u8) -> Bytes {
    let repeats = if number == LARGE { 200_000 } else { 2 };
    format!("layer {number};").repeat(repeats).into()
}

/// Writes what a server would, in its order. Returns the digest that was tagged.
pub(crate) async fn push(storage: &dyn Storage, push: &Push) -> Digest {
    let repository = name(REPOSITORIES[push.repository]);
    let mut layers = Vec::new();
    for number in &push.layers {
        let bytes = layer(*number);
        let digest = write_blob(storage, &bytes).await;
        write(
            storage,
            &layout::layer_link(&repository, &digest),
            &digest.to_string(),
        )
        .await;
        layers.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":{}}}"#,
            bytes.len()
        ));
    }
    let config = write_blob(storage, b"{}").await;
    write(
        storage,
        &layout::layer_link(&repository, &config),
        &config.to_string(),
    )
    .await;
    let image = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{}]}}"#,
        media_type::OCI_MANIFEST,
        layers.join(",")
    );
    let mut digest = write_manifest(storage, &repository, &image).await;
    if push.is_index {
        digest = write_manifest(storage, &repository, &index(&[(digest, image.len())])).await;
    }
    if let Some(tag) = push.tag {
        let tag = format!("t{tag}");
        let history = layout::tag_history_link(&repository, &tag, &digest);
        write(storage, &history, &digest.to_string()).await;
        write(storage, &layout::tag_link(&repository, &tag), &digest.to_string()).await;
    }
    digest
}

async fn write_manifest(storage: &dyn Storage, repository: &RepoName, manifest: &str) -> Digest {
    let digest = write_blob(storage, manifest.as_bytes()).await;
    write(
        storage,
        &layout::revision_link(repository, &digest),
        &digest.to_string(),
    )
    .await;
    digest
}

async fn write_blob(storage: &dyn Storage, bytes: &[u8]) -> Digest {
    let digest = Digest::sha256_of(bytes);
    write(
        storage,
        &layout::blob(&digest),
        std::str::from_utf8(bytes).unwrap(),
    )
    .await;
    digest
}

/// All objects of the tree, by their keys.
pub(crate) async fn objects(storage: &dyn Storage) -> BTreeMap<String, Bytes> {
    let mut found = BTreeMap::new();
    for prefix in [layout::blobs(), layout::repositories()] {
        let page = storage.scan(&prefix, None, 100_000).await.unwrap();
        assert!(!page.more);
        for object in page.objects {
            let bytes = storage.read(&object.key, u64::MAX).await.unwrap().bytes;
            found.insert(object.key.to_string(), bytes);
        }
    }
    found
}

/// Checks that each tag, link and blob leads to something right.
pub(crate) async fn require_whole(storage: &dyn Storage) {
    let objects = objects(storage).await;
    let bytes_of = |digest: &Digest| objects.get(layout::blob(digest).as_str());
    let mut manifests = BTreeSet::new();
    for (key, bytes) in &objects {
        if key.ends_with("/data") {
            let digest = Digest::sha256_of(bytes);
            assert!(
                key.contains(digest.hex().as_str()) || key.contains("sha512"),
                "{key}: {digest}"
            );
            continue;
        }
        let target = layout::parse_link(bytes).unwrap();
        let (repository, rest) = key.split_once("/_").unwrap();
        let linked = |kind: &str, digest: &Digest| {
            let text = digest.to_string().replace(':', "/");
            objects.contains_key(&format!("{repository}/_{kind}/{text}/link"))
        };
        if rest.ends_with("/current/link") {
            assert!(linked("manifests/revisions", &target), "{key} points at {target}");
        }
        if rest.contains("/index/") {
            continue;
        }
        let stored = bytes_of(&target).unwrap_or_else(|| panic!("{key} points at {target}"));
        if rest.starts_with("manifests/revisions") && manifests.insert(key) {
            let text = std::str::from_utf8(stored).unwrap();
            for word in text.split('"').filter(|word| word.starts_with("sha256:")) {
                let digest: Digest = word.parse().unwrap();
                let is_linked = linked("layers", &digest) || linked("manifests/revisions", &digest);
                assert!(is_linked && bytes_of(&digest).is_some(), "{key} names {digest}");
            }
        }
    }
}
