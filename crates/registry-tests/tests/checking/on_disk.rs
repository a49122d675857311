//! What only a directory can have: symbolic links, and names that no key can have.
#![expect(
    clippy::disallowed_methods,
    reason = "what operators and other programs do to a directory"
)]

use std::{fs, os::unix::fs::symlink, sync::Arc, time::Duration};

use wharf_registry::check::Severity;
use wharf_storage::{fs::FsStorage, layout};

use super::Scene;

#[tokio::test]
async fn symbolic_links_are_followed_and_loops_are_named() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let scene = Scene::over(Arc::new(FsStorage::open(inside.path()).unwrap()));
    scene.image("team/app", Some("1"), "content").await;
    let repositories = inside.path().join(layout::repositories().as_str());
    // A repository that was moved to another disk.
    fs::rename(repositories.join("team/app"), outside.path().join("app")).unwrap();
    symlink(outside.path().join("app"), repositories.join("team/app")).unwrap();
    let checked = scene.check().await;
    checked.is_sound();
    assert_eq!(checked.counts.tags, 1);
    // A link that leads nowhere, and one that leads back.
    symlink("/does/not/exist", repositories.join("team/app/nowhere")).unwrap();
    symlink(&repositories, repositories.join("team/back")).unwrap();
    // Two paths are one directory if they have one version, which a directory has that has not just been changed.
    while scene
        .storage
        .list(&layout::repositories(), None, 0)
        .await
        .unwrap()
        .version
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let checked = scene.check().await;
    checked.says(&[
        ("loop", Severity::Untidy, &[]),
        ("unknown-entry", Severity::Untidy, &[]),
    ]);
}

#[tokio::test]
async fn directories_that_no_key_can_name_are_named() {
    let root = tempfile::tempdir().unwrap();
    let scene = Scene::over(Arc::new(FsStorage::open(root.path()).unwrap()));
    scene.image("team/app", Some("1"), "content").await;
    let repositories = root.path().join(layout::repositories().as_str());
    fs::create_dir_all(repositories.join("@eaDir/thumbs")).unwrap();
    fs::create_dir_all(repositories.join("copy of team/app/_manifests")).unwrap();
    scene.check().await.says(&[
        ("unknown-entry", Severity::Untidy, &[]),
        ("unreachable-repository", Severity::Unknown, &[]),
    ]);
}

/// A check beside a server takes no lock, changes nothing of the registry, and notes how far it is.
#[tokio::test]
async fn a_check_beside_a_server_writes_nothing_but_its_note() {
    let root = tempfile::tempdir().unwrap();
    let server = Scene::over(Arc::new(FsStorage::open(root.path()).unwrap()));
    server.image("team/app", Some("1"), "content").await;
    let beside = Scene {
        storage: Arc::new(FsStorage::open_to_check(root.path()).unwrap()),
        ..Scene::over(Arc::clone(&server.storage))
    };
    beside.check().await.is_sound();
    server.storage.stat(&layout::check()).await.unwrap();
    let other = super::put_at(layout::scrub(), "x");
    beside.storage.publish(&[other]).await.unwrap_err();
    // The server goes on writing.
    server.image("team/app", Some("2"), "other").await;
    beside.check().await.is_sound();
    // Where no server of ours has been, nothing is made.
    let bare = tempfile::tempdir().unwrap();
    fs::create_dir_all(bare.path().join(layout::blobs().as_str())).unwrap();
    let scene = Scene::over(Arc::new(FsStorage::open_to_check(bare.path()).unwrap()));
    scene.check().await.is_sound();
    assert!(!bare.path().join("wharf").exists());
}
