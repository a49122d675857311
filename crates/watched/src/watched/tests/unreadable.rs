//! Files that exist and cannot be read: a use must not try in vain what the use before it tried in vain.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    thread::{CapabilitySet, capabilities, set_capabilities},
};

use super::*;

/// Takes each file as it is, and counts how often one could not be read.
#[derive(Debug, Default)]
struct Lines {
    in_vain: Arc<AtomicUsize>,
}

impl Reader for Lines {
    type Value = String;

    const NAME: &'static str = "lines";
    const SIZE_LIMIT: u64 = 10;

    fn read(&self, contents: &[&[u8]], _old: &String) -> Result<Option<Read<String>>, Damage> {
        Ok(Some(String::from_utf8(contents.concat()).unwrap().into()))
    }

    fn unreadable(&self, file: usize, error: &io::Error) -> Damage {
        self.in_vain.fetch_add(1, Ordering::Relaxed);
        let (file, text) = (Some(file), error.to_string());
        Damage { file, text }
    }

    fn last_good(value: &String) -> String {
        value.clone()
    }

    fn announce(&self, _value: &String, _paths: &str) {}
}

struct One {
    lines: Watched<Lines>,
    in_vain: Arc<AtomicUsize>,
    path: PathBuf,
    _directory: TempDir,
}

impl One {
    /// A file with `a`.
    fn new() -> Self {
        let directory = TempDir::with_prefix("wharf-watched-").unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "a").unwrap();
        let reader = Lines::default();
        Self {
            in_vain: Arc::clone(&reader.in_vain),
            lines: Watched::open(reader, vec![path.clone()], "a".to_owned().into()),
            path,
            _directory: directory,
        }
    }

    /// What is in force for a use by a process that may read only what the mode of a file lets it read, as root may not.
    fn used(&self) -> Arc<String> {
        thread::scope(|scope| {
            let used = scope.spawn(|| {
                let mut allowed = capabilities(None).unwrap();
                allowed.effective = CapabilitySet::empty();
                set_capabilities(None, allowed).unwrap();
                self.lines.shared.look_if_changed();
                self.lines.current()
            });
            used.join().unwrap()
        })
    }

    /// Lets no time pass until the next look.
    fn stop_time(&self) {
        let mut state = self.lines.shared.state.write();
        Arc::get_mut(&mut state).unwrap().looked = u64::MAX;
    }

    fn in_vain(&self) -> usize {
        self.in_vain.load(Ordering::Relaxed)
    }

    fn set_mode(&self, mode: u32) {
        fs::set_permissions(&self.path, Permissions::from_mode(mode)).unwrap();
    }
}

/// What makes the file unreadable, with the text of the error, and what mends it.
type Accident = (fn(&One), &'static str, fn(&One));

const ACCIDENTS: [Accident; 4] = [
    (
        |one| fs::write(&one.path, "b".repeat(11)).unwrap(),
        "more than 10 bytes",
        |one| fs::write(&one.path, "b").unwrap(),
    ),
    (
        |one| {
            fs::remove_file(&one.path).unwrap();
            fs::create_dir(&one.path).unwrap();
        },
        "but a directory",
        |one| {
            fs::remove_dir(&one.path).unwrap();
            fs::write(&one.path, "b").unwrap();
        },
    ),
    (
        |one| {
            fs::remove_file(&one.path).unwrap();
            mknodat(CWD, &one.path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        },
        "not a regular file",
        |one| {
            fs::remove_file(&one.path).unwrap();
            fs::write(&one.path, "b").unwrap();
        },
    ),
    (
        |one| {
            fs::write(&one.path, "b").unwrap();
            one.set_mode(0);
        },
        "Permission denied",
        |one| one.set_mode(0o600),
    ),
];

#[test]
fn what_cannot_be_read_is_left_alone_until_it_is_mended() {
    for (damage, text, mend) in ACCIDENTS {
        let one = One::new();
        damage(&one);
        for _ in 0..3 {
            assert_eq!(*one.used(), "a", "{text}");
            one.stop_time();
        }
        assert_eq!(one.in_vain(), 1, "{text}");
        let problem = one.lines.status().problem.unwrap();
        assert!(problem.contains(text), "{problem}");
        mend(&one);
        assert_eq!(*one.used(), "b", "{text}");
        assert_eq!(one.lines.status().problem, None, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_tried_again_in_case_that_the_cause_is_not_in_the_file() {
    let one = One::new();
    fs::remove_file(&one.path).unwrap();
    fs::create_dir(&one.path).unwrap();
    let began = Instant::now();
    while one.in_vain() < 2 {
        one.used();
        assert!(began.elapsed() < 60 * SECOND, "it was tried once");
        thread::sleep(Duration::from_millis(10));
    }
}
