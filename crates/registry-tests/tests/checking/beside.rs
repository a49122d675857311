//! Checks beside pushes and deletions find nothing broken, because nothing is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use wharf_registry::check::Severity;
use wharf_storage::fs::FsStorage;

use super::Scene;
use crate::common::{caller, far_away, image, put, tag};

/// How many checks there are, and how many pushes beside each, at least.
const CHECKS: u64 = 20;
const PUSHES: u64 = 3;

/// Checks again and again while images are pushed, tags moved, and manifests deleted.
async fn find_nothing_broken(scene: Scene) {
    let (registry, app) = (Arc::clone(&scene.registry), scene.app.clone());
    let (is_over, pushed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stop, number) = (Arc::clone(&is_over), Arc::clone(&pushed));
    let pushes = tokio::spawn(async move {
        while !stop.load(Relaxed) {
            let now = number.load(Relaxed);
            let manifest = image(&registry, &app, &format!("content {now}"), "").await;
            let digest = put(&registry, &app, tag(&format!("t{}", now % 3)), &manifest).await;
            if now.is_multiple_of(2) {
                registry
                    .delete_manifest(&caller(), &app, &digest, false)
                    .await
                    .unwrap();
            }
            number.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
        }
    });
    for check in 1..=CHECKS {
        let checked = scene.check().await;
        let broken = checked
            .findings
            .iter()
            .filter(|finding| finding.severity() != Severity::Untidy);
        assert_eq!(broken.count(), 0, "{:#?}", checked.findings);
        while pushed.load(Relaxed) < check * PUSHES {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    is_over.store(true, Relaxed);
    pushes.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_in_a_directory_is_no_damage() {
    let root = tempfile::tempdir().unwrap();
    find_nothing_broken(Scene::over(Arc::new(FsStorage::open(root.path()).unwrap()))).await;
}

/// Each request takes its time, so that reads and writes come in between each other.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_in_a_bucket_is_no_damage() {
    let (registry, storage) = far_away();
    let scene = Scene {
        registry,
        ..Scene::over(storage)
    };
    find_nothing_broken(scene).await;
}
