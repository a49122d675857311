//! Watched files: the look at them, what is in force, and what the log says about it.

use std::{
    fmt, io, mem,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::OwnedMutexGuard,
    task::{JoinHandle, spawn_blocking},
    time,
};

use crate::file::{self, Opened, Signature};

/// How long a look at the paths is good, for the changes that the open files do not show.
const PATH: Duration = Duration::from_millis(1);

/// How long a file that cannot be read is left alone while it is the same: the cause may lie elsewhere, as with a process that has
/// too many files open.
const RETRY: Duration = Duration::from_secs(1);

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

    /// How long the files may be damaged before that is an error: they may be being replaced, one after the other. It becomes
    /// one with the first use after this time.
    const GRACE: Duration = Duration::ZERO;

    /// Makes a value of the contents of the files, in their order. `old` is the last one; `None`: they mean the same as then.
    ///
    /// # Errors
    ///
    /// When the files cannot be used: `old` stays in force.
    fn read(&self, contents: &[&[u8]], old: &Self::Value) -> Result<Option<Read<Self::Value>>, Damage>;

    /// The damage of a file that cannot be read; `file` is its number.
    fn unreadable(&self, file: usize, error: &io::Error) -> Damage {
        let text = match error.kind() {
            io::ErrorKind::NotFound => "it is gone".to_owned(),
            _ => format!("it cannot be read: {error}"),
        };
        Damage {
            file: Some(file),
            text,
        }
    }

    /// What stays in force, for a sentence: `the last good list with 3 users`
    fn last_good(value: &Self::Value) -> String;

    /// Tells that `value` is in force, which was read from `paths`.
    fn announce(&self, value: &Self::Value, paths: &str);

    /// Tells a problem with which the files at `paths` are used all the same.
    fn warn(&self, finding: &str, paths: &str) {
        tracing::warn!("{} {paths}, {finding}", Self::NAME);
    }
}

/// Files that were read.
#[derive(Debug)]
pub struct Read<T> {
    /// What is made of them
    pub value: T,
    /// Problems with which the files are used all the same
    pub findings: Vec<String>,
}

impl<T> From<T> for Read<T> {
    /// Files without problems.
    fn from(value: T) -> Self {
        let findings = Vec::new();
        Self { value, findings }
    }
}

/// Why files cannot be used.
#[derive(Debug)]
pub struct Damage {
    /// Number of the file among those of the [`Watched`], from 0; `None`: the text says which
    pub file: Option<usize>,
    /// The reason, as a clause about `it`, the file, or as a sentence that names the file
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
    /// Replaced as a whole, by looks alone. Of what may wait for a disk, only the open files are compared under the lock: no path
    /// is looked at, and no file is read or closed.
    state: RwLock<Arc<State<R::Value>>>,
    opened: Instant,
    /// When the last look at the files that came to its end began. Held during the next one, by the thread that looks: its request
    /// may go away.
    looking: Arc<tokio::sync::Mutex<Option<Instant>>>,
    status: Mutex<Status>,
}

#[derive(Debug)]
struct State<T> {
    /// The state of each path at the last look
    seen: Vec<Seen>,
    /// When that look began, in nanoseconds since [`Shared::opened`]
    looked: u64,
    /// When the paths were last found to lead to what was seen, likewise
    found: AtomicU64,
    /// Hash of the contents of the files, also of damaged ones; `None` when one could not be read, or must be read again
    content: Option<[u8; 32]>,
    /// What the last good contents mean
    value: Arc<T>,
    /// Time of the look that found the files damaged first; `None`: they are good
    damaged: Option<time::Instant>,
}

/// The state of a path at a look.
#[derive(Debug)]
enum Seen {
    /// There was no look, or the next use must look again
    Nothing,
    /// A file that could change without another signature
    Fresh,
    /// A file that has another signature when it changes
    Settled(Signature, Opened),
    /// What cannot be read: it has another signature when it is mended, unless the cause lies elsewhere
    Unreadable(Signature),
    /// Nothing, or nothing that can be reached
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

    /// Looks at the files at `paths`; `initial` is in force until they are good. Its findings are not told again.
    pub fn open(reader: R, paths: Vec<PathBuf>, initial: Read<R::Value>) -> Self {
        let state = State {
            seen: nothing(&paths),
            looked: 0,
            found: AtomicU64::default(),
            content: None,
            value: Arc::new(initial.value),
            damaged: None,
        };
        let watched = Self {
            shared: Arc::new(Shared {
                reader,
                paths: paths.into(),
                state: RwLock::new(Arc::new(state)),
                opened: Instant::now(),
                looking: Arc::default(),
                status: Mutex::new(Status {
                    problem: None,
                    findings: initial.findings,
                }),
            }),
        };
        watched.shared.look();
        watched
    }

