//! Backups of damaged registries, and damaged backups.

use wharf_oci::Digest;
use wharf_storage::{
    ErrorKind, Key, Operation,
    faulty::{Fault, Faulty},
    layout,
};

use super::*;
use crate::common::{name, write};

#[tokio::test]
async fn each_image_that_is_not_whole_is_named_and_the_rest_is_saved() {
    let (from, vault) = (memory(), memory());
    let index = Push {
        is_index: true,
        ..image(0, &[3, 4])
    };
    push(&*from, &index).await;
    push(&*from, &image(1, &[4])).await;
    push(&*from, &image(2, &[5])).await;
    let damaged = Digest::sha256_of(&trees::layer(3));
    write(&*from, &layout::blob(&damaged), "something else").await;
    let missing = Digest::sha256_of(&trees::layer(5));
    from.remove(&layout::blob(&missing), &layout::blobs())
        .await
        .unwrap();
    write(&*from, &layout::tag_link(&name("a"), "empty"), "").await;
    let nowhere = Digest::sha256_of(b"nowhere");
    write(
        &*from,
        &layout::tag_link(&name("a"), "nowhere"),
        &nowhere.to_string(),
    )
    .await;
    // The collector of registry:2 leaves such links.
    let collected = Digest::sha256_of(b"collected");
    write(
        &*from,
        &layout::layer_link(&name("a"), &collected),
        &collected.to_string(),
    )
    .await;

    let (report, problems) = try_take(&from, store(&vault), TakeOptions::default()).await;
    let report = report.unwrap();
    let said = texts(&problems);
    for expected in [
        format!("`{damaged}`, which it needs, is damaged; it is left out: push the image again"),
        "`a:t0` (`sha256:".to_owned(),
        "is not whole: ".to_owned(),
        "`a:t2` (`sha256:".to_owned(),
        format!("`{missing}`, which it needs, is missing"),
        "the tag `a:empty` is left out".to_owned(),
        format!("`a:nowhere`: it points at `{nowhere}`"),
    ] {
        assert!(said.contains(&expected), "{expected}\nin\n{said}");
    }
    assert_eq!((report.counts.tags, report.counts.left_out), (1, 5), "{said}");
    // The two lost layers, and the link that nothing needs.
    assert_eq!(report.counts.dangling, 3);
    let source = Source::Store(Arc::clone(&vault));
    require_verified(&source).await;
    let to = memory();
    restore(source, &to).await;
    require_whole(&*to).await;
}

/// The target becomes full at every point of a backup in turn. There is no snapshot then, and the next run completes it.
#[tokio::test]
async fn a_backup_that_breaks_off_anywhere_is_completed_by_the_next() {
    let from = memory();
    for tag in 0..3 {
        push(&*from, &image(tag, &[tag, 7])).await;
    }
    let mut broke_off = 0;
    for puts in 0.. {
        let vault = Arc::new(Faulty::new(memory()));
        vault.inject(
            Fault::before(ErrorKind::NoSpace)
                .on(Operation::Publish)
                .after(puts),
        );
        let target: Arc<dyn Storage> = Arc::<Faulty>::clone(&vault);
        let (report, _) = try_take(&from, store(&target), TakeOptions::default()).await;
        let Err(error) = report else { break };
        assert!(error.is_full(), "{error}");
        broke_off += 1;
        vault.heal();
        let source = Source::Store(Arc::clone(&target));
        let snapshots = source.snapshots().await.unwrap();
        // The index of the layout alone comes after the snapshot.
        assert!(snapshots.len() <= 1);
        take(&from, store(&target)).await;
        require_verified(&source).await;
        let to = memory();
        restore(source, &to).await;
        require_equal(&*from, &*to).await;
    }
    assert!(broke_off > 8, "{broke_off}");
}

