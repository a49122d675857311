//! The engine on a real disk: the contract, and what only a file system shows.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the files behind the engine's back"
)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use wharf_oci::{Algorithm, Digest};

use super::FsStorage;
use crate::{ErrorKind, Key, Objects, Put, Upload, Uploads, contract::purge, layout, layout::UploadKey};

/// A new upload with `bytes` in it, which the caller holds.
async fn begun(storage: &FsStorage, upload: &UploadKey, bytes: impl Into<Bytes>) -> Box<dyn Upload> {
    storage.create_upload(upload).await.unwrap();
    let mut held = storage.open_upload(upload).await.unwrap();
    held.write(bytes.into()).await.unwrap();
    held
}

/// Leaves a new upload with so many times a MiB of sevens.
async fn suspended(storage: &FsStorage, upload: &UploadKey, mebibytes: usize) {
    let piece = Bytes::from(vec![7; 1 << 20]);
    let mut held = begun(storage, upload, piece.clone()).await;
    for _ in 1..mebibytes {
        held.write(piece.clone()).await.unwrap();
    }
    held.suspend().await.unwrap();
}

/// On a disk, also where the directories of other tests lie in memory.
fn opened() -> (tempfile::TempDir, FsStorage) {
    let disk = std::env::var_os("WHARF_TEST_DISK").map_or_else(std::env::temp_dir, Into::into);
    let directory = tempfile::tempdir_in(disk).unwrap();
    let storage = FsStorage::open(directory.path()).unwrap();
    (directory, storage)
}

fn upload() -> UploadKey {
    UploadKey {
        repository: "team/app".parse().unwrap(),
        id: "an-upload".parse().unwrap(),
    }
}

fn path_of(root: &Path, upload: &UploadKey) -> PathBuf {
    root.join(layout::uploads(&upload.repository).as_str())
        .join(upload.id.as_str())
}

fn data_of(root: &Path, upload: &UploadKey) -> PathBuf {
    path_of(root, upload).join("data")
}

