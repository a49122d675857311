//! The users in the password file: listed, added, given another password, removed.
//!
//! Everything here blocks: it reads files, and computes hashes that are slow on purpose.

use std::path::{Path, PathBuf};

use wharf_access::{
    htpasswd::{self, Change, EditError, Edited, Listing, Version},
    password::{self, NoRandomness},
};

use crate::words::Refused;

pub use wharf_access::password::DEFAULT_COST;

/// Length of a generated password: 119 bits.
const GENERATED_LENGTH: usize = 20;

/// The longest password in bytes, as in Apache's tool; bcrypt uses the first 72 of them.
const LONGEST_PASSWORD: usize = 255;

/// The users in one password file.
#[derive(Debug, Clone)]
pub struct Users {
    path: PathBuf,
}

/// The source of a user's new password.
#[derive(Clone, Copy)]
pub enum NewPassword<'a> {
    /// A random password is made, and its hash at this cost.
    Generated(u8),
    /// The password is given, and its hash is made at this cost.
    Given(&'a [u8], u8),
    /// The hash is given.
    Hashed(&'a str),
}

/// The outcome of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The password that was generated, to be shown once.
    pub generated: Option<String>,
    /// The version of the file after the change.
    pub version: Version,
}

/// Why the users were not listed or changed. The texts are for operators, and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// There is no user of that name.
    #[error("there is no user `{}` in {}{hint}", name.escape_debug(), path.display())]
    Unknown {
        /// Name of the user.
        name: String,
        /// Path of the password file.
        path: PathBuf,
        /// The remedy; may be empty.
        hint: &'static str,
    },
    /// The password is empty.
    #[error("{}", Refused::EmptyPassword)]
    EmptyPassword,
    /// The password is too long to be checked with each request.
    #[error("the password is longer than {LONGEST_PASSWORD} bytes")]
    LongPassword,
    /// The file cannot be read or changed as wanted.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// No random password or salt can be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

impl Users {
    /// The users in the password file at `path`.
    pub fn in_file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Path of the password file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All users in the order of the file, with the version of the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self) -> Result<Listing, UsersError> {
        Ok(htpasswd::listing(&self.path)?)
    }

    /// Adds a user; makes the file if there is none. With `expected`, only if the file has that version.
    ///
    /// # Errors
    /// When there is such a user, the name or the password is none, or the file cannot be changed.
    pub fn add(
        &self,
        name: &str,
        password: NewPassword<'_>,
        expected: Option<&Version>,
    ) -> Result<Named, UsersError> {
        let (generated, hash) = password.hash()?;
        let (_, version) = htpasswd::apply(&self.path, Change::Add(name, &hash), expected)?;
        Ok(Named { generated, version })
    }

    /// Gives a user another password. With `expected`, only if the file has that version.
    ///
    /// # Errors
    /// When there is no such user, the password is none, or the file cannot be changed.
    pub fn set_password(
        &self,
        name: &str,
        password: NewPassword<'_>,
        expected: Option<&Version>,
    ) -> Result<Named, UsersError> {
        let (generated, hash) = password.hash()?;
        match htpasswd::apply(&self.path, Change::SetPassword(name, &hash), expected)? {
            (Edited::NotFound, _) => Err(self.unknown(name, "; `wharf user add` adds one")),
            (_, version) => Ok(Named { generated, version }),
        }
    }

    /// Removes a user. With `expected`, only if the file has that version.
    ///
    /// # Errors
    /// When there is no such user, or the file cannot be changed.
    pub fn remove(&self, name: &str, expected: Option<&Version>) -> Result<Named, UsersError> {
        match htpasswd::apply(&self.path, Change::Remove(name), expected)? {
            (Edited::NotFound, _) => Err(self.unknown(name, "")),
            (_, version) => Ok(Named {
                generated: None,
                version,
            }),
        }
    }

    fn unknown(&self, name: &str, hint: &'static str) -> UsersError {
        UsersError::Unknown {
            name: name.to_owned(),
            path: self.path.clone(),
            hint,
        }
    }
}

impl NewPassword<'_> {
    /// The password, if it is generated, and its hash.
    fn hash(self) -> Result<(Option<String>, String), UsersError> {
        match self {
            Self::Generated(cost) => {
                let password = password::generate(GENERATED_LENGTH)?;
                let hash = password::hash(password.as_bytes(), cost)?;
                Ok((Some(password), hash))
            }
            Self::Given([], _) => Err(UsersError::EmptyPassword),
            Self::Given(password, _) if password.len() > LONGEST_PASSWORD => Err(UsersError::LongPassword),
            Self::Given(password, cost) => Ok((None, password::hash(password, cost)?)),
            Self::Hashed(hash) => Ok((None, hash.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_is_given_once_and_its_hash_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let users = Users::in_file(directory.path().join("auth/htpasswd"));
        let added = users.add("alice", NewPassword::Generated(4), None).unwrap();
        let password = added.generated.unwrap();
        assert_eq!(password.len(), GENERATED_LENGTH);
        let right = htpasswd::verify(users.path(), "alice", password.as_bytes()).unwrap();
        assert_eq!(right, htpasswd::Verdict::Right);
        let listing = users.list().unwrap();
        assert_eq!(
            (listing.users[0].name.as_str(), listing.version),
            ("alice", added.version)
        );
    }

    #[test]
    fn passwords_that_protect_nothing_are_refused_before_the_file_is_touched() {
        let directory = tempfile::tempdir().unwrap();
        let users = Users::in_file(directory.path().join("htpasswd"));
        let long = vec![b'x'; LONGEST_PASSWORD + 1];
        for (password, expected) in [(&b""[..], "an empty password"), (&long, "is longer than")] {
            let error = users
                .add("alice", NewPassword::Given(password, 4), None)
                .unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(!users.path().exists());
    }
}
