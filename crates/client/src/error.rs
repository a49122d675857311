//! Why a registry could not be read, and what to do about it.

use http::StatusCode;
use wharf_oci::Digest;

use crate::CredentialsError;

/// The result of asking a registry.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a registry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered.
    #[error("cannot reach `{url}`: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why, with a remedy where there is one.
        reason: String,
    },
    /// What answers is no registry, or not a sound one.
    #[error("`{what}` is not answered as a registry does: {reason}")]
    NotARegistry {
        /// What was asked.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// The registry does not know us.
    #[error("{}", unauthorized(host, user.as_deref()))]
    Unauthorized {
        /// Where.
        host: String,
        /// As whom we came.
        user: Option<String>,
    },
    /// The registry says no.
    #[error("`{path}` is refused with {status}: {message}")]
    Refused {
        /// What was asked.
        path: String,
        /// The status.
        status: StatusCode,
        /// In the registry's words.
        message: String,
    },
    /// The bytes are not what their digest says.
    #[error(
        "`{path}` should be {expected}, but what came is {actual}; it was changed on the way, or in the registry"
    )]
    Damaged {
        /// What was asked.
        path: String,
        /// Asked for, or announced.
        expected: Digest,
        /// Of what came.
        actual: Digest,
    },
    /// The answer is larger than anything of its kind.
    #[error("the answer to `{path}` has more than {limit} bytes")]
    TooLarge {
        /// What was asked.
        path: String,
        /// In bytes.
        limit: usize,
    },
    /// A file with certificates cannot be used.
    #[error("the certificates in `{path}` cannot be used: {reason}")]
    Authorities {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// Our own credentials cannot be found out.
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
            format!("`{host}` wants to know who asks; add `--user NAME`, or run `docker login {host}` first")
        }
    }
}
