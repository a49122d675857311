//! The error of loading certificates and keys.

use std::{io, path::Path};

/// TLS cannot be served with these files; the text names the file and the reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub(super) String);

impl TlsError {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The file at `path`, which `key` names, cannot be read.
    pub(super) fn unreadable(key: &str, path: &Path, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => ": the user that the registry runs as must be able to read it",
            _ => "",
        };
        Self(format!("cannot read `{key}` `{}`: {error}{hint}", path.display()))
    }
}
