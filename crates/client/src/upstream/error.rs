//! Why an upstream has not given what it was asked for: a kind to act on, and a text for operators.

use std::time::Duration;

use http::StatusCode;

use crate::{Error, text::printable};

/// Why an upstream has not given what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct UpstreamError {
    kind: UpstreamErrorKind,
    text: String,
}

/// The kinds of failures of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamErrorKind {
    /// No connection could be made, or it broke.
    Unreachable,
    /// The head of the answer, or the next bytes of its body, did not come in time.
    TimedOut,
    /// It allows no more requests for now (429).
    Limited {
        /// Time after which it wants to be asked again, if it says so.
        after: Option<Duration>,
    },
    /// It has a fault, by this status (5xx).
    Failing(StatusCode),
    /// It refuses the credentials of the mirror, or the mirror has none that suffice (401, 403), also when the
    /// credentials cannot be read.
    Denied(StatusCode),
    /// It would be unsafe to go on: a redirect out of TLS, credentials for a foreign server, certificates that
    /// cannot be used.
    Untrusted,
    /// It does not answer as a registry: a wrong digest, a document that is too large, HTML in place of JSON.
    Wrong,
    /// The request came back to this registry (508, or its own name in `Via`).
    Loop,
}

impl UpstreamError {
    pub(crate) fn new(kind: UpstreamErrorKind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { kind, text }
    }

    /// The failure of a request to the upstream at `origin`.
    pub(crate) fn of(origin: &str, error: &Error) -> Self {
        let kind = kind(error);
        let text = match error {
            Error::Interrupted { url, reason } => format!("the connection to `{url}` broke: {reason}"),
            Error::Unauthorized { user, .. } => unauthorized(origin, user.as_deref()),
            Error::MissingRight { user, scope, .. } => missing_right(origin, user.as_deref(), scope),
            Error::Refused {
                path,
                status,
                message,
                server,
                ..
            } => {
                let server = server.as_deref().unwrap_or(origin);
                let remedy = remedy(kind);
                let (path, message) = (printable(path), printable(message));
                format!("`{server}` refuses `{path}` with {status}: {message}{remedy}")
            }
            Error::Untrusted { .. }
            | Error::Unreachable { .. }
            | Error::TimedOut { .. }
            | Error::Authorities { .. }
            | Error::Credentials(_)
            | Error::File { .. } => error.to_string(),
            Error::NotARegistry { .. }
            | Error::ReferrersTag { .. }
            | Error::Damaged { .. }
            | Error::WrongSize { .. }
            | Error::TooLarge { .. }
            | Error::Endless { .. } => format!("`{origin}` does not answer as a registry: {error}"),
        };
        Self { kind, text }
    }

    /// Kind of the failure.
    pub fn kind(&self) -> UpstreamErrorKind {
        self.kind
    }
}

/// Whether the registry itself says that it does not have what it was asked for; its token server, or a server to which it led, cannot
/// say that.
pub(crate) fn is_absent(error: &Error) -> bool {
    match error {
        Error::Refused {
            path,
            status,
            server: None,
            ..
        } => *status == StatusCode::NOT_FOUND && is_of_registry(path),
        _ => false,
    }
}

/// Whether a path is one of the registry, and not the URL of its token server.
fn is_of_registry(path: &str) -> bool {
    path.starts_with('/')
}

fn kind(error: &Error) -> UpstreamErrorKind {
    match error {
        Error::Unreachable { .. } | Error::Interrupted { .. } => UpstreamErrorKind::Unreachable,
        Error::TimedOut { .. } => UpstreamErrorKind::TimedOut,
        Error::Unauthorized { .. } | Error::MissingRight { .. } | Error::Credentials(_) => {
            UpstreamErrorKind::Denied(StatusCode::UNAUTHORIZED)
        }
        Error::Untrusted { .. } | Error::Authorities { .. } => UpstreamErrorKind::Untrusted,
        Error::Refused {
            status,
            after,
            server,
            ..
        } => refused(*status, *after, server.is_none()),
        Error::NotARegistry { .. }
        | Error::ReferrersTag { .. }
        | Error::Damaged { .. }
        | Error::WrongSize { .. }
        | Error::File { .. }
        | Error::TooLarge { .. }
        | Error::Endless { .. } => UpstreamErrorKind::Wrong,
    }
}

