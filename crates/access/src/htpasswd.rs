//! A password file, read again as soon as it changes, and never a reason to lock all users out.
//!
//! **Which list is in force.** Each check compares the file with what was read last: device, inode, size, and
//! both time stamps, the one that can be set and the one that cannot. A file that changed a moment ago could change
//! again within the same stamp, so until its stamps are old it is compared by content. A change is
//! therefore in force for the very next request, also one that keeps size and modification time.
//!
//! **When it is damaged.** A line that is no entry, or whose hash is not usable, disables its own user and
//! no other. A file that cannot be read, or in which nothing is an entry, is taken for an accident: the last good
//! list stays in force. An empty file has no users.
//!
//! **What a check costs.** A right password is remembered as a keyed hash inside the entry that it belongs to, so
//! it is forgotten with its line, by construction. Everything else pays the price of bcrypt on another thread; see
//! [`checks`].

mod admission;
mod checks;
mod edit;
mod list;
mod memory;
mod status;

pub use edit::{
    Change, EditError, Edited, Listing, User, Verdict, Version, add, apply, list_users, listing, remove, set,
    start_anew, verify,
};
pub use status::Status;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use wharf_workers::Worker;

use crate::{
    credentials::Basic,
    decision::Reason,
    files::{self, Contents, Signature},
    password::{self, NoRandomness},
    queue::Network,
};
use checks::Checks;
use list::Users;
use status::Report;

/// The most bytes that a password file may have: some 40,000 users.
const SIZE_LIMIT: u64 = 4 << 20;

/// A file that was changed less than this ago and does not end with a newline may be half written.
const WRITING: Duration = Duration::from_millis(50);

/// How long to wait for the rest of a half-written file.
const WRITING_WAIT: Duration = Duration::from_millis(20);

/// The user of a file that is made because there was none, as in registry:2.
const FIRST_USER: &str = "docker";

/// The users in a password file. Clones share everything.
#[derive(Debug, Clone)]
pub struct Htpasswd {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    state: RwLock<State>,
    /// When the last look at the file began. Held during the next one.
    looking: tokio::sync::Mutex<Option<Instant>>,
    /// Held while the file is read: a look whose request went away may still be under way.
    reading: Mutex<()>,
    checks: Checks,
    report: Mutex<Report>,
}

#[derive(Debug)]
struct State {
    seen: Seen,
    /// Keyed hash of the file's content, also of a damaged one.
    content: Option<[u8; 32]>,
    /// Users of the last good content.
    users: Arc<Users>,
}

/// The state of the path at the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// A file, and whether its signature is enough to tell whether it changed.
    File(Signature, bool),
    Error(io::ErrorKind),
}

