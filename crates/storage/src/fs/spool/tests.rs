//! What is in a queue after restarts, crashes, damage and too much of everything.
#![expect(clippy::disallowed_methods, reason = "looks at files behind the queue's back")]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::*;
use crate::fs::simulated::{SimulatedDisk, Survival};

fn name() -> SpoolName {
    SpoolName::of("alice")
}

fn open(root: &Path, limits: SpoolLimits) -> Arc<dyn Spool> {
    FsStorage::open(root).unwrap().open(&name(), limits).unwrap()
}

fn append(spool: &dyn Spool, numbers: std::ops::Range<u32>) -> u64 {
    numbers
        .map(|number| spool.append(number.to_string().as_bytes()).unwrap())
        .sum()
}

/// Takes `count` records out, or all.
fn take(spool: &dyn Spool, count: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let Some(entry) = spool.first().unwrap() else {
            break;
        };
        spool.remove(&entry).unwrap();
        taken.push(std::str::from_utf8(&entry.record).unwrap().parse().unwrap());
    }
    taken
}

fn numbers(numbers: std::ops::Range<u32>) -> Vec<u32> {
    numbers.collect()
}

fn segments(root: &Path) -> Vec<PathBuf> {
    let directory = root.join(EVENTS).join(name().as_str());
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with(CURSOR))
        .collect();
    files.sort();
    files
}

#[test]
fn a_restart_goes_on_where_the_last_process_was() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(root.path(), SpoolLimits::default());
    assert!(spool.first().unwrap().is_none());
    assert_eq!(append(&*spool, 0..5), 0);
    assert_eq!(take(&*spool, 2), numbers(0..2));
    drop(spool);

    let spool = open(root.path(), SpoolLimits::default());
    assert_eq!(spool.len(), 3);
    append(&*spool, 5..8);
    assert_eq!(take(&*spool, 4), numbers(2..6));
    drop(spool);

    let spool = open(root.path(), SpoolLimits::default());
    assert_eq!(take(&*spool, 9), numbers(6..8));
    assert_eq!(append(&*spool, 8..9), 0);
    assert_eq!(take(&*spool, 9), numbers(8..9));
    drop(spool);
    let spool = open(root.path(), SpoolLimits::default());
    assert!(spool.is_empty() && segments(root.path()).is_empty());
}

#[test]
fn an_entry_is_taken_away_once() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(root.path(), SpoolLimits::default());
    append(&*spool, 0..3);
    let entry = spool.first().unwrap().unwrap();
    spool.remove(&entry).unwrap();
    spool.remove(&entry).unwrap();
    assert_eq!(take(&*spool, 9), numbers(1..3));
    spool.remove(&entry).unwrap();
    assert!(spool.is_empty());
}

#[test]
fn a_torn_end_is_cut_off_and_written_over_by_nobody() {
    let whole = {
        let root = tempfile::tempdir().unwrap();
        append(&*open(root.path(), SpoolLimits::default()), 0..3);
        std::fs::read(&segments(root.path())[0]).unwrap()
    };
    let record = whole.len() / 3;
    let mut torn: Vec<Vec<u8>> = (2 * record..whole.len())
        .map(|end| whole[..end].to_vec())
        .collect();
    let mut zeros = whole[..2 * record].to_vec();
    zeros.resize(4096, 0);
    let mut flipped = whole.clone();
    flipped[2 * record + 12] ^= 1;
    let mut endless = whole.clone();
    endless[2 * record..2 * record + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    torn.extend([zeros, flipped, endless]);
    for bytes in torn {
        let root = tempfile::tempdir().unwrap();
        append(&*open(root.path(), SpoolLimits::default()), 0..3);
        let file = &segments(root.path())[0];
        std::fs::write(file, &bytes).unwrap();
        let spool = open(root.path(), SpoolLimits::default());
        assert_eq!(spool.len(), 2, "{bytes:?}");
        assert_eq!(std::fs::read(file).unwrap(), whole[..2 * record]);
        append(&*spool, 7..9);
        assert_eq!(take(&*spool, 9), [0, 1, 7, 8], "{bytes:?}");
    }
}

#[test]
fn a_file_that_is_damaged_while_it_is_open_costs_no_other() {
    let root = tempfile::tempdir().unwrap();
    let limits = SpoolLimits {
        records: 80,
        ..SpoolLimits::default()
    };
    let spool = open(root.path(), limits);
    append(&*spool, 0..25);
    let file = &segments(root.path())[0];
    let mut bytes = std::fs::read(file).unwrap();
    bytes[13 * 5 + 12] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let expected: Vec<u32> = (0..5).chain(10..25).collect();
    assert_eq!(take(&*spool, 99), expected);
    assert!(spool.is_empty());
}

#[test]
fn a_lost_cursor_repeats_but_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let spool = open(root.path(), SpoolLimits::default());
    append(&*spool, 0..3);
    take(&*spool, 2);
    drop(spool);
    let cursor = root.path().join(EVENTS).join(name().as_str()).join(CURSOR);
    std::fs::write(cursor, [7; 24]).unwrap();
    assert_eq!(
        take(&*open(root.path(), SpoolLimits::default()), 9),
        numbers(0..3)
    );
}

