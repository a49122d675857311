//! Restores: over newer data, of one repository, and whatever breaks off.

use std::time::{Duration, SystemTime};

use wharf_oci::Digest;
use wharf_registry::backup::{SettingsFile, document::FileKind};
use wharf_storage::{
    ErrorKind, Operation, Put,
    faulty::{Fault, Faulty},
    layout,
};

use super::*;
use crate::common::{name, write};

async fn current(storage: &dyn Storage, repository: &str, tag: &str) -> Option<Digest> {
    let link = storage
        .read(&layout::tag_link(&name(repository), tag), 1024)
        .await
        .ok()?;
    layout::parse_link(&link.bytes).ok()
}

#[tokio::test]
async fn a_tag_that_is_newer_than_the_backup_stays_unless_that_is_asked_for() {
    let (live, vault) = (memory(), memory());
    let old = push(&*live, &image(0, &[1])).await;
    push(&*live, &image(1, &[2])).await;
    take(&live, store(&vault)).await;
    let new = push(&*live, &image(0, &[3])).await;
    push(&*live, &image(2, &[4])).await;
    live.remove_tree(&layout::tag(&name("a"), "t1")).await.unwrap();

    let source = Source::Store(Arc::clone(&vault));
    let (report, problems) = try_restore(source.clone(), None, &live, RestoreOptions::default()).await;
    let report = report.unwrap();
    assert_eq!((report.restored, report.newer, report.counts.left_out), (1, 1, 0));
    let said = texts(&problems);
    assert!(
        said.contains(&format!("warning: the tag `a:t0` stays at `{new}`"))
            && said.contains(&old.to_string()),
        "{said}"
    );
    assert_eq!(current(&*live, "a", "t0").await, Some(new));
    require_whole(&*live).await;

    let force = RestoreOptions {
        force: true,
        ..RestoreOptions::default()
    };
    let (report, problems) = try_restore(source, None, &live, force).await;
    assert_eq!((report.unwrap().restored, problems), (1, vec![]));
    assert_eq!(current(&*live, "a", "t0").await, Some(old));
    // What the backup does not have stays in any case.
    assert!(current(&*live, "a", "t2").await.is_some());
    require_whole(&*live).await;
}

/// A restored tag has its history, with the times at which it came to point at each manifest.
#[tokio::test]
async fn times_come_back_where_the_store_keeps_them() {
    let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let open = |directory: &tempfile::TempDir| -> Arc<dyn Storage> {
        Arc::new(FsStorage::open(directory.path()).unwrap())
    };
    let (from, to) = (open(&from), open(&to));
    let digest = push(&*from, &image(0, &[1])).await;
    let link = layout::tag_history_link(&name("a"), "t0", &digest);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let put = Put::new(link.clone(), digest.to_string()).at(time);
    from.publish(&[put]).await.unwrap();
    let file = FileInMemory::default();
    take(&from, file.target(Compression::Zstd, None)).await;
    restore(file.source(), &to).await;
    assert_eq!(to.stat(&link).await.unwrap().modified, time);
    let current = layout::tag_link(&name("a"), "t0");
    let modified = async |storage: &dyn Storage| storage.stat(&current).await.unwrap().modified;
    assert_eq!(modified(&*to).await, modified(&*from).await);
}

#[tokio::test]
async fn damage_of_the_registry_is_mended_by_a_restore() {
    let (live, vault) = (memory(), memory());
    push(&*live, &image(0, &[1, 7])).await;
    let expected = tidy_objects(&*live).await;
    take(&live, store(&vault)).await;
    let layer = Digest::sha256_of(&trees::layer(1));
    write(&*live, &layout::blob(&layer), &"?".repeat(trees::layer(1).len())).await;
    live.remove_tree(&layout::layers(&name("a"))).await.unwrap();
    let report = restore(Source::Store(vault), &live).await;
    assert_eq!((report.counts.blobs, report.unchanged), (1, 1));
    assert_eq!(tidy_objects(&*live).await, expected);
}

