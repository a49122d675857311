//! A disk that fails or is full: what could not be synced or written is never acknowledged, and can be repeated.

use std::sync::Arc;

use wharf_oci::{Algorithm, Digest};

use super::{Client, check_promises, opened, pattern, put};
use crate::{
    ErrorKind, Key, Objects as _, Uploads as _,
    fs::{
        FsStorage,
        simulated::{SimulatedDisk, Survival},
        sys::Disk as _,
    },
    layout,
};

/// What a failed sync left on the disk is unknown, and a second sync would say that all is well.
#[test]
fn what_could_not_be_synced_is_not_published_later() {
    for others in 0..2 {
        let (runtime, disk, client) = opened();
        let content = pattern(1, 100_000);
        disk.fail_file_sync(others);
        let chunks = [content.clone()];
        runtime.block_on(async {
            let error = client.push_blob("u", &chunks).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Other);
            assert!(
                disk.files()
                    .keys()
                    .all(|path| !path.starts_with("wharf/staging/")),
                "staging is empty"
            );

            // The client tries again to finish the same upload.
            let upload = client.upload("u");
            let mut held = client.storage.open_upload(&upload).await.unwrap();
            let (size, left) = (held.size(), content.len() as u64);
            assert!(size == 0 || size == left, "{size}");
            assert_eq!(size == 0, others == 0, "only what may be damaged is gone");
            held.write(content.slice(usize::try_from(size).unwrap()..))
                .await
                .unwrap();
            let finished = held.finish(None).await.unwrap();
            let digest = Digest::sha256_of(&content);
            assert_eq!(finished.digest(Algorithm::Sha256), Some(digest));
            finished.publish(&layout::blob(&digest), &[]).await.unwrap();
            client
                .ledger
                .acknowledge(&layout::blob(&digest), Some(content.clone()));
            client
                .ledger
                .0
                .lock()
                .remove(layout::layer_link(&client.repository, &digest).as_str());
            check_promises(&disk.after_power_cut(Survival::Nothing), &client.ledger).unwrap();
        });
    }
}

#[test]
fn a_directory_that_cannot_be_synced_is_an_error() {
    for others in 0..4 {
        let (runtime, disk, client) = opened();
        disk.fail_directory_sync(others);
        let error = runtime
            .block_on(client.push_manifest("latest", "manifest"))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        check_promises(&disk.after_power_cut(Survival::Nothing), &client.ledger).unwrap();
        // It may be repeated.
        runtime
            .block_on(client.push_manifest("latest", "manifest"))
            .unwrap();
        check_promises(&disk.after_power_cut(Survival::Nothing), &client.ledger).unwrap();
    }
}

#[test]
fn a_full_disk_leaves_an_upload_at_its_last_sure_byte() {
    let (runtime, disk, client) = opened();
    runtime.block_on(async {
        let upload = client.upload("u");
        let content = pattern(1, 600_000);
        client.storage.create_upload(&upload).await.unwrap();
        // Room for these bytes, and for the time at which the upload started.
        disk.set_space(300_001 + 20);
        let mut held = client.storage.open_upload(&upload).await.unwrap();
        for frame in 0..6 {
            if held
                .write(content.slice(frame * 100_000..(frame + 1) * 100_000))
                .await
                .is_err()
            {
                break;
            }
        }
        let error = held.suspend().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");

        // Full still: nothing fits, nothing breaks.
        let mut held = client.storage.open_upload(&upload).await.unwrap();
        assert_eq!(held.size(), 300_001);
        held.write(content.slice(300_001..)).await.unwrap_or_default();
        assert_eq!(
            held.finish(None).await.map(|_| ()).unwrap_err().kind(),
            ErrorKind::NoSpace
        );
        let error = client.push_manifest("latest", "manifest").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        assert!(
            disk.files()
                .keys()
                .all(|path| path.contains("/_uploads/") || path == "wharf/lock")
        );

        // No room for the link: the blob's bytes are still the upload's.
        disk.set_space(299_999);
        let mut held = client.storage.open_upload(&upload).await.unwrap();
        assert_eq!(held.size(), 300_001);
        held.write(content.slice(300_001..)).await.unwrap();
        let finished = held.finish(None).await.unwrap();
        let digest = Digest::sha256_of(&content);
        assert_eq!(finished.digest(Algorithm::Sha256), Some(digest));
        let link = [put(
            layout::layer_link(&client.repository, &digest),
            layout::link_content(&digest),
        )];
        let error = finished.publish(&layout::blob(&digest), &link).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        assert_eq!(client.storage.upload_size(&upload).await.unwrap(), 600_000);

        disk.set_space(u64::MAX);
        let held = client.storage.open_upload(&upload).await.unwrap();
        let finished = held.finish(Some(Algorithm::Sha512)).await.unwrap();
        assert_eq!(
            finished.digest(Algorithm::Sha512),
            Some(Digest::of(Algorithm::Sha512, &content))
        );
        finished.publish(&layout::blob(&digest), &link).await.unwrap();
        assert_eq!(
            client.storage.stat(&layout::blob(&digest)).await.unwrap().size,
            600_000
        );
    });
}

