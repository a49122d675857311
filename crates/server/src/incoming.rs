//! The bytes of a request body: as they come, or gathered whole, within a limit, charged to the budget.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time;
use wharf_budget::{Exhausted, Permit, Share};
use wharf_http::RequestContext;

/// How long a request waits for room for its body.
const PATIENCE: Duration = Duration::from_millis(500);

/// Bounds of a body that is gathered whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// The most bytes that it may have.
    pub(crate) limit: usize,
    /// What it is charged beside its bytes, in multiples of these: it is parsed.
    pub(crate) parsed: usize,
    /// What it is charged to.
    pub(crate) share: &'a Share,
}

/// The reason why a body was not gathered.
#[derive(Debug)]
pub(crate) enum Ungathered {
    /// It has, or announces, more bytes than it may have.
    TooLarge,
    /// It ended before its end.
    Ended,
    /// It did not come whole in time.
    Slow,
    /// There is no room for it.
    NoRoom(Exhausted),
}

/// Refuses a body that announces more than `limit` bytes.
///
/// # Errors
///
/// [`Ungathered::TooLarge`]
pub(crate) fn check_size(body: &Incoming, limit: usize) -> Result<(), Ungathered> {
    match body.size_hint().lower() > limit as u64 {
        true => Err(Ungathered::TooLarge),
        false => Ok(()),
    }
}

/// Reads a body whole. It is charged as a whole once its first byte has come; `None`: there was none.
///
/// # Errors
///
/// [`Ungathered`]
pub(crate) async fn gather(
    context: &RequestContext,
    Bounds { limit, parsed, share }: Bounds<'_>,
    body: &mut Incoming,
) -> Result<(Vec<u8>, Option<Permit>), Ungathered> {
    check_size(body, limit)?;
    let announced = body.size_hint().upper();
    let most = announced
        .and_then(|upper| usize::try_from(upper).ok())
        .map_or(limit, |upper| upper.min(limit));
    let ended = |error: hyper::Error| {
        tracing::debug!(%error, "a request body ended early");
        Ungathered::Ended
    };
    let gathered = time::timeout(context.limits().idle, async {
        let mut coming = next(context, body).await.map_err(ended)?;
        if coming.is_none() {
            return Ok((Vec::new(), None));
        }
        let room = context.room_for_body(share, most * (1 + parsed), PATIENCE);
        let charge = room.await.map_err(Ungathered::NoRoom)?;
        let mut whole = Vec::new();
        while let Some(bytes) = coming {
            if whole.len() + bytes.len() > limit {
                return Err(Ungathered::TooLarge);
            }
            whole.extend_from_slice(&bytes);
            coming = next(context, body).await.map_err(ended)?;
        }
        Ok((whole, Some(charge)))
    });
    gathered.await.unwrap_or(Err(Ungathered::Slow))
}

/// Whether a body is announced as one of this media type.
pub(crate) fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let announced = text.split(';').next().unwrap_or_default().trim();
    announced.eq_ignore_ascii_case(media_type)
}

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
