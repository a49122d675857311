//! Backups in one file.

use super::*;

async fn file_of(from: &Arc<dyn Storage>, compression: Compression) -> FileInMemory {
    let file = FileInMemory::default();
    take(from, file.target(compression, None)).await;
    file
}

#[tokio::test]
async fn a_registry_comes_back_whole_from_a_file() {
    let from = memory();
    fill(&*from).await;
    for compression in [Compression::None, Compression::Zstd] {
        let file = FileInMemory::default();
        let report = take(&from, file.target(compression, None)).await;
        let verified = require_verified(&file.source()).await;
        assert_eq!(
            (verified.counts.tags, verified.counts.blobs),
            (report.counts.tags, report.counts.blobs)
        );
        let to = memory();
        let restored = restore(file.source(), &to).await;
        assert_eq!(restored.restored, report.counts.tags);
        require_equal(&*from, &*to).await;
        let again = restore(file.source(), &to).await;
        assert_eq!((again.counts.blobs, again.restored), (0, 0));
    }
}

#[tokio::test]
async fn a_file_leaves_out_what_another_backup_has() {
    let (from, vault) = (memory(), memory());
    push(&*from, &image(0, &[1, 7])).await;
    take(&from, store(&vault)).await;
    let whole = file_of(&from, Compression::Zstd).await;
    push(&*from, &image(1, &[7, 3])).await;
    for base in [whole.source(), Source::Store(Arc::clone(&vault))] {
        let file = FileInMemory::default();
        let named = base.base("b0.tar.zst").await.unwrap();
        let report = take(&from, file.target(Compression::Zstd, Some(named))).await;
        assert_eq!((report.counts.blobs, report.counts.blobs_there), (2, 4));
        let (_, said) = file.source().snapshot(None).await.unwrap();
        assert_eq!(said.base.unwrap().name, "b0.tar.zst");

        let (report, problems) = try_verify(&file.source(), Some(&base)).await;
        assert_eq!((report.unwrap().problems, problems), (0, vec![]));
        let to = memory();
        let (report, problems) =
            try_restore(file.source(), Some(base.clone()), &to, RestoreOptions::default()).await;
        assert_eq!((report.unwrap().restored, problems), (2, vec![]));
        require_equal(&*from, &*to).await;

        // Without its base, or with another one, nothing is touched.
        let to = memory();
        let other = file_of(&memory_of(&[5]).await, Compression::None).await.source();
        for base in [None, Some(other)] {
            let (report, _) = try_restore(file.source(), base, &to, RestoreOptions::default()).await;
            assert!(report.unwrap_err().to_string().contains("--base"));
        }
        assert!(objects(&*to).await.is_empty());
        assert!(
            try_verify(&file.source(), None)
                .await
                .0
                .unwrap_err()
                .to_string()
                .contains("--base")
        );
    }
}

async fn memory_of(layers: &[u8]) -> Arc<dyn Storage> {
    let storage = memory();
    push(&*storage, &image(0, layers)).await;
    storage
}

/// A file that was cut short anywhere is refused, and nothing of it is restored.
#[tokio::test]
async fn a_file_that_was_cut_short_is_refused() {
    let from = memory_of(&[1, 2]).await;
    for compression in [Compression::None, Compression::Zstd] {
        let whole = file_of(&from, compression).await.bytes();
        // The last entry ends before the two blocks of zeros at the end of a tar.
        let needed = match compression {
            Compression::None => whole.len() - 2 * 512 - 512,
            Compression::Zstd => whole.len() - 40,
        };
        for length in (0..needed).step_by(if compression == Compression::None { 301 } else { 37 }) {
            let cut = FileInMemory::of(&whole[..length]);
            let to = memory();
            let (restored, _) = try_restore(cut.source(), None, &to, RestoreOptions::default()).await;
            let error = restored.unwrap_err().to_string();
            assert!(
                error.contains("cut short"),
                "{length} of {}: {error}",
                whole.len()
            );
            assert!(objects(&*to).await.is_empty(), "{length}");
            let (verified, _) = try_verify(&cut.source(), None).await;
            assert!(
                verified.unwrap_err().to_string().contains("cut short"),
                "{length}"
            );
        }
    }
}

