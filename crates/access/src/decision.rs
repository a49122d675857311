//! What is decided about a request, and why.

use std::sync::Arc;

/// What is decided about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may go on, in the name of somebody.
    Allowed(Identity),
    /// It may not.
    Denied(Reason),
}

/// In whose name a request is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody's: what it asks for is open to everybody.
    Anonymous,
    /// A user's, by name.
    User(Arc<str>),
}

/// Why a request is refused. Deliberately says nothing about whether a user exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It does not say who asks.
    NoCredentials,
    /// The user name or the password is wrong.
    WrongCredentials,
    /// It says who asks in a way that is not accepted here, such as a bearer token.
    WrongScheme,
    /// What it says cannot be read: what is wrong with it.
    Malformed(&'static str),
    /// Too many passwords wait to be checked; the same request may succeed in a moment.
    Busy,
    /// The check failed by a fault of ours.
    Failed,
}

impl Identity {
    /// The user's name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::User(name) => Some(name),
        }
    }
}
