//! Why a backup cannot be taken, read or restored. Each text says what to do about it.

use std::io;

use wharf_storage::ErrorKind;

/// The result of an operation on a backup.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a backup failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store of the registry or of the backup failed.
    #[error(transparent)]
    Storage(#[from] wharf_storage::Error),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] crate::Error),
    /// A file cannot be read or written.
    #[error("{what}: {error}")]
    File {
        /// What was being done.
        what: String,
        /// The error of the file.
        error: io::Error,
    },
    /// It is no backup, or not a whole one, or not what was asked for.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    /// Whether the place that was written to is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Storage(error) => error.kind() == ErrorKind::NoSpace,
            Self::Registry(error) => error.storage_kind() == Some(ErrorKind::NoSpace),
            Self::File { error, .. } => ErrorKind::of(error) == ErrorKind::NoSpace,
            Self::Refused(_) => false,
        }
    }
}
