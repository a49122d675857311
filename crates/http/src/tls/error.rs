//! Why TLS cannot be served.

/// TLS with these files cannot be served; the text says which file, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub(super) String);

impl TlsError {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}
