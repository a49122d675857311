//! Uploads over several processes, their parts, and what they ask of the store.

use super::*;

pub(super) fn content(seed: u8, size: usize) -> Bytes {
    let byte = |at: usize| {
        let digits = at.to_le_bytes();
        digits
            .iter()
            .fold(seed, |sum, digit| sum.wrapping_mul(31).wrapping_add(*digit))
    };
    (0..size).map(byte).collect::<Vec<_>>().into()
}

pub(super) async fn create(storage: &ObjectStorage) -> UploadKey {
    let upload = upload_key("u");
    storage.create_upload(&upload).await.unwrap();
    upload
}

pub(super) async fn patch(storage: &ObjectStorage, upload: &UploadKey, bytes: Bytes) -> Result<u64> {
    let mut held = storage.open_upload(upload).await?;
    held.write(bytes).await?;
    held.suspend().await
}

/// A PUT that names the digest of everything, with `bytes` as its body.
pub(super) async fn put(
    storage: &ObjectStorage,
    upload: &UploadKey,
    bytes: Bytes,
    digest: &Digest,
) -> Result<()> {
    let mut held = storage.open_upload(upload).await?;
    held.write_provisionally();
    held.announce(Announced {
        digest: Some(*digest),
        length: Some(bytes.len() as u64),
    });
    held.write(bytes).await?;
    let mut finished = held.finish(Some(digest.algorithm())).await?;
    if finished.digest(digest.algorithm()) != Some(*digest) {
        return finished.discard().await;
    }
    finished.prepare().await?;
    let link = layout::layer_link(&upload.repository, digest);
    let links = [Put::new(link, layout::link_content(digest))];
    finished.publish(&layout::blob(digest), &links).await
}

pub(super) async fn blob(storage: &ObjectStorage, digest: &Digest) -> Bytes {
    storage
        .read(&layout::blob(digest), 100_000_000)
        .await
        .unwrap()
        .bytes
}

#[tokio::test]
async fn any_replica_goes_on_with_an_upload() {
    let (one, two) = replicas(Memory::new());
    one.create_upload(&upload_key("u")).await.unwrap();
    assert_eq!(write(&two, "u", b"one ").await.unwrap(), 4);
    assert_eq!(write(&one, "u", b"two ").await.unwrap(), 8);
    assert_eq!(two.upload_size(&upload_key("u")).await.unwrap(), 8);
    assert_eq!(write(&two, "u", b"three").await.unwrap(), 13);
    assert_eq!(publish(&one, "u").await.unwrap(), "one two three");
    assert_eq!(objects(&two).await.len(), 1, "only the blob is left");
}

#[tokio::test]
async fn any_replica_goes_on_with_parts() {
    let store = Memory::new();
    let replicas = [(); 3].map(|()| process(&store, small()));
    let whole = content(1, 10 * PART + 77);
    let upload = create(&replicas[0]).await;
    let mut at = 0;
    for (turn, size) in [PART - 1, 2, 3 * PART, 1, PART, PART + 5].into_iter().enumerate() {
        let bytes = whole.slice(at..at + size);
        at += size;
        assert_eq!(
            patch(&replicas[turn % 3], &upload, bytes).await.unwrap(),
            at as u64
        );
    }
    let digest = Digest::sha256_of(&whole);
    put(&replicas[1], &upload, whole.slice(at..), &digest)
        .await
        .unwrap();
    assert_eq!(blob(&replicas[2], &digest).await, whole);
    assert_eq!(
        objects(&replicas[0]).await.len(),
        2,
        "the blob and its link are left"
    );
    assert_eq!(store.open_multipart_count(), 0);
}

