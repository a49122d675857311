//! The bytes of a request body, as they come.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wharf_http::RequestContext;

/// The next bytes of `body`, never none; `None` at its end. Trailers are ignored. While it waits, a client that sends next to
/// nothing is ended when others need its place.
///
/// What a body takes in memory is charged when its first bytes have come, so that a client which announces a body and sends none
/// of it, or over HTTP/2 empty frames, holds nothing.
///
/// # Errors
///
/// The connection failed, or the bytes are not valid HTTP.
pub(crate) async fn next(
    context: &RequestContext,
    body: &mut Incoming,
) -> Result<Option<Bytes>, hyper::Error> {
    let waiting = context.wait_for_body();
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame?.into_data()
            && !bytes.is_empty()
        {
            waiting.received(bytes.len());
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}