/// A volume that is mounted below the root of the store: what is renamed is staged on it.
#[test]
fn a_tree_on_another_file_system_is_staged_there() {
    for levels in 1..=4 {
        let disk = SimulatedDisk::default();
        let directories = ["docker", "registry", "v2", "repositories"];
        for level in 1..levels {
            disk.create_directory(&directories[..level].join("/")).unwrap();
        }
        disk.mount(&directories[..levels].join("/"));
        if levels == 4 {
            let error = FsStorage::on(disk, "/data").unwrap_err().to_string();
            for part in [
                "`/data`",
                "v2/blobs` and `",
                "different file systems",
                "mount one",
            ] {
                assert!(error.contains(part), "{error}");
            }
            continue;
        }
        let storage = FsStorage::on(disk.clone(), "/data").unwrap();
        let client = Client {
            storage: Arc::new(storage),
            ledger: Arc::default(),
            repository: "team/app".parse().unwrap(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            for size in [100, 100_000] {
                client.push_blob("u", &[pattern(1, size)]).await.unwrap();
            }
            client.push_manifest("latest", "manifest").await.unwrap();
            client.push_manifest("latest", "another").await.unwrap();
            client.delete_tag("latest").await.unwrap();
            // What is wharf's own stays on its file system.
            let ours = put(Key::new("wharf/conditions/ours").unwrap(), "ours".into());
            client.storage.publish(&[ours]).await.unwrap();
            client.storage.check().await.unwrap();
        });
        let files = disk.files();
        assert!(files.keys().all(|path| !path.contains("/staging/")), "{files:?}");
    }
}

/// A kill leaves everything that was done: the mark of a request that is all or nothing is whole, or absent.
#[test]
fn a_kill_at_any_moment_of_a_provisional_write_takes_no_earlier_byte_away() {
    for effects in 0..12 {
        let (runtime, disk, client) = opened();
        runtime.block_on(async {
            let upload = client.upload("u");
            client.storage.create_upload(&upload).await.unwrap();
            let mut held = client.storage.open_upload(&upload).await.unwrap();
            held.write(pattern(1, 10)).await.unwrap();
            held.suspend().await.unwrap();
            disk.cut_after(effects);
            let mut held = client.storage.open_upload(&upload).await.unwrap();
            held.write_provisionally();
            let written = held.write(pattern(2, 600_000)).await;
            let finished = held.finish(None).await;
            assert!(effects > 3 || finished.is_err(), "{written:?}");

            let found = disk.after_power_cut(Survival::Everything);
            let storage = FsStorage::on(found, "simulated").unwrap();
            assert_eq!(storage.upload_size(&upload).await.unwrap(), 10, "{}", disk.log());
            let held = storage.open_upload(&upload).await.unwrap();
            assert_eq!(held.size(), 10);
        });
    }
}

