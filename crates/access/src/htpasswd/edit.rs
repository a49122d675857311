//! Changing a password file: under a lock, whole or not at all, and without touching the lines of other users.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use super::{
    SIZE_LIMIT,
    checks::find_weak_passwords,
    list::{self, Damage, Line, Users, What},
};
use crate::{bcrypt::Bcrypt, files};

/// The outcome of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// The user is new.
    Added,
    /// The user existed, and has the new hash now.
    Updated,
    /// The user existed, and was removed.
    Removed,
    /// The user does not exist; nothing was changed.
    NotFound,
}

/// A change of a file.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Adds a user, who must not exist, with the hash of a password. Creates the file, and the directories above it.
    Add(&'a str, &'a str),
    /// Gives a user, who must exist, the hash of another password.
    SetPassword(&'a str, &'a str),
    /// Removes a user.
    Remove(&'a str),
}

/// The version of a file: another content has another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

/// The users of a file, and the version in which they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The users, in the order of the file.
    pub users: Vec<User>,
    /// Version of the file.
    pub version: Version,
}

/// Why a file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The name cannot stand in a password file.
    #[error("{0:?} cannot be a user name: {1}")]
    Name(String, &'static str),
    /// A user of that name exists already.
    #[error("there is a user `{0}` already; `wharf user passwd` changes the password")]
    Exists(String),
    /// The text is not a usable bcrypt hash.
    #[error("the hash cannot be used: {0}")]
    Hash(String),
    /// The file has another version than the one that the change was made for.
    #[error("the password file `{}` has changed meanwhile", path.display())]
    Changed {
        /// Path of the password file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("cannot change the password file `{}`: {error}", path.display())]
    Io {
        /// Path of the password file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The file is not a list of users.
    #[error("`{}` is not a password file: {why}", path.display())]
    Damaged {
        /// Path of the password file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
}

/// One entry of a file, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name of the user.
    pub name: String,
    /// Cost of the hash; `None` for a user that cannot log in.
    pub cost: Option<u8>,
    /// Why the user cannot log in.
    pub problem: Option<String>,
}

/// Adds a user; creates the file, and the directories above it, when they do not exist.
///
/// # Errors
/// When there is such a user, or the file cannot be changed.
pub fn add(path: &Path, name: &str, hash: &str) -> Result<(), EditError> {
    apply(path, Change::Add(name, hash), None).map(drop)
}

/// Creates a file with one user, or replaces an existing file by it.
///
/// # Errors
/// When the file cannot be written.
pub fn start_anew(path: &Path, name: &str, hash: &str) -> Result<(), EditError> {
    check_name(name)?;
    let line = format!("{name}:{hash}\n");
    match files::create(path, line.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let _lock = files::lock(path).map_err(|error| io_error(path, error))?;
            files::replace(path, line.as_bytes()).map_err(|error| io_error(path, error))
        }
        result => result.map_err(|error| io_error(path, error)),
    }
}

/// The result of a password check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is that of the user.
    Right,
    /// The password is wrong.
    Wrong,
    /// There is no such user, or none with a usable hash.
    NotFound,
}

/// Checks a password, on this thread.
///
/// # Errors
/// When the file cannot be read.
pub fn verify(path: &Path, name: &str, password: &[u8]) -> Result<Verdict, EditError> {
    let contents = wharf_watched::read(path, SIZE_LIMIT).map_err(|error| io_error(path, error))?;
    let (users, _) =
        Users::read(&contents.bytes, &Users::default()).map_err(|damage| damaged(path, damage))?;
    Ok(match users.find(name) {
        Some(user) if user.hash().verify(password) => Verdict::Right,
        Some(_) => Verdict::Wrong,
        None => Verdict::NotFound,
    })
}

/// Gives a user a new hash, or adds it, in a file that is there.
///
/// # Errors
/// When the file cannot be changed.
pub fn set(path: &Path, name: &str, hash: &str) -> Result<Edited, EditError> {
    check_name(name)?;
    let _lock = files::lock(path).map_err(|error| io_error(path, error))?;
    let (mut lines, _) = Lines::read(path)?;
    let edited = lines.set(name, hash);
    files::replace(path, &lines.text()).map_err(|error| io_error(path, error))?;
    Ok(edited)
}

/// Removes a user.
///
/// # Errors
/// When the file cannot be changed.
pub fn remove(path: &Path, name: &str) -> Result<Edited, EditError> {
    Ok(apply(path, Change::Remove(name), None)?.0)
}