    /// What `use_it` makes of what is in force, if the files are as they were; `None`: call [`refresh`](Self::refresh). One
    /// system call for each file, and no allocation. Of what processors contend for, it changes the word of one lock, and no
    /// count of references besides; once in a millisecond the paths are looked at as well.
    pub fn if_unchanged<T>(&self, use_it: impl FnOnce(&R::Value) -> T) -> Option<T> {
        self.shared.if_unchanged(|value| use_it(value))
    }

    /// What `use_it` makes of what was in force at the last look.
    pub fn with_current<T>(&self, use_it: impl FnOnce(&R::Value) -> T) -> T {
        use_it(&self.shared.state.read_recursive().value)
    }

    /// What was in force at the last look.
    pub fn current(&self) -> Arc<R::Value> {
        // Also while a look waits for the lock, which a comparison of the files has: this use must not wait for a disk.
        Arc::clone(&self.shared.state.read_recursive().value)
    }

    /// What is in force, after a look at the files if they changed. A look that began after this call is as good as a new one.
    pub async fn refresh(&self) -> Arc<R::Value> {
        let called = Instant::now();
        if let Some(value) = self.shared.if_unchanged(Arc::clone) {
            return value;
        }
        let looking = Arc::clone(&self.shared.looking).lock_owned().await;
        if looking.is_none_or(|began| began < called) {
            let look = self.on_a_thread(looking, Shared::look);
            if let Err(error) = look.await {
                Self::cannot_look(&error);
            }
        }
        self.current()
    }

    /// What is in force, after a look at the files if they changed. A disk that takes its time holds the caller for `patience`
    /// at most, and other callers not at all: while one look is under way they go by the last one, and no second thread begins
    /// another.
    pub async fn refresh_within(&self, patience: Duration) -> Arc<R::Value> {
        if let Ok(looking) = Arc::clone(&self.shared.looking).try_lock_owned() {
            let look = self.on_a_thread(looking, Shared::look_if_changed);
            if let Ok(Err(error)) = time::timeout(patience, look).await {
                Self::cannot_look(&error);
            }
        }
        self.current()
    }

    /// The state of the files at the last look.
    pub fn status(&self) -> Status {
        self.shared.status.lock().clone()
    }

    /// Calls `look` where it may wait for the disk.
    fn on_a_thread(
        &self,
        mut looking: OwnedMutexGuard<Option<Instant>>,
        look: fn(&Shared<R>),
    ) -> JoinHandle<()> {
        let shared = Arc::clone(&self.shared);
        let span = tracing::Span::current();
        spawn_blocking(move || {
            let began = Instant::now();
            span.in_scope(|| look(&shared));
            // Not before its end: a look that panics is good for no other use.
            *looking = Some(began);
        })
    }

    fn cannot_look(error: &dyn fmt::Display) {
        tracing::error!(%error, "cannot look at the {}; the last good state stays in force", R::NAME);
    }
}

impl<R: Reader> Shared<R> {
    fn if_unchanged<T>(&self, use_it: impl FnOnce(&Arc<R::Value>) -> T) -> Option<T> {
        {
            let state = self.state.read();
            if state.is_untouched(self.now()) {
                return Some(use_it(&state.value));
            }
        }
        self.if_in_place(file::signature, use_it)
    }

    /// What `use_it` makes of what is in force, if the paths, each with the signature that `signature_at` gives, still lead to
    /// what was seen. That may take a disk its time, so the lock is not held meanwhile, and what is used is the state that was
    /// compared, whatever a look has put in its place since.
    fn if_in_place<T>(
        &self,
        signature_at: impl Fn(&Path) -> io::Result<Signature>,
        use_it: impl FnOnce(&Arc<R::Value>) -> T,
    ) -> Option<T> {
        let state = self.state();
        let now = self.now();
        let mut paths = self.paths.iter().zip(&state.seen);
        if state.is_due(now) || !paths.all(|(path, seen)| seen.is_still(signature_at(path))) {
            return None;
        }
        state.found.store(now, Ordering::Relaxed);
        Some(use_it(&state.value))
    }

    fn state(&self) -> Arc<State<R::Value>> {
        Arc::clone(&self.state.read())
    }

    /// Nanoseconds since `opened`.
    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn look_if_changed(&self) {
        if self.if_unchanged(|_| ()).is_none() {
            self.look();
        }
    }

    /// Reads the files, and puts in force what can be. What was seen and what is in force change together: a request must
    /// never find the new signature beside the old value. One look at a time: it goes by the state that it will replace.
    fn look(&self) {
        let looked = self.now();
        let (seen, whole): (Vec<Seen>, Vec<io::Result<Vec<u8>>>) = self
            .paths
            .iter()
            .map(|path| Seen::read(path, R::SIZE_LIMIT))
            .unzip();
        let old = self.state();
        let state = State {
            seen,
            looked,
            found: AtomicU64::new(looked),
            content: None,
            value: Arc::clone(&old.value),
            damaged: old.damaged,
        };
        let mut bytes = Vec::new();
        for (file, read) in whole.iter().enumerate() {
            match read {
                Ok(whole) => bytes.push(&**whole),
                Err(error) => return self.keep(state, &self.reader.unreadable(file, error)),
            }
        }
        self.take(state, &old, &bytes);
    }

