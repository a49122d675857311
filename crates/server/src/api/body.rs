//! The body of a request: JSON, gathered whole.

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;
use wharf_budget::{Permit, Share};
use wharf_http::RequestContext;

use super::problem::{Kind, Problem, Result};
use crate::incoming::{self, Bounds, Ungathered};

/// What a body is charged beside its bytes, in multiples of these: it is parsed.
const PARSED: usize = 3;

/// Reads a body of at most `limit` bytes that must be JSON. It is charged to `share` as a whole once its first byte has come: only callers with the right to
/// the operation get this far.
pub(crate) async fn gather(
    context: &RequestContext,
    headers: &HeaderMap,
    (limit, share): (usize, &Share),
    body: &mut Incoming,
) -> Result<(Bytes, Option<Permit>)> {
    let told = |why| match why {
        Ungathered::TooLarge => too_large(limit),
        Ungathered::Ended => {
            let text = "the body ended before its announced length; send the request again";
            Problem::new(Kind::BadBody, text).and_close()
        }
        Ungathered::Slow => {
            let idle = context.limits().idle;
            let text = format!("the body did not come whole within {idle:?}; send the request again");
            Problem::new(Kind::TooSlow, text).and_close()
        }
        Ungathered::NoRoom(error) => error.into(),
    };
    incoming::check_size(body, limit).map_err(told)?;
    if !incoming::is_of_type(headers, "application/json") {
        let text = "send the body as JSON, with `Content-Type: application/json`";
        return Err(Problem::new(Kind::NotJson, text));
    }
    let bounds = Bounds {
        limit,
        parsed: PARSED,
        share,
    };
    let (whole, charge) = incoming::gather(context, bounds, body).await.map_err(told)?;
    Ok((whole.into(), charge))
}

pub(super) fn too_large(limit: usize) -> Problem {
    Problem::new(Kind::BodyTooLarge, format!("the body may have {limit} bytes"))
}
