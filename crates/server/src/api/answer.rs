//! The answer of an operation, before it is a response.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::problem::{Problem, Result};

/// The answer of an operation. Cloned to be remembered for a repetition of the request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// JSON.
    pub(crate) body: Bytes,
    /// What was changed, in words for the activity log, and nothing secret.
    pub(crate) deed: Option<Box<str>>,
}

impl Answer {
    /// An answer of `value` as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(Problem::failed)?;
        Ok(Self::document(body.into()))
    }

    /// An answer of `value`, which may be so large that it takes long to write it.
    pub(crate) async fn large_json(value: impl Serialize + Send + 'static) -> Result<Self> {
        let written = tokio::task::spawn_blocking(move || Self::json(&value)).await;
        written.map_err(Problem::failed)?
    }

    /// An answer of a document that is JSON already.
    pub(crate) fn document(body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body,
            deed: None,
        }
    }

    /// Says what was changed, in words for the activity log.
    pub(crate) fn with_deed(mut self, deed: String) -> Self {
        self.deed = Some(deed.into());
        self
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds the `ETag` of a version: its text has only letters and digits.
    pub(crate) fn with_version(mut self, version: &str) -> Self {
        if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
            self.headers.insert(header::ETAG, tag);
        }
        self
    }
}
