//! The error table: every code that the API can answer, its status and its default message.

use http::StatusCode;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $code:literal $status:ident $message:literal;)+) => {
        /// An error code of the API (distribution specification, "Error Codes", and `registry:2`'s own).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ErrorCode {
            /// The code in the body of an answer, such as `BLOB_UNKNOWN`.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// The default status of the code; [`ApiError::with_status`] overrides it.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status,)+
                }
            }

            /// The message of `registry:2`, which some scripts look for.
            pub fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)+
                }
            }

            /// The whole table, by code.
            pub fn all() -> &'static [Self] {
                &[$(Self::$variant,)+]
            }
        }
    };
}

error_codes! {
    /// The repository has no such blob.
    BlobUnknown "BLOB_UNKNOWN" NOT_FOUND "blob unknown to registry";
    /// The upload cannot go on.
    BlobUploadInvalid "BLOB_UPLOAD_INVALID" NOT_FOUND "blob upload invalid";
    /// There is no such upload, or no longer.
    BlobUploadUnknown "BLOB_UPLOAD_UNKNOWN" NOT_FOUND "blob upload unknown to registry";
    /// The user is authenticated, and lacks the permission.
    Denied "DENIED" FORBIDDEN "requested access to the resource is denied";
    /// The digest is malformed, or is not that of the content.
    DigestInvalid "DIGEST_INVALID" BAD_REQUEST "provided digest did not match uploaded content";
    /// The manifest names something that the repository does not have.
    ManifestBlobUnknown "MANIFEST_BLOB_UNKNOWN" BAD_REQUEST "blob unknown to registry";
    /// The manifest is not acceptable.
    ManifestInvalid "MANIFEST_INVALID" BAD_REQUEST "manifest invalid";
    /// The repository has no such manifest or tag.
    ManifestUnknown "MANIFEST_UNKNOWN" NOT_FOUND "manifest unknown";
    /// The signature of a manifest is wrong.
    ManifestUnverified "MANIFEST_UNVERIFIED" BAD_REQUEST "manifest failed signature verification";
    /// The name is not one of a repository.
    NameInvalid "NAME_INVALID" BAD_REQUEST "invalid repository name";
    /// There is no such repository.
    NameUnknown "NAME_UNKNOWN" NOT_FOUND "repository name not known to registry";
    /// `n` is no number of results.
    PaginationNumberInvalid "PAGINATION_NUMBER_INVALID" BAD_REQUEST "invalid number of results requested";
    /// A chunk does not continue the upload.
    RangeInvalid "RANGE_INVALID" RANGE_NOT_SATISFIABLE "invalid content range";
    /// The body does not have the announced length.
    SizeInvalid "SIZE_INVALID" BAD_REQUEST "provided length did not match content length";
    /// The tag is malformed.
    TagInvalid "TAG_INVALID" BAD_REQUEST "manifest tag did not match URI";
    /// The client sends too many requests.
    TooManyRequests "TOOMANYREQUESTS" TOO_MANY_REQUESTS "too many requests";
    /// The request is not authenticated.
    Unauthorized "UNAUTHORIZED" UNAUTHORIZED "authentication required";
    /// The registry cannot answer at the moment.
    Unavailable "UNAVAILABLE" SERVICE_UNAVAILABLE "service unavailable";
    /// A failure inside the registry.
    Unknown "UNKNOWN" INTERNAL_SERVER_ERROR "unknown error";
    /// The operation does not exist here, or is switched off.
    Unsupported "UNSUPPORTED" METHOD_NOT_ALLOWED "The operation is unsupported.";
}

/// One error of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// Code of the error.
    pub code: ErrorCode,
    /// Description of the fault and its remedy, for people.
    pub message: String,
    /// Details of the fault, for programs; left out of the body when null, except of [`ErrorCode::Unauthorized`], as in
    /// `registry:2`.
    pub detail: Value,
    /// A status other than the default of the code.
    pub status: Option<StatusCode>,
}

impl ApiError {
    /// An error with the default message and status, and without detail.
    pub fn new(code: ErrorCode) -> Self {
        Self {
            code,
            message: code.message().to_owned(),
            detail: Value::Null,
            status: None,
        }
    }

    /// This error with another message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// This error with a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Value>) -> Self {
        self.detail = detail.into();
        self
    }

    /// This error with another status than the default, such as 413 for a manifest that is too large.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| self.code.status())
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_detail = !self.detail.is_null() || self.code == ErrorCode::Unauthorized;
        let fields = if has_detail { 3 } else { 2 };
        let mut error = serializer.serialize_struct("ApiError", fields)?;
        error.serialize_field("code", self.code.code())?;
        error.serialize_field("message", &self.message)?;
        if has_detail {
            error.serialize_field("detail", &self.detail)?;
        }
        error.end()
    }
}

/// The body of an answer: `{"errors":[{"code":…,"message":…,"detail":…}]}` and a newline, as `registry:2` has it.
pub fn error_body(errors: &[ApiError]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        errors: &'a [ApiError],
    }
    let mut body = Vec::new();
    // Writing to memory does not fail, and every value here has a JSON form.
    if serde_json::to_writer(&mut body, &Body { errors }).is_err() {
        body = br#"{"errors":[]}"#.to_vec();
    }
    body.push(b'\n');
    body
}
