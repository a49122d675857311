//! Deletions of what other manifests of the repository need, and of what other requests use meanwhile.

use std::{sync::Arc, time::Duration};

use tokio::{select, time::timeout};
use wharf_oci::{Digest, RepoName, media_type};
use wharf_registry::{Error, Registry};
use wharf_storage::{Operation, metered::Meters};

use crate::common::{caller, far_away, image, index, metered, name, push_blob, put, registry, tag, try_put};

/// How many images share a blob.
const IMAGES: usize = 40;

fn scans(meters: &Meters) -> u64 {
    let measured = meters.snapshot();
    let scans = measured
        .iter()
        .filter(|measured| measured.operation == Operation::Scan);
    scans.map(|measured| measured.calls).sum()
}

/// An entry of an index that has no media type is a manifest or a blob.
#[tokio::test]
async fn a_blob_that_an_untyped_entry_of_an_index_names_is_needed() {
    let (registry, _) = registry();
    let app = name("app");
    let blob = push_blob(&registry, &app, b"content").await;
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"digest":"{blob}","size":7}}]}}"#,
        media_type::OCI_INDEX
    );
    put(&registry, &app, tag("1"), &index).await;
    let refused = registry.delete_blob(&caller(), &app, &blob, false).await;
    match refused.unwrap_err() {
        Error::BlobNeeded { manifests, .. } => assert_eq!(manifests, ["app:1"]),
        error => panic!("{error}"),
    }
    registry.delete_tag(&caller(), &app, &tag("1")).await.unwrap();
    registry.delete_blob(&caller(), &app, &blob, false).await.unwrap();
}

/// To look for each of many manifests in the history of each of many tags takes the product of both.
#[tokio::test]
async fn the_tags_of_many_images_with_one_blob_are_not_searched_for_each_image() {
    let (registry, meters) = metered();
    let app = name("app");
    let mut expected = Vec::new();
    let mut children = Vec::new();
    for number in 0..IMAGES {
        let extra = format!(r#","annotations":{{"number":"{number}"}}"#);
        let manifest = image(&registry, &app, "shared", &extra).await;
        let name = format!("image-{number:02}");
        let digest = put(&registry, &app, tag(&name), &manifest).await;
        children.push((digest, manifest.len()));
        expected.push(format!("app:{name}"));
    }
    put(&registry, &app, tag("index"), &index(&children)).await;
    expected.push("app:index".to_owned());
    let other = image(&registry, &app, "other", "").await;
    put(&registry, &app, tag("other"), &other).await;

    let (blob, before) = (Digest::sha256_of(b"shared"), scans(&meters));
    let refused = registry.delete_blob(&caller(), &app, &blob, false).await;
    match refused.unwrap_err() {
        Error::BlobNeeded { manifests, .. } => assert_eq!(manifests, expected),
        error => panic!("{error}"),
    }
    assert_eq!(scans(&meters), before);
}

/// Pushes, one time after the other, an index of which one entry is missing.
async fn push_in_vain(registry: &Arc<Registry>, name: &RepoName, named: &Digest) {
    let missing = Digest::sha256_of(b"missing");
    let index = index(&[(*named, 1), (missing, 1)]);
    loop {
        let refused = try_put(registry, name, tag("index"), &index).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::ManifestReferencesUnknown(_)), "{error}");
    }
}

/// A push that fails takes the lock on what it names before it does, and so disturbs a deletion.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_is_disturbed_by_pushes_that_fail_ends() {
    let (registry, _) = far_away();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let digest = put(&registry, &app, tag("1"), &manifest).await;
    let blob = push_blob(&registry, &app, b"blob").await;
    let (caller, hour) = (caller(), Duration::from_secs(3600));
    select! {
        () = push_in_vain(&registry, &app, &digest) => unreachable!("it goes on for ever"),
        deleted = timeout(hour, registry.delete_manifest(&caller, &app, &digest, false)) => {
            let error = deleted.expect("the deletion ends").unwrap_err();
            assert!(matches!(error, Error::Busy { .. }), "{error}");
        }
    }
    select! {
        () = push_in_vain(&registry, &app, &blob) => unreachable!("it goes on for ever"),
        deleted = timeout(hour, registry.delete_blob(&caller, &app, &blob, false)) => {
            let error = deleted.expect("the deletion ends").unwrap_err();
            assert!(matches!(error, Error::Busy { .. }), "{error}");
        }
    }
    registry.delete_blob(&caller, &app, &blob, false).await.unwrap();
    registry
        .delete_manifest(&caller, &app, &digest, false)
        .await
        .unwrap();
}
