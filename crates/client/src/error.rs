//! Why a registry could not be read, and what to do about it.

use http::StatusCode;
use wharf_oci::Digest;

use crate::{CredentialsError, text::printable};

/// The result of asking a registry.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a registry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server answers at the address.
    #[error("cannot reach `{url}`: {reason}")]
    Unreachable {
        /// URL or host that was asked.
        url: String,
        /// Reason, with a remedy where there is one.
        reason: String,
    },
    /// The server that answers is no registry, or a faulty one.
    #[error("`{}` is not the answer of a registry: {reason}", printable(what))]
    NotARegistry {
        /// Path or header that was not as a registry answers it.
        what: String,
        /// Reason why it is wrong.
        reason: String,
    },
    /// The registry does not accept the credentials, or requires some.
    #[error("{}", unauthorized(host, user.as_deref()))]
    Unauthorized {
        /// Host and port of the registry.
        host: String,
        /// User whose password was sent; `None`: no credentials were sent.
        user: Option<String>,
    },
    /// The registry refuses the request.
    #[error("`{}` is refused with {status}: {}", printable(path), printable(message))]
    Refused {
        /// Path that was asked for.
        path: String,
        /// Status of the answer.
        status: StatusCode,
        /// Reason in the registry's words.
        message: String,
    },
    /// The bytes do not have their digest.
    #[error(
        "`{path}` should have the digest {expected}, but has {actual}; it was changed on the way, or in the registry"
    )]
    Damaged {
        /// Path that was asked for.
        path: String,
        /// Digest that was asked for, or announced by the registry.
        expected: Digest,
        /// Digest of the bytes that came.
        actual: Digest,
    },
    /// The blob has another size than its manifest says.
    #[error("`{path}` should have {expected} bytes, but has {actual}; it was cut short, or changed")]
    WrongSize {
        /// Path of the blob.
        path: String,
        /// Size that the manifest names, in bytes.
        expected: u64,
        /// Number of bytes that came.
        actual: u64,
    },
    /// The bytes to push cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    File {
        /// Path of the file.
        path: String,
        /// Reason why it cannot be read.
        reason: String,
    },
    /// The answer is larger than anything of its kind.
    #[error("the answer to `{}` has more than {limit} bytes", printable(path))]
    TooLarge {
        /// Path that was asked for.
        path: String,
        /// Limit of the body, in bytes.
        limit: usize,
    },
    /// The list has no end, or one that is too far away.
    #[error(
        "the list at `{path}` does not end: reading stopped after {entries} names, which is more than any registry has"
    )]
    Endless {
        /// Path of the list.
        path: String,
        /// Number of names that came.
        entries: usize,
    },
    /// A server asks for what would send a secret, or what was asked over TLS, where it does not belong.
    #[error("`{server}` is not trusted with this: {reason}")]
    Untrusted {
        /// Scheme, host and port of the server.
        server: String,
        /// Reason, with a remedy where there is one.
        reason: String,
    },
    /// A file with certificates cannot be used.
    #[error("the certificates in `{path}` cannot be used: {reason}")]
    Authorities {
        /// Path of the file.
        path: String,
        /// Reason why it cannot be used.
        reason: String,
    },
    /// The credentials of the user cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl Error {
    pub(crate) fn not_a_registry(what: &str, reason: &str) -> Self {
        Self::NotARegistry {
            what: what.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

fn unauthorized(host: &str, user: Option<&str>) -> String {
    match user {
        Some(user) => {
            format!("`{host}` does not accept the password of `{user}`; `docker login {host}` stores another")
        }
        None => {
            format!("`{host}` requires a login; add `--user NAME`, or run `docker login {host}` first")
        }
    }
}
