//! Authentication and authorization: credentials, password files, tokens, rules, and two decisions with their reasons.
//!
//! [`Access`] is what a server holds. It is handed the [`Credentials`] of a request and says which client it is
//! ([`Principal`]), and then whether that may do what the request needs ([`Action`], [`Authorization`]). Nothing here knows HTTP
//! beyond the text of an `Authorization` header, or what a repository contains.

mod access;
mod action;
mod backoff;
mod bcrypt;
pub mod binding;
mod credentials;
mod decision;
mod files;
pub mod htpasswd;
pub mod issuer;
pub mod password;
mod principal;
mod proxy;
mod queue;
mod random;
pub mod robot;
pub mod rules;
pub mod scope;
pub mod sessions;
pub mod stamp;
pub mod state;
pub mod token;
mod token_server;

pub use access::{Access, Challenged, Sight};
pub use action::{Action, Resource, Verb};
pub use credentials::{Basic, Credentials, Proxied};
pub use decision::{Authorization, Grant, Missing, Reason};
pub use files::change as change_private_file;
pub use principal::{Principal, Via};
pub use proxy::ProxyHeader;
pub use token_server::{Login, TokenServer};
pub use wharf_watched::Status as FileStatus;

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
