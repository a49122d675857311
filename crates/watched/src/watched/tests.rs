//! Files that change, are damaged, and lie on a slow disk, and what the log says.

#![expect(clippy::disallowed_methods, reason = "plays the operator who edits the files")]

mod locks;
mod settled;
mod unreadable;

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize},
    thread,
};

use tempfile::TempDir;
use tokio::time::timeout;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::{self, NoSubscriber},
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Texts in which case means nothing. They are damaged with a `!`, and must begin with the same letter.
#[derive(Debug, Default)]
struct Texts {
    /// Whether the files are on a disk that does not answer for now
    is_stuck: Arc<AtomicBool>,
    /// Whether the next one to read the files panics
    is_defective: Arc<AtomicBool>,
    /// Number of times that the files were read
    reads: Arc<AtomicUsize>,
}

impl Reader for Texts {
    type Value = String;

    const NAME: &'static str = "texts";
    const SIZE_LIMIT: u64 = 100;
    const GRACE: Duration = SECOND;

    fn read(&self, contents: &[&[u8]], old: &String) -> Result<Option<Read<String>>, Damage> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let is_defective = self.is_defective.swap(false, Ordering::Relaxed);
        assert!(!is_defective, "a defect of the reader");
        while self.is_stuck.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        let texts: Vec<String> = contents
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes).to_lowercase())
            .collect();
        if let Some(file) = texts.iter().position(|text| text.contains('!')) {
            let text = "it shouts".to_owned();
            return Err(Damage {
                file: Some(file),
                text,
            });
        }
        if texts.iter().any(|text| text[..1] != texts[0][..1]) {
            let text = "the texts do not fit".to_owned();
            return Err(Damage { file: None, text });
        }
        let value = texts.concat();
        let findings = match value.contains('?') {
            true => vec!["it asks".to_owned()],
            false => Vec::new(),
        };
        Ok((value != *old).then_some(Read { value, findings }))
    }

    fn last_good(value: &String) -> String {
        format!("`{value}`")
    }

    fn announce(&self, value: &String, _paths: &str) {
        tracing::info!("{value} is in force");
    }
}