#[tokio::test]
async fn of_two_requests_in_two_replicas_one_wins() {
    for (conditions, limits) in [
        (Conditions::Honoured, Limits::default()),
        (Conditions::Honoured, small()),
        (Conditions::Refused, Limits::default()),
        (Conditions::Refused, small()),
    ] {
        let store = Weak::new(conditions);
        let (one, two) = (process(&store, limits), process(&store, limits));
        let upload = create(&one).await;
        patch(&one, &upload, content(1, PART)).await.unwrap();

        let mut a = one.open_upload(&upload).await.unwrap();
        let mut b = two.open_upload(&upload).await.unwrap();
        let (from_a, from_b) = (content(2, PART / 2), content(3, 3 * PART));
        b.write(from_b.clone()).await.unwrap();
        assert_eq!(b.suspend().await.unwrap(), 4 * PART as u64);
        a.write(from_a).await.unwrap();
        assert_eq!(a.suspend().await.unwrap_err().kind(), ErrorKind::Busy);
        let expected = [content(1, PART), from_b].concat();
        assert!(publish(&one, "u").await.unwrap() == expected);
    }
}

/// Where the store ignores conditions, one request may lose its bytes; what is published is still
/// exactly what the digest says, and made of whole requests.
#[tokio::test]
async fn without_conditions_there_is_still_no_mixture() {
    for size in [4, PART, 3 * PART + 5] {
        for parts_before in [0, 2] {
            let store = Weak::new(Conditions::Ignored);
            let (one, two) = (process(&store, small()), process(&store, small()));
            let upload = create(&one).await;
            let before = content(9, parts_before * PART + 1);
            patch(&one, &upload, before.clone()).await.unwrap();
            let mut a = one.open_upload(&upload).await.unwrap();
            let mut b = two.open_upload(&upload).await.unwrap();
            let (from_a, from_b) = (content(1, size), content(2, 2 * size));
            let (wrote_a, wrote_b) = tokio::join!(a.write(from_a.clone()), b.write(from_b.clone()));
            wrote_a.unwrap();
            wrote_b.unwrap();
            let (ended_a, ended_b) = tokio::join!(a.suspend(), b.suspend());
            assert!(ended_a.is_ok() || ended_b.is_ok());
            // A part that the other request wrote again makes the completion fail.
            if let Ok(published) = publish(&two, "u").await {
                let either = [from_a, from_b].map(|from| [&before[..], &from].concat());
                assert!(either.contains(&published.to_vec()), "{} bytes", published.len());
            }
        }
    }
}

/// Two requests that end one upload at once, each with its own bytes, where nothing tells them apart.
#[tokio::test]
async fn of_two_ends_without_conditions_each_publishes_its_own_bytes() {
    let store = Weak::new(Conditions::Ignored);
    let (one, two) = (process(&store, small()), process(&store, small()));
    let upload = create(&one).await;
    let before = content(9, 2 * PART);
    patch(&one, &upload, before.clone()).await.unwrap();
    let ends = [content(1, PART), content(2, PART)];
    let digests = ends
        .clone()
        .map(|end| Digest::sha256_of(&[before.clone(), end].concat()));
    let (first, second) = tokio::join!(
        put(&one, &upload, ends[0].clone(), &digests[0]),
        put(&two, &upload, ends[1].clone(), &digests[1])
    );
    for (ended, digest) in [first, second].iter().zip(&digests) {
        let found = one.read(&layout::blob(digest), 1_000_000).await;
        assert_eq!(ended.is_ok(), found.is_ok(), "{ended:?}");
        if let Ok(found) = found {
            assert_eq!(Digest::sha256_of(&found.bytes), *digest);
        }
    }
}

/// An upload that one process holds and often says so, and another process.
async fn held_with_heartbeats(store: &Memory) -> (Box<dyn Upload>, ObjectStorage, UploadKey) {
    let limits = Limits {
        heartbeat: Duration::from_millis(5),
        ..small()
    };
    let (one, two) = (process(store, limits), process(store, small()));
    let upload = create(&one).await;
    let held = one.open_upload(&upload).await.unwrap();
    (held, two, upload)
}

