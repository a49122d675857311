//! Request bodies: read in pieces, with a time limit for each.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time;
use wharf_oci::ErrorCode;

use crate::{
    call::Call,
    error::{Failure, Result},
};

/// The next bytes of `body`; `None` at its end.
///
/// An error ends the request: the client disconnected, or sent nothing for [`Limits::idle`](wharf_http::Limits::idle).
pub(super) async fn next(call: Call<'_>, body: &mut Incoming) -> Result<Option<Bytes>> {
    loop {
        let frame = match time::timeout(call.context.limits().idle, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(broken_off(&error)),
            Ok(None) => return Ok(None),
            Err(_elapsed) => return Err(too_slow(call)),
        };
        // Trailers are ignored.
        match frame.into_data() {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => return Ok(Some(bytes)),
            Err(_trailers) => {}
        }
    }
}

/// The next bytes of a blob; counted in the metrics.
pub(super) async fn next_of_blob(call: Call<'_>, body: &mut Incoming) -> Result<Option<Bytes>> {
    let bytes = next(call, body).await?;
    if let (Some(bytes), Some(metrics)) = (&bytes, &call.app.services.metrics) {
        metrics.transfers().received(bytes.len() as u64);
    }
    Ok(bytes)
}

/// The failure of a body that ended early: the connection failed, or its bytes are not valid HTTP.
fn broken_off(error: &hyper::Error) -> Failure {
    tracing::debug!(%error, "a request body ended early");
    let text = "the request body ended before its announced length";
    Failure::new(ErrorCode::SizeInvalid, text).and_close()
}

fn too_slow(call: Call<'_>) -> Failure {
    let patience = call.context.limits().idle;
    let text = format!(
        "no byte of the request body came for {patience:?}; of an upload, ask for its state, and go on after the bytes that are kept; otherwise send it again"
    );
    Failure::new(ErrorCode::BlobUploadInvalid, text)
        .with_status(StatusCode::REQUEST_TIMEOUT)
        .and_close()
}