/// Why the password file cannot be used at the start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file exists and cannot be read.
    #[error("cannot read the password file `{}`: {error}{hint}", path.display())]
    Read {
        /// Path of the password file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
        /// Remedy for the operator; may be empty.
        hint: &'static str,
    },
    /// The file does not exist and cannot be created.
    #[error(
        "there is no password file `{}`, and it cannot be created: {error}; create it with `wharf user add NAME --file …`",
        path.display()
    )]
    Create {
        /// Path of the password file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// No random password or key can be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// A password file that was created because there was none. Only this value holds the password.
pub struct Provisioned {
    /// Name of the only user.
    pub user: &'static str,
    /// Password of the user, to be shown once and only to the operator.
    pub password: String,
}

impl Htpasswd {
    /// Reads the file at `path`, or makes one with a user and a random password if there is none.
    ///
    /// # Errors
    /// When the file exists and cannot be read, or cannot be created. A file that can be read but is
    /// damaged is no error: it is logged, and no user can log in until it is mended.
    pub fn open(path: &Path) -> Result<(Self, Option<Provisioned>), OpenError> {
        let mut provisioned = None;
        if matches!(files::signature(path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            provisioned = provision(path)?;
        }
        Self::check(path)?;
        let shared = Shared {
            path: path.to_owned(),
            state: RwLock::new(State {
                seen: Seen::Nothing,
                content: None,
                users: Arc::default(),
            }),
            looking: tokio::sync::Mutex::default(),
            reading: Mutex::default(),
            checks: Checks::new()?,
            report: Mutex::default(),
        };
        shared.look();
        Ok((
            Self {
                shared: Arc::new(shared),
            },
            provisioned,
        ))
    }

    /// Whether the password file, which exists, can be read.
    ///
    /// # Errors
    /// When it cannot be read, or is not a file.
    pub fn check(path: &Path) -> Result<(), OpenError> {
        let read = files::read(path, SIZE_LIMIT);
        read.map(drop).map_err(|error| OpenError::Read {
            path: path.to_owned(),
            hint: match error.kind() {
                io::ErrorKind::PermissionDenied => "; the user that the server runs as must be allowed to",
                _ => "",
            },
            error,
        })
    }

    /// The user of these credentials, if it is known at once: the file is unchanged, and this password was
    /// checked not long ago. One system call and one hash of a few bytes.
    pub fn recognise(&self, basic: &Basic) -> Option<Arc<str>> {
        let users = self.shared.users_if_current()?;
        let user = users.find(basic.name())?;
        self.shared
            .checks
            .remembers(user, basic.password())
            .then(|| Arc::clone(user.name()))
    }

    /// The user of these credentials, which came from `network`, if that is known.
    ///
    /// # Errors
    /// [`Reason::WrongCredentials`], after the same time whether there is such a user or not; [`Reason::Busy`] and
    /// [`Reason::Failed`] when the password was not checked.
    pub(crate) async fn authenticate(
        &self,
        basic: &Basic,
        network: Option<Network>,
    ) -> Result<Arc<str>, Reason> {
        self.shared.refresh().await;
        let users = Arc::clone(&self.shared.state.read().users);
        self.shared.checks.check(&users, basic, network).await
    }

    /// The state of the file, for the operator.
    pub fn status(&self) -> Status {
        self.shared.report.lock().status(&self.shared.path)
    }

    /// The worker that forgets the passwords that were not used for some minutes. Without it they are remembered as
    /// long as their lines are in the file.
    pub fn worker(&self) -> impl Worker + use<> {
        self.shared.checks.worker()
    }

    /// Looks for well-known passwords, on a thread of its own with the lowest priority, and warns.
    pub fn look_for_weak_passwords(&self) {
        let users = Arc::clone(&self.shared.state.read().users);
        checks::look_for_weak_passwords(users);
    }
}

impl Shared {
    /// The users; `None` when the file must be looked at first.
    fn users_if_current(&self) -> Option<Arc<Users>> {
        let now = Seen::at(&self.path);
        let state = self.state.read();
        (state.seen == now).then(|| Arc::clone(&state.users))
    }

    /// Looks at the file if it changed. A look that began after this call began is as good as a new one.
    async fn refresh(self: &Arc<Self>) {
        let called = Instant::now();
        if self.users_if_current().is_some() {
            return;
        }
        let mut looking = self.looking.lock().await;
        if looking.is_some_and(|began| began >= called) {
            return;
        }
        let began = Instant::now();
        let shared = Arc::clone(self);
        let span = tracing::Span::current();
        let look = move || span.in_scope(|| shared.look());
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::error!(%error, "cannot look at the password file; the last good list stays in force");
        }
        *looking = Some(began);
    }

    /// Reads the file, and puts in force what can be. What was seen and what is in force change together: a
    /// request must never find the new signature beside the old users.
    fn look(&self) {
        let _one_at_a_time = self.reading.lock();
        match read_whole(&self.path) {
            Ok(contents) => self.take(&contents),
            Err(error) => {
                let mut state = self.state.write();
                state.seen = Seen::Error(error.kind());
                state.content = None;
                let users = state.users.len();
                drop(state);
                self.report.lock().unreadable(&self.path, &error, users);
            }
        }
    }

    fn take(&self, contents: &Contents) {
        let seen = Seen::File(contents.signature, contents.is_settled);
        let content = self.checks.digest(&contents.bytes);
        let old = {
            let mut state = self.state.write();
            if state.content == Some(content) {
                state.seen = seen;
                return;
            }
            Arc::clone(&state.users)
        };
        let read = Users::read(&contents.bytes, &old);
        let (users, findings) = match read {
            Ok((users, findings)) => (Arc::new(users), Ok(findings)),
            Err(damage) => (old, Err(damage)),
        };
        let count = users.len();
        *self.state.write() = State {
            seen,
            content: Some(content),
            users,
        };
        self.report.lock().read(&self.path, count, findings);
    }
}

impl Seen {
    /// What is at the path now; equal to an earlier value only if nothing can have changed.
    fn at(path: &Path) -> Self {
        match files::signature(path) {
            Ok(signature) => Self::File(signature, true),
            Err(error) => Self::Error(error.kind()),
        }
    }
}

impl std::fmt::Debug for Provisioned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provisioned")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Reads the file; waits a moment when another process seems to be writing it in several pieces.
fn read_whole(path: &Path) -> io::Result<Contents> {
    let contents = files::read(path, SIZE_LIMIT)?;
    let is_complete = contents.bytes.ends_with(b"\n") || contents.bytes.ends_with(b"\n\0");
    if is_complete || contents.age > WRITING {
        return Ok(contents);
    }
    thread::sleep(WRITING_WAIT);
    files::read(path, SIZE_LIMIT)
}

/// Creates the file. `None`: another process just did.
fn provision(path: &Path) -> Result<Option<Provisioned>, OpenError> {
    // As long as that of registry:2: 43 characters are 256 bits.
    let password = password::generate(43)?;
    let line = format!(
        "{FIRST_USER}:{}\n",
        password::hash(password.as_bytes(), password::DEFAULT_COST)?
    );
    match files::create(path, line.as_bytes()) {
        Ok(()) => Ok(Some(Provisioned {
            user: FIRST_USER,
            password,
        })),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(OpenError::Create {
            path: path.to_owned(),
            error,
        }),
    }
}

#[cfg(test)]
mod tests;
