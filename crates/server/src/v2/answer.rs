//! Building blocks of answers that several handlers share.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tracing::Instrument as _;
use wharf_budget::Permit;
use wharf_oci::{Digest, ErrorCode};

use crate::{
    body::Content,
    call::Call,
    error::{Failure, JSON, Result},
};

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

pub(super) type Answer = Result<Response<Content>>;

/// The failure of a method that is not among those `allowed` here.
pub(super) fn not_allowed(call: Call<'_>, allowed: &'static str) -> Failure {
    let text = format!(
        "`{}` is not possible here; these methods are: {allowed}",
        call.parts.method
    );
    Failure::new(ErrorCode::Unsupported, text).with_header(header::ALLOW, HeaderValue::from_static(allowed))
}

/// How long a request waits until the server has room for its work. Shorter than the transport lets a connection without
/// progress be, when others need its place.
pub(super) const ADMISSION: Duration = Duration::from_secs(3);

/// The right to change the store for a request, whether or not its client waits for the end.
pub(super) async fn admit(call: Call<'_>) -> Result<Permit> {
    Ok(call.app.services.budget.work.wait(1, ADMISSION).await?)
}

/// Runs `work` of a complete request to its end, even if the client disconnects meanwhile: no work is left half done,
/// and locks are held until it ends. So is `charge`, the permits for the work: clients that hang up leave no more work
/// behind than those permit.
pub(super) async fn to_the_end<T: Send + 'static>(
    charge: impl Send + 'static,
    work: impl Future<Output = wharf_registry::Result<T>> + Send + 'static,
) -> Result<T> {
    let work = async move {
        let result = work.await;
        drop(charge);
        result
    };
    match tokio::spawn(work.in_current_span()).await {
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

/// A header value of text that was made here, or parsed, and so is ASCII.
pub(super) fn value(text: impl Into<String>) -> HeaderValue {
    HeaderValue::try_from(text.into()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The value of an `Etag` header for a digest.
pub(super) fn entity_tag(digest: &str) -> HeaderValue {
    value(format!("\"{digest}\""))
}

pub(super) fn content_digest(digest: &Digest) -> HeaderValue {
    value(digest.to_string())
}

#[cfg(test)]
mod tests {
    use wharf_budget::Share;

    use super::*;

    #[tokio::test]
    async fn a_client_that_leaves_ends_nothing_half_way_and_gives_nothing_back_before() {
        let share = Share::new("work", 1);
        let permit = share.take(1).unwrap();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (proceed, may_proceed) = tokio::sync::oneshot::channel::<()>();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let work = async move {
            started.send(()).unwrap();
            may_proceed.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        };
        let request = tokio::spawn(to_the_end(permit, work));
        has_started.await.unwrap();
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        assert!(share.take(1).is_err(), "the work goes on");
        proceed.send(()).unwrap();
        is_done.await.unwrap();
        assert!(share.wait(1, ADMISSION).await.is_ok());
    }
}
