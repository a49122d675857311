//! Deletions of what other manifests of the repository need, and of what other requests use meanwhile.

use wharf_oci::media_type;
use wharf_registry::Error;

use crate::common::{caller, name, push_blob, put, registry, tag};

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