/// Makes `wanted` of a file that has the version `expected`, or any version without one. Gives the new version.
///
/// # Errors
/// When the name or the hash is none, the file has another version or cannot be changed, or there is a user to add.
pub fn apply(
    path: &Path,
    wanted: Change<'_>,
    expected: Option<&Version>,
) -> Result<(Edited, Version), EditError> {
    if let Change::Add(name, hash) | Change::SetPassword(name, hash) = wanted {
        check_name(name)?;
        check_hash(hash)?;
    }
    if let (Change::Add(name, hash), None) = (wanted, expected) {
        let line = format!("{name}:{hash}\n");
        match files::create(path, line.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => {
                result.map_err(|error| io_error(path, error))?;
                return Ok((Edited::Added, Version::of(line.as_bytes())));
            }
        }
    }
    let _lock = files::lock(path).map_err(|error| match expected {
        Some(_) if error.kind() == io::ErrorKind::NotFound => changed(path),
        _ => io_error(path, error),
    })?;
    let (mut lines, version) = Lines::read(path)?;
    if expected.is_some_and(|expected| *expected != version) {
        return Err(changed(path));
    }
    let edited = match wanted {
        Change::Add(name, _) if lines.has(name) => return Err(EditError::Exists(name.to_owned())),
        Change::SetPassword(name, _) if !lines.has(name) => Edited::NotFound,
        Change::Add(name, hash) | Change::SetPassword(name, hash) => lines.set(name, hash),
        Change::Remove(name) => lines.remove(name),
    };
    if edited == Edited::NotFound {
        return Ok((edited, version));
    }
    let text = lines.text();
    files::replace(path, &text).map_err(|error| io_error(path, error))?;
    Ok((edited, Version::of(&text)))
}

/// Lists the users of the file, in its order. Of a name that occurs more than once, the last entry counts.
///
/// # Errors
/// When the file cannot be read.
pub fn list_users(path: &Path) -> Result<Vec<User>, EditError> {
    Ok(listing(path)?.users)
}

/// Lists the users of the file as [`list_users`] does, with the version of the file.
///
/// # Errors
/// When the file cannot be read.
pub fn listing(path: &Path) -> Result<Listing, EditError> {
    let (lines, version) = Lines::read(path)?;
    let mut users: Vec<User> = Vec::new();
    for (name, hash) in lines.0.iter().flat_map(|bytes| match list::line(bytes) {
        Line::Entries(entries) => entries,
        Line::Nothing | Line::Not(_) => Vec::new(),
    }) {
        users.retain(|user| user.name != name);
        let (cost, problem) = match hash {
            Ok(hash) => (Some(hash.cost()), None),
            Err(What::Unusable(_, why)) => (None, Some(why.to_string())),
            Err(_) => (
                None,
                Some("has something behind its hash; user disabled".to_owned()),
            ),
        };
        users.push(User {
            name: name.to_owned(),
            cost,
            problem,
        });
    }
    Ok(Listing { users, version })
}

