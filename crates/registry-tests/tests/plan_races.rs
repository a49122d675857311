//! Plans that are applied while clients push what they name: no push loses its tag, and no tag dangles.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use object_store::path::Path;
use tokio::{join, time::sleep};
use wharf_oci::{Digest, PageRequest, RepoName};
use wharf_registry::{Application, Deletion, Error, EveryTag, Registry};
use wharf_storage::object::ObjectStorage;

use crate::{
    common::{ROUND_TRIP, caller, far_away, image, index, name, over, put, tag, try_put},
    slow_bucket::{Random, SlowBucket},
};

/// The pushes begin after so many round trips; a deletion takes fewer than all of them.
const DELAYS: std::ops::Range<u32> = 0..90;

fn deletions() -> [Deletion; 3] {
    let tags = vec![tag("early")];
    let keep_images = false;
    [
        Deletion::Tags { tags, keep_images },
        Deletion::Untagged {
            min_age: Duration::ZERO,
            keep_history: Duration::ZERO,
        },
        Deletion::Repository,
    ]
}

/// Every tag of the repository leads to a manifest, and that to its children and layers.
async fn assert_whole(registry: &Arc<Registry>, app: &RepoName, when: &str) -> BTreeSet<String> {
    let tags = registry
        .tags(app, &PageRequest::default())
        .await
        .unwrap_or_default()
        .names;
    for name in &tags {
        let found = registry.manifest(app, &tag(name).into()).await;
        let found = found.unwrap_or_else(|error| panic!("{when}: `{name}` dangles: {error}"));
        let manifest: serde_json::Value = serde_json::from_slice(&found.bytes).unwrap();
        let digests = |field: &str| {
            let listed = manifest[field].as_array().cloned().unwrap_or_default();
            let digests = listed
                .iter()
                .map(|entry| entry["digest"].as_str().unwrap().parse().unwrap());
            digests.collect::<Vec<Digest>>()
        };
        for child in digests("manifests") {
            let child = registry.manifest(app, &child.into()).await;
            child.unwrap_or_else(|error| panic!("{when}: `{name}` lost a child: {error}"));
        }
        for layer in digests("layers") {
            let layer = registry.blob(app, &layer).await;
            layer.unwrap_or_else(|error| panic!("{when}: `{name}` lost a layer: {error}"));
        }
    }
    tags.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn a_push_beside_a_deletion_keeps_its_tag_and_all_that_this_needs() {
    let app = name("app");
    for deletion in deletions() {
        let (mut pushed_before, mut refused, mut whole) = (0, 0, 0);
        for delay in DELAYS {
            let (registry, _) = far_away();
            let manifest = image(&registry, &app, "content", "").await;
            let reference = match deletion {
                Deletion::Untagged { .. } => Digest::sha256_of(manifest.as_bytes()).into(),
                _ => wharf_oci::Reference::Tag(tag("early")),
            };
            let digest = put(&registry, &app, reference, &manifest).await;
            let list = index(&[(digest, manifest.len())]);
            let caller = caller();
            let (applied, late, multi) = join!(
                registry.apply_deletion(&caller, &app, &deletion, &EveryTag, Application::default()),
                async {
                    sleep(ROUND_TRIP * delay).await;
                    try_put(&registry, &app, tag("late"), &manifest).await
                },
                async {
                    sleep(ROUND_TRIP * delay).await;
                    try_put(&registry, &app, tag("multi"), &list).await
                },
            );
            let applied = applied.unwrap();
            let when = format!("{deletion:?} after {delay}");
            let tags = assert_whole(&registry, &app, &when).await;
            for (name, pushed) in [("late", late), ("multi", multi)] {
                match pushed {
                    // A deletion of all takes what was there when its plan was made.
                    Ok(_)
                        if matches!(deletion, Deletion::Repository) && applied.tags.contains(&tag(name)) =>
                    {
                        pushed_before += 1;
                    }
                    Ok(_) => assert!(tags.contains(name), "{when}: `{name}` is lost"),
                    Err(Error::ManifestReferencesUnknown(_)) => refused += 1,
                    Err(error) => panic!("{when}: {error}"),
                }
            }
            whole += usize::from(tags.len() == 2);
        }
        assert!(
            refused > 0 && (whole > 0 || pushed_before > 0),
            "{deletion:?}: {refused} {whole}"
        );
    }
}

/// Two replicas over a slow bucket: one deletes, the other one pushes.
#[tokio::test(start_paused = true)]
async fn what_another_replica_pushes_is_whole() {
    let app = name("app");
    let (mut pushed_at_all, mut went) = (0, 0);
    for seed in 0..120 {
        let random = Random::new(seed);
        let bucket = SlowBucket::reliable(random.clone());
        let over_bucket = || {
            let bucket = Arc::new(bucket.clone());
            over(Arc::new(ObjectStorage::new(bucket, Path::default())))
        };
        let (one, two) = (over_bucket(), over_bucket());
        let quick = over(Arc::new(ObjectStorage::new(
            Arc::new(bucket.content()),
            Path::default(),
        )));
        let child = image(&quick, &app, "content", "").await;
        let digest = put(&quick, &app, tag("early"), &child).await;
        let list = index(&[(digest, child.len())]);
        let [deletion, ..] = deletions();
        let caller = caller();
        let (first, second) = (random.below(400), random.below(1500));
        let (applied, pushed) = join!(
            async {
                sleep(Duration::from_millis(first)).await;
                Box::pin(one.apply_deletion(&caller, &app, &deletion, &EveryTag, Application::default()))
                    .await
            },
            async {
                sleep(Duration::from_millis(second)).await;
                // The index of the image, or the image itself under another tag.
                let (tag, manifest) = match seed % 2 {
                    0 => (tag("multi"), &list),
                    _ => (tag("late"), &child),
                };
                Box::pin(try_put(&two, &app, tag, manifest)).await
            },
        );
        went += usize::from(!applied.unwrap().manifests.is_empty());
        match pushed {
            Ok(_) => pushed_at_all += 1,
            Err(Error::ManifestReferencesUnknown(_) | Error::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert_whole(&quick, &app, &format!("seed {seed}")).await;
    }
    assert!(pushed_at_all > 0 && went > 0, "{pushed_at_all} {went}");
}