    /// Puts in force what the contents mean; `state` has the value of `old`.
    fn take(&self, mut state: State<R::Value>, old: &State<R::Value>, contents: &[&[u8]]) {
        state.content = Some(digest(contents));
        if state.content == old.content {
            return self.put(state);
        }
        let read = match self.reader.read(contents, &old.value) {
            Ok(read) => read,
            Err(damage) => return self.keep(state, &damage),
        };
        state.damaged = None;
        let Some(Read { value, findings }) = read else {
            self.put(state);
            return self.forgive();
        };
        let value = Arc::new(value);
        state.value = Arc::clone(&value);
        self.put(state);
        self.praise(findings, &value);
    }

    /// Keeps what is in force, and tells of the damage if it has lasted.
    fn keep(&self, mut state: State<R::Value>, damage: &Damage) {
        let since = *state.damaged.get_or_insert_with(time::Instant::now);
        if since.elapsed() < R::GRACE {
            // The next use looks again, whether the files have changed or not.
            (state.seen, state.content) = (nothing(&self.paths), None);
            return self.put(state);
        }
        let value = Arc::clone(&state.value);
        self.put(state);
        self.complain(damage, &value);
    }

    fn put(&self, state: State<R::Value>) {
        let old = mem::replace(&mut *self.state.write(), Arc::new(state));
        // Its files are closed without the lock.
        drop(old);
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
            self.reader.warn(finding, &paths);
        }
        self.reader.announce(value, &paths);
        let problem = None;
        *self.status.lock() = Status { problem, findings };
    }

    /// Tells that the files are as good as before they were damaged, if their damage was told.
    fn forgive(&self) {
        if self.status.lock().problem.take().is_some() {
            tracing::info!("the {} can be used again", R::NAME);
        }
    }

    /// Tells that the files are not used as they are, once for each reason.
    fn complain(&self, damage: &Damage, value: &R::Value) {
        let path = damage.file.and_then(|file| self.paths.get(file));
        let (name, problem) = match path {
            Some(path) => (
                format!("{} ", R::NAME),
                format!("`{}`: {}", path.display(), damage.text),
            ),
            None => (String::new(), damage.text.clone()),
        };
        let told = self.status.lock().problem.replace(problem.clone());
        if told.as_ref() != Some(&problem) {
            tracing::error!("{name}{problem}; {} stays in force", R::last_good(value));
        }
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

impl<T> State<T> {
    /// Whether the paths were found a moment ago, and none of the files that were read has changed since.
    fn is_untouched(&self, now: u64) -> bool {
        let age = now.saturating_sub(self.found.load(Ordering::Relaxed));
        u128::from(age) < PATH.as_nanos() && self.seen.iter().all(Seen::is_untouched)
    }

    /// Whether it is time to try again what could not be read.
    fn is_due(&self, now: u64) -> bool {
        let age = now.saturating_sub(self.looked);
        let is_unreadable = |seen: &Seen| matches!(seen, Seen::Unreadable(_));
        u128::from(age) >= RETRY.as_nanos() && self.seen.iter().any(is_unreadable)
    }
}

impl Seen {
    /// What is seen at a path, and what is read there.
    fn read(path: &Path, limit: u64) -> (Self, io::Result<Vec<u8>>) {
        // Before the file is read: if it cannot be, a change meanwhile shows at the next use.
        let found = file::signature(path);
        match (file::read_whole(path, limit), found) {
            (Ok(contents), _) => {
                let seen = match contents.is_settled {
                    true => Self::Settled(contents.signature, contents.opened),
                    false => Self::Fresh,
                };
                (seen, Ok(contents.bytes))
            }
            (Err(error), Ok(signature)) => (Self::Unreadable(signature), Err(error)),
            (Err(error), Err(missing)) => (Self::Error(missing.kind()), Err(error)),
        }
    }

    /// Whether a path still leads to this, which cannot have changed; `now` is what is there now.
    fn is_still(&self, now: io::Result<Signature>) -> bool {
        match (self, now) {
            (Self::Settled(seen, _) | Self::Unreadable(seen), Ok(now)) => *seen == now,
            (Self::Error(seen), Err(now)) => *seen == now.kind(),
            (_, Ok(_) | Err(_)) => false,
        }
    }

    /// Whether the file that was read cannot have changed, wherever it is now.
    fn is_untouched(&self) -> bool {
        match self {
            Self::Settled(seen, file) => file.signature().is_ok_and(|now| now == *seen),
            Self::Nothing | Self::Fresh | Self::Unreadable(_) | Self::Error(_) => false,
        }
    }
}

/// The state of paths before the first look.
fn nothing(paths: &[PathBuf]) -> Vec<Seen> {
    paths.iter().map(|_| Seen::Nothing).collect()
}

fn digest(contents: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for bytes in contents {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
