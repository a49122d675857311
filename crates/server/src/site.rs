//! Requests that a browser sends for a page of another site (CSRF): browsers add what proves the identity of their user to these, too.

use http::{HeaderName, header, request::Parts};
use wharf_http::{RequestContext, location};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request comes from a page of this server, or from a program that is no browser; `url` is the configured URL of the
/// server.
pub(crate) fn is_own(url: Option<&str>, context: &RequestContext, request: &Parts) -> bool {
    is_own_by(url, || location::base(context.peer(), request), request)
}

/// The same; `base` is the URL by which the client reaches this server.
pub(crate) fn is_own_by(url: Option<&str>, base: impl FnOnce() -> Option<String>, request: &Parts) -> bool {
    if let Some(site) = request.headers.get(SEC_FETCH_SITE) {
        // Browsers set it, and no page can. A value that is no text is that of no browser, and counts as one of another site.
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = request.headers.get(header::ORIGIN) else {
        return true;
    };
    let Some(origin) = origin.to_str().ok().and_then(authority_of) else {
        return false;
    };
    let base = base();
    let own = [
        location::authority(request),
        base.as_deref().and_then(authority_of),
        url.and_then(authority_of),
    ];
    own.into_iter()
        .flatten()
        .any(|own| own.eq_ignore_ascii_case(origin))
}

/// Host and port of a URL.
pub(crate) fn authority_of(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split('/').next()
}
