//! Repositories with many tags: deleting a manifest does not ask the store for each of them.

use std::sync::Arc;

use wharf_oci::PageRequest;
use wharf_registry::{Options, Registry};
use wharf_storage::{
    Storage,
    metered::{Metered, Meters},
    object::ObjectStorage,
};

use crate::common::{caller, image, name, put, tag};

/// How many tags point at another manifest than the one that is deleted.
const OTHERS: usize = 300;

fn calls(meters: &Meters) -> u64 {
    meters.snapshot().iter().map(|measured| measured.calls).sum()
}

#[tokio::test]
async fn deleting_by_digest_costs_no_request_for_each_tag() {
    let storage = Metered::new(Arc::new(ObjectStorage::in_memory()));
    let meters = storage.meters();
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let options = Options {
        delete_enabled: true,
        ..Options::default()
    };
    let registry = Arc::new(Registry::new(storage, options));
    let app = name("app");
    let kept = image(&registry, &app, "kept", "").await;
    let gone = image(&registry, &app, "gone", "").await;
    // One tag pointed at what goes, and moved away since.
    put(&registry, &app, tag("moved"), &gone).await;
    put(&registry, &app, tag("moved"), &kept).await;
    for number in 0..OTHERS {
        put(&registry, &app, tag(&format!("kept-{number:03}")), &kept).await;
    }
    put(&registry, &app, tag("gone-1"), &gone).await;
    let digest = put(&registry, &app, tag("gone-2"), &gone).await;

    let before = calls(&meters);
    let tags = registry
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
    assert_eq!(tags, [tag("gone-1"), tag("gone-2")]);
    let asked = calls(&meters) - before;
    assert!(asked < 40, "{asked} requests for {OTHERS} tags");

    let left = registry.tags(&app, &PageRequest::default()).await.unwrap().names;
    assert_eq!(left.len(), OTHERS + 1);
    assert!(left.contains(&"moved".into()) && !left.iter().any(|tag| tag.starts_with("gone")));
}