#[tokio::test]
async fn one_repository_is_restored_under_another_name() {
    let (from, vault) = (memory(), memory());
    fill(&*from).await;
    take(&from, store(&vault)).await;
    let file = FileInMemory::default();
    take(&from, file.target(Compression::Zstd, None)).await;
    for source in [Source::Store(vault), file.source()] {
        let to = memory();
        let one = |name: &str, other: Option<&str>| RestoreOptions {
            selection: Selection::One(name.parse().unwrap(), other.map(|other| other.parse().unwrap())),
            ..RestoreOptions::default()
        };
        let (report, problems) =
            try_restore(source.clone(), None, &to, one("team/app", Some("old/app"))).await;
        assert_eq!((report.unwrap().restored, problems), (2, vec![]));
        require_whole(&*to).await;
        let keys: Vec<String> = objects(&*to).await.into_keys().collect();
        assert!(keys.iter().any(|key| key.contains("repositories/old/app/")));
        assert!(!keys.iter().any(|key| key.contains("team")), "{keys:#?}");
        assert_eq!(
            current(&*to, "old/app", "t1").await,
            current(&*from, "team/app", "t1").await
        );
        let (report, problems) = try_restore(source.clone(), None, &to, one("a/b", None)).await;
        assert_eq!((report.unwrap().restored, problems), (2, vec![]));
        assert!(current(&*to, "a/b", "t1").await.is_some());
        let (report, _) = try_restore(source, None, &to, one("nowhere", None)).await;
        assert!(
            report
                .unwrap_err()
                .to_string()
                .contains("no repository `nowhere`")
        );
    }
}

/// The store becomes full at every point of a restore in turn. What it shows is whole, and the next restore completes it.
#[tokio::test]
async fn a_restore_that_breaks_off_anywhere_shows_nothing_that_is_not_whole() {
    let (from, vault) = (memory(), memory());
    for tag in 0..3 {
        let pushed = Push {
            is_index: tag == 1,
            ..image(tag, &[tag, 7])
        };
        push(&*from, &pushed).await;
    }
    take(&from, store(&vault)).await;
    let file = FileInMemory::default();
    take(&from, file.target(Compression::None, None)).await;
    for source in [Source::Store(vault), file.source()] {
        let mut broke_off = 0;
        for puts in 0.. {
            let to = Arc::new(Faulty::new(memory()));
            to.inject(
                Fault::before(ErrorKind::NoSpace)
                    .on(Operation::Publish)
                    .after(puts),
            );
            let destination: Arc<dyn Storage> = Arc::<Faulty>::clone(&to);
            let (report, _) =
                try_restore(source.clone(), None, &destination, RestoreOptions::default()).await;
            require_whole(&**to.inner()).await;
            let Err(error) = report else { break };
            assert!(error.is_full(), "{error}");
            broke_off += 1;
            to.heal();
            restore(source.clone(), &destination).await;
            require_equal(&*from, &*destination).await;
        }
        assert!(broke_off > 20, "{broke_off}");
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_counts_what_a_restore_does() {
    let (from, vault, to) = (memory(), memory(), memory());
    fill(&*from).await;
    take(&from, store(&vault)).await;
    let file = FileInMemory::default();
    take(&from, file.target(Compression::Zstd, None)).await;
    let dry = RestoreOptions {
        dry_run: true,
        ..RestoreOptions::default()
    };
    for source in [Source::Store(Arc::clone(&vault)), file.source()] {
        let (report, problems) = try_restore(source, None, &to, dry.clone()).await;
        assert_eq!(problems, []);
        assert!(objects(&*to).await.is_empty());
        let report = report.unwrap();
        let real = restore(Source::Store(Arc::clone(&vault)), &memory()).await;
        assert_eq!((report.counts, report.restored), (real.counts, real.restored));
    }
}

#[tokio::test]
async fn files_of_the_server_come_back_and_documents_of_the_store_never_replace_others() {
    let (from, vault) = (memory(), memory());
    push(&*from, &image(0, &[1])).await;
    write(&*from, &layout::token_keys(), "keys").await;
    write(&*from, &layout::robot_tokens(), "robots").await;
    let file = FileInMemory::default();
    for target in [store(&vault), file.target(Compression::Zstd, None)] {
        let options = TakeOptions {
            with_tokens: true,
            settings: vec![SettingsFile {
                kind: FileKind::Passwords,
                name: "htpasswd".to_owned(),
                bytes: Bytes::from_static(b"alice:x"),
            }],
            ..TakeOptions::default()
        };
        let (report, problems) = try_take(&from, target, options).await;
        assert_eq!((report.unwrap().settings, problems), (3, vec![]));
    }
    for source in [Source::Store(vault), file.source()] {
        require_verified(&source).await;
        let to = memory();
        write(&*to, &layout::robot_tokens(), "newer").await;
        let restorer = Restorer::new(source, None, Arc::clone(&to), RestoreOptions::default());
        let (report, files) = restorer.run().await.unwrap();
        assert_eq!(report.kept, 1);
        let [(saved, bytes)] = &files[..] else {
            panic!("{files:?}")
        };
        assert_eq!(
            (saved.kind, &*saved.name, &bytes[..]),
            (FileKind::Passwords, "htpasswd", &b"alice:x"[..])
        );
        let read = async |key| to.read(&key, 100).await.unwrap().bytes;
        assert_eq!(read(layout::token_keys()).await, "keys");
        assert_eq!(read(layout::robot_tokens()).await, "newer");
    }
}
