//! The rest of a request body that no handler has read.

use std::time::Duration;

use http::{Version, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wharf_budget::Share;

/// After an early error the rest of the body is read and dropped for this long, so that a client that
/// sends first and reads later still gets its answer.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Limit in bytes of the rest of the body that is read and dropped.
const DRAIN_BYTES: u64 = 64 << 20;

/// Over HTTP/2 the rest of the body is left unread, and the stream open, for this long: a stream that ends with unread
/// bytes is reset, and curl before 8 then shows the reset in place of the answer.
const RESET_DELAY: Duration = Duration::from_secs(1);

/// Over HTTP/2, limit in bytes of the rest of the body that is read and dropped.
const RESET_DELAY_BYTES: u64 = 1 << 20;

/// Reads the rest of the body for a bounded time while the answer is sent, so that the client gets it: closing a
/// connection, or a stream, with unread bytes resets it. With `Expect` the client has sent nothing, and reading would ask
/// it to. A stream counts as a request until then; where there is no room for it, it is reset at once.
pub(crate) fn abandon(requests: &Share, parts: &Parts, body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    if parts.version > Version::HTTP_11 {
        let Some(permit) = requests.try_take(1) else {
            return;
        };
        let hold = async move {
            let _permit = permit;
            if let Some(_unread) = drain(body, RESET_DELAY_BYTES).await {
                std::future::pending::<()>().await;
            }
        };
        tokio::spawn(tokio::time::timeout(RESET_DELAY, hold));
    } else if !parts.headers.contains_key(header::EXPECT) {
        tokio::spawn(tokio::time::timeout(DRAIN_TIME, drain(body, DRAIN_BYTES)));
    }
}

/// Reads and drops up to `limit` bytes; the rest of the body if there is one.
async fn drain(mut body: Incoming, mut limit: u64) -> Option<Incoming> {
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match limit.checked_sub(bytes) {
            Some(rest) => limit = rest,
            None => return Some(body),
        }
    }
    None
}
