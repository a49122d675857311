//! Files that are read again as soon as they change, and never a reason to lock all clients out.
//!
//! **What is in force.** Each use compares the files with what was read last: device, inode, size, and both time stamps, the
//! one that can be set and the one that cannot. A file that changed a moment ago could change again within the same stamp, so
//! until its stamps are old it is compared by content. A change is therefore in force for the very next request, also one that
//! keeps size and modification time.
//!
//! What is compared is the file that was read, which is kept open: when it is written, replaced, renamed or removed, its
//! stamps change. They do not when a directory above it is, or a symbolic link to it; so the path itself is looked at as well,
//! at most once in a [millisecond](PATH), because that costs five times as much.
//!
//! **When they are damaged.** What cannot be read, or is refused by its [`Reader`], is taken for an accident: the last good
//! state stays in force, and the log says so once for each change.
//!
//! **What a use costs.** One system call for each file while nothing changes. After a change one look at the files serves all
//! requests that wait for it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use sha2::{Digest as _, Sha256};

use crate::file::{self, Contents, Opened, Signature};

/// How long a look at the paths is good, for the changes that the open files do not show.
const PATH: Duration = Duration::from_millis(1);

/// The most findings that are listed one by one.
const FINDINGS: usize = 10;

/// What files mean.
pub trait Reader: fmt::Debug + Send + Sync + 'static {
    /// What is made of the files
    type Value: fmt::Debug + Send + Sync + 'static;

    /// What the files are, for the log: `password file`
    const NAME: &'static str;

    /// The most bytes that one of them may have
    const SIZE_LIMIT: u64;

    /// Makes a value of the contents of the files, in their order. `old` is the last one.
    ///
    /// # Errors
    ///
    /// When the files cannot be used: `old` stays in force.
    fn read(&self, contents: &[&[u8]], old: &Self::Value) -> Result<Read<Self::Value>, Damage>;

    /// What stays in force, for a sentence: `the last good list with 3 users`
    fn last_good(value: &Self::Value) -> String;

    /// Tells that `value` is in force, which was read from `paths`.
    fn announce(value: &Self::Value, paths: &str);
}

/// Files that were read.
#[derive(Debug)]
pub struct Read<T> {
    /// What is made of them
    pub value: T,
    /// Problems with which the files are used all the same
    pub findings: Vec<String>,
}

/// Why files cannot be used.
#[derive(Debug)]
pub struct Damage {
    /// Number of the file among those of the [`Watched`], from 0
    pub file: usize,
    /// The reason, as a clause about `it`, the file
    pub text: String,
}

/// The state of files, for the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Why the files are not used as they are; the last good state is in force.
    pub problem: Option<String>,
    /// Problems with which they are used.
    pub findings: Vec<String>,
}

/// Files, and what was made of them last. Clones share everything.
#[derive(Debug)]
pub struct Watched<R: Reader> {
    shared: Arc<Shared<R>>,
}

#[derive(Debug)]
struct Shared<R: Reader> {
    reader: R,
    paths: Box<[PathBuf]>,
    state: RwLock<State<R::Value>>,
    opened: Instant,
    /// When the paths were last found to lead to what was read, in nanoseconds since `opened`
    found: AtomicU64,
    /// When the last look at the files began. Held during the next one.
    looking: tokio::sync::Mutex<Option<Instant>>,
    /// Held while the files are read: a look may still be under way after its request went away.
    reading: Mutex<()>,
    status: Mutex<Status>,
}

#[derive(Debug)]
struct State<T> {
    /// The state of each path at the last look
    seen: Vec<Seen>,
    /// Hash of the contents of the files, also of damaged ones; `None` when one could not be read
    content: Option<[u8; 32]>,
    /// What the last good contents mean
    value: Arc<T>,
}

/// The state of a path at a look.
#[derive(Debug)]
enum Seen {
    Nothing,
    /// A file that could change without another signature
    Fresh,
    /// A file that has another signature when it changes
    Settled(Signature, Opened),
    Error(io::ErrorKind),
}

