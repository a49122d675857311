//! Backups: what they have, what is restored of them, and what becomes of both when anything goes wrong in between.

mod broken;
mod files;
mod meanwhile;
mod plain;
mod restored;

use std::{
    io::{self, Cursor, Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use wharf_registry::{
    backup::{
        Base, Compression, FileTarget, OpenFile, RestoreOptions, RestoreReport, Restorer, Result, Selection,
        Source, TakeOptions, TakeReport, Taker, Target, VerifyReport, verify,
    },
    copy::Problem,
};
use wharf_storage::{Storage, fs::FsStorage, layout};

use crate::copying::{
    image, memory,
    trees::{self, Push, objects, push, require_whole},
    write_oddities,
};

/// A file in memory.
#[derive(Clone, Default)]
struct FileInMemory {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// How many bytes have room; `None`: any number
    room: Option<usize>,
}

impl FileInMemory {
    fn of(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: Arc::new(Mutex::new(bytes.into())),
            room: None,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().clone()
    }

    fn target(&self, compression: Compression, base: Option<Base>) -> Target {
        self.bytes.lock().clear();
        let file = FileTarget {
            file: Box::new(self.clone()),
            compression,
        };
        Target::File(file, base)
    }

    fn source(&self) -> Source {
        let bytes: Bytes = self.bytes().into();
        let open: OpenFile =
            Arc::new(move || Ok(Box::new(Cursor::new(bytes.clone())) as Box<dyn Read + Send>));
        Source::File(open)
    }
}

impl Write for FileInMemory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.bytes.lock();
        if self.room.is_some_and(|room| file.len() + bytes.len() > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn try_take(
    from: &Arc<dyn Storage>,
    target: Target,
    options: TakeOptions,
) -> (Result<TakeReport>, Vec<Problem>) {
    let taker = match Taker::new(Arc::clone(from), target, options).await {
        Ok(taker) => taker,
        Err(error) => return (Err(error), Vec::new()),
    };
    let progress = taker.progress();
    let report = taker.run().await;
    (report, progress.take_problems())
}

/// Takes a backup of a registry without damage.
async fn take(from: &Arc<dyn Storage>, target: Target) -> TakeReport {
    let (report, problems) = try_take(from, target, TakeOptions::default()).await;
    assert_eq!(problems, []);
    report.unwrap()
}

fn store(storage: &Arc<dyn Storage>) -> Target {
    Target::Store(Arc::clone(storage))
}

async fn try_restore(
    source: Source,
    base: Option<Source>,
    to: &Arc<dyn Storage>,
    options: RestoreOptions,
) -> (Result<RestoreReport>, Vec<Problem>) {
    let restorer = Restorer::new(source, base, Arc::clone(to), options);
    let progress = restorer.progress();
    let report = restorer.run().await.map(|(report, _)| report);
    (report, progress.take_problems())
}

/// Restores a backup that is whole to a registry that has nothing newer.
async fn restore(source: Source, to: &Arc<dyn Storage>) -> RestoreReport {
    let (report, problems) = try_restore(source, None, to, RestoreOptions::default()).await;
    assert_eq!(problems, []);
    report.unwrap()
}

async fn try_verify(source: &Source, base: Option<&Source>) -> (Result<VerifyReport>, Vec<Problem>) {
    let progress = Arc::default();
    let report = verify(source, base, None, &progress).await;
    (report, progress.take_problems())
}

async fn require_verified(source: &Source) -> VerifyReport {
    let (report, problems) = try_verify(source, None).await;
    assert_eq!(problems, []);
    let report = report.unwrap();
    assert_eq!(report.problems, 0);
    report
}

fn texts(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// All objects of the tree; a restore writes links without the white space around them.
async fn tidy_objects(storage: &dyn Storage) -> Vec<(String, Bytes)> {
    let objects = objects(storage).await.into_iter();
    objects
        .map(|(key, bytes)| match key.ends_with("/link") {
            true => (key, Bytes::copy_from_slice(bytes.trim_ascii())),
            false => (key, bytes),
        })
        .collect()
}

/// Checks that two registries are the same, and names what differs.
async fn require_equal(one: &dyn Storage, other: &dyn Storage) {
    let (one, other) = (tidy_objects(one).await, tidy_objects(other).await);
    let differ = |from: &[(String, Bytes)], to: &[(String, Bytes)]| -> Vec<String> {
        from.iter()
            .filter(|object| !to.contains(object))
            .map(|(key, _)| key.clone())
            .collect()
    };
    assert_eq!(
        (differ(&one, &other), differ(&other, &one)),
        (Vec::new(), Vec::new())
    );
}

/// Images, indexes and what other registries leave.
async fn fill(storage: &dyn Storage) {
    for (number, layers) in [&[0, 1][..], &[7], &[1, 7, 3]].into_iter().enumerate() {
        for repository in 0..4 {
            let pushed = Push {
                repository,
                layers: layers.to_vec(),
                is_index: number == 1,
                tag: Some(u8::try_from(number).unwrap() % 2),
            };
            push(storage, &pushed).await;
        }
    }
    write_oddities(storage).await;
    // What is restored has a history in any case.
    let app = crate::common::name("a");
    let link = storage
        .read(&layout::tag_link(&app, "edited"), 1024)
        .await
        .unwrap();
    let digest = layout::parse_link(&link.bytes).unwrap();
    let history = layout::tag_history_link(&app, "edited", &digest);
    crate::common::write(storage, &history, &digest.to_string()).await;
}

/// Backs up `from`, verifies the backup, and restores it to `to`.
async fn comes_back_whole(from: Arc<dyn Storage>, vault: Arc<dyn Storage>, to: Arc<dyn Storage>) {
    fill(&*from).await;
    let report = take(&from, store(&vault)).await;
    let source = Source::Store(Arc::clone(&vault));
    let verified = require_verified(&source).await;
    assert_eq!(verified.snapshots, std::slice::from_ref(&report.snapshot));
    assert_eq!(
        (
            verified.counts.tags,
            verified.counts.manifests,
            verified.counts.blobs
        ),
        (report.counts.tags, report.counts.manifests, report.counts.blobs)
    );
    let restored = restore(source.clone(), &to).await;
    assert_eq!(restored.snapshot.as_deref(), Some(&*report.snapshot));
    assert_eq!((restored.restored, restored.newer), (report.counts.tags, 0));
    require_equal(&*from, &*to).await;
    require_whole(&*to).await;
    // What is there is neither sent nor written again.
    let again = take(&from, store(&vault)).await;
    assert_eq!(
        (again.counts.blobs, again.counts.blobs_there),
        (0, report.counts.blobs)
    );
    let restored = restore(source.clone(), &to).await;
    assert_eq!(
        (restored.counts.blobs, restored.restored, restored.unchanged),
        (0, 0, report.counts.tags)
    );
    assert_eq!(source.snapshots().await.unwrap().len(), 2);
    // Nothing of the tree of a registry is left over in the backup.
    let tree = wharf_storage::Key::new("docker").unwrap();
    assert!(vault.scan(&tree, None, 1).await.unwrap().objects.is_empty());
}

#[tokio::test]
async fn a_registry_in_a_directory_comes_back_whole_from_a_directory() {
    let [from, vault, to] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let open = |directory: &tempfile::TempDir| Arc::new(FsStorage::open(directory.path()).unwrap());
    comes_back_whole(open(&from), open(&vault), open(&to)).await;
    assert!(!vault.path().join("docker").exists());
}

#[tokio::test]
async fn a_registry_in_a_bucket_comes_back_whole_from_a_bucket() {
    comes_back_whole(memory(), memory(), memory()).await;
}

#[tokio::test]
async fn the_next_backup_sends_only_what_is_new() {
    let (from, vault) = (memory(), memory());
    push(&*from, &image(0, &[1, 2])).await;
    let first = take(&from, store(&vault)).await;
    // Two layers, a configuration, a manifest.
    assert_eq!(first.counts.blobs, 4);
    push(&*from, &image(1, &[1, 3])).await;
    let second = take(&from, store(&vault)).await;
    assert_eq!(
        (second.counts.blobs, second.counts.blobs_there, second.counts.tags),
        (2, 4, 2)
    );
    let source = Source::Store(Arc::clone(&vault));
    require_verified(&source).await;
    // The older snapshot is as it was.
    let to = memory();
    let options = RestoreOptions {
        snapshot: Some(first.snapshot),
        ..RestoreOptions::default()
    };
    let (report, problems) = try_restore(source, None, &to, options).await;
    assert_eq!((report.unwrap().restored, problems), (1, vec![]));
    require_whole(&*to).await;
}

#[tokio::test]
async fn only_the_named_repositories_are_saved() {
    let (from, vault) = (memory(), memory());
    fill(&*from).await;
    let names = |names: &[&str]| TakeOptions {
        repositories: names.iter().map(|name| name.parse().unwrap()).collect(),
        ..TakeOptions::default()
    };
    let (report, problems) = try_take(&from, store(&vault), names(&["a/b", "team/app"])).await;
    assert_eq!((report.unwrap().counts.repositories, problems), (2, vec![]));
    let (report, problems) = try_take(&from, store(&vault), names(&["a", "nowhere"])).await;
    assert_eq!(report.unwrap().counts.left_out, 1);
    assert!(
        texts(&problems).contains("there is no repository `nowhere`"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_registry_is_no_place_to_back_up_to() {
    let from = memory();
    push(&*from, &image(0, &[1])).await;
    let (report, _) = try_take(&from, store(&from), TakeOptions::default()).await;
    assert!(report.unwrap_err().to_string().contains("has a registry in it"));
}

#[tokio::test]
async fn every_tag_is_in_the_index_of_the_layout() {
    let (from, vault) = (memory(), memory());
    fill(&*from).await;
    let report = take(&from, store(&vault)).await;
    let read = async |path: &str| {
        let key = wharf_storage::Key::new(path).unwrap();
        vault.read(&key, u64::MAX).await.unwrap().bytes
    };
    assert_eq!(read("oci-layout").await, r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: serde_json::Value = serde_json::from_slice(&read("index.json").await).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len() as u64, report.counts.tags);
    let names: Vec<&str> = manifests
        .iter()
        .map(|manifest| {
            manifest["annotations"]["org.opencontainers.image.ref.name"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert!(names.is_sorted() && names.contains(&"team/app:t1"), "{names:?}");
    for manifest in manifests {
        let digest = manifest["digest"].as_str().unwrap().replace(':', "/");
        let bytes = read(&format!("blobs/{digest}")).await;
        assert_eq!(bytes.len() as u64, manifest["size"].as_u64().unwrap());
        let content: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(content["mediaType"], manifest["mediaType"]);
    }
}
