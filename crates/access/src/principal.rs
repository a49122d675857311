//! The client of a request, once it is authenticated.

use std::sync::Arc;

use crate::{credentials::Proxied, robot::Robot, token::Claims};

/// The client of a request, and how it has proved which account it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    account: Option<Arc<str>>,
    via: Via,
    /// The robot token behind the credentials, if there is one
    robot: Option<Arc<Robot>>,
    /// Groups that a proxy has named, beside those of the rules
    groups: Option<Arc<[Box<str>]>>,
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
    /// By a robot token, which limits what it may do.
    Robot(Arc<Robot>),
    /// To a proxy, which names the account.
    Proxy,
}

impl Principal {
    /// A client without an account.
    pub const ANONYMOUS: Self = Self {
        account: None,
        via: Via::Anonymous,
        robot: None,
        groups: None,
    };

    /// A client that knows the password of `account`.
    pub(crate) fn with_password(account: Arc<str>) -> Self {
        Self {
            account: Some(account),
            via: Via::Password,
            robot: None,
            groups: None,
        }
    }

    /// A client with a verified token.
    pub(crate) fn with_token(claims: Arc<Claims>) -> Self {
        Self {
            account: claims.account().cloned(),
            via: Via::Token(claims),
            robot: None,
            groups: None,
        }
    }

    /// A client with a robot token, which acts in the name of the account that made the token.
    pub(crate) fn with_robot(robot: Arc<Robot>) -> Self {
        Self {
            account: robot.creator().cloned(),
            via: Via::Robot(Arc::clone(&robot)),
            robot: Some(robot),
            groups: None,
        }
    }

    /// A client with a token of this registry, which it may have got for a robot token.
    pub(crate) fn with_issued(claims: Arc<Claims>, robot: Option<Arc<Robot>>) -> Self {
        let account = match &robot {
            Some(robot) => robot.creator().cloned(),
            None => claims.account().cloned(),
        };
        Self {
            account,
            via: Via::Token(claims),
            robot,
            groups: None,
        }
    }

    /// A client that a proxy has authenticated.
    pub(crate) fn of_proxy(proxied: &Proxied) -> Self {
        Self {
            account: Some(Arc::clone(&proxied.account)),
            via: Via::Proxy,
            robot: None,
            groups: Some(Arc::clone(&proxied.groups)),
        }
    }

    /// The name of the account; `None` for an anonymous client.
    pub fn account(&self) -> Option<&Arc<str>> {
        self.account.as_ref()
    }

    /// What the client is called in logs: the name of its account, or of its robot token, `robot:ci`.
    pub fn actor(&self) -> Option<&Arc<str>> {
        match &self.robot {
            Some(robot) => Some(robot.actor()),
            None => self.account.as_ref(),
        }
    }

    /// The robot token with which the client came, or for which it got its token.
    pub fn robot(&self) -> Option<&Arc<Robot>> {
        self.robot.as_ref()
    }

    /// Whether it has a robot token that the operator of the machine made: no account limits what that may do.
    pub(crate) fn is_of_operator(&self) -> bool {
        self.robot.as_ref().is_some_and(|robot| robot.creator().is_none())
    }

    /// The groups that a proxy has named.
    pub(crate) fn groups(&self) -> &[Box<str>] {
        self.groups.as_deref().unwrap_or_default()
    }

    /// Whether its account alone decides what it may do, and no token.
    pub fn acts_as_account(&self) -> bool {
        matches!(self.via, Via::Password | Via::Proxy)
    }

    /// The first name, not before `name`, of a repository that its token may open; it need not exist. Without a token that is `name`
    /// itself, and `None` when there is none.
    pub fn next_repository<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match &self.via {
            Via::Token(claims) => claims.next_repository(name),
            _ => Some(name),
        }
    }

    /// How the client has proved which account it has.
    pub fn via(&self) -> &Via {
        &self.via
    }
}