impl<R: Reader> Clone for Watched<R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<R: Reader> Watched<R> {
    /// Path of the first file.
    pub fn path(&self) -> &Path {
        self.shared.paths.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Looks at the files at `paths`; `initial` is in force until they are good.
    pub fn open(reader: R, paths: Vec<PathBuf>, initial: R::Value) -> Self {
        let watched = Self {
            shared: Arc::new(Shared {
                reader,
                state: RwLock::new(State {
                    seen: paths.iter().map(|_| Seen::Nothing).collect(),
                    content: None,
                    value: Arc::new(initial),
                }),
                paths: paths.into(),
                opened: Instant::now(),
                found: AtomicU64::new(0),
                looking: tokio::sync::Mutex::default(),
                reading: Mutex::default(),
                status: Mutex::default(),
            }),
        };
        watched.shared.look();
        watched
    }

    /// What `use_it` makes of what is in force, if the files are as they were; `None`: call [`refresh`](Self::refresh). One
    /// system call for each file, no allocation, and no count of references that processors contend for.
    pub fn if_unchanged<T>(&self, use_it: impl FnOnce(&R::Value) -> T) -> Option<T> {
        let state = self.shared.state.read();
        self.shared
            .is_unchanged(&state.seen)
            .then(|| use_it(&state.value))
    }

    /// What `use_it` makes of what was in force at the last look.
    pub fn with_current<T>(&self, use_it: impl FnOnce(&R::Value) -> T) -> T {
        use_it(&self.shared.state.read().value)
    }

    /// What was in force at the last look.
    pub fn current(&self) -> Arc<R::Value> {
        Arc::clone(&self.shared.state.read().value)
    }

    /// What is in force, after a look at the files if they changed. A look that began after this call is as good as a new one.
    pub async fn refresh(&self) -> Arc<R::Value> {
        let called = Instant::now();
        let unchanged = {
            let state = self.shared.state.read();
            let is_unchanged = self.shared.is_unchanged(&state.seen);
            is_unchanged.then(|| Arc::clone(&state.value))
        };
        if let Some(value) = unchanged {
            return value;
        }
        let mut looking = self.shared.looking.lock().await;
        if looking.is_none_or(|began| began < called) {
            let began = Instant::now();
            let shared = Arc::clone(&self.shared);
            let span = tracing::Span::current();
            let look = move || span.in_scope(|| shared.look());
            if let Err(error) = tokio::task::spawn_blocking(look).await {
                tracing::error!(%error, "cannot look at the {}; the last good state stays in force", R::NAME);
            }
            *looking = Some(began);
        }
        self.current()
    }

    /// The state of the files at the last look.
    pub fn status(&self) -> Status {
        self.shared.status.lock().clone()
    }
}

impl<R: Reader> Shared<R> {
    fn is_unchanged(&self, seen: &[Seen]) -> bool {
        let now = u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let age = now.saturating_sub(self.found.load(Ordering::Relaxed));
        if u128::from(age) < PATH.as_nanos() && seen.iter().all(Seen::is_untouched) {
            return true;
        }
        let mut paths = self.paths.iter().zip(seen);
        let is_unchanged = paths.all(|(path, seen)| seen.is_still_at(path));
        if is_unchanged {
            self.found.store(now, Ordering::Relaxed);
        }
        is_unchanged
    }

    /// Reads the files, and puts in force what can be. What was seen and what is in force change together: a request must
    /// never find the new signature beside the old value.
    fn look(&self) {
        let _one_at_a_time = self.reading.lock();
        let read: Vec<io::Result<Contents>> = self
            .paths
            .iter()
            .map(|path| file::read_whole(path, R::SIZE_LIMIT))
            .collect();
        let (seen, whole): (Vec<Seen>, Vec<io::Result<Vec<u8>>>) = read.into_iter().map(Seen::split).unzip();
        let mut bytes = Vec::new();
        for (file, read) in whole.iter().enumerate() {
            match read {
                Ok(whole) => bytes.push(&**whole),
                Err(error) => return self.unreadable(seen, file, error),
            }
        }
        self.take(seen, &bytes);
    }