#[test]
fn a_full_queue_drops_its_oldest_records_and_says_how_many() {
    let root = tempfile::tempdir().unwrap();
    let limits = SpoolLimits {
        records: 80,
        ..SpoolLimits::default()
    };
    let spool = open(root.path(), limits);
    assert_eq!(append(&*spool, 0..80), 0);
    let busy = spool.first().unwrap().unwrap();
    assert_eq!(append(&*spool, 80..81), 10);
    spool.remove(&busy).unwrap();
    assert_eq!(append(&*spool, 81..200), 110);
    assert_eq!(spool.len(), 80);
    assert!(segments(root.path()).len() <= 9);
    drop(spool);
    let spool = open(root.path(), limits);
    assert_eq!(take(&*spool, 999), numbers(120..200));

    let limits = SpoolLimits {
        bytes: 8 << 10,
        ..SpoolLimits::default()
    };
    let spool = FsStorage::open(root.path()).err().map(|_| spool);
    let spool = spool.expect("the store is in use as long as its queue is");
    drop(spool);
    let spool = open(root.path(), limits);
    let dropped: u64 = (0..100).map(|_| spool.append(&[0; 500]).unwrap()).sum();
    assert_eq!(dropped + spool.len(), 100);
    assert_eq!(spool.append(&[0; 9000]).unwrap(), 1);
    let on_disk: u64 = segments(root.path())
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert!(on_disk <= 8 << 10, "{on_disk}");
}

#[test]
fn a_full_disk_costs_the_new_record_alone() {
    let disk = SimulatedDisk::default();
    let storage = FsStorage::on(disk.clone(), "simulated").unwrap();
    let spool = storage.open(&name(), SpoolLimits::default()).unwrap();
    append(&*spool, 0..3);
    disk.set_space(5);
    let error = spool.append(b"3").unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::NoSpace, "{error}");
    disk.set_space(1 << 20);
    append(&*spool, 4..6);
    assert_eq!(take(&*spool, 9), [0, 1, 2, 4, 5]);
}

/// What a process did before the power went.
#[derive(Debug, Default)]
struct Story {
    appended: u32,
    /// All records below this number were synced.
    synced: u32,
    /// All records below this number were taken out.
    taken: u32,
}

fn live(disk: &SimulatedDisk, story: &mut Story) -> Result<()> {
    let storage = FsStorage::on(disk.clone(), "simulated")?;
    let limits = SpoolLimits {
        records: 24,
        ..SpoolLimits::default()
    };
    let spool = storage.open(&name(), limits)?;
    for round in 0..5 {
        for _ in 0..4 {
            story.appended += 1;
            spool.append((story.appended - 1).to_string().as_bytes())?;
        }
        if let (true, Some(entry)) = (round != 3, spool.first()?) {
            story.taken += 1;
            spool.remove(&entry)?;
        }
        spool.sync()?;
        story.synced = story.appended;
    }
    Ok(())
}

#[test]
fn what_was_synced_survives_a_power_cut_in_order() {
    for effects in 0.. {
        let disk = SimulatedDisk::default();
        disk.cut_after(effects);
        let mut story = Story::default();
        let finished = live(&disk, &mut story);
        for survival in [
            Survival::Nothing,
            Survival::Everything,
            Survival::Later,
            Survival::Earlier,
            Survival::Some(1),
            Survival::Some(6),
        ] {
            let found = disk.after_power_cut(survival);
            let spool = FsStorage::on(found, "simulated")
                .unwrap()
                .open(&name(), SpoolLimits::default())
                .unwrap();
            let left = take(&*spool, 999);
            let context = format!("{effects} {survival:?} {story:?}: {left:?}\n{}", disk.log());
            assert!(left.is_sorted_by(|a, b| a < b), "{context}");
            assert!(left.iter().all(|&number| number < story.appended), "{context}");
            for number in story.taken..story.synced {
                assert!(left.contains(&number), "{number} is lost: {context}");
            }
        }
        if finished.is_ok() {
            assert!(effects > 20, "the story has effects");
            return;
        }
    }
}

#[test]
fn queues_that_nobody_uses_go_after_a_while() {
    let root = tempfile::tempdir().unwrap();
    append(&*open(root.path(), SpoolLimits::default()), 0..3);
    let storage = FsStorage::open(root.path()).unwrap();
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    assert_eq!(storage.tidy(&[name()], now + hour).unwrap(), []);
    let abandoned = |is_removed| AbandonedSpool {
        name: name().to_string(),
        is_removed,
    };
    assert_eq!(storage.tidy(&[], now - hour).unwrap(), [abandoned(false)]);
    assert_eq!(storage.tidy(&[], now + hour).unwrap(), [abandoned(true)]);
    assert_eq!(storage.tidy(&[], now + hour).unwrap(), []);
}
