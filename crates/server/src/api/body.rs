//! The body of a request: gathered whole, within a limit, charged to the budget.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time;
use wharf_budget::{Permit, Share};
use wharf_http::RequestContext;

use super::problem::{Kind, Problem, Result};
use crate::incoming;

/// How long a request waits for room for its body.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a body is charged beside its bytes, in multiples of these: it is parsed.
const PARSED: usize = 3;

/// Reads a body of at most `limit` bytes that must be JSON. It is charged to `share` as a whole once its first byte has come: only callers with the right to
/// the operation get this far.
pub(crate) async fn gather(
    context: &RequestContext,
    headers: &HeaderMap,
    (limit, share): (usize, &Share),
    body: &mut Incoming,
) -> Result<(Bytes, Permit)> {
    let announced = body.size_hint();
    if announced.lower() > limit as u64 {
        return Err(too_large(limit));
    }
    if !is_json(headers) {
        let text = "send the body as JSON, with `Content-Type: application/json`";
        return Err(Problem::new(Kind::NotJson, text));
    }
    let most = announced
        .upper()
        .and_then(|upper| usize::try_from(upper).ok())
        .unwrap_or(limit)
        .min(limit);
    let gathered = time::timeout(context.limits().idle, async {
        let mut coming = next(context, body).await?;
        let charge = context
            .room_for_body(share, most * (1 + PARSED), PATIENCE)
            .await?;
        let mut whole = Vec::new();
        while let Some(bytes) = coming {
            if whole.len() + bytes.len() > limit {
                return Err(too_large(limit));
            }
            whole.extend_from_slice(&bytes);
            coming = next(context, body).await?;
        }
        Ok((Bytes::from(whole), charge))
    });
    gathered.await.unwrap_or_else(|_elapsed| {
        let text = format!(
            "the body did not come whole within {:?}; send the request again",
            context.limits().idle
        );
        Err(Problem::new(Kind::TooSlow, text).and_close())
    })
}

/// The next bytes; `None` at the end.
async fn next(context: &RequestContext, body: &mut Incoming) -> Result<Option<Bytes>> {
    incoming::next(context, body).await.map_err(|error| {
        tracing::debug!(%error, "a request body ended early");
        let text = "the body ended before its announced length; send the request again";
        Problem::new(Kind::BadBody, text).and_close()
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

pub(super) fn too_large(limit: usize) -> Problem {
    Problem::new(Kind::BodyTooLarge, format!("the body may have {limit} bytes"))
}
