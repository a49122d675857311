//! Copies of whole registries: what the destination has, at the end and whenever a copy breaks off.

mod meanwhile;
pub(crate) mod trees;

use std::sync::Arc;

use proptest::prelude::*;
use wharf_oci::{Algorithm, Digest};
use wharf_registry::{
    Result,
    copy::{Copier, CopyOptions, CopyReport, Problem, Tally},
};
use wharf_storage::{
    ErrorKind, Operation, Removal, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    metered::Metered,
    object::{Memory, ObjectStorage},
};

use self::trees::{Push, objects, push, pushes, require_whole};
use crate::common::{ROUND_TRIP, counted_bucket, name, over, write};

const DRY: CopyOptions = CopyOptions {
    dry_run: true,
    verify: false,
    at_once: 16,
};

const VERIFY: CopyOptions = CopyOptions {
    dry_run: false,
    verify: true,
    at_once: 2,
};

/// A copy's report, and its problems.
async fn copied(
    from: &Arc<dyn Storage>,
    to: &Arc<dyn Storage>,
    options: CopyOptions,
) -> (Result<CopyReport>, Vec<Problem>) {
    let copier = Copier::new(Arc::clone(from), Arc::clone(to), options);
    let progress = copier.progress();
    let report = copier.run().await;
    (report, progress.take_problems())
}

/// A copy without any problem.
async fn copy(from: &Arc<dyn Storage>, to: &Arc<dyn Storage>) -> CopyReport {
    let (report, problems) = copied(from, to, CopyOptions::default()).await;
    assert_eq!(problems, []);
    report.unwrap()
}

pub(crate) fn memory() -> Arc<dyn Storage> {
    Arc::new(ObjectStorage::in_memory())
}

pub(crate) fn image(tag: u8, layers: &[u8]) -> Push {
    Push {
        repository: 0,
        layers: layers.to_vec(),
        is_index: false,
        tag: Some(tag),
    }
}

fn tally(copied: u64, there: u64) -> Tally {
    Tally {
        copied,
        there,
        failed: 0,
    }
}

/// What other registries leave in trees, beside what wharf writes.
pub(crate) async fn write_oddities(storage: &dyn Storage) {
    let app = name("app");
    let bytes = b"pushed by SHA-512".as_slice();
    let (sha256, sha512) = (Digest::sha256_of(bytes), Digest::of(Algorithm::Sha512, bytes));
    let text = std::str::from_utf8(bytes).unwrap();
    // As registry:2 stores it, and as wharf does.
    write(storage, &layout::blob(&sha256), text).await;
    write(storage, &layout::layer_link(&app, &sha512), &sha256.to_string()).await;
    write(storage, &layout::blob(&sha512), text).await;
    write(
        storage,
        &layout::layer_link(&name("other"), &sha512),
        &sha512.to_string(),
    )
    .await;
    let sha384 = layout::layers(&app).join("sha384").unwrap();
    let link = sha384.join("0a1b").unwrap().join("link").unwrap();
    write(storage, &link, &sha256.to_string()).await;
    // An operator has edited a tag.
    let manifest = push(storage, &image(2, &[1])).await;
    write(
        storage,
        &layout::tag_link(&name("a"), "edited"),
        &format!("{manifest}\n"),
    )
    .await;
    // The history of a tag names manifests that are gone.
    let gone = Digest::sha256_of(b"gone");
    let history = layout::tag_history_link(&name("a"), "edited", &gone);
    write(storage, &history, &gone.to_string()).await;
}

async fn has_every_object(from: Arc<dyn Storage>, to: Arc<dyn Storage>) {
    for (number, layers) in [&[0, 1][..], &[7], &[1, 7, 3]].into_iter().enumerate() {
        for repository in 0..4 {
            let push_of = |is_index| Push {
                repository,
                layers: layers.to_vec(),
                is_index,
                tag: Some(u8::try_from(number).unwrap() % 2),
            };
            push(&*from, &push_of(number == 1)).await;
        }
    }
    write_oddities(&*from).await;
    let report = copy(&from, &to).await;
    assert!(objects(&*from).await == objects(&*to).await);
    require_whole(&*to).await;
    assert_eq!((report.counts.repositories, report.counts.failed()), (6, 0));
    // What is there is not sent again, whatever its form.
    let again = copy(&from, &to).await;
    let counts = again.counts;
    assert_eq!(
        [
            counts.blobs.copied,
            counts.layers.copied,
            counts.manifests.copied,
            counts.tags.copied,
            counts.bytes
        ],
        [0; 5]
    );
    assert_eq!(counts.tags.there, report.counts.tags.copied);
    let (verified, problems) = copied(&from, &to, VERIFY).await;
    assert_eq!((verified.unwrap().counts, problems), (counts, vec![]));
}

