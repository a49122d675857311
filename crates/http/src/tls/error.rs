//! The error of loading certificates and keys.

/// TLS cannot be served with these files; the text names the file and the reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub(super) String);

impl TlsError {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}
