//! What a client asks the token server for: the parameters of a query, or of a form.

use std::time::Duration;

use wharf_access::scope::{Scope, ScopeError};
use wharf_oci::query_pairs;

/// A request for a token.
#[derive(Debug, Default)]
pub(super) struct TokenRequest {
    pub(super) service: Option<String>,
    pub(super) account: Option<String>,
    pub(super) scopes: Vec<Scope>,
    /// Whether the client wants a refresh token, to come back without the password.
    pub(super) is_offline: bool,
    pub(super) grant: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Hidden>,
    pub(super) refresh_token: Option<Hidden>,
    /// How long the refresh token of the answer may be good, in place of the one that the client has
    pub(super) refresh_lifetime: Option<Duration>,
}

/// A parameter that never appears in debug output.
pub(super) struct Hidden(pub(super) String);

/// Why the parameters cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// OAuth 2.0 forbids it, because servers differ in which one counts (RFC 6749, section 3.2).
    #[error("the parameter `{0}` is there more than once")]
    Repeated(&'static str),
    /// It is no number.
    #[error("the parameter `refresh_expires_in` is not a number of seconds")]
    Seconds,
}

impl TokenRequest {
    /// Reads parameters in the form of a query. Unknown ones, such as `client_id`, are of no account.
    pub(super) fn read(parameters: &str) -> Result<Self, RequestError> {
        let mut request = Self::default();
        let mut scopes = Vec::new();
        for (name, value) in query_pairs(parameters) {
            let value = value.into_owned();
            match &*name {
                "scope" => scopes.push(value),
                "service" => once("service", &mut request.service, value)?,
                "account" => once("account", &mut request.account, value)?,
                "grant_type" => once("grant_type", &mut request.grant, value)?,
                "username" => once("username", &mut request.username, value)?,
                "password" => once("password", &mut request.password, Hidden(value))?,
                "refresh_token" => once("refresh_token", &mut request.refresh_token, Hidden(value))?,
                "refresh_expires_in" => {
                    let seconds = value.parse().map_err(|_| RequestError::Seconds)?;
                    let lifetime = Duration::from_secs(seconds);
                    once("refresh_expires_in", &mut request.refresh_lifetime, lifetime)?;
                }
                "offline_token" => request.is_offline |= value == "true",
                "access_type" => request.is_offline |= value == "offline",
                _ => {}
            }
        }
        request.scopes = Scope::list(scopes.iter().map(String::as_str))?;
        Ok(request)
    }
}

fn once<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<(), RequestError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(RequestError::Repeated(name)),
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_docker_and_of_oauth() {
        let request = TokenRequest::read(
            "account=alice&client_id=docker&offline_token=true&service=a+b&scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=registry:catalog:*+repository:b:pull",
        );
        let request = request.unwrap();
        assert_eq!(request.account.as_deref(), Some("alice"));
        assert_eq!(request.service.as_deref(), Some("a b"));
        assert!(request.is_offline);
        let scopes: Vec<String> = request.scopes.iter().map(ToString::to_string).collect();
        assert_eq!(
            scopes,
            [
                "repository:team/app:pull,push",
                "registry:catalog:*",
                "repository:b:pull"
            ]
        );
        let form =
            TokenRequest::read("grant_type=password&username=alice&password=s%26cret&access_type=offline");
        let form = form.unwrap();
        assert_eq!(
            form.password.as_ref().map(|password| &*password.0),
            Some("s&cret")
        );
        assert!(form.is_offline && !format!("{form:?}").contains("cret"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for name in [
            "service",
            "account",
            "grant_type",
            "username",
            "password",
            "refresh_token",
        ] {
            let read = TokenRequest::read(&format!("{name}=a&{name}=b"));
            assert_eq!(read.unwrap_err(), RequestError::Repeated(name));
        }
        let read = TokenRequest::read("scope=repository:a");
        assert_eq!(read.unwrap_err(), RequestError::Scope(ScopeError::Parts));
    }
}
