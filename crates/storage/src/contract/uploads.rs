//! Cases for uploads: append, hold, finish, publish, discard, purge.

use std::{
    collections::BTreeSet,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::StreamExt;
use wharf_oci::{Algorithm, Digest};

use super::{
    all_objects, assert_kind, exists, key, open_when_free, pattern, publish, purge, put, read, upload_key,
};
use crate::{ErrorKind, Key, ListedUpload, Storage, Upload, layout, layout::UploadKey};

pub(super) async fn create(storage: &Arc<dyn Storage>, upload: &UploadKey) {
    storage
        .create_upload(upload)
        .await
        .unwrap_or_else(|error| panic!("create `{upload:?}`: {error}"));
}

pub(super) async fn open(storage: &Arc<dyn Storage>, upload: &UploadKey) -> Box<dyn Upload> {
    storage
        .open_upload(upload)
        .await
        .unwrap_or_else(|error| panic!("open `{upload:?}`: {error}"))
}

/// Writes `content` in pieces of odd sizes.
pub(super) async fn write_all(held: &mut Box<dyn Upload>, content: &Bytes) {
    let (mut rest, mut turn) = (content.clone(), 0_usize);
    while !rest.is_empty() {
        let size = [65_536, 1, 8_191, 262_144, 13, 131_073][turn % 6].min(rest.len());
        held.write(rest.split_to(size)).await.expect("write");
        turn += 1;
    }
}

/// A whole upload, from its creation to the blob and one link.
pub(super) async fn push(storage: &Arc<dyn Storage>, upload: &UploadKey, content: &Bytes) -> Digest {
    create(storage, upload).await;
    let mut held = open(storage, upload).await;
    write_all(&mut held, content).await;
    finish_and_publish(storage, held, upload, content).await
}

async fn finish_and_publish(
    storage: &Arc<dyn Storage>,
    held: Box<dyn Upload>,
    upload: &UploadKey,
    content: &Bytes,
) -> Digest {
    let expected = Digest::sha256_of(content);
    let finished = held.finish(None).await.expect("finish");
    assert_eq!(finished.size(), content.len() as u64);
    assert_eq!(finished.digest(Algorithm::Sha256), Some(expected));
    let link = layout::layer_link(&upload.repository, &expected);
    let links = [put(&link, layout::link_content(&expected))];
    finished
        .publish(&layout::blob(&expected), &links)
        .await
        .expect("publish");

    assert!(
        read(storage, &layout::blob(&expected)).await == *content,
        "the blob is what was uploaded"
    );
    assert_eq!(read(storage, &link).await, expected.to_string());
    assert_kind(
        storage.open_upload(upload).await,
        ErrorKind::NotFound,
        "open after publish",
    );
    assert_kind(
        storage.upload_size(upload).await,
        ErrorKind::NotFound,
        "size after publish",
    );
    expected
}

/// What the upload holds, read by finishing it into an object of its own.
async fn content_of(storage: &Arc<dyn Storage>, held: Box<dyn Upload>, at: &Key) -> Bytes {
    let size = held.size();
    let finished = held.finish(None).await.expect("finish");
    let digest = finished.digest(Algorithm::Sha256);
    finished.publish(at, &[]).await.expect("publish");
    let content = read(storage, at).await;
    assert_eq!(content.len() as u64, size, "the upload said its size");
    assert_eq!(
        Some(Digest::sha256_of(&content)),
        digest,
        "the digest is that of the published bytes"
    );
    content
}

/// Create, write, finish, publish.
pub async fn upload_in_one_request(storage: &Arc<dyn Storage>) {
    let upload = upload_key(
        "contract/upload_in_one_request",
        "3f0a1c9e-8a5b-4c52-9f0e-3a3f4a5b6c7d",
    );
    create(storage, &upload).await;
    assert_eq!(storage.upload_size(&upload).await.expect("size"), 0);
    let mut held = open(storage, &upload).await;
    assert_eq!(held.size(), 0);
    let content = pattern(11, 300_007);
    write_all(&mut held, &content).await;
    assert_eq!(held.size(), 300_007);
    finish_and_publish(storage, held, &upload, &content).await;
}

/// The empty blob: never written, written nothing, suspended.
pub async fn upload_of_nothing(storage: &Arc<dyn Storage>) {
    let empty = Bytes::new();
    let upload = upload_key("contract/upload_of_nothing", "a");
    create(storage, &upload).await;
    let held = open(storage, &upload).await;
    finish_and_publish(storage, held, &upload, &empty).await;

    let upload = upload_key("contract/upload_of_nothing", "b");
    create(storage, &upload).await;
    let mut held = open(storage, &upload).await;
    held.write(Bytes::new()).await.expect("write nothing");
    assert_eq!(held.suspend().await.expect("suspend"), 0);
    let held = open(storage, &upload).await;
    assert_eq!(held.size(), 0);
    finish_and_publish(storage, held, &upload, &empty).await;
}

/// Larger than any buffer, in odd pieces and in one huge one.
pub async fn upload_large(storage: &Arc<dyn Storage>) {
    let content = pattern(12, 20 * 1024 * 1024 + 5);
    push(storage, &upload_key("contract/upload_large", "pieces"), &content).await;

    let upload = upload_key("contract/upload_large", "one");
    create(storage, &upload).await;
    let mut held = open(storage, &upload).await;
    held.write(content.clone()).await.expect("write all at once");
    assert_eq!(held.suspend().await.expect("suspend"), content.len() as u64);
    let held = open(storage, &upload).await;
    finish_and_publish(storage, held, &upload, &content).await;
}

/// A follower reads what was written, and nothing else, while it is written and after the upload has ended. An engine that shows nothing
/// before the end has no follower.
pub async fn upload_is_followed(storage: &Arc<dyn Storage>) {
    let content = pattern(7, 3 << 20);
    for is_published in [true, false] {
        let upload = upload_key("follow", if is_published { "one" } else { "two" });
        create(storage, &upload).await;
        let mut held = open(storage, &upload).await;
        held.write_provisionally();
        let Some(follower) = held.follow() else {
            return;
        };
        let (mut rest, mut read) = (content.clone(), 0);
        while !rest.is_empty() {
            held.write(rest.split_to(rest.len().min(200_000)))
                .await
                .expect("write");
            let written = content.len() - rest.len();
            let readable = follower.readable();
            assert!(readable <= written as u64, "{readable} of {written}");
            while read < readable {
                let piece = follower.read(read..readable).await.expect("read");
                let begin = usize::try_from(read).expect("a small number");
                assert!(!piece.is_empty() && content[begin..].starts_with(&piece));
                read += piece.len() as u64;
            }
            // More may be there by now, but not this much.
            let beyond = follower.read(read..content.len() as u64 + 1).await;
            assert_kind(beyond, ErrorKind::Other, "read beyond what is there");
        }
        assert!(read > 0, "most of it is there before the end");
        match is_published {
            true => drop(finish_and_publish(storage, held, &upload, &content).await),
            false => held.discard().await.expect("discard"),
        }
        let read = follower.read(read - 10..read).await.expect("read after the end");
        assert_eq!(read.len(), 10);
    }
}

/// Each request goes on where the one before it stopped.
pub async fn upload_in_many_requests(storage: &Arc<dyn Storage>) {
    let upload = upload_key("contract/upload_in_many_requests", "u");
    let content = pattern(13, 4 * 1024 * 1024);
    create(storage, &upload).await;
    let mut at = 0;
    for size in [1, 0, 7, 4096, 65_537, 0, 1_048_579, 1, 2_000_000] {
        let mut held = open(storage, &upload).await;
        assert_eq!(held.size(), at as u64);
        write_all(&mut held, &content.slice(at..at + size)).await;
        at += size;
        assert_eq!(held.size(), at as u64);
        assert_eq!(held.suspend().await.expect("suspend"), at as u64);
        assert_eq!(storage.upload_size(&upload).await.expect("size"), at as u64);
    }
    let mut held = open(storage, &upload).await;
    write_all(&mut held, &content.slice(at..)).await;
    finish_and_publish(storage, held, &upload, &content).await;
}

/// Thousands of tiny pieces.
pub async fn upload_many_small_writes(storage: &Arc<dyn Storage>) {
    let upload = upload_key("contract/upload_many_small_writes", "u");
    let content = pattern(14, 60_000);
    create(storage, &upload).await;
    let mut held = open(storage, &upload).await;
    let (mut rest, mut size) = (content.clone(), 0);
    while !rest.is_empty() {
        size = (size + 1) % 37;
        held.write(rest.split_to(size.min(rest.len())))
            .await
            .expect("write");
    }
    finish_and_publish(storage, held, &upload, &content).await;
}

/// SHA-256 always, SHA-512 when asked for, over the bytes of all requests.
pub async fn upload_digests(storage: &Arc<dyn Storage>) {
    let content = pattern(15, 700_001);
    for (id, cuts) in [("none", &[][..]), ("one", &[1]), ("two", &[300_000, 300_001])] {
        let upload = upload_key("contract/upload_digests", id);
        create(storage, &upload).await;
        let mut at = 0;
        for &cut in cuts {
            let mut held = open(storage, &upload).await;
            write_all(&mut held, &content.slice(at..cut)).await;
            held.suspend().await.expect("suspend");
            at = cut;
        }
        let mut held = open(storage, &upload).await;
        write_all(&mut held, &content.slice(at..)).await;
        let finished = held.finish(Some(Algorithm::Sha512)).await.expect("finish");
        assert_eq!(
            finished.digest(Algorithm::Sha256),
            Some(Digest::sha256_of(&content))
        );
        assert_eq!(
            finished.digest(Algorithm::Sha512),
            Some(Digest::of(Algorithm::Sha512, &content))
        );
        drop(finished);

        let finished = open_when_free(storage, &upload)
            .await
            .finish(None)
            .await
            .expect("finish");
        assert_eq!(
            finished.digest(Algorithm::Sha512),
            None,
            "SHA-512 was not asked for"
        );
        finished.discard().await.expect("discard");
    }

    let upload = upload_key("contract/upload_digests", "empty");
    create(storage, &upload).await;
    let finished = open(storage, &upload)
        .await
        .finish(Some(Algorithm::Sha512))
        .await
        .expect("finish");
    assert_eq!(
        finished.digest(Algorithm::Sha512),
        Some(Digest::of(Algorithm::Sha512, b""))
    );
    let also = Some(Algorithm::Sha256);
    drop(finished);
    let finished = open_when_free(storage, &upload)
        .await
        .finish(also)
        .await
        .expect("finish");
    assert_eq!(finished.digest(Algorithm::Sha256), Some(Digest::sha256_of(b"")));
    finished.discard().await.expect("discard");
}

/// Every operation may be repeated: a client may have lost the first answer.
pub async fn upload_create_may_be_repeated(storage: &Arc<dyn Storage>) {
    let upload = upload_key("contract/upload_create_may_be_repeated", "u");
    create(storage, &upload).await;
    create(storage, &upload).await;
    assert_eq!(storage.upload_size(&upload).await.expect("size"), 0);
    open(storage, &upload).await.discard().await.expect("discard");
    assert_kind(
        storage.upload_size(&upload).await,
        ErrorKind::NotFound,
        "size after discard",
    );
}

/// One id in two repositories is two uploads; repositories below each other do not get mixed up.
pub async fn upload_belongs_to_one_repository(storage: &Arc<dyn Storage>) {
    let repositories = [
        "contract/belongs",
        "contract/belongs/b",
        "contract/belongs-b",
        "contract/belongs.b",
    ];
    let uploads = repositories.map(|repository| upload_key(repository, "u"));
    create(storage, &uploads[0]).await;
    for other in &uploads[1..] {
        assert_kind(
            storage.open_upload(other).await,
            ErrorKind::NotFound,
            "open in another repository",
        );
        create(storage, other).await;
    }
    for (number, upload) in uploads.iter().enumerate() {
        let mut held = open(storage, upload).await;
        held.write(pattern(number as u64, 100 + number))
            .await
            .expect("write");
        held.suspend().await.expect("suspend");
    }
    open(storage, &uploads[0]).await.discard().await.expect("discard");
    for (number, upload) in uploads.iter().enumerate().skip(1) {
        let at = key(format!("contract/upload_belongs_to_one_repository/{number}"));
        let held = open(storage, upload).await;
        assert_eq!(
            content_of(storage, held, &at).await,
            pattern(number as u64, 100 + number)
        );
    }
}

/// I1: at most one holder, from open to suspend, drop, publish or discard.
pub async fn upload_is_held_exclusively(storage: &Arc<dyn Storage>) {
    let upload = upload_key("contract/upload_is_held_exclusively", "u");
    let other = upload_key("contract/upload_is_held_exclusively", "other");
    create(storage, &upload).await;
    create(storage, &other).await;

    let mut held = open(storage, &upload).await;
    assert_kind(
        storage.open_upload(&upload).await,
        ErrorKind::Busy,
        "a second open",
    );
    open(storage, &other)
        .await
        .discard()
        .await
        .expect("another upload is free");
    held.write(pattern(1, 1000)).await.expect("write");
    assert_kind(
        storage.open_upload(&upload).await,
        ErrorKind::Busy,
        "a second open after a write",
    );
    assert!(storage.upload_size(&upload).await.expect("size needs no hold") <= 1000);
    held.suspend().await.expect("suspend");

    let held = open(storage, &upload).await;
    assert_eq!(held.size(), 1000, "free at once after suspend");
    let finished = held.finish(None).await.expect("finish");
    assert_kind(
        storage.open_upload(&upload).await,
        ErrorKind::Busy,
        "open of what is finished, not published",
    );
    drop(finished);

    let held = open_when_free(storage, &upload).await;
    assert_eq!(held.size(), 1000);
    drop(held);
    open_when_free(storage, &upload)
        .await
        .discard()
        .await
        .expect("discard");
}

/// What `write` took is not lost when the holder is dropped without `suspend`.
pub async fn upload_dropped_keeps_what_was_written(storage: &Arc<dyn Storage>) {
    let upload = upload_key("contract/upload_dropped_keeps_what_was_written", "u");
    create(storage, &upload).await;
    let content = pattern(16, 1_500_000);
    let mut at = 0;
    for size in [10, 300_000, 1, 900_000] {
        let mut held = open_when_free(storage, &upload).await;
        assert_eq!(held.size(), at as u64, "all that was written before the drop");
        write_all(&mut held, &content.slice(at..at + size)).await;
        at += size;
        drop(held);
    }
    let held = open_when_free(storage, &upload).await;
    let at_key = key("contract/upload_dropped_keeps_what_was_written/blob");
    assert!(content_of(storage, held, &at_key).await == content.slice(..at));
}

/// The same when the future of a write is dropped while it waits: some of that piece may be there,
/// nothing of it twice, nothing before it missing.
pub async fn upload_dropped_in_mid_write_keeps_a_prefix(storage: &Arc<dyn Storage>) {
    let content = pattern(17, 24 * 1024 * 1024);
    for polls in 0..6 {
        let upload = upload_key("contract/upload_dropped_in_mid_write", &format!("u{polls}"));
        create(storage, &upload).await;
        let mut held = open(storage, &upload).await;
        let (mut rest, mut acknowledged) = (content.clone(), 0);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(256 * 1024));
            let size = piece.len();
            let abandoned = {
                let mut write = pin!(held.write(piece));
                let mut left = polls;
                std::future::poll_fn(
                    move |context: &mut Context<'_>| match write.as_mut().poll(context) {
                        Poll::Ready(result) => Poll::Ready(result.map(|()| false)),
                        Poll::Pending if left == 0 => Poll::Ready(Ok(true)),
                        Poll::Pending => {
                            left -= 1;
                            Poll::Pending
                        }
                    },
                )
                .await
                .expect("write")
            };
            if abandoned {
                break;
            }
            acknowledged += size;
        }
        drop(held);

        let held = open_when_free(storage, &upload).await;
        let size = usize::try_from(held.size()).expect("a small upload");
        let sent = content.len() - rest.len();
        assert!(
            (acknowledged..=sent).contains(&size),
            "{size} bytes kept of {acknowledged} to {sent}"
        );
        let mut held = held;
        held.write(content.slice(size..size + (content.len() - size).min(99_999)))
            .await
            .expect("go on");
        let at = key(format!(
            "contract/upload_dropped_in_mid_write_keeps_a_prefix/{polls}"
        ));
        let kept = content_of(storage, held, &at).await;
        assert!(
            content.starts_with(&kept),
            "the upload is a prefix of what was sent"
        );
    }
}