#[tokio::test]
async fn a_copy_of_a_directory_in_a_bucket_has_every_object() {
    let directory = tempfile::tempdir().unwrap();
    let from = Arc::new(FsStorage::open(directory.path()).unwrap());
    has_every_object(from, memory()).await;
}

#[tokio::test]
async fn a_copy_of_a_bucket_in_a_directory_has_every_object() {
    let directory = tempfile::tempdir().unwrap();
    let to = Arc::new(FsStorage::open(directory.path()).unwrap());
    has_every_object(memory(), to).await;
    // No directory stays of the uploads of large blobs.
    let tree = directory.path().join(layout::repositories().as_str());
    let mut names: Vec<_> = tree
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a", "a-b", "app", "other", "team"]);
}

/// The destination becomes full at every point of a copy in turn; the next copy completes it.
#[tokio::test]
async fn a_copy_that_breaks_off_anywhere_shows_nothing_that_is_not_whole() {
    let from = memory();
    for tag in 0..3 {
        let push_of = Push {
            is_index: tag == 1,
            ..image(tag, &[tag, 7])
        };
        push(&*from, &push_of).await;
    }
    let mut broke_off = 0;
    for puts in 0.. {
        let to = Arc::new(Faulty::new(memory()));
        to.inject(
            Fault::before(ErrorKind::NoSpace)
                .on(Operation::Publish)
                .after(puts),
        );
        let destination: Arc<dyn Storage> = Arc::<Faulty>::clone(&to);
        let (report, _) = copied(&from, &destination, CopyOptions::default()).await;
        require_whole(&**to.inner()).await;
        if report.is_ok() {
            break;
        }
        broke_off += 1;
        to.heal();
        copy(&from, &destination).await;
        assert!(
            objects(&*from).await == objects(&*destination).await,
            "after {puts} puts"
        );
    }
    assert!(broke_off > 20, "{broke_off}");
}

#[tokio::test]
async fn a_second_copy_writes_nothing() {
    let from = memory();
    push(&*from, &image(0, &[0, 1, 7])).await;
    let to = Metered::new(memory());
    let meters = to.meters();
    let to: Arc<dyn Storage> = Arc::new(to);
    let written = || -> u64 {
        let measured = meters.snapshot().into_iter();
        measured
            .filter(|each| each.operation.changes())
            .map(|each| each.calls)
            .sum()
    };
    copy(&from, &to).await;
    let before = written();
    assert!(before > 0);
    let report = copy(&from, &to).await;
    // The removal of empty directories is asked for, and finds none; the lease of the collector is taken and given back.
    assert!(written() <= before + 3);
    assert_eq!(report.counts.tags, tally(0, 1));
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_counts_what_a_copy_does() {
    let (from, to) = (memory(), memory());
    push(&*from, &image(0, &[0, 7])).await;
    copy(&from, &to).await;
    push(&*from, &image(0, &[1, 7])).await;
    push(&*from, &image(1, &[2])).await;
    let before = objects(&*to).await;
    let (dry, problems) = copied(&from, &to, DRY).await;
    assert_eq!((objects(&*to).await == before, problems), (true, vec![]));
    let dry = dry.unwrap();
    assert_eq!(dry.counts.tags, tally(2, 0));
    assert_eq!(copy(&from, &to).await.counts, dry.counts);
}

#[tokio::test]
async fn a_damaged_blob_is_refused_and_all_that_needs_it_left_out() {
    let (from, to) = (memory(), memory());
    let index = Push {
        is_index: true,
        ..image(0, &[3, 4])
    };
    push(&*from, &index).await;
    push(&*from, &image(1, &[4])).await;
    let damaged = Digest::sha256_of(&trees::layer(3));
    write(&*from, &layout::blob(&damaged), "something else").await;
    let (report, problems) = copied(&from, &to, CopyOptions::default()).await;
    let report = report.unwrap();
    // The image and the index; the image that only has the other layer is there.
    assert_eq!(
        (report.counts.blobs.failed, report.counts.manifests.failed),
        (1, 2)
    );
    assert_eq!((report.counts.tags.failed, report.counts.tags.copied), (1, 1));
    assert!(report.counts.failed() > 0);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        texts[0].contains(&damaged.to_string()) && texts[0].contains("push the image again"),
        "{texts:#?}"
    );
    assert!(
        texts.iter().any(|text| text.contains("the tag `a:t0`")),
        "{texts:#?}"
    );
    assert!(to.stat(&layout::blob(&damaged)).await.unwrap_err().is_not_found());
    require_whole(&*to).await;
    // The image is pushed again.
    let content = trees::layer(3);
    write(
        &*from,
        &layout::blob(&damaged),
        std::str::from_utf8(&content).unwrap(),
    )
    .await;
    assert_eq!(copy(&from, &to).await.counts.tags, tally(1, 1));
    assert!(objects(&*from).await == objects(&*to).await);
}