impl Version {
    fn of(content: &[u8]) -> Self {
        // Half of the digest is enough to tell versions of one file apart.
        let digest = Sha256::digest(content);
        Self(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The version that [`as_str`](Self::as_str) gave as text. A text that is none is the version of no file.
    pub fn named(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The version as text: letters and digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        match (self.cost, &self.problem) {
            (Some(cost), _) => write!(f, "{name}\tbcrypt, cost {cost}"),
            (None, problem) => write!(f, "{name}\t{}", problem.as_deref().unwrap_or_default()),
        }
    }
}

/// Refuses a name that would be read as something else, or cannot be sent: RFC 7617 ends a name at its first colon.
/// Passwords of a file that are easy to guess.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeakPasswords {
    /// The users that have one, sorted
    pub users: Vec<String>,
    /// Whether there was time to try all well-known passwords on all users
    pub is_complete: bool,
}

/// Tries well-known passwords on the users of the file, as long as the tries take no more than `budget`.
///
/// # Errors
/// When the file cannot be read, or is damaged.
pub fn weak_passwords(path: &Path, budget: Duration) -> Result<WeakPasswords, EditError> {
    let contents = wharf_watched::read(path, SIZE_LIMIT).map_err(|error| io_error(path, error))?;
    let (users, _) =
        Users::read(&contents.bytes, &Users::default()).map_err(|damage| damaged(path, damage))?;
    let mut weak = Vec::new();
    let is_complete = find_weak_passwords(&users, budget, |_| {}, |user| weak.push(user.name().to_string()));
    weak.sort();
    weak.dedup();
    Ok(WeakPasswords {
        users: weak,
        is_complete,
    })
}

/// Whether a user may have this name.
///
/// # Errors
/// [`EditError::Name`]: the reason why not.
pub fn check_name(name: &str) -> Result<(), EditError> {
    let why = match name {
        "" => "it is empty",
        _ if name.contains(':') => "it contains `:`, which ends a name",
        _ if name.starts_with('#') => "it begins with `#`, and its line would be a comment",
        _ if name.trim() != name => "it begins or ends with a space",
        _ if name.chars().any(char::is_control) => "it contains a control character",
        _ if name.len() > 255 => "it is longer than 255 bytes",
        _ => return Ok(()),
    };
    Err(EditError::Name(name.to_owned(), why))
}

/// Refuses a text that is not one usable hash, and nothing behind it.
fn check_hash(hash: &str) -> Result<(), EditError> {
    match Bcrypt::parse(hash) {
        Ok((_, "")) => Ok(()),
        Ok(_) => Err(EditError::Hash("something follows it".to_owned())),
        Err(why) => Err(EditError::Hash(why.to_string())),
    }
}

fn changed(path: &Path) -> EditError {
    EditError::Changed {
        path: path.to_owned(),
    }
}

fn io_error(path: &Path, error: io::Error) -> EditError {
    EditError::Io {
        path: path.to_owned(),
        error,
    }
}

/// The lines of a file, without their newlines. Those that hold several entries are already taken apart.
struct Lines(Vec<Vec<u8>>);

impl Lines {
    fn read(path: &Path) -> Result<(Self, Version), EditError> {
        let contents = wharf_watched::read(path, SIZE_LIMIT).map_err(|error| io_error(path, error))?;
        let version = Version::of(&contents.bytes);
        let text = list::decoded(&contents.bytes).map_err(|damage| damaged(path, damage))?;
        let mut lines: Vec<Vec<u8>> = text
            .bytes
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        // The empty rest after the last newline is no line.
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        let lines: Vec<Vec<u8>> = lines.into_iter().flat_map(apart).collect();
        let mut entries = lines
            .iter()
            .filter(|line| !matches!(list::line(line), Line::Nothing))
            .peekable();
        if entries.peek().is_some() && entries.all(|line| list::name_of(line).is_none()) {
            return Err(damaged(path, Damage::NoEntry));
        }
        Ok((Self(lines), version))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|line| list::name_of(line) == Some(name))
    }

    /// Sets the hash of a user; further lines of the same name are removed.
    fn set(&mut self, name: &str, hash: &str) -> Edited {
        let new = format!("{name}:{hash}").into_bytes();
        let place = self.0.iter().position(|line| list::name_of(line) == Some(name));
        self.remove(name);
        match place {
            Some(place) => {
                self.0.insert(place, new);
                Edited::Updated
            }
            None => {
                self.0.push(new);
                Edited::Added
            }
        }
    }

    fn remove(&mut self, name: &str) -> Edited {
        let before = self.0.len();
        self.0.retain(|line| list::name_of(line) != Some(name));
        if self.0.len() == before {
            Edited::NotFound
        } else {
            Edited::Removed
        }
    }

    fn text(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|line| [line.as_slice(), b"\n"])
            .flatten()
            .copied()
            .collect()
    }
}

fn damaged(path: &Path, damage: Damage) -> EditError {
    EditError::Damaged {
        path: path.to_owned(),
        why: damage.to_string(),
    }
}

/// Splits a line into one line for each entry, where newlines between entries are missing.
fn apart(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let Line::Entries(entries) = list::line(&bytes) else {
        return vec![bytes];
    };
    if entries.len() < 2 {
        return vec![bytes];
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut rest = text.trim_matches(list::is_space);
    let mut lines = Vec::new();
    for (name, _) in entries {
        let (line, behind) = rest.split_at(name.len() + 1 + crate::bcrypt::TEXT_LENGTH);
        lines.push(line.as_bytes().to_vec());
        rest = behind.trim_start_matches(list::is_space);
    }
    // A comment.
    if !rest.is_empty() {
        lines.push(rest.as_bytes().to_vec());
    }
    lines
}
