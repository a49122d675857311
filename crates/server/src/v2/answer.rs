//! Parts of answers that several handlers share.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use wharf_oci::{Digest, ErrorCode};

use crate::{
    body::Content,
    call::Call,
    error::{Failure, JSON, Result},
};

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

pub(super) type Answer = Result<Response<Content>>;

/// The method is none of those that are `allowed` here.
pub(super) fn not_allowed(call: Call<'_>, allowed: &'static str) -> Failure {
    let text = format!(
        "`{}` is not possible here; these methods are: {allowed}",
        call.parts.method
    );
    Failure::new(ErrorCode::Unsupported, text).with_header(header::ALLOW, HeaderValue::from_static(allowed))
}

/// Carries out what a complete request asks for, to its end, also when its client leaves meanwhile: nothing is
/// left half done, and what the registry holds locked while it works stays locked.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = wharf_registry::Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => Ok(result?),
        Err(error) => {
            let text = "the registry failed; its operator finds the reason in the log";
            Err(Failure::new(ErrorCode::Unknown, text).caused_by(error))
        }
    }
}

pub(super) fn empty(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::Empty);
    *response.status_mut() = status;
    response
}

pub(super) fn json(bytes: Vec<u8>) -> Response<Content> {
    let mut response = Response::new(Content::Full(Bytes::from(bytes)));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// A header value of text that we made, or checked the grammar of: ASCII.
pub(super) fn value(text: impl Into<String>) -> HeaderValue {
    HeaderValue::try_from(text.into()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The value of an `Etag` header for `digest`, which is its text.
pub(super) fn entity_tag(digest: &str) -> HeaderValue {
    value(format!("\"{digest}\""))
}

pub(super) fn content_digest(digest: &Digest) -> HeaderValue {
    value(digest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_leaves_ends_nothing_half_way() {
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (proceed, may_proceed) = tokio::sync::oneshot::channel::<()>();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let request = tokio::spawn(to_the_end(async move {
            started.send(()).unwrap();
            may_proceed.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        }));
        has_started.await.unwrap();
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        proceed.send(()).unwrap();
        is_done.await.unwrap();
    }
}
