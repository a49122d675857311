//! `GET /v2/`: version check; `GET /`: liveness; `OPTIONS`; and requests without TLS on a TLS port.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use wharf_http::location;
use wharf_oci::Route;

use super::answer::{Answer, empty, not_allowed};
use crate::{body::Content, call::Call, error::JSON};

pub(super) fn version_check() -> Response<Content> {
    let mut response = Response::new(Content::Full(Bytes::from_static(b"{}")));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

pub(super) fn liveness(call: Call<'_>) -> Answer {
    if !matches!(call.parts.method, Method::GET | Method::HEAD) {
        return Err(not_allowed(call, "GET, HEAD"));
    }
    let mut response = empty(StatusCode::OK);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// `OPTIONS`: the allowed methods, as registry:2 answers them.
pub(super) fn options(route: &Route) -> Response<Content> {
    let mut response = empty(StatusCode::OK);
    let allowed = HeaderValue::from_static(route.allowed_methods());
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

/// The answer to a request without TLS on a TLS port, perhaps with a password: it is never carried out. The first
/// sentence is that of Go's server, which users search for.
pub(super) fn https_only(call: Call<'_>) -> Response<Content> {
    let options = &call.app.options;
    let host = match &options.host {
        Some(url) => url.strip_prefix("https://"),
        None => None,
    };
    let host = host.or_else(|| location::authority(call.parts).filter(|host| location::is_host(host)));
    let target = call
        .parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let text = match host {
        Some(host) => {
            format!("Client sent an HTTP request to an HTTPS server.\nUse https://{host}{target} instead.\n")
        }
        None => {
            "Client sent an HTTP request to an HTTPS server.\nUse https:// instead of http://.\n".to_owned()
        }
    };
    let mut response = Response::new(Content::Full(Bytes::from(text)));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
