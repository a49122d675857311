//! The table of errors of the API: the code, status and text of each failure.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::ext::ReasonPhrase;
use wharf_budget::Exhausted;
use wharf_mirror::{Error as MirrorError, Failure as UpstreamFailure, Trouble};
use wharf_oci::{ApiError, DigestError, ErrorCode, PageError, RouteError, TagError, error_body};
use wharf_registry::Error as RegistryError;
use wharf_storage::ErrorKind;

use crate::body::Content;

/// The media type of answers, as registry:2 spells it.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// The reason that stands behind 507 in the status line of HTTP/1.1. docker, skopeo and others show of an answer of 500 and above only
/// that line, not the body; and docker repeats such a request for nearly a minute, unless the line has exactly these
/// words, those of the operating system.
const OUT_OF_SPACE: ReasonPhrase = ReasonPhrase::from_static(b"no space left on device");
/// How much of what a manifest names and is missing an answer lists: no image has so many layers.
const MISSING_LIMIT: usize = 256;

/// Seconds after which a request that found no room may be tried again.
const RETRY_AFTER: u64 = 1;

/// An answer that is an error. Boxed, so that successful results stay small.
#[derive(Debug)]
pub(crate) struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    errors: Vec<ApiError>,
    headers: HeaderMap,
    is_out_of_space: bool,
    /// Whether the server does not look at the request for the moment.
    is_busy: bool,
    /// Detail for the log, which the client does not get.
    cause: Option<String>,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// An error of the table with its own text.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError::new(code).with_message(message).into()
    }

    /// The failure of a request that the server does not look at for the moment: the same may succeed after so many `seconds`.
    pub(crate) fn busy(seconds: u64, code: ErrorCode, message: impl Into<String>) -> Self {
        let mut failure = Self::new(code, message).with_header(header::RETRY_AFTER, seconds.into());
        failure.0.is_busy = true;
        failure
    }

    /// Replaces the status of the table.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.errors = self
            .0
            .errors
            .into_iter()
            .map(|error| error.with_status(status))
            .collect();
        self
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Closes the connection after this answer.
    pub(crate) fn and_close(self) -> Self {
        self.with_header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// Adds detail for the log, which the client does not get.
    pub(crate) fn caused_by(mut self, cause: impl std::fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Detail for the log, which the client does not get.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The errors in the body of the answer.
    pub(crate) fn errors(&self) -> &[ApiError] {
        &self.0.errors
    }

    /// Whether the server does not look at the request for the moment.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.is_busy
    }

    /// Whether its first error is of this kind.
    pub(crate) fn is(&self, code: ErrorCode) -> bool {
        self.0.errors.first().is_some_and(|error| error.code == code)
    }

    /// Whether the store was full.
    pub(crate) fn is_out_of_space(&self) -> bool {
        self.0.is_out_of_space
    }

    pub(crate) fn into_response(self) -> Response<Content> {
        let Parts {
            errors,
            headers,
            is_out_of_space,
            is_busy: _,
            cause: _,
        } = *self.0;
        let mut response = Response::new(Content::Full(Bytes::from(error_body(&errors))));
        *response.status_mut() = errors
            .first()
            .map_or(StatusCode::INTERNAL_SERVER_ERROR, ApiError::status);
        if is_out_of_space {
            response.extensions_mut().insert(OUT_OF_SPACE);
        }
        *response.headers_mut() = headers;
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        response
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(Box::new(Parts {
            errors: vec![error],
            headers: HeaderMap::new(),
            is_out_of_space: false,
            is_busy: false,
            cause: None,
        }))
    }
}

impl From<Vec<ApiError>> for Failure {
    fn from(errors: Vec<ApiError>) -> Self {
        Self(Box::new(Parts {
            errors,
            headers: HeaderMap::new(),
            is_out_of_space: false,
            is_busy: false,
            cause: None,
        }))
    }
}

impl Failure {
    /// The failure of a path that is not a route. Reading an invalid tag is `MANIFEST_UNKNOWN`: no tag can have that
    /// name.
    pub(crate) fn of_route(error: RouteError, is_write: bool) -> Self {
        let text = error.to_string();
        match error {
            RouteError::NotFound => {
                Self::new(ErrorCode::Unsupported, text).with_status(StatusCode::NOT_FOUND)
            }
            RouteError::Name(_) => Self::new(ErrorCode::NameInvalid, text),
            RouteError::Tag(_) if !is_write => Self::new(ErrorCode::ManifestUnknown, text),
            RouteError::Tag(error) => error.into(),
            RouteError::Digest(error) => error.into(),
            RouteError::Reference(_) => Self::new(ErrorCode::DigestInvalid, text),
            RouteError::UploadId(_) => Self::new(ErrorCode::BlobUploadUnknown, text),
        }
    }
}

