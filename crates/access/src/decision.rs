//! The decision about a request, with its reason.

use std::sync::Arc;

/// The decision about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The request may go on, with this identity.
    Allowed(Identity),
    /// The request is refused.
    Denied(Reason),
}

/// The identity with which a request is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Without a user: the resource is public.
    Anonymous,
    /// The user of this name.
    User(Arc<str>),
}

/// Why a request is refused. Deliberately says nothing about whether a user exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The request has no credentials.
    NoCredentials,
    /// The user name or the password is wrong.
    WrongCredentials,
    /// The authentication scheme is not accepted here, such as a bearer token.
    WrongScheme,
    /// The `Authorization` header cannot be read; the text says why.
    Malformed(&'static str),
    /// Too many passwords wait to be checked; the same request may succeed in a moment.
    Busy,
    /// The check failed because of a bug in wharf.
    Failed,
}

impl Identity {
    /// The user's name; `None` without a user.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::User(name) => Some(name),
        }
    }
}