#[test]
fn a_second_process_is_told_who_has_the_store() {
    let (directory, storage) = opened();
    let error = FsStorage::open(directory.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(
        error.to_string().contains(&format!("pid {}", std::process::id())),
        "{error}"
    );
    drop(storage);
    FsStorage::open(directory.path()).unwrap();
}

/// What removes things while no server runs finds the lock of one that was told to do without.
#[test]
fn a_store_is_locked_wherever_its_file_system_has_locks() {
    let (directory, storage) = opened();
    let error = FsStorage::open_also_without_locks(directory.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    drop(storage);
    let storage = FsStorage::open_also_without_locks(directory.path()).unwrap();
    let error = FsStorage::open(directory.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    drop(storage);
}

#[test]
fn what_a_killed_process_left_in_staging_goes() {
    let (directory, storage) = opened();
    drop(storage);
    let staging = directory.path().join("wharf/staging");
    fs::create_dir_all(staging.join("1/a/b")).unwrap();
    fs::write(staging.join("1/a/b/c"), "x").unwrap();
    fs::write(staging.join("2"), "x").unwrap();
    let _storage = FsStorage::open(directory.path()).unwrap();
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
}

#[test]
fn a_root_that_cannot_be_used_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for root in [file.clone(), file.join("below")] {
        let error = FsStorage::open(&root).unwrap_err().to_string();
        assert!(
            error.contains("something that is not a directory lies on the way"),
            "{error}"
        );
        assert!(error.contains(&root.display().to_string()), "{error}");
    }
}

/// The modes that registry:2 gives: what the umask leaves.
#[tokio::test]
async fn files_and_directories_get_ordinary_modes() {
    let (directory, storage) = opened();
    let key = Key::new("docker/registry/v2/blobs/sha256/aa/aabb/data").unwrap();
    storage
        .publish(&[Put::new(key, Bytes::from_static(b"x"))])
        .await
        .unwrap();
    fs::create_dir(directory.path().join("directory")).unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let mode = |path: &str| {
        fs::metadata(directory.path().join(path))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("docker/registry/v2/blobs/sha256/aa/aabb/data"), mode("file"));
    assert_eq!(mode("docker/registry/v2/blobs/sha256/aa/aabb"), mode("directory"));
    assert_eq!(mode("docker"), mode("directory"));
}

#[tokio::test]
async fn keys_and_robot_tokens_are_for_the_owner_alone() {
    let (directory, storage) = opened();
    for key in [layout::token_keys(), layout::robot_tokens()] {
        let path = directory.path().join(key.as_str());
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        storage.publish(&[Put::new(key.clone(), "first")]).await.unwrap();
        assert_eq!(mode(), 0o600, "{key}, new");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        storage.publish(&[Put::new(key.clone(), "second")]).await.unwrap();
        assert_eq!(mode(), 0o600, "{key}, replaced");
    }
}

/// Byte for byte what registry:2 leaves in an upload's directory.
#[tokio::test]
async fn an_upload_lies_where_registry_2_looks() {
    let (directory, storage) = opened();
    let upload = upload();
    storage.create_upload(&upload).await.unwrap();
    let mut held = storage.open_upload(&upload).await.unwrap();
    held.write(Bytes::from_static(b"abc")).await.unwrap();
    held.suspend().await.unwrap();
    assert_eq!(fs::read(data_of(directory.path(), &upload)).unwrap(), b"abc");
    let started = fs::read_to_string(path_of(directory.path(), &upload).join("startedat")).unwrap();
    let shape: String = started
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00Z");
}

/// I1: the digest is that of the bytes in the file, whichever process wrote them.
#[tokio::test]
async fn a_file_that_changed_between_requests_is_hashed_again() {
    let (directory, storage) = opened();
    let upload = upload();
    let held = begun(&storage, &upload, vec![1; 300_000]).await;
    held.suspend().await.unwrap();

    // The clock of a file system may tick every 10 ms only.
    tokio::time::sleep(Duration::from_millis(30)).await;
    fs::write(data_of(directory.path(), &upload), vec![2; 300_000]).unwrap();

    let mut held = storage.open_upload(&upload).await.unwrap();
    assert_eq!(held.size(), 300_000);
    held.write(Bytes::from_static(b"end")).await.unwrap();
    let finished = held.finish(Some(Algorithm::Sha512)).await.unwrap();
    let content = [&vec![2; 300_000][..], b"end"].concat();
    assert_eq!(
        finished.digest(Algorithm::Sha256),
        Some(Digest::sha256_of(&content))
    );
    assert_eq!(
        finished.digest(Algorithm::Sha512),
        Some(Digest::of(Algorithm::Sha512, &content))
    );
    let key = layout::blob(&Digest::sha256_of(&content));
    finished.publish(&key, &[]).await.unwrap();
    assert_eq!(storage.read(&key, 1_000_000).await.unwrap().bytes, content);
    assert!(!path_of(directory.path(), &upload).exists());
}

/// I1: what is published has the size that was hashed.
#[tokio::test]
async fn a_file_that_grew_after_it_was_hashed_is_not_published() {
    let (directory, storage) = opened();
    let upload = upload();
    let held = begun(&storage, &upload, vec![1; 300_000]).await;
    let finished = held.finish(None).await.unwrap();
    fs::write(data_of(directory.path(), &upload), vec![1; 300_001]).unwrap();
    let key = layout::blob(&finished.digest(Algorithm::Sha256).unwrap());
    let error = finished.publish(&key, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(storage.stat(&key).await.unwrap_err().is_not_found());
}

/// Another process wrote part of an upload, and this one was started after it.
#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let (directory, storage) = opened();
    let upload = upload();
    let held = begun(&storage, &upload, vec![7; 100_000]).await;
    held.suspend().await.unwrap();
    drop(storage);

    let storage = FsStorage::open(directory.path()).unwrap();
    let mut held = storage.open_upload(&upload).await.unwrap();
    assert_eq!(held.size(), 100_000);
    held.write(Bytes::from(vec![8; 100_000])).await.unwrap();
    let finished = held.finish(None).await.unwrap();
    let content = [vec![7; 100_000], vec![8; 100_000]].concat();
    assert_eq!(
        finished.digest(Algorithm::Sha256),
        Some(Digest::sha256_of(&content))
    );
}

/// Bytes that were hashed before a restart of the process are not read again, however many they are; after a restart of the machine
/// they are.
#[tokio::test]
async fn a_restart_of_the_process_spares_hashing_a_large_upload_again() {
    const SIZE: usize = 66 << 20;
    let (directory, mut storage) = opened();
    let upload = upload();
    suspended(&storage, &upload, SIZE >> 20).await;

    let record = path_of(directory.path(), &upload).join("hashed");
    let recorded = fs::read_to_string(&record).unwrap();
    let data = data_of(directory.path(), &upload);
    let hashed = async |storage: &FsStorage| {
        let held = storage.open_upload(&upload).await.unwrap();
        assert_eq!(held.size(), SIZE as u64);
        let finished = held.finish(None).await.unwrap();
        finished.digest(Algorithm::Sha256).unwrap()
    };
    let sent = Digest::sha256_of(&vec![7; SIZE]);
    // A byte that no program changes, changed: whether it was read shows in the digest.
    let mut changed = vec![7; SIZE];
    changed[1000] = 8;
    fs::OpenOptions::new()
        .write(true)
        .open(&data)
        .and_then(|file| std::os::unix::fs::FileExt::write_all_at(&file, &[8], 1000))
        .unwrap();
    let changed = Digest::sha256_of(&changed);

    for (record_is, expected) in [
        (recorded.clone(), sent),
        (
            recorded.replacen(&boot_of(&recorded), "00000000-0000", 1),
            changed,
        ),
        (recorded[..recorded.len() - 2].to_owned(), changed),
        (recorded.replacen("sha256:", "sha256:0", 1), changed),
        (String::new(), changed),
    ] {
        drop(storage);
        fs::write(&record, &record_is).unwrap();
        storage = FsStorage::open(directory.path()).unwrap();
        assert_eq!(hashed(&storage).await, expected, "{record_is}");
    }

    // A file that is shorter than what the record covers, and another one under the same name.
    drop(storage);
    fs::write(&record, &recorded).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&data)
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let storage = FsStorage::open(directory.path()).unwrap();
    let held = storage.open_upload(&upload).await.unwrap();
    let finished = held.finish(None).await.unwrap();
    let mut changed = vec![7; 1 << 20];
    changed[1000] = 8;
    let digest = Digest::sha256_of(&changed);
    assert_eq!(finished.digest(Algorithm::Sha256), Some(digest));
    finished.publish(&layout::blob(&digest), &[]).await.unwrap();
    assert!(!path_of(directory.path(), &upload).exists());
}

/// After a restart of the machine nothing is known of its hash: the first question of the client begins to compute it.
#[tokio::test]
async fn a_question_for_a_large_upload_begins_to_hash_it() {
    let (directory, storage) = opened();
    let upload = upload();
    suspended(&storage, &upload, 65).await;
    drop(storage);
    let record = path_of(directory.path(), &upload).join("hashed");
    let recorded = fs::read_to_string(&record).unwrap();
    fs::write(
        &record,
        recorded.replacen(&boot_of(&recorded), "00000000-0000", 1),
    )
    .unwrap();

    let storage = FsStorage::open(directory.path()).unwrap();
    assert_eq!(storage.upload_size(&upload).await.unwrap(), 65 << 20);
    while fs::read_to_string(&record).ok().as_ref() != Some(&recorded) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let held = storage.open_upload(&upload).await.unwrap();
    let finished = held.finish(None).await.unwrap();
    let digest = Digest::sha256_of(&vec![7; 65 << 20]);
    assert_eq!(finished.digest(Algorithm::Sha256), Some(digest));
}

fn boot_of(record: &str) -> String {
    record.split(' ').nth(1).unwrap().to_owned()
}

/// Copies a tree as it is at the moment, as a killed process leaves it.
fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The process is killed while it takes a request that is all or nothing.
#[tokio::test]
async fn a_killed_process_leaves_an_upload_as_it_was_before_a_request_that_is_all_or_nothing() {
    let (directory, storage) = opened();
    let upload = upload();
    let held = begun(&storage, &upload, vec![7; 100_000]).await;
    held.suspend().await.unwrap();
    let mut held = storage.open_upload(&upload).await.unwrap();
    held.write_provisionally();
    held.write(Bytes::from(vec![8; 300_000])).await.unwrap();
    let finished = held.finish(None).await.unwrap();

    let (left, reopened) = opened();
    drop(reopened);
    copy_tree(&directory.path().join("docker"), &left.path().join("docker"));
    assert_eq!(
        fs::metadata(data_of(left.path(), &upload)).unwrap().size(),
        400_000
    );
    drop(finished);

    let storage = FsStorage::open(left.path()).unwrap();
    assert_eq!(storage.upload_size(&upload).await.unwrap(), 100_000);
    let held = storage.open_upload(&upload).await.unwrap();
    assert_eq!(held.suspend().await.unwrap(), 100_000);
    let mut held = storage.open_upload(&upload).await.unwrap();
    held.write(Bytes::from(vec![9; 10])).await.unwrap();
    let finished = held.finish(None).await.unwrap();
    let content = [vec![7; 100_000], vec![9; 10]].concat();
    let digest = Digest::sha256_of(&content);
    assert_eq!(finished.digest(Algorithm::Sha256), Some(digest));
    finished.publish(&layout::blob(&digest), &[]).await.unwrap();
    assert!(!path_of(left.path(), &upload).exists());
}

/// The process was killed when it had marked the upload, and had not written to it.
#[tokio::test]
async fn a_mark_without_bytes_behind_it_takes_no_later_bytes_away() {
    let (directory, storage) = opened();
    let upload = upload();
    let held = begun(&storage, &upload, Bytes::from_static(b"0123456789")).await;
    held.suspend().await.unwrap();
    let engine = &storage.engine;
    let path = super::upload::directory_of(&upload);
    engine.mark(&path, 10).unwrap();
    drop(storage);

    let storage = FsStorage::open(directory.path()).unwrap();
    storage.engine.hash_ahead(&upload, &path, 10).unwrap();
    let mut held = storage.open_upload(&upload).await.unwrap();
    held.write(Bytes::from_static(b"abcdef")).await.unwrap();
    assert_eq!(held.suspend().await.unwrap(), 16);
    drop(storage);

    let storage = FsStorage::open(directory.path()).unwrap();
    assert_eq!(storage.upload_size(&upload).await.unwrap(), 16);
    let held = storage.open_upload(&upload).await.unwrap();
    assert_eq!(held.size(), 16);
    let finished = held.finish(None).await.unwrap();
    assert_eq!(
        finished.digest(Algorithm::Sha256),
        Some(Digest::sha256_of(b"0123456789abcdef"))
    );
}

/// The bytes are a blob already when something after it fails: they are not cut off.
#[tokio::test]
async fn a_request_that_is_taken_back_spares_a_blob_that_was_published() {
    let (directory, storage) = opened();
    let upload = upload();
    storage.create_upload(&upload).await.unwrap();
    let mut held = storage.open_upload(&upload).await.unwrap();
    held.write_provisionally();
    let content = Bytes::from(vec![8; 300_000]);
    held.write(content.clone()).await.unwrap();
    let finished = held.finish(None).await.unwrap();
    let blob = layout::blob(&finished.digest(Algorithm::Sha256).unwrap());
    let link = Put::new(Key::new("a/link").unwrap(), Bytes::from_static(b"x")).if_absent();
    storage.publish(std::slice::from_ref(&link)).await.unwrap();
    finished.publish(&blob, &[link]).await.unwrap_err();
    assert_eq!(storage.read(&blob, 1_000_000).await.unwrap().bytes, content);
    assert_eq!(storage.upload_size(&upload).await.unwrap(), 0);
    assert!(directory.path().join(blob.as_str()).exists());
}

/// A file with another name may be a blob already: it is never written to again.
#[tokio::test]
async fn an_upload_that_shares_its_file_starts_over() {
    let (directory, storage) = opened();
    let upload = upload();
    let held = begun(&storage, &upload, Bytes::from_static(b"published")).await;
    held.suspend().await.unwrap();
    let other = directory.path().join("other");
    fs::hard_link(data_of(directory.path(), &upload), &other).unwrap();
    let path = super::upload::directory_of(&upload);
    storage.engine.mark(&path, 3).unwrap();

    let mut held = storage.open_upload(&upload).await.unwrap();
    assert_eq!(held.size(), 0);
    assert_eq!(storage.engine.marked(&path).unwrap(), None);
    held.write(Bytes::from_static(b"something else")).await.unwrap();
    held.suspend().await.unwrap();
    assert_eq!(fs::read(&other).unwrap(), b"published");
    assert_eq!(
        fs::read(data_of(directory.path(), &upload)).unwrap(),
        b"something else"
    );
}

#[tokio::test]
async fn a_blob_that_is_cut_short_while_it_is_read_is_an_error() {
    let (directory, storage) = opened();
    let key = Key::new("a/blob").unwrap();
    let put = Put::new(key.clone(), Bytes::from(vec![1; 1_000_000]));
    storage.publish(&[put]).await.unwrap();
    let blob = storage.open(&key).await.unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(directory.path().join("a/blob"))
        .unwrap();
    file.set_len(600_000).unwrap();
    let mut stream = blob.stream(0..1_000_000);
    let mut got = 0;
    let error = loop {
        match stream.try_next().await {
            Ok(Some(piece)) => got += piece.len(),
            Ok(None) => panic!("the stream ended after {got} bytes without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!((got, error.kind()), (600_000, ErrorKind::Damaged));
    assert!(stream.try_next().await.unwrap().is_none());
}

/// The version comes once a change would show, and a change by another program shows.
#[tokio::test]
async fn versions_come_with_age_and_see_every_change() {
    let (directory, storage) = opened();
    let key = Key::new("a/link").unwrap();
    storage
        .publish(&[Put::new(key.clone(), Bytes::from_static(b"one"))])
        .await
        .unwrap();
    assert_eq!(
        storage.stat(&key).await.unwrap().version,
        None,
        "it may change again in this instant"
    );
    let settled = async || loop {
        if let Some(version) = storage.stat(&key).await.unwrap().version {
            return version;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let first = settled().await;
    assert_eq!(
        storage.read(&key, 10).await.unwrap().stat.version,
        Some(first.clone())
    );
    fs::write(directory.path().join("a/link"), "two").unwrap();
    assert_ne!(storage.stat(&key).await.unwrap().version, Some(first.clone()));
    assert_ne!(settled().await, first);
}

/// A cached listing is used only as long as the directory is the same.
#[tokio::test]
async fn listings_see_what_happens_behind_our_back() {
    let (directory, storage) = opened();
    let root = directory.path().join("docker/registry/v2/repositories");
    fs::create_dir_all(root.join("one")).unwrap();
    fs::write(root.join("not a key"), "").unwrap();
    std::os::unix::fs::symlink("one", root.join("linked")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("dangling")).unwrap();
    let names = async || {
        let page = storage.list(&layout::repositories(), None, 100).await.unwrap();
        let names: Vec<_> = page
            .entries
            .iter()
            .map(|entry| format!("{}:{}", entry.name, entry.is_dir))
            .collect();
        (names.join(" "), page.version)
    };
    let version = loop {
        let (listed, version) = names().await;
        assert_eq!(listed, "dangling:false linked:true one:true");
        if let Some(version) = version {
            break version;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(names().await.1, Some(version.clone()), "from the cache");
    fs::remove_dir(root.join("one")).unwrap();
    fs::create_dir(root.join("two")).unwrap();
    let (listed, now) = names().await;
    assert_eq!(listed, "dangling:false linked:false two:true");
    assert_ne!(now, Some(version));
}

/// A repository that is removed with `rm -rf` comes back with the next push, durable or not before.
#[tokio::test]
async fn a_tree_that_was_removed_behind_our_back_is_built_again() {
    let (directory, storage) = opened();
    let key = Key::new("docker/registry/v2/repositories/a/_manifests/tags/latest/current/link").unwrap();
    for content in ["one", "two"] {
        let put = Put::new(key.clone(), Bytes::from_static(content.as_bytes()));
        storage.publish(std::slice::from_ref(&put)).await.unwrap();
        storage.publish(&[put]).await.unwrap();
        assert_eq!(storage.read(&key, 10).await.unwrap().bytes, content);
        fs::remove_dir_all(directory.path().join("docker")).unwrap();
    }
}

fn link(name: &str) -> Put {
    let key = format!("docker/registry/v2/repositories/{name}/_manifests/tags/latest/current/link");
    Put::new(Key::new(key).unwrap(), Bytes::from_static(b"x"))
}

/// `rm -rf` of wharf's own directory, or of everything: the next push makes what is missing, the lock included.
#[tokio::test]
async fn what_is_removed_under_a_running_server_is_made_again() {
    let (directory, storage) = opened();
    storage.publish(&[link("before")]).await.unwrap();
    let push = async || {
        storage.publish(&[link("a"), link("b/c")]).await.unwrap();
        let upload = upload();
        storage.create_upload(&upload).await.unwrap();
        let mut held = storage.open_upload(&upload).await.unwrap();
        held.write(Bytes::from(vec![3; 100_000])).await.unwrap();
        let finished = held.finish(None).await.unwrap();
        let key = layout::blob(&finished.digest(Algorithm::Sha256).unwrap());
        finished.publish(&key, &[link("d")]).await.unwrap();
        storage
            .remove_tree(&Key::new("docker/registry/v2/repositories/d").unwrap())
            .await
            .unwrap();
    };
    push().await;
    for removed in [&["wharf"][..], &["wharf", "docker"]] {
        for name in removed {
            fs::remove_dir_all(directory.path().join(name)).unwrap();
        }
        push().await;
        storage.check().await.unwrap();
        let error = FsStorage::open(directory.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    }
    // Moves and removals need staging as well.
    fs::remove_dir_all(directory.path().join("wharf")).unwrap();
    let from = crate::Removal {
        key: link("a").key,
        keep: layout::repositories(),
    };
    storage
        .rename(&from, &Key::new("wharf/trash/link").unwrap())
        .await
        .unwrap();
    fs::remove_dir_all(directory.path().join("wharf")).unwrap();
    storage
        .remove_tree(&Key::new("docker/registry/v2/repositories/b").unwrap())
        .await
        .unwrap();
    assert!(directory.path().join("wharf/lock").exists());
}

/// The lock file was removed and a second server was started: the first one stops to write, and says so.
#[tokio::test]
async fn a_lock_that_another_process_took_stops_all_writes() {
    let (directory, storage) = opened();
    fs::remove_dir_all(directory.path().join("wharf")).unwrap();
    let second = FsStorage::open(directory.path()).unwrap();
    second.publish(&[link("second")]).await.unwrap();
    for _ in 0..2 {
        let error = storage.publish(&[link("first")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
        let error = storage.check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
        assert!(error.to_string().contains("another process"), "{error}");
    }
    second.check().await.unwrap();
    assert_eq!(storage.read(&link("second").key, 9).await.unwrap().bytes, "x");
}

/// A pipe where a file should be stands for a read that never ends: it is no object, and nothing waits for it.
#[test]
fn a_pipe_is_no_object_and_holds_nothing_up() {
    let (directory, storage) = opened();
    let upload = upload();
    let key = Key::new("docker/a/link").unwrap();
    let data = data_of(directory.path(), &upload);
    for path in [directory.path().join(key.as_str()), data] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
    }
    fs::write(path_of(directory.path(), &upload).join("startedat"), "").unwrap();
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let kinds = runtime.block_on(async {
            let held = storage.open_upload(&upload).await.unwrap();
            assert_eq!(held.size(), 0);
            [
                storage.stat(&key).await.unwrap_err().kind(),
                storage.read(&key, 100).await.unwrap_err().kind(),
                storage.open(&key).await.map(|_| ()).unwrap_err().kind(),
            ]
        });
        done.send(kinds).unwrap();
    });
    let kinds = is_done.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(kinds, [ErrorKind::NotFound; 3]);
}

/// Nothing outside the store is removed: a symbolic link goes itself.
#[tokio::test]
async fn a_symbolic_link_is_removed_and_what_it_leads_to_stays() {
    let (directory, storage) = opened();
    let outside = tempfile::tempdir().unwrap();
    for name in ["data", "startedat", "precious"] {
        fs::write(outside.path().join(name), "kept").unwrap();
    }
    fs::create_dir(outside.path().join("sub")).unwrap();
    let tags = layout::tags(&upload().repository);
    storage.publish(&[link("team/app")]).await.unwrap();
    let put_link = |path: &Path| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(outside.path(), path).unwrap();
    };
    let linked = directory.path().join(tags.as_str()).join("linked");
    put_link(&linked);
    storage.remove_tree(&tags.join("linked").unwrap()).await.unwrap();
    assert!(fs::symlink_metadata(&linked).is_err());

    // In a directory that goes whole.
    put_link(&linked.with_file_name("latest").join("deep/linked"));
    storage.remove_tree(&tags.join("latest").unwrap()).await.unwrap();

    let upload = path_of(directory.path(), &upload());
    put_link(&upload);
    let later = SystemTime::now() + Duration::from_secs(60);
    assert_eq!(purge(&storage, later).await.unwrap(), 1);
    assert!(fs::symlink_metadata(&upload).is_err());

    put_link(&directory.path().join("wharf/staging/7"));
    drop(storage);
    drop(FsStorage::open(directory.path()).unwrap());
    assert_eq!(
        fs::read_dir(directory.path().join("wharf/staging"))
            .unwrap()
            .count(),
        0
    );

    for name in ["data", "startedat", "precious"] {
        assert_eq!(fs::read_to_string(outside.path().join(name)).unwrap(), "kept");
    }
    assert!(outside.path().join("sub").is_dir());

    // Staging itself is not followed either.
    let staging = directory.path().join("wharf/staging");
    fs::remove_dir(&staging).unwrap();
    put_link(&staging);
    let error = FsStorage::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("`wharf/staging` is not a directory"), "{error}");
}

/// What cannot be removed from staging keeps its name, and keeps no server from starting.
#[tokio::test]
async fn staging_that_cannot_be_emptied_is_no_obstacle() {
    let (directory, storage) = opened();
    drop(storage);
    let staging = directory.path().join("wharf/staging");
    // A name that is not text is removed by nothing but the operator.
    use std::os::unix::ffi::OsStrExt as _;
    let name = std::ffi::OsStr::from_bytes(b"\xff");
    for number in ["0", "1"] {
        fs::create_dir(staging.join(number)).unwrap();
        fs::write(staging.join(number).join(name), "x").unwrap();
    }
    let storage = FsStorage::open(directory.path()).unwrap();
    storage.publish(&[link("a"), link("b")]).await.unwrap();
    assert!(staging.join("0").is_dir() && staging.join("1").is_dir());
}

#[tokio::test]
async fn purge_takes_what_registry_2_left() {
    let (directory, storage) = opened();
    let repositories = directory.path().join(layout::repositories().as_str());
    let without_start = repositories.join("a/b/_uploads/without-start");
    fs::create_dir_all(without_start.join("hashstates/sha256")).unwrap();
    fs::write(without_start.join("hashstates/sha256/0"), "sha").unwrap();
    fs::create_dir_all(repositories.join("a/_uploads/no id at all")).unwrap();
    let held = UploadKey {
        repository: "a".parse().unwrap(),
        id: "held".parse().unwrap(),
    };
    storage.create_upload(&held).await.unwrap();
    let hold = storage.open_upload(&held).await.unwrap();

    assert_eq!(
        purge(&storage, SystemTime::now() - Duration::from_secs(60))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        purge(&storage, SystemTime::now() + Duration::from_secs(60))
            .await
            .unwrap(),
        2
    );
    assert!(!without_start.exists());
    drop(hold);
    assert_eq!(
        purge(&storage, SystemTime::now() + Duration::from_secs(60))
            .await
            .unwrap(),
        1
    );
}

/// A small push is never written twice: it is staged where it is published from, and its upload needs no directory.
#[tokio::test]
async fn finished_uploads_leave_an_empty_directory_of_uploads_or_none() {
    let (directory, storage) = opened();
    for size in [10, 100_000] {
        let upload = upload();
        storage.create_upload(&upload).await.unwrap();
        let mut held = storage.open_upload(&upload).await.unwrap();
        held.write(Bytes::from(vec![3; size])).await.unwrap();
        let finished = held.finish(None).await.unwrap();
        assert_eq!(data_of(directory.path(), &upload).exists(), size > 64 * 1024);
        let key = layout::blob(&finished.digest(Algorithm::Sha256).unwrap());
        finished.publish(&key, &[]).await.unwrap();
        let blob = fs::metadata(directory.path().join(key.as_str())).unwrap();
        assert_eq!((blob.size(), blob.nlink()), (size as u64, 1));
        let uploads = fs::read_dir(path_of(directory.path(), &upload).parent().unwrap());
        let left = uploads.ok().map(Iterator::count);
        assert_eq!(left, (size > 64 * 1024).then_some(0));
    }
}

mod contract {
    use std::sync::Arc;

    use crate::Storage;

    contract_tests!(async || {
        let (directory, storage) = super::opened();
        (Arc::new(storage) as Arc<dyn Storage>, directory)
    });
}
