//! Tars of data directories.

use tar::{Builder, EntryType, Header};
use wharf_oci::Digest;
use wharf_storage::layout;

use super::*;
use crate::common::name;

/// A tar of some files.
fn tar_of(files: impl IntoIterator<Item = (String, Bytes)>) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = header(bytes.len());
        tar.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

fn header(size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    header
}

/// The objects of a store below `prefix`, in an order in which no registry writes them.
async fn files(storage: &dyn Storage, prefix: &str) -> Vec<(String, Bytes)> {
    let mut files: Vec<_> = objects(storage)
        .await
        .into_iter()
        .map(|(key, bytes)| (format!("{prefix}{key}"), bytes))
        .collect();
    files.sort_by_key(|(key, _)| Digest::sha256_of(key.as_bytes()));
    files
}

#[tokio::test]
async fn a_tar_of_a_data_directory_is_restored_whatever_its_prefix() {
    let from = memory();
    fill(&*from).await;
    for prefix in ["", "./", "registry/data/", "var/lib/registry/"] {
        let plain = tar_of(files(&*from, prefix).await);
        let zstd = zstd::encode_all(&plain[..], 3).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        for bytes in [plain, zstd, gzip.finish().unwrap()] {
            let to = memory();
            let report = restore(FileInMemory::of(bytes).source(), &to).await;
            assert_eq!(report.snapshot, None);
            require_equal(&*from, &*to).await;
        }
    }
}

#[tokio::test]
async fn nothing_outside_of_the_registry_is_taken_and_no_link_is_followed() {
    let from = memory();
    push(&*from, &image(0, &[1])).await;
    let expected = tidy_objects(&*from).await;
    let mut tar = Builder::new(Vec::new());
    let evil = b"evil".as_slice();
    let evil_digest = Digest::sha256_of(evil);
    let blob = layout::blob(&evil_digest);
    let link = layout::layer_link(&name("a"), &evil_digest);
    for path in [
        "etc/passwd",
        "wharf/access/keys",
        "data/docker/registry/v2/other/x",
    ] {
        tar.append_data(&mut header(4), path, evil).unwrap();
    }
    // A library that writes tars refuses such paths.
    let manifest = from
        .read(&layout::tag_link(&name("a"), "t0"), 1024)
        .await
        .unwrap()
        .bytes;
    for above in ["/", "x/../", "data/docker/registry/v2/../../"] {
        let path = format!("{above}docker/registry/v2/repositories/a/_manifests/tags/x/current/link");
        let mut header = header(manifest.len());
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, &manifest[..]).unwrap();
    }
    for (path, kind) in [
        (blob.as_str(), EntryType::Symlink),
        (link.as_str(), EntryType::Link),
    ] {
        let mut header = header(0);
        header.set_entry_type(kind);
        tar.append_link(&mut header, format!("data/{path}"), "/etc/passwd")
            .unwrap();
    }
    for (path, bytes) in files(&*from, "data/").await {
        tar.append_data(&mut header(bytes.len()), path, &bytes[..])
            .unwrap();
    }
    let to = memory();
    let file = FileInMemory::of(tar.into_inner().unwrap());
    let (report, problems) = try_restore(file.source(), None, &to, RestoreOptions::default()).await;
    assert_eq!(report.unwrap().restored, 1);
    assert!(
        texts(&problems).contains("2 entries of the file are links"),
        "{problems:?}"
    );
    assert_eq!(tidy_objects(&*to).await, expected);
    assert!(to.stat(&layout::token_keys()).await.unwrap_err().is_not_found());
}

/// `tar` has read one directory before a push, and another one after it.
#[tokio::test]
async fn links_that_a_running_server_wrote_too_late_are_written_again() {
    let from = memory();
    let index = Push {
        is_index: true,
        ..image(0, &[1, 2])
    };
    push(&*from, &index).await;
    let expected = tidy_objects(&*from).await;
    let without = |part: &'static str| {
        let from = Arc::clone(&from);
        async move {
            let mut files = files(&*from, "").await;
            files.retain(|(path, _)| !path.contains(part));
            tar_of(files)
        }
    };
    for part in ["/_layers/", "/revisions/"] {
        let to = memory();
        restore(FileInMemory::of(without(part).await).source(), &to).await;
        assert_eq!(tidy_objects(&*to).await, expected, "{part}");
    }
}

#[tokio::test]
async fn an_image_whose_bytes_came_too_late_is_left_out_and_named() {
    let from = memory();
    push(&*from, &image(0, &[1])).await;
    let expected = tidy_objects(&*from).await;
    push(&*from, &image(1, &[2])).await;
    let late = Digest::sha256_of(&trees::layer(2));
    for with_link in [true, false] {
        let mut files = files(&*from, "").await;
        files.retain(|(path, _)| *path != layout::blob(&late).as_str());
        files.retain(|(path, _)| with_link || *path != layout::layer_link(&name("a"), &late).as_str());
        let to = memory();
        let (report, problems) = try_restore(
            FileInMemory::of(tar_of(files)).source(),
            None,
            &to,
            RestoreOptions::default(),
        )
        .await;
        let report = report.unwrap();
        assert_eq!((report.restored, report.counts.left_out), (1, 1));
        let said = texts(&problems);
        assert!(
            said.contains("`a:t1`") && said.contains(&format!("`{late}`")),
            "{said}"
        );
        require_whole(&*to).await;
        let links = |objects: Vec<(String, Bytes)>| -> Vec<String> {
            objects
                .into_iter()
                .map(|(key, _)| key)
                .filter(|key| key.ends_with("/link"))
                .collect()
        };
        assert_eq!(links(tidy_objects(&*to).await), links(expected.clone()));
    }
}

#[tokio::test]
async fn damaged_blobs_of_a_tar_are_not_restored_and_what_is_no_backup_is_refused() {
    let from = memory();
    push(&*from, &image(0, &[1])).await;
    push(&*from, &image(1, &[2])).await;
    let damaged = layout::blob(&Digest::sha256_of(&trees::layer(2)));
    let mut files = files(&*from, "").await;
    let found = files
        .iter_mut()
        .find(|(path, _)| path == damaged.as_str())
        .unwrap();
    found.1 = Bytes::from_static(b"something else");
    let to = memory();
    let tar = tar_of(files);
    let (report, problems) = try_restore(
        FileInMemory::of(tar.clone()).source(),
        None,
        &to,
        RestoreOptions::default(),
    )
    .await;
    assert_eq!(report.unwrap().restored, 1);
    assert!(texts(&problems).contains("is damaged"), "{problems:?}");
    require_whole(&*to).await;

    let cut = &tar[..tar.len() / 2];
    for bytes in [
        &b""[..],
        b"no tar at all",
        &tar_of([("a/b".to_owned(), Bytes::from_static(b"x"))]),
        cut,
    ] {
        let to = memory();
        let (report, _) = try_restore(
            FileInMemory::of(bytes).source(),
            None,
            &to,
            RestoreOptions::default(),
        )
        .await;
        report.unwrap_err();
        assert!(objects(&*to).await.is_empty());
    }
}