    fn unreadable(&self, seen: Vec<Seen>, file: usize, error: &io::Error) {
        let value = {
            let mut state = self.state.write();
            state.seen = seen;
            state.content = None;
            Arc::clone(&state.value)
        };
        let text = match error.kind() {
            io::ErrorKind::NotFound => "it is gone".to_owned(),
            _ => format!("it cannot be read: {error}"),
        };
        self.complain(&Damage { file, text }, &value);
    }

    fn take(&self, seen: Vec<Seen>, contents: &[&[u8]]) {
        let content = digest(contents);
        let old = {
            let mut state = self.state.write();
            if state.content == Some(content) {
                state.seen = seen;
                return;
            }
            Arc::clone(&state.value)
        };
        let read = self.reader.read(contents, &old);
        let (value, result) = match read {
            Ok(Read { value, findings }) => (Arc::new(value), Ok(findings)),
            Err(damage) => (old, Err(damage)),
        };
        let content = Some(content);
        let in_force = Arc::clone(&value);
        *self.state.write() = State { seen, content, value };
        match result {
            Ok(findings) => self.praise(findings, &in_force),
            Err(damage) => self.complain(&damage, &in_force),
        }
    }

    /// Tells that the files have new contents, which are in force.
    fn praise(&self, mut findings: Vec<String>, value: &R::Value) {
        let paths = self.shown_paths();
        let more = findings.len().saturating_sub(FINDINGS);
        findings.truncate(FINDINGS);
        if more > 0 {
            findings.push(format!("{more} more lines like these"));
        }
        for finding in &findings {
            tracing::warn!("{} {paths}, {finding}", R::NAME);
        }
        R::announce(value, &paths);
        let problem = None;
        *self.status.lock() = Status { problem, findings };
    }

    /// Tells that the files are not used as they are, once for each reason.
    fn complain(&self, damage: &Damage, value: &R::Value) {
        let path = self
            .paths
            .get(damage.file)
            .map_or(Path::new(""), PathBuf::as_path);
        let problem = format!("`{}`: {}", path.display(), damage.text);
        let mut status = self.status.lock();
        if status.problem.as_ref() != Some(&problem) {
            tracing::error!("{} {problem}; {} stays in force", R::NAME, R::last_good(value));
        }
        status.problem = Some(problem);
    }

    fn shown_paths(&self) -> String {
        let paths: Vec<String> = self
            .paths
            .iter()
            .map(|path| format!("`{}`", path.display()))
            .collect();
        paths.join(" and ")
    }
}

impl Seen {
    /// What was seen at a path, and what was read there.
    fn split(read: io::Result<Contents>) -> (Self, io::Result<Vec<u8>>) {
        match read {
            Ok(contents) if contents.is_settled => (
                Self::Settled(contents.signature, contents.opened),
                Ok(contents.bytes),
            ),
            Ok(contents) => (Self::Fresh, Ok(contents.bytes)),
            Err(error) => (Self::Error(error.kind()), Err(error)),
        }
    }

    /// Whether the same file is at the path now, and cannot have changed.
    fn is_still_at(&self, path: &Path) -> bool {
        match (self, file::signature(path)) {
            (Self::Settled(seen, _), Ok(now)) => *seen == now,
            (Self::Error(seen), Err(now)) => *seen == now.kind(),
            (Self::Nothing | Self::Fresh | Self::Settled(..) | Self::Error(_), _) => false,
        }
    }

    /// Whether the file that was read cannot have changed, wherever it is now.
    fn is_untouched(&self) -> bool {
        match self {
            Self::Settled(seen, file) => file.signature().is_ok_and(|now| now == *seen),
            Self::Nothing | Self::Fresh | Self::Error(_) => false,
        }
    }
}

fn digest(contents: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for bytes in contents {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().into()
}