#[tokio::test]
async fn links_that_hold_no_digest_are_left_out_and_named() {
    let (from, to) = (memory(), memory());
    push(&*from, &image(0, &[1])).await;
    write(&*from, &layout::tag_link(&name("a"), "empty"), "").await;
    let digest = Digest::sha256_of(b"x");
    write(
        &*from,
        &layout::tag_history_link(&name("a"), "t0", &digest),
        "sha256:12",
    )
    .await;
    write(
        &*from,
        &layout::tag_link(&name("a"), "nowhere"),
        &digest.to_string(),
    )
    .await;
    let (report, problems) = copied(&from, &to, CopyOptions::default()).await;
    assert_eq!(
        report.unwrap().counts.tags,
        Tally {
            copied: 1,
            there: 0,
            failed: 2
        }
    );
    let mut texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.sort();
    let expected = [
        "failed: the tag `a:empty`: it holds no digest (it is empty)",
        "failed: the tag `a:nowhere`: it points at",
        "warning: the tag `a:t0`: left",
    ];
    assert_eq!(texts.len(), expected.len(), "{texts:#?}");
    for (text, expected) in texts.iter().zip(expected) {
        assert!(text.starts_with(expected), "{text}");
    }
    require_whole(&*to).await;
}

/// The collector of registry:2 leaves such links.
#[tokio::test]
async fn links_of_layers_that_are_not_stored_are_left_out() {
    let (from, to) = (memory(), memory());
    push(&*from, &image(0, &[1])).await;
    let digest = Digest::sha256_of(b"collected");
    write(
        &*from,
        &layout::layer_link(&name("a"), &digest),
        &digest.to_string(),
    )
    .await;
    write(
        &*from,
        &layout::uploads(&name("a"))
            .join("u")
            .unwrap()
            .join("data")
            .unwrap(),
        "half",
    )
    .await;
    write(&*from, &layout::blobs().join("stray").unwrap(), "?").await;
    let report = copy(&from, &to).await;
    assert_eq!(
        (
            report.counts.dangling,
            report.counts.strangers,
            report.counts.failed()
        ),
        (1, 1, 0)
    );
    let link = to.stat(&layout::layer_link(&name("a"), &digest)).await;
    assert!(link.unwrap_err().is_not_found());
    assert!(!objects(&*to).await.keys().any(|key| key.contains("_uploads")));
}

#[tokio::test]
async fn a_tag_that_moved_moves_and_one_that_went_stays_and_is_named() {
    let (from, to) = (memory(), memory());
    push(&*from, &image(0, &[1])).await;
    push(&*from, &image(1, &[2])).await;
    copy(&from, &to).await;
    let moved = push(&*from, &image(0, &[3])).await;
    from.remove_tree(&layout::tag(&name("a"), "t1")).await.unwrap();
    let report = copy(&from, &to).await;
    assert_eq!(report.counts.tags, tally(1, 0));
    let current = to.read(&layout::tag_link(&name("a"), "t0"), 1024).await.unwrap();
    assert_eq!(*current.bytes, *moved.to_string().as_bytes());
    assert_eq!(report.only_at_destination.examples, ["a:t1"]);
    assert!(to.stat(&layout::tag_link(&name("a"), "t1")).await.is_ok());
}

/// A tool that fills files in place leaves such blobs, of which only the bytes are wrong.
#[tokio::test]
async fn a_verifying_copy_replaces_wrong_bytes_of_the_right_size() {
    let (from, to) = (memory(), memory());
    let manifest = push(&*from, &image(0, &[1])).await;
    copy(&from, &to).await;
    let layer = Digest::sha256_of(&trees::layer(1));
    let wrong = "?".repeat(trees::layer(1).len());
    write(&*to, &layout::blob(&layer), &wrong).await;
    let link = layout::revision_link(&name("a"), &manifest);
    write(&*to, &link, &Digest::sha256_of(b"other").to_string()).await;
    assert_eq!(copy(&from, &to).await.counts.blobs.copied, 0);
    let (report, problems) = copied(&from, &to, VERIFY).await;
    let counts = report.unwrap().counts;
    assert_eq!(
        (counts.blobs.copied, counts.manifests.copied, problems),
        (1, 1, vec![])
    );
    assert!(objects(&*from).await == objects(&*to).await);
}

