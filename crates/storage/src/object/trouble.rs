//! Why a store did not do a request, whatever was tried.

use std::fmt;

/// The reason for which a request to a store has failed, where the answer is none of those that a request asks for.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The store was out of reach, or busy, or without its bucket: the same request may succeed later.
    Unavailable(String),
    /// It takes the credentials no more, or not at the time of this machine's clock.
    Denied(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(reason) | Self::Denied(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Trouble {}