/// The messages that were logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        mem::take(&mut self.0.lock())
    }
}

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Log {
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Scene {
    texts: Watched<Texts>,
    is_stuck: Arc<AtomicBool>,
    is_defective: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    directory: TempDir,
}

impl Scene {
    /// Two files, `a` and `a`.
    fn new() -> Self {
        let directory = TempDir::with_prefix("wharf-watched-").unwrap();
        let paths = ["one", "two"].map(|name| directory.path().join(name));
        for path in &paths {
            fs::write(path, "a\n").unwrap();
        }
        let reader = Texts::default();
        Self {
            is_stuck: Arc::clone(&reader.is_stuck),
            is_defective: Arc::clone(&reader.is_defective),
            reads: Arc::clone(&reader.reads),
            texts: Watched::open(reader, paths.into(), "a\na\n".to_owned().into()),
            directory,
        }
    }

    fn write(&self, one: &str, two: &str) {
        for (name, text) in [("one", one), ("two", two)] {
            fs::write(self.directory.path().join(name), format!("{text}\n")).unwrap();
        }
    }

    /// What is in force for a use that looks on this thread, the one with the log that is kept.
    fn used(&self) -> Arc<String> {
        self.texts.shared.look_if_changed();
        self.texts.current()
    }

    /// Takes the files for ones that have other stamps when they change, however young they are.
    fn settle_at_once(&self) {
        let shared = &self.texts.shared;
        let settled = |path: &PathBuf| {
            let contents = file::read(path, Texts::SIZE_LIMIT).unwrap();
            Seen::Settled(contents.signature, contents.opened)
        };
        shared.put(State {
            seen: shared.paths.iter().map(settled).collect(),
            looked: 0,
            found: AtomicU64::default(),
            content: None,
            value: self.texts.current(),
            damaged: None,
        });
    }

    /// Whether a use goes by what was read last.
    fn is_unchanged(&self) -> bool {
        self.texts.if_unchanged(|_| ()).is_some()
    }

    fn problem(&self) -> Option<String> {
        self.texts.status().problem
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    fn stick(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
    }

    /// Returns when the files are being read once more than at the start.
    async fn is_being_read(&self) {
        while self.reads() < 2 {
            time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A runtime ends when its threads do.
impl Drop for Scene {
    fn drop(&mut self) {
        self.stick(false);
    }
}

#[tokio::test(start_paused = true)]
async fn damage_is_told_once_and_when_it_lasts() {
    let log = Log::default();
    // With one dispatcher alone, the first thread to log would decide for all; other tests log as well.
    let _second = tracing::Dispatch::new(NoSubscriber::new());
    let _log = subscriber::set_default(log.clone());
    let scene = Scene::new();
    assert_eq!(log.take().len(), 0, "what is in force was told by the caller");

    scene.write("b", "a");
    assert_eq!(*scene.used(), "a\na\n");
    scene.write("b", "b");
    assert_eq!(*scene.used(), "b\nb\n");
    assert_eq!(log.take(), ["b\nb\n is in force"], "the second file came soon");

    scene.write("c", "b");
    for _ in 0..3 {
        assert_eq!(*scene.used(), "b\nb\n");
        assert_eq!(scene.problem(), None);
    }
    assert_eq!(log.take().len(), 0);
    time::advance(SECOND).await;
    for _ in 0..3 {
        assert_eq!(*scene.used(), "b\nb\n");
    }
    assert_eq!(log.take(), ["the texts do not fit; `b\nb\n` stays in force"]);
    assert_eq!(scene.problem().as_deref(), Some("the texts do not fit"));

    scene.write("c", "b!");
    for _ in 0..3 {
        assert_eq!(*scene.used(), "b\nb\n");
    }
    let second = format!("`{}`", scene.directory.path().join("two").display());
    let told = log.take();
    assert_eq!(
        told,
        [format!("texts {second}: it shouts; `b\nb\n` stays in force")]
    );
    fs::remove_file(scene.directory.path().join("two")).unwrap();
    assert_eq!(*scene.used(), "b\nb\n");
    let told = log.take();
    assert_eq!(
        told,
        [format!("texts {second}: it is gone; `b\nb\n` stays in force")]
    );

    scene.write("B", "b");
    assert_eq!(*scene.used(), "b\nb\n");
    assert_eq!(log.take(), ["the texts can be used again"]);
    assert_eq!(scene.texts.status(), Status::default());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_away_for_a_moment_is_no_error() {
    let scene = Scene::new();
    let (path, away) = (
        scene.directory.path().join("one"),
        scene.directory.path().join("away"),
    );
    fs::rename(&path, &away).unwrap();
    scene.used();
    assert_eq!(scene.problem(), None);
    fs::rename(&away, &path).unwrap();
    scene.used();
    fs::rename(&path, &away).unwrap();
    time::advance(SECOND - Duration::from_millis(1)).await;
    scene.used();
    assert_eq!(scene.problem(), None, "it was there in the meantime");
    time::advance(SECOND).await;
    scene.used();
    assert!(scene.problem().unwrap().ends_with("it is gone"));
}

#[tokio::test]
async fn other_bytes_of_the_same_meaning_are_no_change() {
    let scene = Scene::new();
    let before = scene.used();
    scene.write("A", "a");
    assert!(Arc::ptr_eq(&before, &scene.used()));
    let reads = scene.reads();
    assert!(Arc::ptr_eq(&before, &scene.used()));
    assert_eq!(scene.reads(), reads, "the same bytes are not read again");
    scene.write("a?", "a");
    assert_eq!(*scene.used(), "a?\na\n");
    assert_eq!(scene.texts.status().findings, ["it asks"]);
    scene.write("a?", "A");
    scene.used();
    assert_eq!(scene.texts.status().findings, ["it asks"], "they are still true");
}

#[tokio::test]
async fn a_slow_disk_holds_one_use_for_its_patience_and_no_other() {
    let scene = Scene::new();
    let texts = &scene.texts;
    scene.stick(true);
    scene.write("b", "b");
    assert_eq!(*texts.refresh_within(Duration::from_millis(20)).await, "a\na\n");
    scene.is_being_read().await;
    // One that waited would do so for ever.
    for _ in 0..9 {
        assert_eq!(*texts.refresh_within(Duration::MAX).await, "a\na\n");
    }
    scene.stick(false);
    // A use that does wait for the disk finds the end of that look.
    assert_eq!(*texts.refresh().await, "b\nb\n");
    assert_eq!(scene.reads(), 2, "one at the start, and one for all");
    scene.write("c", "c");
    assert_eq!(*texts.refresh_within(Duration::MAX).await, "c\nc\n");
}

#[tokio::test]
async fn a_use_that_goes_away_leaves_its_look_to_the_next() {
    let scene = Scene::new();
    scene.stick(true);
    scene.write("b", "b");
    let gone = timeout(Duration::from_millis(20), scene.texts.refresh()).await;
    assert!(gone.is_err());
    scene.is_being_read().await;
    for _ in 0..5 {
        let gone = timeout(Duration::from_millis(5), scene.texts.refresh()).await;
        assert!(gone.is_err());
    }
    assert!(
        scene.texts.shared.looking.try_lock().is_err(),
        "the look is still under way"
    );
    scene.stick(false);
    assert_eq!(*scene.texts.refresh().await, "b\nb\n");
    assert_eq!(scene.reads(), 2);
}

#[tokio::test]
async fn a_look_that_panics_is_good_for_no_other_use() {
    let scene = Scene::new();
    scene.write("b", "b");
    scene.is_defective.store(true, Ordering::Relaxed);
    // Both wait before the look of the first begins.
    let looking = Arc::clone(&scene.texts.shared.looking).lock_owned().await;
    let (_, second, ()) = tokio::join!(scene.texts.refresh(), scene.texts.refresh(), async {
        drop(looking);
    });
    assert_eq!(*second, "b\nb\n");
    assert_eq!(scene.reads(), 3, "one at the start, and one for each");
}
