//! Cases for requests that are all or nothing: what they wrote counts only once the upload is published.

use std::{
    future::Future as _,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest};

use super::{open_when_free, pattern, read, upload_key, uploads::*};
use crate::{Storage, Upload, layout, layout::UploadKey};

/// Takes hold of the upload, provisionally.
async fn open_provisionally(storage: &Arc<dyn Storage>, upload: &UploadKey) -> Box<dyn Upload> {
    let mut held = open_when_free(storage, upload).await;
    held.write_provisionally();
    held
}

/// An upload with `before` in it, which one earlier request brought.
async fn begin(storage: &Arc<dyn Storage>, upload: &UploadKey, before: &Bytes) {
    create(storage, upload).await;
    let mut held = open(storage, upload).await;
    write_all(&mut held, before).await;
    held.suspend().await.expect("suspend");
}

/// Sends `rest` once more, whole, and expects the blob of both.
async fn send_again(storage: &Arc<dyn Storage>, upload: &UploadKey, before: &Bytes, rest: &Bytes) {
    let mut held = open_provisionally(storage, upload).await;
    assert_eq!(held.size(), before.len() as u64, "the upload is as it was");
    write_all(&mut held, rest).await;
    let content = Bytes::from([&before[..], &rest[..]].concat());
    let expected = Digest::sha256_of(&content);
    let finished = held.finish(Some(Algorithm::Sha512)).await.expect("finish");
    assert_eq!(finished.size(), content.len() as u64);
    assert_eq!(finished.digest(Algorithm::Sha256), Some(expected));
    assert_eq!(
        finished.digest(Algorithm::Sha512),
        Some(Digest::of(Algorithm::Sha512, &content))
    );
    let blob = layout::blob(&expected);
    finished.publish(&blob, &[]).await.expect("publish");
    assert!(read(storage, &blob).await == content);
}

/// However the holder lets go: by suspending, by being dropped, or finished and not published.
pub async fn provisional_bytes_are_taken_back(storage: &Arc<dyn Storage>) {
    for before in [0, 100, 400_000] {
        for size in [0, 10, 100_000, 900_000] {
            let upload = upload_key("contract/provisional", &format!("u{before}-{size}"));
            let before = pattern(21, before);
            let rest = pattern(22, size);
            begin(storage, &upload, &before).await;

            let mut held = open_provisionally(storage, &upload).await;
            write_all(&mut held, &rest).await;
            let size = held.suspend().await.expect("suspend");
            assert_eq!(size, before.len() as u64, "the size that suspend tells");
            let size = storage.upload_size(&upload).await.expect("size");
            assert_eq!(size, before.len() as u64, "the size without a hold");

            let mut held = open_provisionally(storage, &upload).await;
            write_all(&mut held, &rest).await;
            drop(held);

            let mut held = open_provisionally(storage, &upload).await;
            write_all(&mut held, &rest).await;
            drop(held.finish(None).await.expect("finish"));

            send_again(storage, &upload, &before, &rest).await;
        }
    }
}

/// The future of a write is dropped while it waits.
pub async fn provisional_bytes_of_an_abandoned_write_are_taken_back(storage: &Arc<dyn Storage>) {
    let upload = upload_key("contract/provisional_abandoned", "u");
    let (before, rest) = (pattern(23, 1_000_000), pattern(24, 20 * 1024 * 1024));
    begin(storage, &upload, &before).await;
    let mut held = open_provisionally(storage, &upload).await;
    let mut pieces = rest.chunks(256 * 1024).map(Bytes::copy_from_slice);
    let waits = pieces.any(|piece| {
        let mut write = pin!(held.write(piece));
        let mut context = Context::from_waker(Waker::noop());
        match write.as_mut().poll(&mut context) {
            Poll::Ready(result) => result.map(|()| false).expect("write"),
            Poll::Pending => true,
        }
    });
    assert!(waits, "a write of 20 MiB waits for the store");
    drop(held);
    send_again(storage, &upload, &before, &rest).await;
}

/// A later request of the other kind finds all bytes of earlier ones, and none of a provisional one.
pub async fn provisional_bytes_count_once_published(storage: &Arc<dyn Storage>) {
    let upload = upload_key("contract/provisional_then_not", "u");
    let content = pattern(25, 700_000);
    begin(storage, &upload, &content.slice(..300_000)).await;
    let mut held = open_provisionally(storage, &upload).await;
    write_all(&mut held, &content.slice(100..600_000)).await;
    drop(held);
    let mut held = open_when_free(storage, &upload).await;
    assert_eq!(held.size(), 300_000);
    write_all(&mut held, &content.slice(300_000..500_000)).await;
    drop(held);
    send_again(
        storage,
        &upload,
        &content.slice(..500_000),
        &content.slice(500_000..),
    )
    .await;
}
