//! Cases for objects: publish, read, stream, version, remove.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::StreamExt;

use super::{assert_kind, collect, exists, key, names, pattern, publish, put, read, upload_key};
use crate::{ByteStream, ErrorKind, Puts, Removal, Storage, TreeRemoval};

/// A published object is there, with its size and a plausible time.
pub async fn publish_then_read(storage: &Arc<dyn Storage>) {
    let at = key("contract/publish_then_read/a/b/c/link");
    publish(storage, &at, "sha256:1234").await;

    assert_eq!(read(storage, &at).await, "sha256:1234");
    let stat = storage.stat(&at).await.expect("stat");
    assert_eq!(stat.size, 11);
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    assert!(
        now - hour < stat.modified && stat.modified < now + hour,
        "modified: {:?}",
        stat.modified
    );

    let blob = storage.open(&at).await.expect("open");
    assert_eq!(blob.stat().size, 11);
    assert_eq!(collect(blob, 0..11).await.expect("stream"), "sha256:1234");
}

/// What is below many names is what is at each, in their order: an object, nothing, or a directory.
pub async fn stat_below_tells_what_stat_tells(storage: &Arc<dyn Storage>) {
    let dir = key("contract/stat_below_tells_what_stat_tells");
    let path = key("current/link");
    let at = |name: &str, path: &str| dir.join(&format!("{name}/{path}")).expect("a key");
    for name in ["a", "b", "e"] {
        publish(storage, &at(name, "current/link"), name).await;
    }
    // A directory where an object is wanted, and nothing at all.
    publish(storage, &at("c", "current/link/deeper"), "c").await;
    publish(storage, &at("d", "other"), "d").await;
    let names: Vec<Box<str>> = ["e", "c", "missing", "a", "d", "b"].map(Box::from).to_vec();
    let stats = storage.stat_below(&dir, &names, &path).await.expect("stats");
    assert_eq!(stats.len(), names.len());
    for (name, stat) in names.iter().zip(&stats) {
        match storage.stat(&at(name, "current/link")).await {
            Ok(expected) => {
                let stat = stat.as_ref().expect("an object");
                assert_eq!(
                    (stat.size, stat.modified),
                    (expected.size, expected.modified),
                    "{name}"
                );
                assert!(
                    stat.version.is_none() || stat.version == expected.version,
                    "{name}"
                );
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
                assert!(stat.is_none(), "{name}");
            }
        }
    }
    let nothing = key("contract/stat_below_tells_what_stat_tells/nowhere");
    let stats = storage.stat_below(&nothing, &names, &path).await.expect("stats");
    assert_eq!(stats, vec![None; names.len()]);
    assert_eq!(storage.stat_below(&dir, &[], &path).await.expect("stats"), []);
}

/// A put may say how old its object is, in a new directory and in one that exists; other puts of the call are as old as the
/// call. A store that does not keep times publishes them all the same.
pub async fn publish_at_a_time(storage: &Arc<dyn Storage>) {
    let at = |name: &str| key(format!("contract/publish_at_a_time/{name}"));
    let (day, now) = (Duration::from_secs(86_400), SystemTime::now());
    let puts = ["new/link", "new/deep/link", "new/link"].map(|name| put(&at(name), name).at(now - day));
    for some in [&puts[..2], &puts[2..]] {
        storage.publish(some).await.expect("publish");
    }
    storage
        .publish(&[put(&at("new/other"), "b")])
        .await
        .expect("publish");
    for (name, age) in [
        ("new/link", day),
        ("new/deep/link", day),
        ("new/other", Duration::ZERO),
    ] {
        let stat = storage.stat(&at(name)).await.expect("stat");
        let age = if storage.keeps_times() {
            age
        } else {
            Duration::ZERO
        };
        let since = now.duration_since(stat.modified).unwrap_or_default();
        let hour = Duration::from_secs(3600);
        assert!(age <= since + hour && since < age + hour, "{name}: {since:?}");
    }
    assert_eq!(read(storage, &at("new/deep/link")).await, "new/deep/link");
}

