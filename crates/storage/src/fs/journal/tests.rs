//! What is in a journal after restarts, power cuts, full disks and removals by other programs.
#![expect(
    clippy::disallowed_methods,
    reason = "looks at files behind the journal's back"
)]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use super::*;
use crate::{
    Objects,
    fs::simulated::{SimulatedDisk, Survival},
    journal::{self, JournalLimits, ObjectJournals},
    layout,
    object::ObjectStorage,
};

const LARGE: u64 = 1 << 20;

/// The lines of all segments, without those that are torn.
async fn lines(objects: &dyn Objects) -> Vec<String> {
    let mut lines = Vec::new();
    for segment in journal::segments(objects, &layout::activity()).await.unwrap() {
        let bytes = journal::read(objects, &segment.key, 0).await.unwrap().unwrap();
        let whole = bytes.split_inclusive(|&byte| byte == b'\n');
        let whole = whole.filter(|line| line.ends_with(b"\n"));
        lines.extend(whole.map(|line| String::from_utf8_lossy(line).trim_end().to_owned()));
    }
    lines
}

async fn append(journal: &dyn Journal, text: &str) -> bool {
    journal.append(Bytes::from(format!("{text}\n"))).await.unwrap()
}

fn files(root: &Path) -> Vec<std::path::PathBuf> {
    let directory = fs::read_dir(root.join("wharf/activity")).unwrap();
    let mut files: Vec<_> = directory.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_torn_line_is_the_end_of_its_segment() {
    let root = tempfile::tempdir().unwrap();
    let first = FsStorage::open(root.path()).unwrap();
    let journal = first.journal(layout::activity(), LARGE);
    assert!(append(&*journal, "1").await, "the first line begins a segment");
    assert!(!append(&*journal, "2").await);
    drop((journal, first));
    let [file] = &files(root.path())[..] else {
        panic!("one segment");
    };
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(file, "1\n2\n{\"torn").unwrap();

    let second = FsStorage::open(root.path()).unwrap();
    append(&*second.journal(layout::activity(), LARGE), "3").await;
    assert_eq!(lines(&second).await, ["1", "2", "3"]);
    let reader = FsStorage::open_to_read(root.path()).unwrap();
    assert_eq!(lines(&reader).await, ["1", "2", "3"], "beside the server");
    let refused = reader.journal(layout::activity(), LARGE);
    let error = refused.append(Bytes::from("4\n")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
}

#[tokio::test]
async fn a_segment_that_another_program_removed_is_followed_by_the_next() {
    let root = tempfile::tempdir().unwrap();
    let storage = FsStorage::open(root.path()).unwrap();
    let journal = storage.journal(layout::activity(), LARGE);
    append(&*journal, "1").await;
    fs::remove_dir_all(root.path().join("wharf/activity")).unwrap();
    append(&*journal, "2").await;
    assert_eq!(lines(&storage).await, ["2"]);
}

#[tokio::test]
async fn a_full_disk_leaves_no_part_of_an_append() {
    let disk = SimulatedDisk::default();
    let storage = FsStorage::on(disk.clone(), "simulated").unwrap();
    let journal = storage.journal(layout::activity(), LARGE);
    append(&*journal, "1").await;
    disk.set_space(7);
    let error = journal.append(Bytes::from("2\n3\n4\n5\n6\n")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(lines(&storage).await, ["1"]);
    disk.set_space(LARGE);
    append(&*journal, "2").await;
    assert_eq!(lines(&storage).await, ["1", "2"]);
    disk.fail_file_sync(0);
    journal.append(Bytes::from("3\n")).await.unwrap_err();
    append(&*journal, "3").await;
    assert_eq!(lines(&storage).await, ["1", "2", "3"]);
}

/// A process that begins a segment every few lines, until the power goes. Returns how many lines were acknowledged.
async fn live(disk: &SimulatedDisk) -> (u32, bool) {
    let Ok(storage) = FsStorage::on(disk.clone(), "simulated") else {
        return (0, false);
    };
    let journal = storage.journal(layout::activity(), 6);
    for number in 0..8 {
        if journal.append(Bytes::from(format!("{number}\n"))).await.is_err() {
            return (number, false);
        }
    }
    (8, true)
}

#[tokio::test]
async fn what_was_appended_survives_a_power_cut() {
    for effects in 0.. {
        let disk = SimulatedDisk::default();
        disk.cut_after(effects);
        let (acknowledged, is_finished) = live(&disk).await;
        for survival in [
            Survival::Nothing,
            Survival::Everything,
            Survival::Later,
            Survival::Earlier,
            Survival::Some(1),
            Survival::Some(6),
        ] {
            let after = FsStorage::on(disk.after_power_cut(survival), "simulated").unwrap();
            append(&*after.journal(layout::activity(), LARGE), "after").await;
            let found = lines(&after).await;
            for number in 0..acknowledged {
                let line = number.to_string();
                assert!(
                    found.contains(&line),
                    "{line} is lost after {effects} {survival:?}: {found:?}\n{}",
                    disk.log()
                );
            }
            assert!(found.contains(&"after".to_owned()), "{found:?}");
        }
        if is_finished {
            assert!(effects > 20, "there were effects");
            return;
        }
    }
}

#[tokio::test]
async fn both_engines_keep_the_newest_segments_within_the_limits() {
    let root = tempfile::tempdir().unwrap();
    let directory = Arc::new(FsStorage::open(root.path()).unwrap());
    let memory = Arc::new(ObjectStorage::in_memory());
    let journals: [(Arc<dyn Objects>, Arc<dyn Journals>); 2] = [
        (Arc::clone(&directory) as _, directory),
        (Arc::clone(&memory) as _, Arc::new(ObjectJournals::new(memory))),
    ];
    for (objects, journals) in journals {
        let journal = journals.journal(layout::activity(), 100);
        for number in 0..50 {
            append(&*journal, &format!("{number:09}")).await;
        }
        let segments = journal::segments(&*objects, &layout::activity()).await.unwrap();
        assert_eq!(segments.len(), 5, "of 100 bytes each: {segments:?}");
        let limits = JournalLimits {
            bytes: 250,
            age: Duration::from_secs(3600),
        };
        let directory = layout::activity();
        let trim = |limits, now| journal::trim(&*objects, &directory, limits, now);
        let now = SystemTime::now();
        assert_eq!(trim(limits, now).await.unwrap(), 3);
        assert_eq!(lines(&*objects).await.len(), 20);
        assert_eq!(lines(&*objects).await[0], "000000030");
        assert_eq!(trim(limits, now).await.unwrap(), 0);
        let later = now + Duration::from_secs(4000);
        assert_eq!(trim(limits, later).await.unwrap(), 2);
        append(&*journal, "new").await;
        assert_eq!(lines(&*objects).await, ["new"]);
    }
}

#[tokio::test]
async fn two_replicas_never_write_to_one_object() {
    let memory: Arc<dyn Objects> = Arc::new(ObjectStorage::in_memory());
    let replica = || ObjectJournals::new(Arc::clone(&memory)).journal(layout::activity(), LARGE);
    let (one, other) = (replica(), replica());
    for number in 0..4 {
        append(&*one, &format!("one {number}")).await;
        append(&*other, &format!("other {number}")).await;
    }
    let segments = journal::segments(&*memory, &layout::activity()).await.unwrap();
    assert_eq!(segments.len(), 2, "an object grows: {segments:?}");
    assert_eq!(lines(&*memory).await.len(), 8);
}
