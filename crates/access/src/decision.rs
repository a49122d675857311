//! The two decisions about a request, with their reasons: which client it is, and whether that may do it.

use std::time::Duration;

use crate::{action::Action, rules::RuleOrigin, token::Rejection};

/// Why the client of a request is not known. Deliberately says nothing about whether a user exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The user name or the password is wrong.
    WrongCredentials,
    /// The authentication scheme is not accepted here, such as a bearer token.
    WrongScheme,
    /// The token is not good.
    BadToken(Rejection),
    /// The `Authorization` header cannot be read; the text says why.
    Malformed(&'static str),
    /// The client, or others, have guessed at this account, or the client at several: it may try again after this time.
    Guessing(Duration),
    /// Too many passwords wait to be checked; the same request may succeed in a moment.
    Busy,
    /// The check failed because of a bug in wharf.
    Failed,
}

impl Reason {
    /// Why a log-in failed, in few words; `None`: it was not checked, and the client is not to blame.
    pub fn of_failed_login(&self) -> Option<&'static str> {
        match self {
            Self::WrongCredentials => Some("wrong name or password"),
            Self::WrongScheme => Some("wrong scheme"),
            Self::BadToken(_) => Some("bad token"),
            Self::Malformed(_) => Some("malformed credentials"),
            Self::Guessing(_) => Some("too many wrong passwords"),
            Self::Busy | Self::Failed => None,
        }
    }
}

/// Whether a client may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization<'a> {
    /// It may.
    Allowed(Grant),
    /// Its account lacks a right: logging in again is of no use.
    Forbidden(Box<Missing<'a>>),
    /// It may not without an account.
    Unauthenticated,
    /// Its token does not allow it; another one may.
    InsufficientScope,
}

/// How a client may do what it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grant {
    /// Whether a push may create tags, and not move one
    pub creates_only: bool,
}

/// The right that a request needs and its account lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing<'a> {
    /// What it would do
    pub action: Action<'a>,
    /// The comment of the rule that denies it, for the client
    pub comment: Option<Box<str>>,
    /// The rule that denies it; `None`: no rule allows it
    pub rule: Option<RuleOrigin>,
}
