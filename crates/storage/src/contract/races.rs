//! Cases for tasks that work on the same keys at the same time.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all};
use tokio::task::JoinHandle;
use wharf_oci::{Algorithm, Digest};

use super::{
    exists, key, pattern, publish, put, read, upload_key,
    uploads::{create, open, push},
};
use crate::{ErrorKind, Storage, layout};

async fn all_done<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    join_all(tasks)
        .await
        .into_iter()
        .map(|task| task.expect("a task of the case"))
        .collect()
}

/// I5: one of the written values wins, never a mixture, and the key is never without a value.
pub async fn concurrent_publishes_of_one_key(storage: &Arc<dyn Storage>) {
    const WRITERS: usize = 6;
    const ROUNDS: usize = 30;
    // Of different lengths, so that a mixture or a cut would show.
    let value = |writer: usize, round: usize| format!("{writer}:{round};").repeat(1 + writer * 500);
    let at = key("contract/concurrent_publishes_of_one_key/current/link");
    publish(storage, &at, value(0, 0)).await;
    let allowed: HashSet<String> = (0..WRITERS)
        .flat_map(|writer| (0..=ROUNDS).map(move |round| value(writer, round)))
        .collect();

    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (storage, at) = (Arc::clone(storage), at.clone());
            tokio::spawn(async move {
                for round in 0..=ROUNDS {
                    publish(&storage, &at, value(writer, round)).await;
                }
            })
        })
        .collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        let bytes = read(storage, &at).await;
        let text = std::str::from_utf8(&bytes).expect("text");
        assert!(
            allowed.contains(text),
            "{} bytes that no request wrote",
            text.len()
        );
    }
    all_done(writers).await;

    let last = read(storage, &at).await;
    let winners = (0..WRITERS)
        .filter(|&writer| last == value(writer, ROUNDS).as_bytes())
        .count();
    assert_eq!(winners, 1, "the last value of one writer stays");
}

/// All uploads succeed, and a reader meanwhile sees the whole blob or none.
pub async fn concurrent_uploads_of_one_digest(storage: &Arc<dyn Storage>) {
    let content = pattern(31, 3_000_000);
    let blob = layout::blob(&Digest::sha256_of(&content));
    let pushes: Vec<_> = (0..4)
        .map(|number| {
            let (storage, content) = (Arc::clone(storage), content.clone());
            tokio::spawn(async move {
                let upload = upload_key(
                    &format!("contract/concurrent_one_digest/r{number}"),
                    &format!("u{number}"),
                );
                push(&storage, &upload, &content).await;
            })
        })
        .collect();
    while pushes.iter().any(|push| !push.is_finished()) {
        if exists(storage, &blob).await {
            assert!(
                read(storage, &blob).await == content,
                "a part of a blob was visible"
            );
        }
        tokio::task::yield_now().await;
    }
    all_done(pushes).await;
    assert!(read(storage, &blob).await == content);
}

/// Uploads do not get into each other's bytes.
pub async fn concurrent_uploads_of_different_digests(storage: &Arc<dyn Storage>) {
    let pushes = (0..12_u64).map(|number| {
        let storage = Arc::clone(storage);
        tokio::spawn(async move {
            let upload = upload_key("contract/concurrent_different_digests", &format!("u{number}"));
            push(
                &storage,
                &upload,
                &pattern(100 + number, 700_000 + usize::from(number == 3) * 9_000_000),
            )
            .await
        })
    });
    let digests: HashSet<_> = all_done(pushes).await.into_iter().collect();
    assert_eq!(digests.len(), 12);
}