impl From<Exhausted> for Failure {
    fn from(error: Exhausted) -> Self {
        RegistryError::from(error).into()
    }
}

impl From<DigestError> for Failure {
    fn from(error: DigestError) -> Self {
        Self::new(ErrorCode::DigestInvalid, error.to_string())
    }
}

impl From<TagError> for Failure {
    fn from(error: TagError) -> Self {
        Self::new(ErrorCode::TagInvalid, error.to_string())
    }
}

impl From<PageError> for Failure {
    fn from(error: PageError) -> Self {
        Self::new(ErrorCode::PaginationNumberInvalid, error.to_string())
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let (code, text) = match error {
            RegistryError::Storage(error) => return storage_failure(&error),
            RegistryError::ManifestReferencesUnknown(missing) => {
                let errors = missing.iter().take(MISSING_LIMIT).map(|missing| {
                    ApiError::new(ErrorCode::ManifestBlobUnknown)
                        .with_message(missing.to_string())
                        .with_detail(missing.digest.to_string())
                });
                return errors.collect::<Vec<_>>().into();
            }
            RegistryError::BlobUnknown { digest } => {
                let text = error.to_string();
                return ApiError::new(ErrorCode::BlobUnknown)
                    .with_message(text)
                    .with_detail(digest.to_string())
                    .into();
            }
            RegistryError::UploadBusy { .. } => {
                return Self::new(ErrorCode::BlobUploadInvalid, error.to_string())
                    .with_status(StatusCode::CONFLICT);
            }
            RegistryError::TooManyChunks { .. } => (ErrorCode::SizeInvalid, error.to_string()),
            RegistryError::ManifestTooLarge { .. } => {
                return Self::new(ErrorCode::ManifestInvalid, error.to_string())
                    .with_status(StatusCode::PAYLOAD_TOO_LARGE);
            }
            RegistryError::Busy { .. } | RegistryError::Exhausted(_) => {
                return Self::busy(RETRY_AFTER, ErrorCode::Unavailable, error.to_string());
            }
            RegistryError::UploadUnknown { .. } => (ErrorCode::BlobUploadUnknown, error.to_string()),
            RegistryError::DigestMismatch { .. } => (ErrorCode::DigestInvalid, error.to_string()),
            RegistryError::ManifestUnknown { .. }
            | RegistryError::NotInHistory { .. }
            // The distribution API does not restore.
            | RegistryError::TrashUnknown { .. }
            | RegistryError::TrashDamaged { .. } => (ErrorCode::ManifestUnknown, error.to_string()),
            RegistryError::ManifestInvalid { .. } => (ErrorCode::ManifestInvalid, error.to_string()),
            RegistryError::NameUnknown { .. } => (ErrorCode::NameUnknown, error.to_string()),
            RegistryError::NameInvalid(_) => (ErrorCode::NameInvalid, error.to_string()),
            // The distribution API sorts nothing by time.
            RegistryError::DeleteDisabled
            | RegistryError::NotCollectable(_)
            | RegistryError::TooManyToSort => {
                (ErrorCode::Unsupported, error.to_string())
            }
            RegistryError::TagExists { .. } | RegistryError::TagDenied { .. } => {
                (ErrorCode::Denied, error.to_string())
            }
            // Not 405, which clients take for "this registry cannot delete".
            RegistryError::NeededByIndex { .. }
            | RegistryError::BlobNeeded { .. }
            | RegistryError::TooManyTags { .. } => {
                return Self::new(ErrorCode::Denied, error.to_string()).with_status(StatusCode::CONFLICT);
            }
            // The distribution API makes no plans.
            RegistryError::PlanChanged { .. } => {
                return Self::new(ErrorCode::Denied, error.to_string())
                    .with_status(StatusCode::PRECONDITION_FAILED);
            }
            // It collects nothing either.
            RegistryError::DeletionInterrupted { .. } => (ErrorCode::Unknown, error.to_string()),
            RegistryError::PreconditionFailed { current, .. } => {
                let failure = Self::new(ErrorCode::Denied, error.to_string())
                    .with_status(StatusCode::PRECONDITION_FAILED);
                return match current.and_then(|digest| HeaderValue::try_from(format!("\"{digest}\"")).ok()) {
                    Some(etag) => failure.with_header(header::ETAG, etag),
                    None => failure,
                };
            }
        };
        Self::new(code, text)
    }
}

impl From<MirrorError> for Failure {
    fn from(error: MirrorError) -> Self {
        match error {
            MirrorError::Registry(error) => error.into(),
            MirrorError::Upstream(failure) => upstream_failure(&failure),
        }
    }
}

