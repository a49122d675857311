//! Refusals of the token server: one object that is an error of OAuth 2.0 and one of the distribution API.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use wharf_access::{Access, Reason, issuer::IssueError};
use wharf_budget::Exhausted;
use wharf_oci::ErrorCode;

use super::request::RequestError;
use crate::{
    body::Content,
    error::JSON,
    refused::{GUESSING, WRONG, seconds},
};

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// The code of OAuth 2.0 (RFC 6749, section 5.2), for programs.
    error: &'static str,
    /// The code of the distribution API, which docker shows with the text.
    code: ErrorCode,
    text: String,
    challenge: Option<HeaderValue>,
    allow: Option<&'static str>,
    failure: Option<LoginFailure>,
    /// Seconds after which the client may come again, if the server refuses it for now
    retry_after: u64,
}

/// A log-in that failed.
#[derive(Debug)]
pub(super) struct LoginFailure {
    /// The account that was tried, if the request names one
    pub(super) name: Option<String>,
    pub(super) reason: &'static str,
}

impl Refusal {
    /// The request cannot be understood, or asks for what this server does not do.
    pub(super) fn bad(error: &'static str, text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error,
            code: ErrorCode::Unsupported,
            text: text.into(),
            challenge: None,
            allow: None,
            failure: None,
            retry_after: 1,
        }
    }

    /// The method is none of `allowed`.
    pub(super) fn method(allowed: &'static str) -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            allow: Some(allowed),
            ..Self::bad("invalid_request", format!("only {allowed} are allowed here"))
        }
    }

    /// The form is larger than any that a client sends.
    pub(super) fn too_large(limit: usize) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Self::bad("invalid_request", format!("a form has at most {limit} bytes"))
        }
    }

    /// The client has to send a user name and a password.
    pub(super) fn log_in(access: &Access, text: &str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: ErrorCode::Unauthorized,
            // The challenge is quoted, so that it is a valid header value.
            challenge: HeaderValue::from_bytes(access.basic_challenge().as_bytes()).ok(),
            ..Self::bad("invalid_client", text)
        }
    }

    /// A proxy names the account of the client.
    pub(super) fn proxied() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: ErrorCode::Denied,
            ..Self::bad(
                "unauthorized_client",
                "a proxy in front of this registry names the account of each request, so requests through it need no token, and \
                 none is made, as it would outlive the sign-on; programs that do not come through the proxy log in with a \
                 password or a robot token",
            )
        }
    }

    /// The credentials are not good, or were not checked.
    pub(super) fn of_reason(access: &Access, name: Option<&str>, reason: &Reason) -> Self {
        let failure = reason.of_failed_login().map(|reason| LoginFailure {
            name: name.map(str::to_owned),
            reason,
        });
        Self {
            failure,
            ..Self::because(access, reason)
        }
    }

    /// The log-in that failed, if the client has tried one.
    pub(super) fn failure(&self) -> Option<&LoginFailure> {
        self.failure.as_ref()
    }

    fn because(access: &Access, reason: &Reason) -> Self {
        match reason {
            Reason::WrongCredentials => Self::log_in(access, WRONG),
            Reason::WrongScheme => Self::log_in(
                access,
                "a token is fetched with a user name and a password (`Basic`), or by `POST` with a refresh token, not with another token",
            ),
            Reason::Malformed(what) => Self::log_in(access, what),
            Reason::BadToken(rejection) => Self {
                code: ErrorCode::Unauthorized,
                ..Self::bad(
                    "invalid_grant",
                    format!("{rejection}; `docker login` fetches another one"),
                )
            },
            Reason::Guessing(wait) => Self {
                text: GUESSING.to_owned(),
                retry_after: seconds(*wait),
                ..Self::busy()
            },
            Reason::Busy => Self::busy(),
            Reason::Failed => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                code: ErrorCode::Unknown,
                ..Self::bad(
                    "server_error",
                    "the credentials could not be checked; the registry's operator finds the reason in the log",
                )
            },
        }
    }

    fn busy() -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: ErrorCode::TooManyRequests,
            ..Self::bad(
                "temporarily_unavailable",
                "too many requests are being checked; the same one will succeed in a moment",
            )
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_response(self) -> Response<Content> {
        let body = json!({
            "error": self.error,
            "error_description": self.text,
            "errors": [{"code": self.code.code(), "message": self.text, "detail": null}],
        });
        let mut response = Response::new(Content::Full(Bytes::from(body.to_string())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, JSON);
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS || self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, self.retry_after.into());
        }
        response
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        let code = match error {
            RequestError::Scope(_) => "invalid_scope",
            RequestError::Repeated(_) | RequestError::Seconds => "invalid_request",
        };
        Self::bad(code, error.to_string())
    }
}

impl From<IssueError> for Refusal {
    fn from(error: IssueError) -> Self {
        if matches!(error, IssueError::TooLong) {
            return Self::bad("invalid_scope", error.to_string());
        }
        // The cause names files of the operator.
        tracing::error!(%error, "no token can be issued");
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: ErrorCode::Unavailable,
            ..Self::bad(
                "temporarily_unavailable",
                "this registry cannot issue tokens at the moment; its operator finds the reason in the log",
            )
        }
    }
}

impl From<Exhausted> for Refusal {
    fn from(_: Exhausted) -> Self {
        Self::busy()
    }
}