/// An upload that was finished and then dropped unpublished stays as it was.
pub async fn finished_dropped_keeps_the_upload(storage: &Arc<dyn Storage>) {
    let upload = upload_key("contract/finished_dropped_keeps_the_upload", "u");
    let content = pattern(18, 500_000);
    create(storage, &upload).await;
    let mut held = open(storage, &upload).await;
    write_all(&mut held, &content.slice(..400_000)).await;
    drop(held.finish(None).await.expect("finish"));

    let mut held = open_when_free(storage, &upload).await;
    assert_eq!(held.size(), 400_000);
    write_all(&mut held, &content.slice(400_000..)).await;
    finish_and_publish(storage, held, &upload, &content).await;
}

/// After publishing there are the blob and the links, and nothing else that was not there before.
pub async fn finished_publish_leaves_only_what_was_asked(storage: &Arc<dyn Storage>) {
    let before = all_objects(storage).await;
    let upload = upload_key("contract/finished_publish_leaves_only", "u");
    create(storage, &upload).await;
    let content = pattern(19, 9_000_000);
    let mut held = open(storage, &upload).await;
    write_all(&mut held, &content.slice(..100)).await;
    held.suspend().await.expect("suspend");
    let mut held = open(storage, &upload).await;
    write_all(&mut held, &content.slice(100..)).await;
    let finished = held.finish(None).await.expect("finish");

    let digest = Digest::sha256_of(&content);
    let blob = layout::blob(&digest);
    assert!(
        !exists(storage, &blob).await,
        "nothing is at the blob's key before publish"
    );
    let links =
        ["1", "2/deep/er", "3"].map(|path| key(format!("contract/finished_publish_leaves_only/{path}")));
    let puts = links.clone().map(|link| put(&link, link.to_string()));
    finished.publish(&blob, &puts).await.expect("publish");

    assert!(read(storage, &blob).await == content);
    for link in &links {
        assert_eq!(read(storage, link).await, link.to_string());
    }
    let expected: BTreeSet<Key> = links.into_iter().chain([blob]).collect();
    let after = all_objects(storage).await;
    assert_eq!(
        after.difference(&before).cloned().collect::<BTreeSet<_>>(),
        expected
    );
}