/// On a file system without a rename that replaces nothing, the new name may be there although the old one stayed.
#[test]
fn a_rename_that_failed_half_way_is_synced_before_it_is_relied_on() {
    let (runtime, disk, client) = opened();
    runtime.block_on(async {
        let key = |path: &str| Key::new(path).unwrap();
        // Their directories are durable.
        for name in ["a/first", "a/second", "b/first", "b/second"] {
            let put = put(key(name), name.into());
            client.storage.publish(&[put]).await.unwrap();
        }
        let object = put(key("a/object"), "object".into()).if_absent();
        disk.fail_removal(0);
        client
            .storage
            .publish(std::slice::from_ref(&object))
            .await
            .unwrap_err();
        assert!(client.storage.stat(&object.key).await.is_ok(), "it is visible");
        client
            .storage
            .publish(&[put(key("b/link"), "a/object".into())])
            .await
            .unwrap();
        let found = disk.after_power_cut(Survival::Nothing).files();
        assert!(
            found.contains_key("b/link") && found.contains_key("a/object"),
            "{found:?}"
        );
    });
}

/// An object that is moved has its new name, also when its name in staging cannot be removed.
#[test]
fn a_move_that_cannot_tidy_up_is_durable() {
    let (runtime, disk, client) = opened();
    runtime.block_on(async {
        let (from, to) = (Key::new("a/from").unwrap(), Key::new("a/to").unwrap());
        let object = put(from.clone(), "object".into());
        client.storage.publish(&[object]).await.unwrap();
        let removal = crate::Removal {
            key: from,
            keep: Key::new("a").unwrap(),
        };
        disk.fail_removal(0);
        client.storage.rename(&removal, &to).await.unwrap();
        let found = disk.after_power_cut(Survival::Nothing).files();
        assert!(
            found.contains_key("a/to") && !found.contains_key("a/from"),
            "{found:?}"
        );
    });
}

/// A file that lies in staging under the name that the check takes belongs to another process.
#[test]
fn a_check_removes_only_its_own_file() {
    let (runtime, disk, client) = opened();
    let staged = client.storage.engine.staging_path("docker");
    let number: u64 = staged.rsplit('/').next().unwrap().parse().unwrap();
    let next = format!("wharf/staging/{}", number + 1);
    disk.create(&next).unwrap();
    runtime.block_on(client.storage.check()).unwrap_err();
    assert!(disk.files().contains_key(&next));
    runtime.block_on(client.storage.check()).unwrap();
}

#[test]
fn a_file_system_without_locks_is_used_only_when_asked_for() {
    let (runtime, disk) = (tokio::runtime::Runtime::new().unwrap(), SimulatedDisk::default());
    disk.refuse_locks();
    let error = FsStorage::on(disk.clone(), "/data").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(error.to_string().contains("has no locks"), "{error}");
    let storage = FsStorage::also_without_locks(disk, "/data").unwrap();
    let first = put(Key::new("first").unwrap(), "first".into());
    runtime.block_on(storage.publish(&[first])).unwrap();
    runtime.block_on(storage.check()).unwrap();
}

/// An operator removes `wharf/` while a new tag is on its way: the tag is never acknowledged without its link.
#[test]
fn a_tree_that_another_program_emptied_is_written_again() {
    let mut emptied = 0;
    for others in 0..16 {
        let (runtime, disk, client) = opened();
        runtime.block_on(async {
            client.push_manifest("before", "before").await.unwrap();
            let paused = disk.pause_directory_sync(others);
            let push = {
                let client = client.clone();
                tokio::spawn(async move { client.push_manifest("latest", "manifest").await })
            };
            // A push of so many syncs stops at each of them; without a stop, the last one was passed.
            while !disk.is_paused() && !push.is_finished() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            for path in disk.files().keys() {
                let is_staged = path.starts_with("wharf/staging/") && path.ends_with("current/link");
                if is_staged && disk.remove_file(path).is_ok() {
                    emptied += 1;
                }
            }
            disk.resume(paused);
            push.await.unwrap().unwrap();
            check_promises(&disk.after_power_cut(Survival::Nothing), &client.ledger).unwrap();
        });
    }
    assert!(emptied > 2, "{emptied}");
}