/// Whatever bit is flipped: what is restored is right, or nothing says that all is well.
#[tokio::test]
async fn a_flipped_bit_is_found_and_never_restored() {
    let from = memory_of(&[1, 2]).await;
    let expected = tidy_objects(&*from).await;
    for compression in [Compression::None, Compression::Zstd] {
        let whole = file_of(&from, compression).await.bytes();
        let step = if compression == Compression::None { 89 } else { 7 };
        let mut found = 0;
        for at in (0..whole.len()).step_by(step) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            let flipped = FileInMemory::of(bytes);
            let (verified, problems) = try_verify(&flipped.source(), None).await;
            let is_well = verified.as_ref().is_ok_and(|report| report.problems == 0);
            let to = memory();
            let (restored, _) = try_restore(flipped.source(), None, &to, RestoreOptions::default()).await;
            require_whole(&*to).await;
            if is_well {
                restored.unwrap();
                assert_eq!(tidy_objects(&*to).await, expected, "byte {at}");
            } else {
                found += 1;
                assert!(verified.is_err() || !problems.is_empty());
            }
        }
        assert!(found > 10, "{found}");
    }
}

/// The blob and the images that need it are named, and the others are restored.
#[tokio::test]
async fn a_flipped_bit_in_a_layer_is_named_with_the_images_that_need_it() {
    let from = memory();
    push(&*from, &image(0, &[1, 2])).await;
    push(&*from, &image(1, &[3])).await;
    let file = file_of(&from, Compression::None).await;
    let layer = trees::layer(1);
    let digest = wharf_oci::Digest::sha256_of(&layer);
    let mut bytes = file.bytes();
    let at = bytes
        .windows(layer.len())
        .position(|window| window == layer)
        .unwrap();
    bytes[at] ^= 1;
    let flipped = FileInMemory::of(bytes);
    let (report, problems) = try_verify(&flipped.source(), None).await;
    assert_eq!(report.unwrap().problems, 2);
    let said = texts(&problems);
    assert!(
        said.contains(&format!("the blob `{digest}` in the file is damaged")),
        "{said}"
    );
    assert!(said.contains("`a:t0`") && !said.contains("`a:t1`"), "{said}");
    let to = memory();
    let (report, problems) = try_restore(flipped.source(), None, &to, RestoreOptions::default()).await;
    let report = report.unwrap();
    assert_eq!((report.restored, report.counts.left_out), (1, 1));
    assert!(texts(&problems).contains("`a:t0`"), "{problems:?}");
    require_whole(&*to).await;
}

#[tokio::test]
async fn a_full_disk_ends_the_backup_and_the_file_is_no_backup() {
    let from = memory_of(&[1, 7]).await;
    let whole = file_of(&from, Compression::None).await.bytes().len();
    for room in [0, 600, 4000, whole - 3000, whole - 1] {
        let file = FileInMemory {
            room: Some(room),
            ..FileInMemory::default()
        };
        let (report, _) = try_take(
            &from,
            file.target(Compression::None, None),
            TakeOptions::default(),
        )
        .await;
        let error = report.unwrap_err();
        assert!(error.is_full(), "{room}: {error}");
    }
}

/// The size of an entry comes before its bytes, so damage of the source is found too late to leave the entry out.
#[tokio::test]
async fn a_file_of_a_damaged_registry_is_itself_whole() {
    let from = memory();
    push(&*from, &image(0, &[1, 2])).await;
    push(&*from, &image(1, &[3])).await;
    let damaged = wharf_oci::Digest::sha256_of(&trees::layer(1));
    crate::common::write(&*from, &layout::blob(&damaged), "something else").await;
    let file = FileInMemory::default();
    let (report, problems) = try_take(
        &from,
        file.target(Compression::Zstd, None),
        TakeOptions::default(),
    )
    .await;
    assert_eq!(report.unwrap().counts.left_out, 1);
    assert!(texts(&problems).contains("`a:t0`"), "{problems:?}");
    require_verified(&file.source()).await;
    let to = memory();
    assert_eq!(restore(file.source(), &to).await.restored, 1);
    require_whole(&*to).await;
}