/// I4: whatever lies at the blob's key, afterwards it is the blob.
pub async fn finished_publish_heals_damage(storage: &Arc<dyn Storage>) {
    let content = pattern(20, 200_000);
    let mut flipped = content.to_vec();
    flipped[100_000] ^= 1;
    let blob = layout::blob(&Digest::sha256_of(&content));
    let damages = [
        Bytes::new(),
        content.slice(..199_999),
        Bytes::from(flipped),
        Bytes::from([&content[..], b"x"].concat()),
        content.clone(),
    ];
    for (number, damaged) in damages.into_iter().enumerate() {
        publish(storage, &blob, damaged).await;
        push(
            storage,
            &upload_key("contract/finished_publish_heals_damage", &format!("u{number}")),
            &content,
        )
        .await;
    }
}

/// I6: a cancelled upload leaves nothing, at whatever stage.
pub async fn discard_leaves_nothing(storage: &Arc<dyn Storage>) {
    let before = all_objects(storage).await;
    for (stage, size) in [("created", 0), ("small", 1000), ("large", 18_000_000)] {
        for suspended in [false, true] {
            for finished in [false, true] {
                let upload = upload_key(
                    "contract/discard_leaves_nothing",
                    &format!("{stage}-{suspended}-{finished}"),
                );
                create(storage, &upload).await;
                let mut held = open(storage, &upload).await;
                write_all(&mut held, &pattern(21, size)).await;
                if suspended {
                    held.suspend().await.expect("suspend");
                    held = open(storage, &upload).await;
                    held.write(Bytes::from_static(b"more")).await.expect("write");
                }
                if finished {
                    held.finish(None)
                        .await
                        .expect("finish")
                        .discard()
                        .await
                        .expect("discard");
                } else {
                    held.discard().await.expect("discard");
                }
                assert_kind(
                    storage.open_upload(&upload).await,
                    ErrorKind::NotFound,
                    "open after discard",
                );
                assert_kind(
                    storage.upload_size(&upload).await,
                    ErrorKind::NotFound,
                    "size after discard",
                );
                let after = all_objects(storage).await;
                let left: Vec<_> = after.difference(&before).collect();
                assert!(left.is_empty(), "{upload:?} left {left:?}");
            }
        }
    }
}