fn refused(status: StatusCode, after: Option<Duration>, by_registry: bool) -> UpstreamErrorKind {
    match status {
        StatusCode::TOO_MANY_REQUESTS => UpstreamErrorKind::Limited { after },
        StatusCode::LOOP_DETECTED => UpstreamErrorKind::Loop,
        StatusCode::REQUEST_TIMEOUT => UpstreamErrorKind::TimedOut,
        status if status.is_server_error() => UpstreamErrorKind::Failing(status),
        // The server that keeps the blobs gets no credentials: a refusal is the fault of the registry that led to it.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if by_registry => UpstreamErrorKind::Denied(status),
        _ => UpstreamErrorKind::Wrong,
    }
}

fn unauthorized(origin: &str, user: Option<&str>) -> String {
    match user {
        Some(user) => format!(
            "`{origin}` does not accept the credentials of `{}`; correct those of the mirror",
            printable(user)
        ),
        None => format!("`{origin}` requires a login; give the mirror `username` and `password`"),
    }
}

fn missing_right(origin: &str, user: Option<&str>, scope: &str) -> String {
    let scope = printable(scope);
    match user {
        Some(user) => format!(
            "`{}` lacks the right `{scope}` at `{origin}`, or there is no such repository; give the user of the mirror that right",
            printable(user)
        ),
        None => format!(
            "the right `{scope}` at `{origin}` is not for everyone, or there is no such repository; if there is one, give the mirror \
             `username` and `password`"
        ),
    }
}

/// What to do about a refusal, where the registry does not say it.
fn remedy(kind: UpstreamErrorKind) -> &'static str {
    match kind {
        UpstreamErrorKind::Denied(_) => "; the user of the mirror needs the right to pull there",
        UpstreamErrorKind::Limited { .. } => "; registries allow more requests to users that log in",
        UpstreamErrorKind::Loop => "; the upstream asks this registry itself: look at `remoteurl` of both",
        UpstreamErrorKind::Wrong => "; is `remoteurl` the address of a registry?",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str, status: u16, server: Option<&str>) -> Error {
        Error::Refused {
            path: path.to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            message: "DENIED: no".to_owned(),
            after: None,
            server: server.map(str::to_owned),
        }
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let kind = |status, server| kind(&refusal("/v2/a/manifests/1", status, server));
        let denied = UpstreamErrorKind::Denied(StatusCode::FORBIDDEN);
        assert_eq!(kind(403, None), denied);
        assert_eq!(kind(403, Some("https://bucket.test")), UpstreamErrorKind::Wrong);
        assert_eq!(kind(429, None), UpstreamErrorKind::Limited { after: None });
        assert_eq!(
            kind(503, None),
            UpstreamErrorKind::Failing(StatusCode::SERVICE_UNAVAILABLE)
        );
        assert_eq!(kind(508, None), UpstreamErrorKind::Loop);
        assert_eq!(kind(405, None), UpstreamErrorKind::Wrong);
    }

    #[test]
    fn only_the_registry_says_what_it_does_not_have() {
        assert!(is_absent(&refusal("/v2/a/manifests/1", 404, None)));
        assert!(!is_absent(&refusal("/v2/a/manifests/1", 403, None)));
        assert!(!is_absent(&refusal(
            "/v2/a/blobs/x",
            404,
            Some("https://bucket.test")
        )));
        assert!(!is_absent(&refusal("https://auth.test/token", 404, None)));
    }

    #[test]
    fn texts_name_the_mirror_and_not_the_command_line() {
        for error in [
            Error::Unauthorized {
                host: "r.test".to_owned(),
                user: None,
            },
            Error::Unauthorized {
                host: "r.test".to_owned(),
                user: Some("ann".to_owned()),
            },
            Error::MissingRight {
                host: "r.test".to_owned(),
                user: None,
                scope: "repository:app:pull".to_owned(),
            },
            refusal("/v2/a/manifests/1", 403, None),
        ] {
            let text = UpstreamError::of("https://r.test", &error).to_string();
            assert!(
                text.contains("https://r.test") && text.contains("mirror"),
                "{text}"
            );
            assert!(!text.contains("wharf login"), "{text}");
        }
    }
}
