//! The client of a request, once it is authenticated.

use std::sync::Arc;

use crate::token::Claims;

/// The client of a request, and how it has proved which account it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    account: Option<Arc<str>>,
    via: Via,
}

/// How a client has proved which account it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Not at all: it has no account.
    Anonymous,
    /// By the password of the account.
    Password,
    /// By a token, which limits what it may do.
    Token(Arc<Claims>),
}

impl Principal {
    /// A client without an account.
    pub const ANONYMOUS: Self = Self {
        account: None,
        via: Via::Anonymous,
    };

    /// A client that knows the password of `account`.
    pub(crate) fn with_password(account: Arc<str>) -> Self {
        Self {
            account: Some(account),
            via: Via::Password,
        }
    }

    /// A client with a verified token.
    pub(crate) fn with_token(claims: Arc<Claims>) -> Self {
        Self {
            account: claims.account().cloned(),
            via: Via::Token(claims),
        }
    }

    /// The name of the account; `None` for an anonymous client.
    pub fn account(&self) -> Option<&Arc<str>> {
        self.account.as_ref()
    }

    /// How the client has proved which account it has.
    pub fn via(&self) -> &Via {
        &self.via
    }
}