/// Several ranges of one open object, in any order, some of them at the same time.
pub async fn parts_of_an_open_object(storage: &Arc<dyn Storage>) {
    let at = key("contract/parts_of_an_open_object/data");
    let content = pattern(1, 3 << 20);
    publish(storage, &at, content.clone()).await;
    for blob in [storage.open(&at).await, storage.open_parts(&at).await] {
        let blob = blob.expect("open");
        assert_eq!(blob.stat().size, content.len() as u64);
        for range in [
            2_000_000..2_500_000_usize,
            0..10,
            9..11,
            7..7,
            3_145_727..3_145_728,
            0..3_145_728,
        ] {
            let part = gathered(blob.part(range.start as u64..range.end as u64)).await;
            assert_eq!(part, content[range.clone()], "{range:?}");
        }
        let (first, second) = tokio::join!(gathered(blob.part(0..1_000_000)), gathered(blob.part(5..6)));
        assert_eq!((first, second), (content.slice(..1_000_000), content.slice(5..6)));
        assert_eq!(
            gathered(blob.stream(1_500_000..3_000_000)).await,
            content.slice(1_500_000..3_000_000)
        );
    }
}

async fn gathered(mut stream: ByteStream) -> Bytes {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.expect("a piece"));
    }
    bytes.into()
}

/// A second publish replaces the first, be it longer or shorter.
pub async fn publish_replaces(storage: &Arc<dyn Storage>) {
    let at = key("contract/publish_replaces/link");
    for content in ["medium", "something longer", "short", "short", ""] {
        publish(storage, &at, content).await;
        assert_eq!(read(storage, &at).await, content);
        assert_eq!(storage.stat(&at).await.expect("stat").size, content.len() as u64);
    }
}

/// No object at all, and an object without bytes.
pub async fn publish_nothing_and_empty_objects(storage: &Arc<dyn Storage>) {
    storage.publish(&[]).await.expect("publish nothing");

    let at = key("contract/publish_nothing_and_empty_objects/empty");
    publish(storage, &at, "").await;
    assert_eq!(read(storage, &at).await.len(), 0);
    assert_eq!(
        storage
            .read(&at, 0)
            .await
            .expect("read of an empty object with limit 0")
            .stat
            .size,
        0
    );
    let blob = storage.open(&at).await.expect("open");
    assert_eq!(collect(blob, 0..0).await.expect("stream").len(), 0);
}

/// The last of several puts of one key in one call is what stays.
pub async fn publish_one_key_twice_in_a_call(storage: &Arc<dyn Storage>) {
    let at = key("contract/publish_one_key_twice_in_a_call/link");
    storage
        .publish(&[put(&at, "first"), put(&at, "second"), put(&at, "third")])
        .await
        .expect("publish");
    assert_eq!(read(storage, &at).await, "third");
}

