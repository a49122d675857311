//! A deletion looks without a lock for what it may remove; it must not overlook pushes that come in between.

use std::{collections::BTreeSet, sync::Arc};

use tokio::{join, time::sleep};
use wharf_oci::{Digest, PageRequest, Reference, RepoName};
use wharf_registry::{Error, PushedManifest, Registry, Result};

use crate::common::{ROUND_TRIP, caller, far_away, image, index, name, put, tag, try_put};

/// The pushes begin after so many halves of a round trip; a deletion takes fewer than all of them.
const DELAYS: std::ops::Range<u32> = 0..40;

async fn push_later(
    registry: &Arc<Registry>,
    name: &RepoName,
    reference: impl Into<Reference>,
    manifest: &str,
    delay: u32,
) -> Result<PushedManifest> {
    sleep(ROUND_TRIP / 2 * delay).await;
    try_put(registry, name, reference, manifest).await
}

/// Deletes the child of an index while the index is pushed; whether the index is there before, untagged.
async fn exactly_one_succeeds(is_known: bool) {
    let app = name("app");
    let mut deleted_when = BTreeSet::new();
    for delay in DELAYS {
        let (registry, _) = far_away();
        let child = image(&registry, &app, "content", "").await;
        let digest = put(&registry, &app, Digest::sha256_of(child.as_bytes()), &child).await;
        let list = index(&[(digest, child.len())]);
        if is_known {
            put(&registry, &app, Digest::sha256_of(list.as_bytes()), &list).await;
        }
        let caller = caller();
        let (deleted, pushed) = join!(
            registry.delete_manifest(&caller, &app, &digest, false),
            push_later(&registry, &app, tag("multi"), &list, delay),
        );
        match (&deleted, &pushed) {
            (Ok(_), Err(Error::ManifestReferencesUnknown(_))) | (Err(Error::NeededByIndex { .. }), Ok(_)) => {
            }
            both => panic!("after {delay}: {both:?}"),
        }
        deleted_when.insert(deleted.is_ok());
    }
    assert_eq!(deleted_when.len(), 2, "both orders were seen");
}

#[tokio::test(start_paused = true)]
async fn the_child_of_an_index_that_is_being_pushed_stays_or_the_push_is_refused() {
    exactly_one_succeeds(false).await;
}

#[tokio::test(start_paused = true)]
async fn the_child_of_an_index_that_is_being_tagged_stays_or_the_push_is_refused() {
    exactly_one_succeeds(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_comes_while_its_manifest_is_deleted_never_dangles() {
    let app = name("app");
    let mut left = BTreeSet::new();
    for delay in DELAYS {
        let (registry, _) = far_away();
        let manifest = image(&registry, &app, "content", "").await;
        let digest = put(&registry, &app, tag("early"), &manifest).await;
        let caller = caller();
        let (deleted, pushed) = join!(
            registry.delete_manifest(&caller, &app, &digest, false),
            push_later(&registry, &app, tag("late"), &manifest, delay),
        );
        deleted.unwrap();
        pushed.unwrap();
        let tags = registry
            .tags(&app, &PageRequest::default())
            .await
            .unwrap_or_default()
            .names;
        for name in &tags {
            let found = registry.manifest(&app, &tag(name).into()).await;
            assert!(found.is_ok(), "after {delay}: `{name}` points nowhere");
        }
        left.insert(tags.len());
    }
    assert_eq!(left, BTreeSet::from([0, 1]), "both orders were seen");
}