/// I6 across processes: a request that lasts writes its state again, which another process's purge looks at.
#[tokio::test]
async fn a_long_request_shows_other_replicas_that_it_lives() {
    let store = Memory::new();
    let (mut held, two, upload) = held_with_heartbeats(&store).await;
    held.write(Bytes::from_static(b"piece ")).await.unwrap();
    let cutoff = SystemTime::now();
    let state = layout::object_upload_state(&layout::object_upload(&upload));
    while SystemTime::from(two.bucket.head(&state).await.unwrap().last_modified) < cutoff {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(purge(&two, cutoff).await.unwrap(), 0);
    held.write(Bytes::from_static(b"more")).await.unwrap();
    assert_eq!(held.suspend().await.unwrap(), 10);
    assert_eq!(publish(&two, "u").await.unwrap(), "piece more");
}

/// A request that has lost its upload ends.
#[tokio::test]
async fn a_request_ends_when_it_cannot_show_that_it_lives() {
    let store = Memory::new();
    let (mut held, two, upload) = held_with_heartbeats(&store).await;
    held.write(Bytes::from_static(b"lost")).await.unwrap();
    let dir = layout::object_upload(&upload);
    store
        .delete(&two.bucket.path(&layout::object_upload_state(&dir)))
        .await
        .unwrap();
    let error = loop {
        match held.write(Bytes::from_static(b"lost")).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error.kind(), ErrorKind::Busy | ErrorKind::NotFound),
        "{error}"
    );
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_counts() {
    let store = Weak {
        lose_answers: true,
        ..Weak::new(Conditions::Honoured)
    };
    let one = process(&store, small());
    let upload = create(&one).await;
    let whole = content(1, 5 * PART);
    patch(&one, &upload, whole.slice(..3 * PART + 1)).await.unwrap();
    patch(&one, &upload, whole.slice(3 * PART + 1..)).await.unwrap();
    assert!(publish(&one, "u").await.unwrap() == whole);
}

/// A completion that took effect and is answered with an error counts, once what is there was hashed.
#[tokio::test]
async fn a_completion_whose_answer_is_lost_counts() {
    let store = Weak {
        lose_completions: true,
        ..Weak::new(Conditions::Honoured)
    };
    let one = process(&store, small());
    let whole = content(1, 3 * PART + 1);
    let digest = Digest::sha256_of(&whole);
    for patched in [0, 2 * PART] {
        let upload = create(&one).await;
        if patched > 0 {
            patch(&one, &upload, whole.slice(..patched)).await.unwrap();
        }
        put(&one, &upload, whole.slice(patched..), &digest).await.unwrap();
        assert_eq!(blob(&one, &digest).await, whole);
        one.remove(&layout::blob(&digest), &Key::new("docker").unwrap())
            .await
            .unwrap();
    }
    assert_eq!(store.inner.open_multipart_count(), 0);
}

/// Every way and every edge of a part: what is published is what was sent, and every byte was sent once.
#[tokio::test]
async fn every_byte_is_sent_once() {
    for size in [
        0,
        1,
        PART - 1,
        PART,
        PART + 1,
        2 * PART - 1,
        2 * PART,
        2 * PART + 1,
        7 * PART + 5,
    ] {
        for is_patched in [false, true] {
            let store = Weak::new(Conditions::Honoured);
            let one = process(&store, small());
            let whole = content(7, size);
            let digest = Digest::sha256_of(&whole);
            let upload = create(&one).await;
            if is_patched {
                patch(&one, &upload, whole.clone()).await.unwrap();
                put(&one, &upload, Bytes::new(), &digest).await.unwrap();
            } else {
                put(&one, &upload, whole.clone(), &digest).await.unwrap();
            }
            assert_eq!(blob(&one, &digest).await, whole);
            assert_nothing_is_left(&one, &store.inner).await;

            let sizes = store.sizes.lock().clone();
            let sent = [of_kind(&sizes, "staging"), of_kind(&sizes, "blob")].concat();
            assert_eq!(sent.iter().sum::<usize>(), size, "{sent:?}");
            if let Some((last, equal)) = sent.split_last().filter(|(_, equal)| !equal.is_empty()) {
                assert!(
                    equal.iter().all(|part| *part == PART) && *last <= PART,
                    "{sent:?}"
                );
            }
            let states = of_kind(&sizes, "state").iter().sum::<usize>();
            assert!(states < 4096, "{states} bytes of states for {size}");
        }
    }
}

/// How many bytes are sent for each that a client pushes in chunks.
#[tokio::test]
async fn chunks_are_not_sent_again_and_again() {
    let limits = Limits {
        // As by default, at a scale of 1:64.
        part_size: 2 * PART,
        smallest_part: 5 * PART as u64 / 4,
        tail: PART / 16,
        copy_whole: 8 * PART as u64,
        copy_size: 8 * PART as u64,
        ..Limits::default()
    };
    let (kib, mib) = (PART / 4096, PART / 4);
    for (chunk, most) in [
        (100 * mib, 1.01),
        (10 * mib, 1.01),
        (8 * mib, 1.01),
        (5 * mib, 1.01),
        (mib, 2.1),
        (256 * kib + kib, 2.3),
        (64 * kib, 4.0),
    ] {
        for is_announced in [true, false] {
            let store = Weak::new(Conditions::Honoured);
            let one = process(&store, limits);
            let whole = content(3, 23 * mib + 77);
            let upload = create(&one).await;
            for at in (0..whole.len()).step_by(chunk) {
                let bytes = whole.slice(at..whole.len().min(at + chunk));
                let mut held = one.open_upload(&upload).await.unwrap();
                held.announce(Announced {
                    digest: None,
                    length: is_announced.then_some(bytes.len() as u64),
                });
                held.write(bytes).await.unwrap();
                held.suspend().await.unwrap();
            }
            let digest = Digest::sha256_of(&whole);
            put(&one, &upload, Bytes::new(), &digest).await.unwrap();
            assert!(blob(&one, &digest).await == whole);
            assert_nothing_is_left(&one, &store.inner).await;

            // The heads of the states are not to scale.
            let sizes = store.sizes.lock().clone();
            let requests = of_kind(&sizes, "state").len();
            let sent: usize = sizes.iter().map(|(_, size)| size).sum();
            let sent = sent.saturating_sub(requests * 1500) as f64 / whole.len() as f64;
            assert!(sent < most, "{sent} bytes sent for each of chunks of {chunk}");
        }
    }
}

/// Nothing but published objects, and no multipart upload.
pub(super) async fn assert_nothing_is_left(storage: &ObjectStorage, store: &Memory) {
    let left = objects(storage).await;
    let left: Vec<_> = left.iter().filter(|path| !path.starts_with("docker/")).collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(store.open_multipart_count(), 0);
}

fn of_kind(sizes: &[(&str, usize)], kind: &str) -> Vec<usize> {
    let of_kind = sizes.iter().filter(|(found, _)| *found == kind);
    of_kind.map(|(_, size)| *size).collect()
}

/// What each way of pushing asks of the store, one after the other.
#[tokio::test]
async fn requests_to_the_store() {
    let small_blob = content(1, 100);
    let large = content(2, 3 * PART + 1);
    let limits = Limits {
        copy_whole: 2 * PART as u64,
        copy_size: 2 * PART as u64,
        ..small()
    };
    let calls = async |patches: &[Bytes], rest: Bytes| {
        let store = Weak::new(Conditions::Honoured);
        let one = process(&store, limits);
        let upload = create(&one).await;
        for bytes in patches {
            patch(&one, &upload, bytes.clone()).await.unwrap();
        }
        let whole = [&patches.concat()[..], &rest].concat();
        put(&one, &upload, rest, &Digest::sha256_of(&whole))
            .await
            .unwrap();
        store.take_calls()
    };
    let start = ["put state", "get state"];
    let expected = [&start[..], &["put blob", "put link", "delete state"]].concat();
    assert_eq!(calls(&[], small_blob.clone()).await, expected, "POST, PUT");

    let patched = ["put state", "get state", "put blob", "put link", "delete state"];
    let expected = [&start[..], &patched].concat();
    assert_eq!(
        calls(&[small_blob], Bytes::new()).await,
        expected,
        "POST, PATCH, PUT"
    );

    let parts = [
        "create blob",
        "put state",
        "part of blob",
        "part of blob",
        "part of blob",
        "part of blob",
    ];
    let end = ["complete blob", "put link", "delete state"];
    let expected = [&start[..], &parts, &end].concat();
    assert_eq!(calls(&[], large.clone()).await, expected, "POST, PUT of parts");

    let parts = [
        "create staging",
        "put state",
        "part of staging",
        "part of staging",
        "part of staging",
        "part of staging",
        "complete staging",
        "put state",
    ];
    let copy = [
        "get state",
        "create blob",
        "copy part of blob",
        "copy part of blob",
        "complete blob",
    ];
    let end = ["put link", "delete state", "delete staging"];
    let expected = [&start[..], &parts, &copy, &end].concat();
    assert_eq!(
        calls(&[large], Bytes::new()).await,
        expected,
        "POST, PATCH of parts, PUT"
    );
}

/// A blob that is not what its request named never appears, and nothing of it stays.
#[tokio::test]
async fn a_wrong_digest_leaves_nothing() {
    for size in [10, 5 * PART] {
        let store = Memory::new();
        let one = process(&store, small());
        let upload = create(&one).await;
        let wrong = Digest::sha256_of(b"other");
        put(&one, &upload, content(1, size), &wrong).await.unwrap();
        assert_eq!(objects(&one).await, [""; 0]);
        assert_eq!(store.open_multipart_count(), 0);
    }
}

/// SHA-512 is computed while the bytes arrive when it was announced, and from the store when not.
#[tokio::test]
async fn a_blob_of_parts_may_be_named_by_sha512() {
    for patched in [0, 2 * PART + 1] {
        let store = Memory::new();
        let one = process(&store, small());
        let whole = content(1, 4 * PART + 3);
        let digest = Digest::of(Algorithm::Sha512, &whole);
        let upload = create(&one).await;
        if patched > 0 {
            patch(&one, &upload, whole.slice(..patched)).await.unwrap();
        }
        put(&one, &upload, whole.slice(patched..), &digest).await.unwrap();
        assert_eq!(blob(&one, &digest).await, whole);
        assert_eq!(store.open_multipart_count(), 0);
    }
}

#[tokio::test]
async fn parts_grow_with_the_announced_length() {
    let one = process_with(&Memory::new(), Limits::default(), 16);
    let (mib, gib) = (1 << 20, 1_u64 << 30);
    let part_size = |size, length| one.bucket.part_size(size, 0, length);
    assert_eq!(part_size(0, None), 8 * mib);
    assert_eq!(part_size(0, Some(5 * gib)), 8 * mib);
    let large = part_size(0, Some(200 * gib)) as u64;
    assert!(large * 9_000 >= 200 * gib && large < 24 * mib as u64, "{large}");
    // A chunk is one object, whatever came before.
    for size in [0, 3, 5 * gib] {
        assert_eq!(part_size(size, Some(10 << 20)), 10 * mib);
        assert_eq!(part_size(size, Some(16 << 20)), 16 * mib);
        assert_eq!(part_size(size, Some((16 << 20) + 1)), 8 * mib);
    }

    let limits = Limits {
        announced_parts: 4,
        parts: 5,
        objects: 3,
        ..small()
    };
    let one = process(&Memory::new(), limits);
    let whole = content(1, 9 * PART);
    let digest = Digest::sha256_of(&whole);
    let upload = create(&one).await;
    put(&one, &upload, whole.clone(), &digest).await.unwrap();
    assert_eq!(blob(&one, &digest).await, whole);
    let upload = create(&one).await;
    let error = patch(&one, &upload, whole.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("announce the length"), "{error}");
    let upload = create(&one).await;
    for _ in 0..3 {
        patch(&one, &upload, whole.slice(..PART)).await.unwrap();
    }
    let error = patch(&one, &upload, whole.slice(..PART)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("larger chunks"), "{error}");
}

/// Multipart uploads that no state names are aborted by the purge, those of a request that lasts are not.
#[tokio::test]
async fn purge_aborts_what_is_left() {
    let store = Memory::new();
    let (one, two) = (process(&store, small()), process(&store, small()));
    let digest = Digest::sha256_of(b"orphan");
    let upload = layout::object_upload(&upload_key("gone"));
    let staging = layout::object_upload_data(&upload, uuid::Uuid::new_v4());
    // Two requests with the same blob died, one after the other.
    for key in [layout::blob(&digest), layout::blob(&digest), staging.clone()] {
        store.create_multipart(&one.bucket.path(&key)).await.unwrap();
    }
    store.put(&one.bucket.path(&staging), "x".into()).await.unwrap();

    let live = create(&one).await;
    let whole = content(1, 6 * PART);
    let mut held = one.open_upload(&live).await.unwrap();
    held.write_provisionally();
    held.announce(Announced {
        digest: Some(Digest::sha256_of(&whole)),
        length: None,
    });
    for piece in 0..3 {
        held.write(whole.slice(piece * 2 * PART..(piece + 1) * 2 * PART))
            .await
            .unwrap();
    }
    assert_eq!(purge(&two, SystemTime::UNIX_EPOCH).await.unwrap(), 0);
    assert_eq!(store.open_multipart_count(), 4);
    let listed: Vec<_> = two.list_uploads().await.unwrap().collect().await;
    for upload in listed {
        let upload = upload.unwrap();
        if upload.is_remnant() {
            let later = SystemTime::now() + Duration::from_secs(60);
            two.remove_upload(&upload, later).await.unwrap();
        }
    }
    assert_eq!(store.open_multipart_count(), 1, "that of the request that lasts");
    let finished = held.finish(None).await.unwrap();
    let key = layout::blob(&Digest::sha256_of(&whole));
    finished.publish(&key, &[]).await.unwrap();
    assert_eq!(objects(&one).await, [key.as_str()]);
}

/// An upload that is purged takes along what a dead request left open.
#[tokio::test]
async fn purge_aborts_the_multipart_uploads_of_an_upload() {
    let store = Memory::new();
    let (one, two) = (process(&store, small()), process(&store, small()));
    let upload = create(&one).await;
    let mut held = one.open_upload(&upload).await.unwrap();
    // The queue holds one piece, so by the third write the first has been dealt with.
    for _ in 0..3 {
        held.write(content(1, 2 * PART)).await.unwrap();
    }
    assert_eq!(store.open_multipart_count(), 1);
    let later = SystemTime::now() + Duration::from_secs(60);
    assert_eq!(purge(&two, later).await.unwrap(), 1);
    assert_eq!(store.open_multipart_count(), 0);
    assert_eq!(objects(&one).await, [""; 0]);
    assert!(held.suspend().await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_damaged_state_is_told() {
    let store = Memory::new();
    let one = process(&store, small());
    let upload = create(&one).await;
    patch(&one, &upload, content(1, 1000)).await.unwrap();
    let path = one
        .bucket
        .path(&layout::object_upload_state(&layout::object_upload(&upload)));
    let whole = store.get(&path).await.unwrap().bytes().await.unwrap();
    for damaged in [
        whole.slice(..whole.len() - 1),
        whole.slice(..20),
        Bytes::from_static(b"{}\n"),
    ] {
        store.put(&path, damaged.into()).await.unwrap();
        assert_eq!(
            one.open_upload(&upload).await.err().unwrap().kind(),
            ErrorKind::Damaged
        );
    }
    let later = SystemTime::now() + Duration::from_secs(60);
    assert_eq!(purge(&one, later).await.unwrap(), 1);
}

/// Uploads of registry:2 and :3 go when they are old, with their multipart uploads, also where the store lists these only by
/// their exact keys; everything else of their repositories stays.
#[tokio::test]
async fn purge_removes_old_uploads_of_other_registries() {
    for exact_keys_only in [false, true] {
        let store = Weak {
            exact_keys_only,
            ..Weak::new(Conditions::Honoured)
        };
        let one = process(&store, small());
        let repositories = "docker/registry/v2/repositories";
        let kept = [
            format!("{repositories}/a/_layers/sha256/00/link"),
            format!("{repositories}/a/_manifests/tags/1/current/link"),
            format!("{repositories}/a/b/_layers/sha256/00/link"),
        ];
        // More than a page of the store before the uploads of a repository.
        let many = (0..1500).map(|number| format!("{repositories}/a/_layers/sha256/{number}/link"));
        let gone = [
            format!("{repositories}/a/_uploads/1/startedat"),
            format!("{repositories}/a/_uploads/1/hashstates/sha256/0"),
            format!("{repositories}/a/b/_uploads/2/startedat"),
        ];
        for path in kept.iter().cloned().chain(many).chain(gone) {
            store.put(&Path::from(path), "x".into()).await.unwrap();
        }
        for path in ["a/_uploads/1/data", "a/b/_uploads/2/data"] {
            let path = Path::from(format!("{repositories}/{path}"));
            store.create_multipart(&path).await.unwrap();
        }
        let upload = create(&one).await;
        assert_eq!(purge(&one, SystemTime::UNIX_EPOCH).await.unwrap(), 0);
        let mut listed: Vec<_> = one.list_uploads().await.unwrap().try_collect().await.unwrap();
        listed.sort_by(|one, other| one.id().cmp(other.id()));
        let named: Vec<_> = listed.iter().map(|one| (one.repository(), one.id())).collect();
        assert_eq!(named, [("a", "1"), ("a/b", "2"), ("library/alpine", "u")]);
        assert!(
            listed[..2]
                .iter()
                .all(|one| one.started().is_some() && !one.is_remnant())
        );

        let later = SystemTime::now() + Duration::from_secs(60);
        assert_eq!(purge(&one, later).await.unwrap(), 3);
        assert!(one.upload_size(&upload).await.unwrap_err().is_not_found());
        assert_eq!(store.inner.open_multipart_count(), 0);
        let left = objects(&one).await;
        assert_eq!(left.len(), 1500 + kept.len());
        assert!(kept.iter().all(|kept| left.contains(kept)));
    }
}

/// One that a registry goes on with while it is being purged stays.
#[tokio::test]
async fn purge_spares_an_upload_that_another_registry_goes_on_with() {
    let store = Memory::new();
    let one = process(&store, small());
    let dir = "docker/registry/v2/repositories/a/_uploads/1";
    store
        .put(&Path::from(format!("{dir}/startedat")), "x".into())
        .await
        .unwrap();
    let listed: Vec<_> = one.list_uploads().await.unwrap().try_collect().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    let cutoff = SystemTime::now();
    assert!(listed[0].touched() < cutoff);
    tokio::time::sleep(Duration::from_millis(2)).await;
    store
        .put(&Path::from(format!("{dir}/hashstates/sha256/9")), "x".into())
        .await
        .unwrap();
    let error = one.remove_upload(&listed[0], cutoff).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition, "{error}");
    assert_eq!(objects(&one).await.len(), 2);
}

/// Chunks of any size become a blob also where all parts but the last must be equal: then the bytes are sent once more.
#[tokio::test]
async fn chunks_that_differ_become_a_blob_of_equal_parts() {
    for wants_equal_parts in [false, true] {
        let store = Weak {
            wants_equal_parts,
            ..Weak::new(Conditions::Honoured)
        };
        let one = process(&store, small());
        let sizes = [PART, 3 * PART + 7, 50_000, 2 * PART, 6 * PART + 1, 45_000, 300];
        let whole = content(8, sizes.iter().sum());
        let upload = create(&one).await;
        let mut at = 0;
        for size in sizes {
            patch(&one, &upload, whole.slice(at..at + size)).await.unwrap();
            at += size;
        }
        let digest = Digest::sha256_of(&whole);
        put(&one, &upload, Bytes::new(), &digest).await.unwrap();
        assert!(blob(&one, &digest).await == whole);
        assert_nothing_is_left(&one, &store.inner).await;
        let sent = of_kind(&store.sizes.lock(), "blob").iter().sum::<usize>();
        assert_eq!(
            sent > whole.len(),
            wants_equal_parts,
            "{sent} bytes sent at the end"
        );
    }
}