#[tokio::test]
async fn damage_of_a_directory_is_found_named_and_mended_by_the_next_backup() {
    let (from, vault) = (memory(), memory());
    push(&*from, &image(0, &[1])).await;
    push(&*from, &image(1, &[2])).await;
    take(&from, store(&vault)).await;
    let source = Source::Store(Arc::clone(&vault));
    let blob = |number| {
        let digest = Digest::sha256_of(&trees::layer(number));
        Key::new(format!("blobs/sha256/{}", digest.hex())).unwrap()
    };
    let mut flipped = trees::layer(1).to_vec();
    flipped[3] ^= 4;
    write(&*vault, &blob(1), std::str::from_utf8(&flipped).unwrap()).await;
    vault.remove(&blob(2), &Key::new("blobs").unwrap()).await.unwrap();

    let (report, problems) = try_verify(&source, None).await;
    let said = texts(&problems);
    assert_eq!(report.unwrap().problems, 3, "{said}");
    assert!(
        said.contains(&format!("the blob `{}` is damaged; remove it", blob(1))),
        "{said}"
    );
    assert!(said.contains("`a:t0`") && said.contains("`a:t1`"), "{said}");
    let to = memory();
    let (report, _) = try_restore(source.clone(), None, &to, RestoreOptions::default()).await;
    assert_eq!(report.unwrap().counts.left_out, 2);
    require_whole(&*to).await;

    vault.remove(&blob(1), &Key::new("blobs").unwrap()).await.unwrap();
    let report = take(&from, store(&vault)).await;
    assert_eq!(report.counts.blobs, 2);
    require_verified(&source).await;
}

#[tokio::test]
async fn a_damaged_document_costs_its_repository_and_a_damaged_snapshot_is_refused() {
    let (from, vault) = (memory(), memory());
    for repository in 0..2 {
        push(
            &*from,
            &Push {
                repository,
                ..image(0, &[1])
            },
        )
        .await;
    }
    let report = take(&from, store(&vault)).await;
    let source = Source::Store(Arc::clone(&vault));
    let (_, snapshot) = source.snapshot(None).await.unwrap();
    let document = Key::new(format!(
        "wharf/repositories/{}.json",
        snapshot.repositories[0].document.hex()
    ))
    .unwrap();
    write(&*vault, &document, "{}").await;
    let (verified, problems) = try_verify(&source, None).await;
    assert_eq!(verified.unwrap().problems, 1);
    assert!(texts(&problems).contains("the repository `a`"), "{problems:?}");
    let to = memory();
    let (restored, problems) = try_restore(source.clone(), None, &to, RestoreOptions::default()).await;
    assert_eq!((restored.unwrap().restored, problems.len()), (1, 1));
    require_whole(&*to).await;

    let key = Key::new(format!("wharf/snapshots/{}.json", report.snapshot)).unwrap();
    write(&*vault, &key, "{}").await;
    let (restored, _) = try_restore(source.clone(), None, &memory(), RestoreOptions::default()).await;
    assert!(restored.unwrap_err().to_string().contains("is damaged"));
    let (verified, problems) = try_verify(&source, None).await;
    assert_eq!((verified.unwrap().problems, problems.len()), (1, 1));
}

#[tokio::test]
async fn a_source_that_fails_again_and_again_ends_the_backup() {
    let from = Arc::new(Faulty::new(memory()));
    for number in 0..20 {
        let pushed = Push {
            layers: vec![number % 7],
            tag: Some(number),
            ..image(0, &[])
        };
        push(&**from.inner(), &pushed).await;
        for extra in 0..3 {
            let bytes = format!("extra {number} {extra}");
            let digest = Digest::sha256_of(bytes.as_bytes());
            write(&**from.inner(), &layout::blob(&digest), &bytes).await;
            write(
                &**from.inner(),
                &layout::layer_link(&name("a"), &digest),
                &digest.to_string(),
            )
            .await;
        }
    }
    from.inject(Fault::before(ErrorKind::Other).on(Operation::Open));
    let source: Arc<dyn Storage> = Arc::<Faulty>::clone(&from);
    let (report, _) = try_take(&source, store(&memory()), TakeOptions::default()).await;
    report.unwrap_err();
}
