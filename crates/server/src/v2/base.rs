//! `GET /v2/`: is this a registry; `GET /`: is it alive.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::{Answer, Call, JSON, empty};
use crate::body::Content;

pub(super) fn version_check() -> Response<Content> {
    let mut response = Response::new(Content::Full(Bytes::from_static(b"{}")));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

pub(super) fn liveness(call: Call<'_>) -> Answer {
    if !matches!(call.parts.method, Method::GET | Method::HEAD) {
        return Err(call.not_allowed("GET, HEAD"));
    }
    let mut response = empty(StatusCode::OK);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}
