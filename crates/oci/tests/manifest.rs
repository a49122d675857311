//! What is read in manifests, and which are refused.

use wharf_oci::{Descriptor, Digest, ManifestError, ManifestKind, ManifestView, media_type};

const IMAGE: &str = r#"{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111", "size": 7},
  "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:2222222222222222222222222222222222222222222222222222222222222222", "size": 8}],
  "annotations": {"a": "b"}
}"#;

#[test]
fn an_image_is_read() {
    let view = ManifestView::parse_pushed(Some(media_type::OCI_MANIFEST), IMAGE.as_bytes()).unwrap();
    assert_eq!(view.kind, ManifestKind::Image);
    assert_eq!(view.media_type, media_type::OCI_MANIFEST);
    assert_eq!(view.blobs().map(|blob| blob.size).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(view.effective_artifact_type(), Some(media_type::OCI_CONFIG));
    assert_eq!(view.annotations["a"], "b");
    assert_eq!(ManifestView::parse_stored(IMAGE.as_bytes()), Ok(view));
}

#[test]
fn a_manifest_that_is_nested_deep_is_refused() {
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let error = ManifestView::parse_pushed(Some(media_type::OCI_MANIFEST), deep.as_bytes()).unwrap_err();
    assert_eq!(error, ManifestError::TooDeep { limit: 128 });
}

#[test]
fn the_entry_of_a_referrers_list_is_made() {
    let view = ManifestView::parse_stored(IMAGE.as_bytes()).unwrap();
    let digest = Digest::sha256_of(IMAGE.as_bytes());
    let entry: Descriptor = view.descriptor(digest, IMAGE.len() as u64);
    let json = serde_json::to_string(&entry).unwrap();
    assert_eq!(
        json,
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{},"artifactType":"application/vnd.oci.image.config.v1+json","annotations":{{"a":"b"}}}}"#,
            IMAGE.len()
        )
    );
}
