//! The removal of a user, with which the robot tokens end that the user has made.
//!
//! The user goes first: from then on its requests are refused, and it makes no further token. Tokens that cannot be revoked are
//! refused as well, as long as there is no user of that name; they are revoked when the user is removed once more.

use std::fmt::Display;

use wharf_access::htpasswd::Version;

use super::users::{Users, UsersError};

/// The first step of a removal: the password file does not have the user.
#[derive(Debug)]
pub struct Removal {
    name: String,
    version: Version,
    /// The error, if the file did not have the user before either
    unknown: Option<UsersError>,
}

/// The outcome of a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Name of the user.
    pub name: String,
    /// Whether the password file had the user. Another program may have removed it before, and left its tokens.
    pub was_user: bool,
    /// Names of the robot tokens that were revoked.
    pub tokens: Vec<String>,
    /// The version of the password file after the change.
    pub version: Version,
}

/// Why a user was not removed, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError<E: Display> {
    /// There is no such user, and there are no tokens of one.
    #[error("{0}")]
    Unknown(UsersError),
    /// There is no such user, and it is not known whether there are tokens of one.
    #[error("{unknown}; whether that user has left robot tokens cannot be told: {cause}")]
    UnknownTokens {
        /// There is no such user.
        unknown: UsersError,
        /// Why the tokens cannot be read or changed.
        cause: E,
    },
    /// The user is removed, and its tokens are as they were.
    #[error(
        "user `{}` is removed, but not the robot tokens that it may have made: {cause}; they are refused as long as there is no \
         user of that name, and to remove it once more revokes them",
        name.escape_debug()
    )]
    Tokens {
        /// Name of the user.
        name: String,
        /// Why the tokens cannot be read or changed.
        cause: E,
    },
}

impl Removal {
    /// Removes the user `name` from the password file. With `expected`, only if the file has that version. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read or changed.
    pub fn of(users: &Users, name: &str, expected: Option<&Version>) -> Result<Self, UsersError> {
        let (version, unknown) = match users.remove(name, expected) {
            Ok(named) => (named.version, None),
            Err(unknown @ UsersError::Unknown { .. }) => (users.list()?.version, Some(unknown)),
            Err(error) => return Err(error),
        };
        Ok(Self {
            name: name.to_owned(),
            version,
            unknown,
        })
    }

    /// The outcome, once the tokens that the user has made are `revoked`: their names.
    ///
    /// # Errors
    /// When there was no such user and there are no tokens of one, or these were not revoked.
    pub fn with_tokens<E: Display>(
        self,
        revoked: Result<Vec<String>, E>,
    ) -> Result<Removed, RemovalError<E>> {
        let Self {
            name,
            version,
            unknown,
        } = self;
        match (revoked, unknown) {
            (Ok(tokens), Some(unknown)) if tokens.is_empty() => Err(RemovalError::Unknown(unknown)),
            (Ok(tokens), unknown) => Ok(Removed {
                name,
                was_user: unknown.is_none(),
                tokens,
                version,
            }),
            (Err(cause), Some(unknown)) => Err(RemovalError::UnknownTokens { unknown, cause }),
            (Err(cause), None) => Err(RemovalError::Tokens { name, cause }),
        }
    }
}