/// I3: a reader that sees the third object of a call sees the second and the first as well, of the same
/// call or of a later one.
pub async fn publish_is_ordered(storage: &Arc<dyn Storage>) {
    const ROUNDS: u32 = 40;
    const LOOKS: u32 = 400;
    let chain = ["revision/deep/below/link", "history/link", "current/link"]
        .map(|path| key(format!("contract/publish_is_ordered/{path}")));
    let fresh = |round: u32, link: usize| key(format!("contract/publish_is_ordered/fresh/{round}/{link}"));
    let looks = Arc::new(AtomicU32::new(0));

    // On a fast store it goes on until the reader has really looked while it was writing.
    let writer = {
        let (storage, chain, looks) = (Arc::clone(storage), chain.clone(), Arc::clone(&looks));
        tokio::spawn(async move {
            let mut round = 0;
            while round < ROUNDS || looks.load(Ordering::SeqCst) < LOOKS {
                round += 1;
                let content = round.to_string();
                let mut puts: Vec<_> = chain.iter().map(|at| put(at, content.clone())).collect();
                puts.extend((0..3).map(|link| put(&fresh(round, link), content.clone())));
                storage.publish(&puts).await.expect("publish");
                tokio::task::yield_now().await;
            }
            round
        })
    };

    let number = |bytes: Bytes| -> u32 {
        std::str::from_utf8(&bytes)
            .expect("digits")
            .parse()
            .expect("a number, not a mixture of two")
    };
    while !writer.is_finished() {
        // Backwards: what the last pointer says must already be true of those before it.
        let mut least = 0;
        for at in chain.iter().rev() {
            match storage.read(at, 100).await {
                Ok(object) => {
                    let round = number(object.bytes);
                    assert!(
                        round >= least,
                        "`{at}` is of call {round}, what comes after it of {least}"
                    );
                    least = round;
                }
                Err(error) => {
                    assert!(error.is_not_found(), "read of `{at}`: {error}");
                    assert_eq!(least, 0, "`{at}` is missing, what comes after it is there");
                }
            }
        }
        // The order also holds for keys that did not exist before the call.
        if exists(storage, &fresh(least, 2)).await {
            for link in [1, 0] {
                let earlier = fresh(least, link);
                assert!(
                    exists(storage, &earlier).await,
                    "the third of call {least} came before `{earlier}`"
                );
            }
        }
        looks.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    let rounds = writer.await.expect("the writer");
    for at in &chain {
        assert_eq!(number(read(storage, at).await), rounds);
    }
}

/// I3, where some objects of a call need not wait for others: a reader that sees one sees those that it waits for.
pub async fn publish_all_keeps_the_order_of_steps(storage: &Arc<dyn Storage>) {
    const ROUNDS: u32 = 40;
    const LOOKS: u32 = 400;
    let at = |name: &str| key(format!("contract/publish_all_keeps_the_order_of_steps/{name}"));
    let looks = Arc::new(AtomicU32::new(0));
    let writer = {
        let (storage, looks) = (Arc::clone(storage), Arc::clone(&looks));
        tokio::spawn(async move {
            let mut round = 0;
            while round < ROUNDS || looks.load(Ordering::SeqCst) < LOOKS {
                round += 1;
                let content = round.to_string();
                let mut puts = Puts::default();
                for (step, name) in [
                    (0, "bytes"),
                    (1, "revision"),
                    (1, "1/history"),
                    (2, "1/tag"),
                    (1, "2/history"),
                    (2, "2/tag"),
                ] {
                    puts.add(step, put(&at(name), content.clone()));
                }
                storage.publish_all(&puts).await.expect("publish");
                tokio::task::yield_now().await;
            }
            round
        })
    };
    let round_of = async |name: &str| -> u32 {
        match storage.read(&at(name), 100).await {
            Ok(object) => std::str::from_utf8(&object.bytes)
                .expect("digits")
                .parse()
                .expect("a number"),
            Err(error) if error.is_not_found() => 0,
            Err(error) => panic!("read of `{name}`: {error}"),
        }
    };
    while !writer.is_finished() {
        for (later, earlier) in [
            ("1/tag", "1/history"),
            ("1/tag", "revision"),
            ("2/tag", "2/history"),
            ("2/tag", "1/history"),
            ("2/history", "bytes"),
            ("revision", "bytes"),
        ] {
            let least = round_of(later).await;
            let found = round_of(earlier).await;
            assert!(
                found >= least,
                "`{earlier}` is of call {found}, `{later}`, which waits for it, of {least}"
            );
        }
        looks.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    let rounds = writer.await.expect("the writer");
    assert_eq!(round_of("2/tag").await, rounds);
}

/// Bytes come again only when the object is no more of the version that was read.
pub async fn read_unless_it_is_of_that_version(storage: &Arc<dyn Storage>) {
    let at = key("contract/read_unless_it_is_of_that_version/link");
    publish(storage, &at, "first").await;
    let read = async || storage.read(&at, 100).await.expect("read").stat.version;
    let first = super::eventually(read).await;
    let again = storage.read_unless(&at, 100, &first).await.expect("read");
    assert!(again.is_none(), "nothing has changed");
    publish(storage, &at, "other").await;
    let other = storage.read_unless(&at, 100, &first).await.expect("read");
    assert_eq!(other.expect("another version").bytes, "other");
    let error = storage.read_unless(&at, 4, &first).await.err();
    assert_eq!(error.expect("too large").kind(), ErrorKind::TooLarge);
    let keep = key("contract");
    storage.remove(&at, &keep).await.expect("remove");
    let error = storage.read_unless(&at, 100, &first).await.err();
    assert!(error.expect("it is gone").is_not_found());
}

/// A limit of exactly the size is enough; one byte less is `TooLarge`.
pub async fn read_limits(storage: &Arc<dyn Storage>) {
    let at = key("contract/read_limits/object");
    for size in [1_usize, 1024, 70_000] {
        let content = pattern(size as u64, size);
        publish(storage, &at, content.clone()).await;
        let limit = size as u64;
        assert_eq!(
            storage.read(&at, limit).await.expect("read at the limit").bytes,
            content
        );
        assert_kind(
            storage.read(&at, limit - 1).await,
            ErrorKind::TooLarge,
            "a byte above the limit",
        );
        assert_kind(storage.read(&at, 0).await, ErrorKind::TooLarge, "limit 0");
    }
}

/// Where nothing is, everything that needs something says `NotFound`.
pub async fn missing_is_not_found(storage: &Arc<dyn Storage>) {
    let at = key("contract/missing_is_not_found/no/such/object");
    let keep = key("contract");
    assert_kind(storage.stat(&at).await, ErrorKind::NotFound, "stat");
    assert_kind(storage.read(&at, 10).await, ErrorKind::NotFound, "read");
    assert_kind(storage.open(&at).await, ErrorKind::NotFound, "open");
    assert_kind(storage.remove(&at, &keep).await, ErrorKind::NotFound, "remove");
    assert_kind(storage.remove_tree(&at).await, ErrorKind::NotFound, "remove_tree");

    let upload = upload_key("contract/missing", "no-such-upload");
    assert_kind(
        storage.open_upload(&upload).await,
        ErrorKind::NotFound,
        "open_upload",
    );
    assert_kind(
        storage.upload_size(&upload).await,
        ErrorKind::NotFound,
        "upload_size",
    );
}

/// A directory is not an object, and asking for one does no harm.
pub async fn directory_is_not_an_object(storage: &Arc<dyn Storage>) {
    let dir = key("contract/directory_is_not_an_object/dir");
    let below = key("contract/directory_is_not_an_object/dir/sub/object");
    publish(storage, &below, "kept").await;

    for dir in [dir, below.parent().expect("a parent")] {
        assert_kind(
            storage.stat(&dir).await,
            ErrorKind::NotFound,
            "stat of a directory",
        );
        assert_kind(
            storage.read(&dir, 10).await,
            ErrorKind::NotFound,
            "read of a directory",
        );
        assert_kind(
            storage.open(&dir).await,
            ErrorKind::NotFound,
            "open of a directory",
        );
        assert_kind(
            storage.remove(&dir, &key("contract")).await,
            ErrorKind::NotFound,
            "remove of a directory",
        );
    }
    assert_eq!(read(storage, &below).await, "kept");
}

/// A key below an object is a key where nothing is.
pub async fn nothing_is_below_an_object(storage: &Arc<dyn Storage>) {
    let object = key("contract/nothing_is_below_an_object/object");
    publish(storage, &object, "x").await;
    let below = object.join("below").expect("a key");
    assert_kind(storage.stat(&below).await, ErrorKind::NotFound, "stat");
    assert_kind(storage.read(&below, 10).await, ErrorKind::NotFound, "read");
    assert_kind(storage.open(&below).await, ErrorKind::NotFound, "open");
    assert_kind(
        storage.remove(&below, &key("contract")).await,
        ErrorKind::NotFound,
        "remove",
    );
    assert_kind(
        storage.remove_tree(&below).await,
        ErrorKind::NotFound,
        "remove_tree",
    );
    assert_eq!(read(storage, &object).await, "x");
}

/// Whatever happens in whatever haste: one version never stands for two contents. All contents have
/// one size, so that only the version can tell them apart.
pub async fn equal_versions_mean_equal_content(storage: &Arc<dyn Storage>) {
    let at = key("contract/equal_versions_mean_equal_content/link");
    let keep = key("contract/equal_versions_mean_equal_content");
    let mut seen = HashMap::new();
    let mut check = |version, content: Bytes| {
        if let Some(version) = version {
            let known = seen.entry(version).or_insert_with(|| content.clone());
            assert_eq!(*known, content, "one version for two contents");
        }
    };

    for round in 0..200 {
        if round % 7 == 3 {
            storage.remove(&at, &keep).await.expect("remove");
        }
        let content = Bytes::from(format!("{round:08}"));
        publish(storage, &at, content.clone()).await;
        let object = storage.read(&at, 100).await.expect("read");
        assert_eq!(object.bytes, content);
        check(object.stat.version, content.clone());
        check(storage.stat(&at).await.expect("stat").version, content.clone());
        check(storage.open(&at).await.expect("open").stat().version, content);
    }

    // The same while a writer races with the reader: version and content must be of one moment.
    let writer = {
        let (storage, at) = (Arc::clone(storage), at.clone());
        tokio::spawn(async move {
            for round in 1000..1200 {
                publish(&storage, &at, format!("{round:08}")).await;
            }
        })
    };
    while !writer.is_finished() {
        let object = storage.read(&at, 100).await.expect("read");
        check(object.stat.version, object.bytes);
        let blob = storage.open(&at).await.expect("open");
        let version = blob.stat().version;
        check(version, collect(blob, 0..8).await.expect("stream"));
    }
    writer.await.expect("the writer");
}

/// Every range of an object, at the borders of whatever buffers an engine may use.
pub async fn stream_ranges(storage: &Arc<dyn Storage>) {
    const PIECE: u64 = 256 * 1024;
    let at = key("contract/stream_ranges/object");
    let content = pattern(1, 3 * 1024 * 1024 + 17);
    publish(storage, &at, content.clone()).await;
    let size = content.len() as u64;

    let borders = [
        0,
        1,
        4095,
        4096,
        PIECE - 1,
        PIECE,
        PIECE + 1,
        4 * PIECE,
        size / 2,
        size - PIECE,
        size - 1,
        size,
    ];
    for (index, &start) in borders.iter().enumerate() {
        for &end in &borders[index..] {
            let blob = storage.open(&at).await.expect("open");
            assert_eq!(blob.stat().size, size);
            let got = collect(blob, start..end).await.expect("stream");
            #[expect(clippy::cast_possible_truncation, reason = "a few megabytes")]
            let expected = content.slice(start as usize..end as usize);
            assert!(
                got == expected,
                "bytes {start}..{end}: {} bytes, not those",
                got.len()
            );
        }
    }
}

/// An opened object keeps its content when its key gets another one, before and during streaming.
pub async fn opened_survives_replacement(storage: &Arc<dyn Storage>) {
    let at = key("contract/opened_survives_replacement/object");
    let old = pattern(1, 2_000_000);
    publish(storage, &at, old.clone()).await;

    let whole = storage.open(&at).await.expect("open");
    let part = storage.open(&at).await.expect("open");
    let started = storage.open(&at).await.expect("open");
    let mut started = started.stream(0..2_000_000);
    let mut begun = started.next().await.expect("a piece").expect("a piece").to_vec();

    publish(storage, &at, "new").await;

    assert!(collect(whole, 0..2_000_000).await.expect("stream") == old);
    assert!(collect(part, 1_500_000..1_999_999).await.expect("stream") == old.slice(1_500_000..1_999_999));
    while let Some(piece) = started.next().await {
        begun.extend_from_slice(&piece.expect("a piece"));
    }
    assert!(begun == old, "a stream that had begun goes on with the old bytes");
    assert_eq!(read(storage, &at).await, "new");
}

/// An opened object stays readable when its key is removed.
pub async fn opened_survives_removal(storage: &Arc<dyn Storage>) {
    let at = key("contract/opened_survives_removal/dir/object");
    let content = pattern(1, 2_000_000);
    publish(storage, &at, content.clone()).await;
    let whole = storage.open(&at).await.expect("open");
    storage.remove(&at, &key("contract")).await.expect("remove");
    assert!(collect(whole, 0..2_000_000).await.expect("stream") == content);

    publish(storage, &at, content.clone()).await;
    let part = storage.open(&at).await.expect("open");
    storage
        .remove_tree(&key("contract/opened_survives_removal"))
        .await
        .expect("remove_tree");
    assert!(collect(part, 1_700_000..2_000_000).await.expect("stream") == content.slice(1_700_000..));
    assert!(!exists(storage, &at).await);
}

/// The directories that became empty go as well, up to `keep`.
pub async fn remove_takes_empty_directories_along(storage: &Arc<dyn Storage>) {
    let keep = key("contract/remove_takes_empty_directories_along");
    let deep = keep.join("a/b/c/object").expect("a key");
    let beside = keep.join("a/object").expect("a key");
    publish(storage, &deep, "x").await;
    publish(storage, &beside, "y").await;

    storage.remove(&deep, &keep).await.expect("remove");
    assert!(!exists(storage, &deep).await);
    assert_eq!(
        names(storage, &keep.join("a").expect("a key")).await,
        ["object"],
        "`b` and `c` are gone"
    );

    storage.remove(&beside, &keep).await.expect("remove");
    assert_eq!(names(storage, &keep).await, [""; 0]);
    assert_kind(
        storage.remove(&beside, &keep).await,
        ErrorKind::NotFound,
        "remove for the second time",
    );

    let direct = keep.join("object").expect("a key");
    publish(storage, &direct, "z").await;
    storage
        .remove(&direct, &keep)
        .await
        .expect("remove directly below `keep`");
    assert!(!exists(storage, &direct).await);

    publish(storage, &deep, "again").await;
    assert_eq!(read(storage, &deep).await, "again");
}

/// In any order, from one directory or from many; what is not there is passed over.
pub async fn remove_all_is_many_removes(storage: &Arc<dyn Storage>) {
    let top = key("contract/remove_all_is_many_removes");
    let at = |below: &str| top.join(below).expect("a key");
    for below in [
        "a/1/link",
        "a/2/link",
        "a/2/other",
        "b/1/link",
        "b/c/2/link",
        "whole",
    ] {
        publish(storage, &at(below), below).await;
    }
    let removal = |below: &str, keep: &str| Removal {
        key: at(below),
        keep: if keep.is_empty() { top.clone() } else { at(keep) },
    };
    let removals = [
        removal("a/1/link", "a"),
        removal("a/2/link", "a"),
        removal("a/3/link", "a"),
        removal("nowhere/3/link", "nowhere"),
        removal("b/c/2/link", ""),
        removal("b/1/link", ""),
        removal("a/1/link", "a"),
        removal("whole", ""),
    ];
    storage.remove_many(&removals).await.expect("remove_many");
    assert_eq!(names(storage, &top).await, ["a"]);
    assert_eq!(names(storage, &at("a")).await, ["2"]);
    assert_eq!(names(storage, &at("a/2")).await, ["other"]);
    storage
        .remove_many(&removals)
        .await
        .expect("remove_many for the second time");
    storage.remove_many(&[]).await.expect("remove_many of nothing");
    assert_eq!(read(storage, &at("a/2/other")).await, "a/2/other");
}

/// Objects beside the removed one stay, also those whose names begin alike.
pub async fn remove_spares_neighbours(storage: &Arc<dyn Storage>) {
    let keep = key("contract/remove_spares_neighbours");
    let neighbours =
        ["a/x", "a/link-1", "a/link.d/y", "a/lin", "b/link"].map(|path| keep.join(path).expect("a key"));
    let at = keep.join("a/link").expect("a key");
    publish(storage, &at, "goes").await;
    for neighbour in &neighbours {
        publish(storage, neighbour, "stays").await;
    }
    storage.remove(&at, &keep).await.expect("remove");
    for neighbour in &neighbours {
        assert_eq!(read(storage, neighbour).await, "stays");
    }
}

/// Everything at and below a directory goes; what is beside it stays, also when its name begins alike.
pub async fn remove_tree_takes_everything_below(storage: &Arc<dyn Storage>) {
    let root = key("contract/remove_tree_takes_everything_below");
    let tree = root.join("t").expect("a key");
    let inside = [
        "t/current/link",
        "t/index/sha256/00/link",
        "t/index/sha256/01/link",
        "t/x",
    ];
    let outside = [
        "t-1/current/link",
        "t.1/current/link",
        "tt/current/link",
        "T/link",
        "s",
    ];
    for path in inside.iter().chain(&outside) {
        publish(storage, &root.join(path).expect("a key"), *path).await;
    }

    storage.remove_tree(&tree).await.expect("remove_tree");
    for path in inside {
        assert!(
            !exists(storage, &root.join(path).expect("a key")).await,
            "`{path}` should be gone"
        );
    }
    for path in outside {
        assert_eq!(read(storage, &root.join(path).expect("a key")).await, path);
    }
    assert_eq!(names(storage, &root).await, ["T", "s", "t-1", "t.1", "tt"]);
    assert_kind(
        storage.remove_tree(&tree).await,
        ErrorKind::NotFound,
        "remove_tree for the second time",
    );

    // A single object is a tree as well.
    storage
        .remove_tree(&root.join("s").expect("a key"))
        .await
        .expect("remove_tree of an object");
    assert!(!exists(storage, &root.join("s").expect("a key")).await);

    let again = root.join(inside[0]).expect("a key");
    publish(storage, &again, "again").await;
    assert_eq!(read(storage, &again).await, "again");
}

/// Trees go whole, those beside them stay, and so do those whose condition does not hold.
pub async fn remove_trees_takes_what_has_not_changed(storage: &Arc<dyn Storage>) {
    let dir = key("contract/remove_trees_takes_what_has_not_changed");
    let at = |path: &str| dir.join(path).expect("a key");
    let names = ["1", "1-a", "1.0", "10", "deep/er", "moved", "same"];
    for name in names {
        publish(storage, &at(&format!("{name}/current/link")), "old").await;
        publish(storage, &at(&format!("{name}/index/00/link")), "x").await;
    }
    // Old enough for a file system to be sure of the version.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let version = async |name: &str| {
        let link = at(&format!("{name}/current/link"));
        let stat = storage.stat(&link).await.expect("stat");
        stat.version.map(|version| (link, version))
    };
    let (moved, same, one) = (
        version("moved").await,
        version("same").await,
        version("1.0").await,
    );
    publish(storage, &at("moved/current/link"), "new content").await;
    let trees: Vec<TreeRemoval> = [
        ("same", same),
        ("1", None),
        ("moved", moved.clone()),
        ("missing", None),
        ("deep/er", None),
        ("10", moved.map(|(_, version)| (at("10/missing"), version))),
        ("1.0", one),
    ]
    .into_iter()
    .map(|(name, unless_changed)| TreeRemoval {
        dir: at(name),
        unless_changed,
    })
    .collect();
    let removed = storage.remove_trees(&trees).await.expect("remove");
    assert_eq!(removed, [true, true, false, false, true, false, true]);
    for name in names {
        let left = exists(storage, &at(&format!("{name}/index/00/link"))).await;
        assert_eq!(left, ["1-a", "10", "moved"].contains(&name), "{name}");
    }
    assert_eq!(storage.remove_trees(&[]).await.expect("remove"), [true; 0]);
}