async fn listed(storage: &Arc<dyn Storage>) -> Vec<ListedUpload> {
    let uploads = storage.list_uploads().await.expect("list_uploads");
    uploads
        .map(|upload| upload.expect("a listed upload"))
        .collect()
        .await
}

/// Each upload is listed once, with its names, its size, when it was touched, and whether it is held.
pub async fn uploads_are_listed(storage: &Arc<dyn Storage>) {
    let started = SystemTime::now() - Duration::from_secs(2);
    let names = [
        "contract/listed",
        "contract/listed/below",
        "contract/listed-beside",
    ];
    for repository in names {
        for (id, size) in [("empty", 0), ("some", 70_000)] {
            let upload = upload_key(repository, id);
            create(storage, &upload).await;
            let mut held = open(storage, &upload).await;
            write_all(&mut held, &pattern(31, size)).await;
            held.suspend().await.expect("suspend");
        }
    }
    let holds = open(storage, &upload_key(names[1], "some")).await;

    let mut found = listed(storage).await;
    found.retain(|upload| names.contains(&upload.repository()));
    found.sort_by(|one, other| (one.repository(), one.id()).cmp(&(other.repository(), other.id())));
    let seen: Vec<_> = found
        .iter()
        .map(|upload| (upload.repository(), upload.id(), upload.size(), upload.is_held()))
        .collect();
    let expected = [
        (names[0], "empty", 0, false),
        (names[0], "some", 70_000, false),
        (names[2], "empty", 0, false),
        (names[2], "some", 70_000, false),
        (names[1], "empty", 0, false),
        (names[1], "some", 70_000, true),
    ];
    assert_eq!(seen, expected);
    let soon = SystemTime::now() + Duration::from_secs(2);
    for upload in &found {
        assert!(
            started < upload.touched() && upload.touched() < soon,
            "{upload:?}"
        );
        assert!(
            upload.started().is_none_or(|at| at <= upload.touched()),
            "{upload:?}"
        );
        assert!(!upload.is_remnant());
        let key = upload_key(upload.repository(), upload.id());
        assert_eq!(upload.key(), Some(key.clone()));
    }
    holds.discard().await.expect("discard");
    for upload in &found {
        match storage
            .remove_upload(upload, soon + Duration::from_secs(60))
            .await
        {
            Err(error) if error.is_not_found() => assert!(upload.is_held(), "{upload:?}"),
            other => other.expect("remove_upload"),
        }
    }
    let left = listed(storage).await;
    assert!(
        left.iter().all(|upload| !names.contains(&upload.repository())),
        "{left:?}"
    );
}