/// A destination of which the disk fails is not asked for each of many objects.
#[tokio::test]
async fn a_copy_ends_when_a_store_fails_again_and_again() {
    let (from, to) = (memory(), Arc::new(Faulty::new(memory())));
    for layer in 0..60 {
        let bytes = format!("layer {layer}");
        write(
            &*from,
            &layout::blob(&Digest::sha256_of(bytes.as_bytes())),
            &bytes,
        )
        .await;
    }
    to.inject(Fault::before(ErrorKind::Other).on(Operation::Publish));
    let destination: Arc<dyn Storage> = Arc::<Faulty>::clone(&to);
    let (report, problems) = copied(&from, &destination, CopyOptions::default()).await;
    assert!(report.is_err());
    assert!(
        problems.len() < 32 && to.struck() < 60,
        "{} {}",
        problems.len(),
        to.struck()
    );
}

#[tokio::test]
async fn a_deletion_between_two_copies_leaves_a_whole_destination() {
    let (from, to) = (memory(), memory());
    let manifest = push(&*from, &image(0, &[1])).await;
    copy(&from, &to).await;
    from.remove_tree(&layout::tag(&name("a"), "t0")).await.unwrap();
    let removal = Removal {
        key: layout::revision_link(&name("a"), &manifest),
        keep: layout::manifests(&name("a")),
    };
    from.remove_many(&[removal]).await.unwrap();
    copy(&from, &to).await;
    require_whole(&*to).await;
    assert!(to.stat(&layout::tag_link(&name("a"), "t0")).await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever fails, on whichever side, the destination is whole; and without faults it becomes equal.
    #[test]
    fn copies_with_faults_add_up_to_the_whole_tree(
        first in pushes(1..10),
        later in pushes(0..5),
        seed in 1_u64..1_000_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let from = Arc::new(Faulty::new(memory()));
            let to = Arc::new(Faulty::new(memory()));
            let (source, destination): (Arc<dyn Storage>, Arc<dyn Storage>) = (Arc::<Faulty>::clone(&from), Arc::<Faulty>::clone(&to));
            for (round, pushed) in [first, later].iter().enumerate() {
                for one in pushed {
                    push(&**from.inner(), one).await;
                }
                for attempt in 0..3 {
                    from.inject_randomly(seed + attempt, 40);
                    to.inject_randomly(seed * 7 + attempt, 40);
                    drop(copied(&source, &destination, CopyOptions { verify: round == 1, ..CopyOptions::default() }).await);
                    require_whole(&**to.inner()).await;
                }
                from.heal();
                to.heal();
            }
            let report = copy(&source, &destination).await;
            assert_eq!(report.counts.failed(), 0);
            assert!(objects(&*source).await == objects(&*destination).await);
        });
    }
}

/// What the destination has already is passed over. A server there that collects meanwhile could take it for garbage.
#[tokio::test(start_paused = true)]
async fn nothing_is_collected_in_a_bucket_while_it_is_copied_into() {
    let (from, (_, to)) = (memory(), counted_bucket(Memory::new()));
    push(&*from, &image(1, &[1, 2])).await;
    let server = over(Arc::clone(&to));
    let run = server.begin_collection().await.unwrap().unwrap();
    let error = copied(&from, &to, CopyOptions::default()).await.0.unwrap_err();
    assert!(
        error.to_string().contains("a server collects the garbage"),
        "{error}"
    );
    run.end().await.unwrap();

    let copying = tokio::spawn({
        let (from, to) = (Arc::clone(&from), Arc::clone(&to));
        async move { copy(&from, &to).await }
    });
    tokio::time::sleep(ROUND_TRIP * 5).await;
    assert!(server.begin_collection().await.unwrap().is_none());
    assert!(!copying.is_finished(), "the collector was asked too late");
    copying.await.unwrap();
    // One that died goes on where it was, and need not wait for the end of its own lease.
    let dead = copied(&from, &to, CopyOptions::default());
    let died = tokio::time::timeout(ROUND_TRIP * 5, dead).await;
    assert!(died.is_err() && server.begin_collection().await.unwrap().is_none());
    copy(&from, &to).await;
    server.begin_collection().await.unwrap().unwrap();
    // A copy that changes nothing needs nothing.
    copied(&from, &to, DRY).await.0.unwrap();
}
