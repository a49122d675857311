//! The challenge of a server that takes tokens: `WWW-Authenticate: Bearer …`, as registry:2 writes it.

use std::fmt::Write as _;

use crate::{Action, go_quoted};

/// What a challenge tells a client about the token that it sent (RFC 6750, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// The token cannot be verified. The client fetches another one.
    InvalidToken,
    /// The token is good, and does not allow what the request needs.
    InsufficientScope,
}

/// The address at which clients fetch tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Realm {
    /// The same for all clients (`auth.token.realm`).
    Fixed(String),
    /// A path at the host that the client has asked (`auth.token.autoredirect`).
    OfRequest {
        /// The path (`auth.token.autoredirectpath`).
        path: String,
        /// The realm for requests whose host is not known.
        otherwise: String,
    },
}

/// The address by which a client has reached this server.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Protocol that the client speaks, if a trusted proxy says so; otherwise `https` is taken for granted, as in
    /// registry:3.
    pub forwarded_proto: Option<&'a str>,
    /// The `Host` of the request.
    pub host: &'a str,
}

impl TokenError {
    /// The code in the challenge.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

impl Realm {
    /// The path of `autoredirect` unless the configuration names another one.
    pub const DEFAULT_PATH: &'static str = "/auth/token";

    fn of(&self, origin: Option<Origin<'_>>) -> String {
        match (self, origin) {
            (Self::Fixed(realm), _) => realm.clone(),
            (Self::OfRequest { path, .. }, Some(origin)) if is_host(origin.host) => {
                let is_http = |protocol: &str| protocol.eq_ignore_ascii_case("http");
                let is_plain = origin.forwarded_proto.is_some_and(is_http);
                let scheme = if is_plain { "http" } else { "https" };
                format!("{scheme}://{}{}", origin.host, escaped(path))
            }
            (Self::OfRequest { otherwise, .. }, _) => otherwise.clone(),
        }
    }
}

/// The value of `WWW-Authenticate` for a request that needs a token for `actions`. UTF-8.
pub(crate) fn challenge(
    realm: &Realm,
    service: &str,
    origin: Option<Origin<'_>>,
    actions: &[Action<'_>],
    error: Option<TokenError>,
) -> String {
    let realm = realm.of(origin);
    let mut value = format!(
        "Bearer realm={},service={}",
        go_quoted(&realm),
        go_quoted(service)
    );
    let scope = scope(actions);
    // Writing to a string cannot fail.
    if !scope.is_empty() {
        _ = write!(value, ",scope={}", go_quoted(&scope));
    }
    if let Some(error) = error {
        _ = write!(value, ",error={}", go_quoted(error.as_str()));
    }
    value
}

/// `repository:a:pull,push repository:b:pull`: each resource once, each action once, in the order of the request.
fn scope(actions: &[Action<'_>]) -> String {
    let mut scope = String::new();
    for (place, first) in actions.iter().enumerate() {
        let is_same = |other: &&Action<'_>| other.resource == first.resource;
        if actions[..place].iter().any(|other| is_same(&other)) {
            continue;
        }
        if !scope.is_empty() {
            scope.push(' ');
        }
        _ = write!(scope, "{}:{}:", first.kind(), first.name());
        let mut verbs = Vec::new();
        for action in actions[place..].iter().filter(is_same) {
            if !verbs.contains(&action.verb.as_str()) {
                verbs.push(action.verb.as_str());
            }
        }
        scope.push_str(&verbs.join(","));
    }
    scope
}

/// Whether the text can stand between `://` and the path of a URL without changing its meaning.
fn is_host(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// The path as Go writes it in a URL.
fn escaped(path: &str) -> String {
    let mut escaped = String::from(if path.starts_with('/') { "" } else { "/" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use wharf_oci::RepoName;

    use super::*;
    use crate::{Resource, Verb};

    fn fixed() -> Realm {
        Realm::Fixed("https://auth.example.com/token".to_owned())
    }

    fn name(text: &str) -> RepoName {
        text.parse().unwrap()
    }

    fn on(name: &RepoName, verb: Verb) -> Action<'_> {
        let resource = Resource::Repository(name);
        Action { resource, verb }
    }

    #[test]
    fn a_challenge_is_worded_as_in_registry_2() {
        let (one, other) = (name("samalba/my-app"), name("b"));
        let push = [on(&one, Verb::Pull), on(&one, Verb::Push)];
        let text =
            |actions: &[Action<'_>], error| challenge(&fixed(), "registry.example.com", None, actions, error);
        assert_eq!(
            text(&push, None),
            r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:samalba/my-app:pull,push""#
        );
        assert_eq!(
            text(&[], None),
            r#"Bearer realm="https://auth.example.com/token",service="registry.example.com""#
        );
        let mount = [
            on(&one, Verb::Pull),
            on(&other, Verb::Pull),
            on(&one, Verb::Push),
            on(&other, Verb::Pull),
        ];
        assert!(text(&mount, Some(TokenError::InsufficientScope)).ends_with(
            r#",scope="repository:samalba/my-app:pull,push repository:b:pull",error="insufficient_scope""#
        ));
        let catalog = Action {
            resource: Resource::Catalog,
            verb: Verb::All,
        };
        assert!(
            text(&[catalog], Some(TokenError::InvalidToken))
                .ends_with(r#",scope="registry:catalog:*",error="invalid_token""#)
        );
    }

    #[test]
    fn no_value_ends_its_quotes() {
        let realm = Realm::Fixed("a\",error=\"x\r\nSet-Cookie: y".to_owned());
        assert_eq!(
            challenge(&realm, "s\\\"", None, &[], None),
            r#"Bearer realm="a\",error=\"x\r\nSet-Cookie: y",service="s\\\"""#
        );
    }

    #[test]
    fn the_realm_follows_the_host_of_the_request() {
        let realm = |path: &str| Realm::OfRequest {
            path: path.to_owned(),
            otherwise: "https://otherwise/".to_owned(),
        };
        let of = |path: &str, forwarded_proto, host| {
            realm(path).of(Some(Origin {
                forwarded_proto,
                host,
            }))
        };
        assert_eq!(
            of(Realm::DEFAULT_PATH, None, "hub:5000"),
            "https://hub:5000/auth/token"
        );
        assert_eq!(of("token", Some("HTTP"), "[::1]"), "http://[::1]/token");
        assert_eq!(of("/a b?é", Some("https"), "hub"), "https://hub/a%20b%3F%C3%A9");
        assert_eq!(of("/", Some("javascript"), "hub"), "https://hub/");
        for host in ["", "a/b", "evil\"", "a@b", "a\\b", "a b", "a?b", "a#b", "é"] {
            assert_eq!(of("/", None, host), "https://otherwise/", "{host}");
        }
        assert_eq!(realm("/").of(None), "https://otherwise/");
    }
}