/// I1: many requests want one upload; one at a time gets it, and each that was told so has its bytes
/// in it, whole and once.
pub async fn concurrent_openers_take_turns(storage: &Arc<dyn Storage>) {
    const RECORD: usize = 5_000;
    let upload = upload_key("contract/concurrent_openers_take_turns", "u");
    create(storage, &upload).await;
    let holders = Arc::new(AtomicUsize::new(0));
    let tasks = (0..8_u8).map(|writer| {
        let (storage, upload, holders) = (Arc::clone(storage), upload.clone(), Arc::clone(&holders));
        tokio::spawn(async move {
            let mut written = 0_usize;
            for _ in 0..40 {
                match storage.open_upload(&upload).await {
                    Ok(mut held) => {
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two holders at once");
                        held.write(Bytes::from(vec![writer; RECORD / 2]))
                            .await
                            .expect("write");
                        tokio::task::yield_now().await;
                        held.write(Bytes::from(vec![writer; RECORD / 2]))
                            .await
                            .expect("write");
                        holders.fetch_sub(1, Ordering::SeqCst);
                        held.suspend().await.expect("suspend");
                        written += 1;
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
                }
                tokio::task::yield_now().await;
            }
            written
        })
    });
    let written: Vec<usize> = all_done(tasks).await;

    let finished = open(storage, &upload).await.finish(None).await.expect("finish");
    let digest = finished.digest(Algorithm::Sha256);
    let at = key("contract/concurrent_openers_take_turns/blob");
    finished.publish(&at, &[]).await.expect("publish");
    let content = read(storage, &at).await;
    assert_eq!(Some(Digest::sha256_of(&content)), digest);
    assert_eq!(content.len(), RECORD * written.iter().sum::<usize>());
    let mut counted = vec![0; written.len()];
    for record in content.chunks(RECORD) {
        assert!(
            record.iter().all(|&byte| byte == record[0]),
            "the bytes of two requests are mixed"
        );
        counted[usize::from(record[0])] += 1;
    }
    assert_eq!(
        counted, written,
        "each request that was told so has its bytes in the upload"
    );
}

/// I3: a reader that sees a layer link finds the blob.
pub async fn concurrent_links_never_precede_their_blob(storage: &Arc<dyn Storage>) {
    let contents: Vec<Bytes> = (0..8).map(|number| pattern(200 + number, 400_000)).collect();
    let digests: Vec<Digest> = contents
        .iter()
        .map(|content| Digest::sha256_of(content))
        .collect();
    let repository = upload_key("contract/concurrent_links", "u").repository;
    let pusher = {
        let storage = Arc::clone(storage);
        tokio::spawn(async move {
            for (number, content) in contents.iter().enumerate() {
                push(
                    &storage,
                    &upload_key("contract/concurrent_links", &format!("u{number}")),
                    content,
                )
                .await;
            }
        })
    };
    while !pusher.is_finished() {
        for digest in &digests {
            if exists(storage, &layout::layer_link(&repository, digest)).await {
                assert!(
                    exists(storage, &layout::blob(digest)).await,
                    "a link to {digest} without its blob"
                );
            }
        }
        tokio::task::yield_now().await;
    }
    all_done([pusher]).await;
}

/// A removal that takes empty directories along does not take them from under another publish.
pub async fn concurrent_removal_of_neighbours(storage: &Arc<dyn Storage>) {
    let keep = key("contract/concurrent_removal_of_neighbours");
    let tasks = (0..4).map(|task| {
        let (storage, keep) = (Arc::clone(storage), keep.clone());
        tokio::spawn(async move {
            let at = keep.join(&format!("a/b/c/object-{task}")).expect("a key");
            for round in 0..40 {
                let content = format!("{task}:{round}");
                publish(&storage, &at, content.clone()).await;
                assert_eq!(read(&storage, &at).await, content);
                storage
                    .remove(&at, &keep)
                    .await
                    .unwrap_or_else(|error| panic!("remove `{at}`: {error}"));
                assert!(!exists(&storage, &at).await);
            }
        })
    });
    all_done(tasks).await;
}

/// A tree that is removed again and again never keeps other requests from publishing into it, and what is
/// published after the last removal stays.
pub async fn concurrent_removal_of_a_tree(storage: &Arc<dyn Storage>) {
    let root = key("contract/concurrent_removal_of_a_tree");
    let tree = root.join("tag").expect("a key");
    let publishers = (0..3).map(|task| {
        let (storage, tree) = (Arc::clone(storage), tree.clone());
        tokio::spawn(async move {
            for round in 0..30 {
                let puts = ["index/link", "current/link"].map(|path| {
                    let at = tree.join(&format!("{task}/{path}")).expect("a key");
                    put(&at, format!("{task}:{round}"))
                });
                storage
                    .publish(&puts)
                    .await
                    .expect("publish into a tree that is being removed");
            }
        })
    });
    let remover = {
        let (storage, tree) = (Arc::clone(storage), tree.clone());
        tokio::spawn(async move {
            for _ in 0..30 {
                match storage.remove_tree(&tree).await {
                    Err(error) if !error.is_not_found() => panic!("remove_tree: {error}"),
                    _ => tokio::task::yield_now().await,
                }
            }
        })
    };
    all_done(publishers.chain([remover])).await;

    let last = tree.join("last/link").expect("a key");
    publish(storage, &last, "last").await;
    assert_eq!(read(storage, &last).await, "last");
}

/// A stream gives the bytes of one moment, however often its key is replaced meanwhile.
pub async fn concurrent_replacement_while_streaming(storage: &Arc<dyn Storage>) {
    const SIZE: usize = 1_000_000;
    let at = key("contract/concurrent_replacement_while_streaming/object");
    publish(storage, &at, vec![0; SIZE]).await;
    let writer = {
        let (storage, at) = (Arc::clone(storage), at.clone());
        tokio::spawn(async move {
            for round in 1..=40 {
                publish(&storage, &at, vec![round; SIZE]).await;
            }
        })
    };
    while !writer.is_finished() {
        let blob = storage.open(&at).await.expect("open");
        let mut stream = blob.stream(0..SIZE as u64);
        let (mut first, mut size) = (None, 0);
        while let Some(piece) = stream.next().await {
            let piece = piece.expect("a piece");
            let expected = *first.get_or_insert(piece[0]);
            assert!(
                piece.iter().all(|&byte| byte == expected),
                "two contents in one stream"
            );
            size += piece.len();
            tokio::task::yield_now().await;
        }
        assert_eq!(size, SIZE);
    }
    all_done([writer]).await;
}
