//! Paths with doubled slashes, or with a slash at their end: where the clean path is, if that is one of the API.

use http::{Method, StatusCode, header};
use wharf_oci::{ErrorCode, Route, clean_path};

use super::answer::{Answer, empty, value};
use crate::{call::Call, error::Failure, location};

/// The answer to a request for `path`, which is no route for the reason of `failure`.
///
/// Reads are sent to the clean path, as by registry:2 and registry:3. The target is made of the route that was parsed,
/// and has no host: a path such as `//evil.example/v2/` leads nowhere else. For other methods clients would change the
/// method, or drop the body, when they follow; so these get the clean path in the message.
pub(super) fn answer(call: Call<'_>, path: &str, failure: Failure) -> Answer {
    let Some(route) = clean_path(path).and_then(|clean| call.route(&clean).ok()) else {
        return Err(failure);
    };
    if matches!(call.parts.method, Method::GET | Method::HEAD) {
        Ok(moved(call, &route))
    } else {
        let text = format!("no such path; write it as `{}`", location::path(call, &route));
        Err(Failure::new(ErrorCode::Unsupported, text).with_status(StatusCode::NOT_FOUND))
    }
}

fn moved(call: Call<'_>, route: &Route) -> http::Response<crate::body::Content> {
    let mut target = location::path(call, route);
    if let Some(query) = call.parts.uri.query() {
        target.push('?');
        target.push_str(query);
    }
    let mut response = empty(StatusCode::MOVED_PERMANENTLY);
    response.headers_mut().insert(header::LOCATION, value(target));
    response
}
