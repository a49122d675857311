//! Repositories with many tags: deleting a manifest does not ask the store for each of them.

use wharf_oci::PageRequest;
use wharf_storage::metered::Meters;

use crate::common::{caller, image, metered, name, put, tag};

/// How many tags point at another manifest than the one that is deleted.
const OTHERS: usize = 300;

fn calls(meters: &Meters) -> u64 {
    meters.snapshot().iter().map(|measured| measured.calls).sum()
}

#[tokio::test]
async fn deleting_by_digest_costs_no_request_for_each_tag() {
    let (registry, meters) = metered();
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
