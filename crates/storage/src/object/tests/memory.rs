//! The memory that uploads gather their bytes in: limited, and taken in turns.

use super::{
    uploads::{assert_nothing_is_left, content, put},
    *,
};

/// A process with memory for few parts, and the share that this is.
fn with_memory(store: &Memory, parts: usize) -> (ObjectStorage, Share) {
    let memory = Share::new("parts", parts * PART);
    let one = ObjectStorage::with_limits(Arc::new(store.clone()), Path::default(), memory.clone(), small());
    (one, memory)
}

async fn begin(storage: &ObjectStorage, number: usize) -> Box<dyn Upload> {
    let upload = upload_key(&format!("u{number}"));
    storage.create_upload(&upload).await.unwrap();
    storage.open_upload(&upload).await.unwrap()
}

/// Ends the upload with its bytes, which are to be `expected`.
async fn end(storage: &ObjectStorage, number: usize, expected: &Bytes) {
    let upload = upload_key(&format!("u{number}"));
    let digest = Digest::sha256_of(expected);
    put(storage, &upload, Bytes::new(), &digest).await.unwrap();
    assert!(storage.stat(&layout::blob(&digest)).await.is_ok());
}

/// Many pushes at once share the memory for three parts: all end, and none is refused.
#[tokio::test(start_paused = true)]
async fn many_pushes_share_little_memory() {
    let store = Memory::new();
    let (one, memory) = with_memory(&store, 3);
    let one = Arc::new(one);
    let pushes = (0..64).map(|number| {
        let one = Arc::clone(&one);
        tokio::spawn(async move {
            let whole = content(u8::try_from(number).unwrap(), 2 * PART + 5000 * number);
            let mut held = begin(&one, number).await;
            for at in (0..whole.len()).step_by(10_000) {
                held.write(whole.slice(at..whole.len().min(at + 10_000)))
                    .await
                    .unwrap();
            }
            held.suspend().await.unwrap();
            end(&one, number, &whole).await;
        })
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await.unwrap();
    }
    assert_eq!((memory.used(), memory.refused()), (0, 0));
    assert_nothing_is_left(&one, &store).await;
}

/// Clients that send little each second, and more of them than there is memory for, keep no other client waiting
/// until it is refused.
#[tokio::test(start_paused = true)]
async fn slow_clients_let_others_have_the_memory() {
    for is_direct in [false, true] {
        let store = Memory::new();
        let (one, memory) = with_memory(&store, 3);
        let one = Arc::new(one);
        let slow = (0..12).map(|number| {
            let one = Arc::clone(&one);
            tokio::spawn(async move {
                let whole = content(u8::try_from(number).unwrap(), 3 * PART + 99);
                let digest = Digest::sha256_of(&whole);
                let mut held = begin(&one, number).await;
                if is_direct {
                    held.write_provisionally();
                    held.announce(Announced {
                        digest: Some(digest),
                        length: None,
                    });
                }
                for at in (0..whole.len()).step_by(1000) {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    held.write(whole.slice(at..whole.len().min(at + 1000)))
                        .await
                        .unwrap();
                }
                if is_direct {
                    let finished = held.finish(None).await.unwrap();
                    finished.publish(&layout::blob(&digest), &[]).await.unwrap();
                } else {
                    held.suspend().await.unwrap();
                    end(&one, number, &whole).await;
                }
                assert!(one.read(&layout::blob(&digest), u64::MAX).await.unwrap().bytes == whole);
            })
        });
        let slow: Vec<_> = slow.collect();
        for number in 100..110 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let whole = content(77, 5 * PART + number);
            let mut held = begin(&one, number).await;
            held.write(whole.clone()).await.unwrap();
            held.suspend().await.unwrap();
            end(&one, number, &whole).await;
        }
        for slow in slow {
            slow.await.unwrap();
        }
        assert_eq!((memory.used(), memory.refused()), (0, 0));
        assert_nothing_is_left(&one, &store).await;
    }
}

/// What has sent little holds little, and what announces little as well.
#[tokio::test]
async fn memory_follows_the_bytes_that_came() {
    let store = Memory::new();
    let (one, memory) = with_memory(&store, 4);
    let mut held = Vec::new();
    for number in 0..16 {
        let mut upload = begin(&one, number).await;
        // The queue holds one piece, so by the third write the first has been dealt with.
        for _ in 0..3 {
            upload.write(content(1, 10)).await.unwrap();
        }
        held.push(upload);
    }
    assert_eq!(memory.used(), 16 * 4096);
    drop(held);
    let mut held = Vec::new();
    for number in 100..116 {
        let mut upload = begin(&one, number).await;
        upload.announce(Announced {
            digest: None,
            length: Some(30),
        });
        for _ in 0..3 {
            upload.write(content(1, 10)).await.unwrap();
        }
        held.push(upload);
    }
    for upload in held {
        assert_eq!(upload.suspend().await.unwrap(), 30);
    }
}

/// When there is no memory for long, a request is refused.
#[tokio::test(start_paused = true)]
async fn a_request_without_memory_is_refused() {
    let store = Memory::new();
    let (one, memory) = with_memory(&store, 2);
    let taken = memory.take(2 * PART).unwrap();
    let mut held = begin(&one, 1).await;
    held.write(content(1, 10)).await.unwrap();
    let refused = held.suspend().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exhausted, "{refused}");
    drop(taken);
    let mut held = one.open_upload(&upload_key("u1")).await.unwrap();
    held.write(content(1, 10)).await.unwrap();
    assert_eq!(held.suspend().await.unwrap(), 10);
}
