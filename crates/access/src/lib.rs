//! Authentication and authorization: credentials, password files, and a decision with its reason.
//!
//! [`Access`] is what a server holds. It is handed the [`Credentials`] of a request and the
//! [`Action`]s that the request needs, and answers a [`Decision`]. Nothing here knows HTTP beyond the
//! text of an `Authorization` header, or what a repository contains.
//!
//! Today there is one way in, a password file ([`htpasswd`]), and every user in it may do everything, as in
//! registry:2. The shapes are made for what comes next: a decision is about *actions*, so rules
//! for each repository have something to look at; an identity may be anonymous, so a repository can be public;
//! credentials may be a bearer token; and a refusal distinguishes "not authenticated" from "not permitted".

mod action;
mod bcrypt;
pub mod binding;
mod credentials;
mod decision;
mod files;
pub mod htpasswd;
pub mod issuer;
pub mod password;
mod queue;
mod random;
pub mod robot;
pub mod rules;
pub mod scope;
pub mod state;
pub mod token;

pub use action::{Action, Resource, Verb};
pub use credentials::{Basic, Credentials};
pub use decision::{Decision, Identity, Reason};

use std::net::IpAddr;

use htpasswd::Htpasswd;
use queue::{Network, Queue};
use wharf_budget::Budget;

/// The authentication that the server demands, and the permissions of its users.
#[derive(Debug)]
pub struct Access {
    realm: String,
    users: Htpasswd,
    queue: Queue,
}

impl Access {
    /// Every user in a password file may do everything. Clients are shown `realm` when they are asked
    /// for their password.
    pub fn with_htpasswd(realm: String, users: Htpasswd) -> Self {
        Self {
            realm,
            users,
            queue: Queue::new(Budget::default().passwords),
        }
    }

    /// Charges the requests that wait for the check of a password to `budget`.
    #[must_use]
    pub fn with_budget(mut self, budget: &Budget) -> Self {
        self.queue = Queue::new(budget.passwords.clone());
        self
    }

    /// Decides without reading a file or computing a bcrypt hash, as for nearly every request. `None`:
    /// call [`check`](Self::check).
    pub fn check_at_once(&self, credentials: &Credentials, _actions: &[Action<'_>]) -> Option<Decision> {
        match credentials {
            Credentials::Basic(basic) => {
                let user = self.users.recognise(basic)?;
                Some(Decision::Allowed(Identity::User(user)))
            }
            Credentials::None => Some(Decision::Denied(Reason::NoCredentials)),
            Credentials::Bearer => Some(Decision::Denied(Reason::WrongScheme)),
            Credentials::Malformed(what) => Some(Decision::Denied(Reason::Malformed(what))),
        }
    }

    /// Decides about a request that comes from `address`, if that is known. Passwords that have not been seen lately are
    /// hashed on another thread, a few at a time; requests that would wait too long are refused with [`Reason::Busy`],
    /// first those of an address from which many come.
    pub async fn check(
        &self,
        credentials: &Credentials,
        actions: &[Action<'_>],
        address: Option<IpAddr>,
    ) -> Decision {
        if let Some(decision) = self.check_at_once(credentials, actions) {
            return decision;
        }
        let Credentials::Basic(basic) = credentials else {
            return Decision::Denied(Reason::NoCredentials);
        };
        let network = address.map(Network::of);
        let _place = match self.queue.enter(network) {
            Ok(place) => place,
            Err(reason) => return Decision::Denied(reason),
        };
        match self.users.authenticate(basic, network).await {
            Ok(user) => Decision::Allowed(Identity::User(user)),
            Err(Reason::Busy) => Decision::Denied(self.queue.refuse()),
            Err(reason) => Decision::Denied(reason),
        }
    }

    /// The value of `WWW-Authenticate`, as Go writes it in registry:2. UTF-8.
    pub fn challenge(&self) -> String {
        format!("Basic realm={}", go_quoted(&self.realm))
    }

    /// The password file.
    pub fn htpasswd(&self) -> &Htpasswd {
        &self.users
    }
}

/// Go's `%q`: what is printable stays, the rest is escaped, so that no realm can end its header.
fn go_quoted(text: &str) -> String {
    use std::fmt::Write as _;

    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            // Writing to a string cannot fail.
            '\0'..='\u{1f}' | '\u{7f}' => _ = write!(quoted, "\\x{:02x}", character as u32),
            _ if character.is_control() => _ = write!(quoted, "\\u{:04x}", character as u32),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_is_quoted_as_go_quotes_it() {
        assert_eq!(go_quoted("Registry Realm"), "\"Registry Realm\"");
        assert_eq!(go_quoted("My \"R\" é\\x"), "\"My \\\"R\\\" é\\\\x\"");
        assert_eq!(
            go_quoted("a\r\nSet-Cookie: x\u{85}\0"),
            "\"a\\r\\nSet-Cookie: x\\u0085\\x00\""
        );
    }
}
