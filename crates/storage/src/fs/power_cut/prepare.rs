//! Many bytes are synced before an upload is published, and once.

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest};

use super::{Client, opened, pattern};
use crate::{ErrorKind, Finished, Objects as _, Uploads as _, layout};

async fn finished(client: &Client, content: &Bytes) -> Box<dyn Finished> {
    let upload = client.upload("u");
    if client.storage.upload_size(&upload).await.is_err() {
        client.storage.create_upload(&upload).await.unwrap();
    }
    let mut held = client.storage.open_upload(&upload).await.unwrap();
    if held.size() == 0 {
        held.write(content.clone()).await.unwrap();
    }
    held.finish(None).await.unwrap()
}

#[test]
fn a_large_upload_is_synced_when_it_is_prepared() {
    let (runtime, disk, client) = opened();
    runtime.block_on(async {
        for (size, synced) in [(100, 0), (100_000, 0), (9 << 20, 1)] {
            let content = pattern(1, size);
            let mut upload = finished(&client, &content).await;
            disk.take_syncs();
            upload.prepare().await.unwrap();
            assert_eq!(disk.take_syncs().files, synced, "{size} bytes");
            let key = layout::blob(&upload.digest(Algorithm::Sha256).unwrap());
            upload.publish(&key, &[]).await.unwrap();
            let stored = client.storage.read(&key, u64::MAX).await.unwrap();
            assert_eq!(stored.bytes, content);
        }
    });
}

#[test]
fn an_upload_that_could_not_be_prepared_is_not_published_later() {
    let (runtime, disk, client) = opened();
    runtime.block_on(async {
        let content = pattern(1, 9 << 20);
        let mut upload = finished(&client, &content).await;
        disk.fail_file_sync(0);
        let error = upload.prepare().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        drop(upload);

        // The bytes may not be on the disk, and a second sync would not tell: the client sends them again.
        let upload = client.upload("u");
        let held = client.storage.open_upload(&upload).await.unwrap();
        assert_eq!(held.size(), 0);
        drop(held);
        let upload = finished(&client, &content).await;
        assert_eq!(
            upload.digest(Algorithm::Sha256),
            Some(Digest::sha256_of(&content))
        );
    });
}

/// What could not be written to the disk may be read as something else later: its hash is not kept for that.
#[test]
fn bytes_that_cannot_be_synced_leave_no_state_of_their_hash() {
    let (runtime, disk, client) = opened();
    runtime.block_on(async {
        let upload = client.upload("large");
        let records = || {
            disk.files()
                .keys()
                .filter(|path| path.ends_with("/hashed"))
                .count()
        };
        let chunk = pattern(1, 1 << 20);
        for fails in [false, true] {
            client.storage.create_upload(&upload).await.unwrap();
            if fails {
                disk.fail_file_sync(0);
            }
            let mut held = client.storage.open_upload(&upload).await.unwrap();
            for _ in 0..64 {
                held.write(chunk.clone()).await.unwrap_or_default();
            }
            assert_eq!(held.suspend().await.is_err(), fails);
            assert_eq!(records() == 0, fails);
        }
        assert_eq!(client.storage.upload_size(&upload).await.unwrap(), 0);
    });
}

/// The same of an upload that is hashed before a request needs its hash.
#[test]
fn an_upload_that_cannot_be_synced_ahead_is_not_trusted() {
    let (runtime, disk, client) = opened();
    runtime.block_on(async {
        let upload = client.upload("large");
        let directory = crate::fs::upload::directory_of(&upload);
        client.storage.create_upload(&upload).await.unwrap();
        let mut held = client.storage.open_upload(&upload).await.unwrap();
        for _ in 0..64 {
            held.write(pattern(1, 1 << 20)).await.unwrap();
        }
        held.suspend().await.unwrap();
        let engine = &client.storage.engine;
        engine.forget_hash(&directory).unwrap();
        engine.uploads.hashes.remove(&upload);
        disk.fail_file_sync(0);
        engine.hash_ahead(&upload, &directory, 64 << 20).unwrap_err();
        assert_eq!(client.storage.upload_size(&upload).await.unwrap(), 0);
    });
}
