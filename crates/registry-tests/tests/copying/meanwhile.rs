//! Copies of a registry that changes meanwhile.

use std::{sync::Arc, time::Duration};

use tokio::time;
use wharf_registry::copy::{CopyOptions, CopyReport};
use wharf_storage::{
    Operation, Storage,
    faulty::{Fault, Faulty},
    layout,
};

use super::{
    copied, copy, image, memory, tally,
    trees::{objects, push, require_whole},
};
use crate::common::name;

/// A time that the clock of the tests only passes when nothing else is left to do.
const PAUSE: Duration = Duration::from_secs(10);

/// Copies, does `change` while the copy waits at the `number`th scan of the source, and copies to its end.
async fn copy_with(
    from: &Arc<dyn Storage>,
    to: &Arc<dyn Storage>,
    number: u64,
    change: impl AsyncFnOnce(),
) -> CopyReport {
    let slow = Arc::new(Faulty::new(Arc::clone(from)));
    slow.inject(Fault::delay(PAUSE).on(Operation::Scan).after(number).times(1));
    let source: Arc<dyn Storage> = Arc::<Faulty>::clone(&slow);
    let changes = async {
        time::sleep(PAUSE / 2).await;
        change().await;
    };
    let ((report, problems), ()) = tokio::join!(copied(&source, to, CopyOptions::default()), changes);
    assert_eq!((slow.struck(), problems), (1, vec![]));
    report.unwrap()
}

/// The blobs are listed by then, and the tags are not.
#[tokio::test(start_paused = true)]
async fn an_image_that_is_pushed_after_the_blobs_were_listed_comes_whole() {
    let (from, to) = (memory(), memory());
    push(&*from, &image(0, &[1])).await;
    let report = copy_with(&from, &to, 1, async || {
        push(&*from, &image(1, &[2, 7])).await;
    })
    .await;
    assert_eq!((report.counts.tags, report.changed.count), (tally(2, 0), 0));
    assert!(objects(&*from).await == objects(&*to).await);
}

/// The tags are listed by then, and the manifests are not: the new tag is for the next copy.
#[tokio::test(start_paused = true)]
async fn a_tag_that_is_pushed_after_the_tags_were_listed_is_told_of() {
    let (from, to) = (memory(), memory());
    push(&*from, &image(0, &[1])).await;
    let report = copy_with(&from, &to, 2, async || {
        push(&*from, &image(0, &[2])).await;
        push(&*from, &image(1, &[3])).await;
    })
    .await;
    assert_eq!(report.counts.tags, tally(1, 0));
    assert_eq!(
        (report.changed.count, report.changed.examples),
        (1, vec!["a".to_owned()])
    );
    require_whole(&*to).await;
    assert_eq!(copy(&from, &to).await.counts.tags, tally(2, 0));
    assert!(objects(&*from).await == objects(&*to).await);
}

/// The tag was read, and then it and its manifest are deleted.
#[tokio::test(start_paused = true)]
async fn what_is_deleted_meanwhile_is_no_failure() {
    let (from, to) = (memory(), memory());
    push(&*from, &image(0, &[1])).await;
    push(&*from, &image(1, &[2])).await;
    let report = copy_with(&from, &to, 2, async || {
        from.remove_tree(&layout::manifests(&name("a"))).await.unwrap();
    })
    .await;
    assert_eq!((report.counts.tags, report.counts.failed()), (tally(0, 0), 0));
    assert_eq!(report.changed.examples, ["a"]);
    require_whole(&*to).await;
}

/// The bytes of a blob go after it was listed, and so does every link to it.
#[tokio::test(start_paused = true)]
async fn a_repository_that_is_removed_meanwhile_is_told_of() {
    let (from, to) = (memory(), memory());
    push(&*from, &image(0, &[1])).await;
    let report = copy_with(&from, &to, 4, async || {
        from.remove_tree(&layout::repository(&name("a"))).await.unwrap();
    })
    .await;
    // The scan that waited was the first one of the second look.
    assert_eq!(report.counts.tags, tally(1, 0));
    assert_eq!(report.changed.examples, ["a"]);
    require_whole(&*to).await;
}