/// What was listed as forgotten and has come to life since is not removed (I6).
pub async fn remove_upload_looks_again(storage: &Arc<dyn Storage>) {
    let upload = upload_key("contract/looks-again", "u");
    create(storage, &upload).await;
    let found = listed(storage).await;
    let listed = found
        .iter()
        .find(|found| found.key().as_ref() == Some(&upload))
        .expect("the upload");
    // Time stamps of some stores have whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let since = SystemTime::now();
    tokio::time::sleep(Duration::from_millis(1100)).await;

    let mut held = open(storage, &upload).await;
    assert_kind(
        storage.remove_upload(listed, since).await,
        ErrorKind::Busy,
        "a held upload",
    );
    write_all(&mut held, &pattern(32, 1000)).await;
    held.suspend().await.expect("suspend");
    assert_kind(
        storage.remove_upload(listed, since).await,
        ErrorKind::Precondition,
        "an upload that was touched since",
    );
    assert_eq!(storage.upload_size(&upload).await.expect("size"), 1000);

    let later = SystemTime::now() + Duration::from_secs(60);
    storage.remove_upload(listed, later).await.expect("remove_upload");
    for _ in 0..2 {
        assert_kind(
            storage.remove_upload(listed, later).await,
            ErrorKind::NotFound,
            "an upload that is gone",
        );
    }
    assert_kind(
        storage.upload_size(&upload).await,
        ErrorKind::NotFound,
        "a removed upload",
    );
}

