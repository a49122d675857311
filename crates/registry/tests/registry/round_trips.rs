//! On a bucket each operation is a round trip: many reads of one request must not wait for each other.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use wharf_oci::{Digest, PageRequest, Reference, RepoName, media_type};
use wharf_registry::{
    ManifestPush, Precondition, Registry,
    collect::{CollectOptions, Collector},
};
use wharf_storage::{Put, layout};

use crate::common::{ROUND_TRIP, caller, far_away, image, index, name, push_blob, put, tag};

/// How many round trips `work` waits for, one after the other.
async fn round_trips<T>(work: impl Future<Output = T>) -> (T, u128) {
    let start = Instant::now();
    let done = work.await;
    (done, start.elapsed().as_millis() / ROUND_TRIP.as_millis())
}

/// The manifest of an image with `layers` layers, all of which are pushed.
async fn large_image(registry: &Arc<Registry>, name: &RepoName, layers: usize) -> String {
    let mut descriptors = Vec::new();
    for layer in 0..layers {
        let content = format!("layer {layer}");
        let digest = push_blob(registry, name, content.as_bytes()).await;
        descriptors.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":{}}}"#,
            content.len()
        ));
    }
    let config = push_blob(registry, name, b"{}").await;
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{}]}}"#,
        media_type::OCI_MANIFEST,
        descriptors.join(",")
    )
}

#[tokio::test(start_paused = true)]
async fn the_layers_of_a_pushed_image_are_checked_at_once() {
    let (registry, _) = far_away();
    let app = name("app");
    let manifest = large_image(&registry, &app, 20).await;
    let (_, trips) = round_trips(put(&registry, &app, tag("1"), &manifest)).await;
    // The marks of the 22 digests, then the link and the blob of each reference, each in two groups; then four writes in order;
    // then the links again.
    assert!(trips <= 12, "{trips} round trips");
}

#[tokio::test(start_paused = true)]
async fn a_long_list_of_tags_is_checked_many_at_a_time() {
    let (registry, storage) = far_away();
    let (app, tags) = (name("app"), 320);
    let link = Digest::sha256_of(b"manifest").to_string();
    for number in 0..tags {
        let key = layout::tag_link(&app, &format!("t{number:03}"));
        storage.publish(&[Put::new(key, link.clone())]).await.unwrap();
    }
    let page = PageRequest::default();
    let (page, trips) = round_trips(registry.tags(&app, &page)).await;
    assert_eq!(page.unwrap().names.len(), tags);
    assert!(trips <= 320 / 16 + 2, "{trips} round trips");
}

#[tokio::test(start_paused = true)]
async fn the_tags_of_a_deleted_manifest_are_found_many_at_a_time() {
    let (registry, _) = far_away();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let bytes = Bytes::from(manifest.clone());
    let tags: Vec<_> = (0..32).map(|number| tag(&format!("t{number}"))).collect();
    let reference = Reference::from(Digest::sha256_of(manifest.as_bytes()));
    let push = ManifestPush {
        reference: &reference,
        tags: &tags,
        content_type: None,
        bytes: &bytes,
        condition: &Precondition::default(),
    };
    let pushed = registry.put_manifest(&caller(), &app, push).await;
    let digest = pushed.unwrap().digest;
    let (removed, trips) = round_trips(registry.delete_manifest(&caller(), &app, &digest, false)).await;
    assert_eq!(removed.unwrap().len(), 32);
    assert!(trips <= 36, "{trips} round trips");
}

#[tokio::test(start_paused = true)]
async fn the_referrers_of_a_manifest_are_read_many_at_a_time_and_once() {
    let (registry, storage) = far_away();
    let app = name("app");
    let subject = Digest::sha256_of(b"subject");
    let extra = format!(
        r#","subject":{{"mediaType":"{}","digest":"{subject}","size":7}}"#,
        media_type::OCI_MANIFEST
    );
    for number in 0..32 {
        let referrer = image(&registry, &app, &format!("referrer {number}"), &extra).await;
        put(&registry, &app, Digest::sha256_of(referrer.as_bytes()), &referrer).await;
    }
    // Another registry over the store has seen none of them.
    let other = Registry::new(Arc::clone(&storage), registry.options().clone());
    let (page, first) = round_trips(other.referrers(&app, &subject, None, None)).await;
    assert_eq!(page.unwrap().descriptors.len(), 32);
    assert!(first <= 10, "{first} round trips");
    let (page, again) = round_trips(other.referrers(&app, &subject, None, None)).await;
    assert_eq!(page.unwrap().descriptors.len(), 32);
    assert!(
        again <= first - 2,
        "{again} round trips: manifests are immutable, and read once"
    );
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_looks_at_many_repositories_at_a_time() {
    let (registry, storage) = far_away();
    let link = Digest::sha256_of(b"manifest").to_string();
    for number in 0..32 {
        let key = layout::tag_link(&name(&format!("r{number:02}")), "1");
        storage.publish(&[Put::new(key, link.clone())]).await.unwrap();
    }
    let page = PageRequest {
        n: Some(20),
        last: None,
    };
    let (page, trips) = round_trips(registry.catalog(&page)).await;
    assert_eq!(page.unwrap().names.len(), 20);
    // One listing of each repository, because repositories may lie below it; tags are looked up meanwhile.
    assert!(trips <= 20 + 4, "{trips} round trips");
}

#[tokio::test(start_paused = true)]
async fn a_collection_reads_many_manifests_at_a_time() {
    let (registry, storage) = far_away();
    let app = name("app");
    let mut children = Vec::new();
    for number in 0..16 {
        let child = image(&registry, &app, &format!("content {number}"), "").await;
        let digest = put(&registry, &app, Digest::sha256_of(child.as_bytes()), &child).await;
        children.push((digest, child.len()));
    }
    put(&registry, &app, tag("all"), &index(&children)).await;
    let collector = Collector::new(storage, CollectOptions::default());
    let (marked, trips) = round_trips(async {
        let mut marking = collector.mark();
        marking.next().await.unwrap().unwrap().marks.len()
    })
    .await;
    // The index, its children, and of each a config and a layer; children are both manifests and named.
    assert_eq!(marked, 17 + 16 + 32);
    assert!(trips <= 16, "{trips} round trips");
}
