//! A password file, read again as soon as it changes, and never a reason to lock all users out.
//!
//! **Which list is in force.** The file is [watched](wharf_watched): a change is in force for the very next request, that of
//! a link or directory above it within a millisecond.
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

pub use edit::{
    Change, EditError, Edited, Listing, User, Verdict, Version, WeakPasswords, add, apply, check_name,
    list_users, listing, remove, set, start_anew, verify, weak_passwords,
};

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use wharf_watched::{Damage, Read, Watched};
use wharf_workers::Worker;

use crate::{
    credentials::Basic,
    decision::Reason,
    files,
    password::{self, NoRandomness},
    queue::Network,
    stamp::Stamp,
};
use checks::Checks;
use list::Users;

/// The most bytes that a password file may have: some 40,000 users.
const SIZE_LIMIT: u64 = 4 << 20;

/// The user of a file that is made because there was none, as in registry:2.
const FIRST_USER: &str = "docker";

/// The users in a password file. Clones share everything.
#[derive(Debug, Clone)]
pub struct Htpasswd {
    file: Watched<Reader>,
    checks: Arc<Checks>,
}

/// Reads the users of a password file.
#[derive(Debug)]
struct Reader;

/// The state of a password file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Number of users that can log in.
    pub users: usize,
    /// Why the current file is not used; the last good list is in force.
    pub problem: Option<String>,
    /// Problems of single lines of the list that is in force.
    pub findings: Vec<String>,
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

/// The password file must be looked at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileChanged;

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
        if matches!(path.try_exists(), Ok(false)) {
            provisioned = provision(path)?;
        }
        Self::check(path)?;
        let checks = Arc::new(Checks::new()?);
        let file = Watched::open(Reader, vec![path.to_owned()], Users::default().into());
        Ok((Self { file, checks }, provisioned))
    }

    /// Whether the password file, which exists, can be read.
    ///
    /// # Errors
    /// When it cannot be read, or is not a file.
    pub fn check(path: &Path) -> Result<(), OpenError> {
        let read = wharf_watched::read(path, SIZE_LIMIT);
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
        let recognised = self.file.if_unchanged(|users| {
            let user = users.find(basic.name())?;
            let is_right = self.checks.remembers(user, basic.password());
            is_right.then(|| Arc::clone(user.name()))
        });
        recognised.flatten()
    }

    /// The state of the user `name`, if that is known at once; `Ok(None)`: there is no such user. One system call.
    ///
    /// # Errors
    /// [`FileChanged`]: call [`stamp`](Self::stamp), which reads the file.
    pub fn stamp_at_once(&self, name: &str) -> Result<Option<Stamp>, FileChanged> {
        let stamp = |users: &Users| users.find(name).map(|user| user.stamp());
        self.file.if_unchanged(stamp).ok_or(FileChanged)
    }

    /// The state of the user `name`; `None`: there is no such user.
    pub async fn stamp(&self, name: &str) -> Option<Stamp> {
        let users = self.file.refresh().await;
        users.find(name).map(|user| user.stamp())
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
        let users = self.file.refresh().await;
        self.checks.check(&users, basic, network).await
    }

    /// The state of the file, for the operator.
    pub fn status(&self) -> Status {
        let wharf_watched::Status { problem, findings } = self.file.status();
        Status {
            users: self.file.current().len(),
            problem,
            findings,
        }
    }

    /// The worker that forgets the passwords that were not used for some minutes. Without it they are remembered as
    /// long as their lines are in the file.
    pub fn worker(&self) -> impl Worker + use<> {
        self.checks.worker()
    }

    /// Looks for well-known passwords, on a thread of its own with the lowest priority, and warns.
    pub fn look_for_weak_passwords(&self) {
        checks::look_for_weak_passwords(self.file.current());
    }
}

impl wharf_watched::Reader for Reader {
    type Value = Users;

    const NAME: &'static str = "password file";
    const SIZE_LIMIT: u64 = SIZE_LIMIT;

    fn read(&self, contents: &[&[u8]], old: &Users) -> Result<Option<Read<Users>>, Damage> {
        let bytes = contents.first().copied().unwrap_or_default();
        let (users, findings) = Users::read(bytes, old).map_err(|damage| Damage {
            file: Some(0),
            text: format!("it is damaged: {damage}"),
        })?;
        Ok(Some(Read {
            value: users,
            findings: findings.iter().map(list::Finding::to_string).collect(),
        }))
    }

    fn last_good(users: &Users) -> String {
        format!("the last good list with {} users", users.len())
    }

    fn announce(&self, users: &Users, paths: &str) {
        match users.len() {
            0 => tracing::warn!("password file {paths} has no users: no user can log in"),
            users => tracing::info!(users, "read the password file {paths}"),
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