/// I6: what was touched after the cutoff stays, what a request holds stays whatever its age; the rest
/// goes without a trace.
pub async fn purge_spares_held_and_recent_uploads(storage: &Arc<dyn Storage>) {
    // Time stamps of some stores have whole seconds.
    const TICK: Duration = Duration::from_millis(1100);
    let far_future = || SystemTime::now() + Duration::from_secs(3600);
    purge(&**storage, far_future())
        .await
        .expect("purge what other cases left");
    let before = all_objects(storage).await;

    let upload = |id: &str| upload_key("contract/purge", id);
    let content = pattern(22, 100_000);
    for id in ["empty", "idle", "touched", "held", "finished"] {
        create(storage, &upload(id)).await;
    }
    for id in ["idle", "touched", "held", "finished"] {
        let mut held = open(storage, &upload(id)).await;
        write_all(&mut held, &content.slice(..50_000)).await;
        held.suspend().await.expect("suspend");
    }
    assert_eq!(purge(&**storage, SystemTime::UNIX_EPOCH).await.expect("purge"), 0);

    let mut held = open(storage, &upload("held")).await;
    let finished = open(storage, &upload("finished"))
        .await
        .finish(None)
        .await
        .expect("finish");
    tokio::time::sleep(TICK).await;
    let cutoff = SystemTime::now();
    tokio::time::sleep(TICK).await;
    let mut touched = open(storage, &upload("touched")).await;
    write_all(&mut touched, &content.slice(50_000..)).await;
    touched.suspend().await.expect("suspend");

    let all = all_objects(storage).await;
    let mut abandoned: Vec<_> = listed(storage).await;
    abandoned.retain(|upload| !upload.is_held() && upload.touched() < cutoff);
    let mut abandoned: Vec<_> = abandoned.iter().map(ListedUpload::id).collect();
    abandoned.sort_unstable();
    assert_eq!(abandoned, ["empty", "idle"], "these would go");
    assert_eq!(all_objects(storage).await, all, "looking changes nothing");
    assert_eq!(
        purge(&**storage, cutoff).await.expect("purge"),
        2,
        "`empty` and `idle`"
    );
    for id in ["empty", "idle"] {
        assert_kind(
            storage.upload_size(&upload(id)).await,
            ErrorKind::NotFound,
            "a purged upload",
        );
    }

    // Held ones survive a cutoff in the future, while they are being written.
    for piece in content.slice(50_000..).chunks(10_000) {
        assert!(
            purge(&**storage, far_future()).await.expect("purge") <= 1,
            "only `touched` may go"
        );
        held.write(Bytes::copy_from_slice(piece)).await.expect("write");
    }
    assert_kind(
        storage.upload_size(&upload("touched")).await,
        ErrorKind::NotFound,
        "purged with a later cutoff",
    );
    finish_and_publish(storage, held, &upload("held"), &content).await;
    finished
        .publish(&key("contract/purge/finished"), &[])
        .await
        .expect("publish");
    assert!(read(storage, &key("contract/purge/finished")).await == content.slice(..50_000));

    let digest = Digest::sha256_of(&content);
    let link = layout::layer_link(&upload("held").repository, &digest);
    let expected = BTreeSet::from([key("contract/purge/finished"), layout::blob(&digest), link]);
    let after = all_objects(storage).await;
    assert_eq!(
        after.difference(&before).cloned().collect::<BTreeSet<_>>(),
        expected
    );
}