/// The failure of the upstream of a mirror. Never 401, with which clients ask for a password of this registry: the credentials that are
/// refused there are those of the mirror.
fn upstream_failure(failure: &UpstreamFailure) -> Failure {
    let trouble = failure.trouble();
    let code = match trouble {
        Trouble::Limited(_) => ErrorCode::TooManyRequests,
        _ => ErrorCode::Unavailable,
    };
    let status = match trouble {
        Trouble::Denied => StatusCode::FAILED_DEPENDENCY,
        Trouble::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
        Trouble::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Trouble::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Trouble::Wrong => StatusCode::BAD_GATEWAY,
        Trouble::Loop => StatusCode::LOOP_DETECTED,
    };
    let answer = Failure::new(code, failure.to_string()).with_status(status);
    match trouble {
        Trouble::Limited(after) | Trouble::Unavailable(after) => {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            answer.with_header(header::RETRY_AFTER, seconds.into())
        }
        Trouble::Denied | Trouble::TimedOut | Trouble::Wrong | Trouble::Loop => answer,
    }
}

/// The failure of the store: all detail goes to the log, once, with the request; the client gets what it can act on.
fn storage_failure(error: &wharf_storage::Error) -> Failure {
    let (code, text) = match error.kind() {
        ErrorKind::NoSpace => (
            ErrorCode::Unavailable,
            "the registry's storage is full; ask its operator to make room, and push again",
        ),
        ErrorKind::ReadOnly => (
            ErrorCode::Unavailable,
            "the registry's storage is read-only at the moment; ask its operator, who finds the reason in the log",
        ),
        ErrorKind::PermissionDenied => (
            ErrorCode::Unknown,
            "the registry may not use its own storage; its operator finds the reason in the log",
        ),
        ErrorKind::Damaged => (
            ErrorCode::Unknown,
            "the stored content is damaged; pushing it again repairs it",
        ),
        ErrorKind::Exhausted => (
            ErrorCode::Unavailable,
            "the registry has too many files open at the moment; try again in a moment",
        ),
        ErrorKind::Unavailable => (
            ErrorCode::Unavailable,
            "the registry's storage does not answer at the moment; try again in a moment",
        ),
        ErrorKind::NotFound
        | ErrorKind::Busy
        | ErrorKind::Precondition
        | ErrorKind::TooLarge
        | ErrorKind::Locked
        | ErrorKind::Other => (
            ErrorCode::Unknown,
            "the registry could not use its storage; its operator finds the reason in the log",
        ),
    };
    let mut failure = Failure::new(code, text).caused_by(error);
    match error.kind() {
        ErrorKind::NoSpace => {
            failure.0.is_out_of_space = true;
            failure.with_status(StatusCode::INSUFFICIENT_STORAGE)
        }
        ErrorKind::Exhausted | ErrorKind::Unavailable => {
            failure.with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(failure: impl Into<Failure>) -> (StatusCode, String) {
        let response = failure.into().into_response();
        let status = response.status();
        match response.into_body() {
            Content::Full(body) => (status, String::from_utf8(body.to_vec()).unwrap()),
            _ => panic!("an error has a body"),
        }
    }

    #[test]
    fn paths_stay_in_the_log() {
        let error = wharf_storage::Error::new(ErrorKind::NoSpace, "write `docker/registry/v2/secret`");
        let (status, body) = answer(RegistryError::Storage(error));
        assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
        assert!(body.contains("UNAVAILABLE") && !body.contains("secret"), "{body}");
    }

    #[test]
    fn a_process_without_descriptors_asks_to_come_again() {
        let error = std::io::Error::from_raw_os_error(24 /* EMFILE */);
        let error = RegistryError::Storage(wharf_storage::Error::io("open", error));
        let response = Failure::from(error).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn routes_that_are_none_say_why() {
        let check = |path: &str, status: u16, code: &str| {
            let (got, body) = answer(Failure::of_route(
                wharf_oci::Route::parse(path).unwrap_err(),
                false,
            ));
            assert!(
                got.as_u16() == status && body.contains(&format!("\"{code}\"")),
                "{path}: {got} {body}"
            );
        };
        check("/v3/", 404, "UNSUPPORTED");
        check("/v2/a/b", 404, "UNSUPPORTED");
        check("/v2/A/tags/list", 400, "NAME_INVALID");
        check("/v2/a/blobs/sha256:12", 400, "DIGEST_INVALID");
        check("/v2/a/manifests/.bad", 404, "MANIFEST_UNKNOWN");
        let write = Failure::of_route(wharf_oci::Route::parse("/v2/a/manifests/.bad").unwrap_err(), true);
        assert_eq!(answer(write).0, StatusCode::BAD_REQUEST);
    }
}
