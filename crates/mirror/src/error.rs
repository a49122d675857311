//! Why a mirror cannot give what a client asks for.

use std::time::Duration;

use wharf_client::upstream::{UpstreamError, UpstreamErrorKind};

/// Why a mirror cannot give what a client asks for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry says so: there is no such manifest or blob, or its store fails.
    #[error(transparent)]
    Registry(#[from] wharf_registry::Error),
    /// The upstream has not given it, and it is not stored here.
    #[error(transparent)]
    Upstream(#[from] Failure),
}

/// The result of an operation of a mirror.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the upstream has not given what a client asks for. All requests that wait for one answer get the same.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The upstream has failed, and what it was asked for is not stored here.
    #[error("the upstream of this mirror failed, and nothing is stored here in its place: {failure}")]
    Upstream {
        /// Failure of the upstream.
        failure: UpstreamError,
    },
    /// The upstream has asked to be left alone for a while.
    #[error(
        "the upstream of this mirror, `{origin}`, allows no more requests at the moment; nothing is stored here in its place"
    )]
    Limited {
        /// Scheme, host and port of the upstream.
        origin: String,
        /// Time after which it may be asked again.
        after: Duration,
    },
    /// The upstream is not asked at the moment, because it failed again and again.
    #[error(
        "the upstream of this mirror, `{origin}`, fails again and again and is not asked at the moment; nothing is stored here in \
         its place"
    )]
    Resting {
        /// Scheme, host and port of the upstream.
        origin: String,
        /// Time after which it is asked again.
        after: Duration,
    },
    /// The request came from this registry itself.
    #[error(
        "this request has passed this registry before: its mirrors lead in a circle; let `remoteurl` name a registry that is not, and does \
         not mirror, this one"
    )]
    Loop,
    /// Too many downloads are under way.
    #[error("too many downloads are under way at this mirror")]
    Exhausted,
    /// The download was ended, because no client waited for it any more.
    #[error("the download was ended, because no client waited for it any more; ask again")]
    Abandoned,
    /// The upstream sent other bytes than those of the digest.
    #[error(
        "the upstream of this mirror, `{origin}`, sent wrong bytes: {reason}; nothing of them was stored"
    )]
    WrongBytes {
        /// Scheme, host and port of the upstream.
        origin: String,
        /// What is wrong with them.
        reason: String,
    },
}

/// What a failure means to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The upstream refuses the credentials of the mirror.
    Denied,
    /// The upstream allows no more requests for so long.
    Limited(Duration),
    /// The upstream cannot be reached, or is not asked; it is worth asking again after so long.
    Unavailable(Duration),
    /// The upstream did not answer in time.
    TimedOut,
    /// The upstream answered what it should not.
    Wrong,
    /// Mirrors lead in a circle.
    Loop,
}

/// Time after which it is worth asking again, when the upstream does not say it.
const SOON: Duration = Duration::from_secs(5);

impl Failure {
    /// What it means to a client.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Upstream { failure } => match failure.kind() {
                UpstreamErrorKind::Denied(_) => Trouble::Denied,
                UpstreamErrorKind::Limited { after } => {
                    Trouble::Limited(after.unwrap_or(Duration::from_secs(60)))
                }
                UpstreamErrorKind::Unreachable => Trouble::Unavailable(SOON),
                UpstreamErrorKind::TimedOut => Trouble::TimedOut,
                UpstreamErrorKind::Failing(_) | UpstreamErrorKind::Untrusted | UpstreamErrorKind::Wrong => {
                    Trouble::Wrong
                }
                UpstreamErrorKind::Loop => Trouble::Loop,
            },
            Self::Limited { after, .. } => Trouble::Limited(*after),
            Self::Resting { after, .. } => Trouble::Unavailable(*after),
            Self::Exhausted | Self::Abandoned => Trouble::Unavailable(SOON),
            Self::WrongBytes { .. } => Trouble::Wrong,
            Self::Loop => Trouble::Loop,
        }
    }
}

impl From<UpstreamError> for Failure {
    fn from(failure: UpstreamError) -> Self {
        Self::Upstream { failure }
    }
}
