//! URLs of the distribution API as the client sees them, through any reverse proxies.

use http::{HeaderValue, request::Parts};
use wharf_http::RequestContext;
use wharf_oci::Route;

use crate::{call::Call, options::ServerOptions};

/// The value of a `Location` header for `route`.
pub(crate) fn of(call: Call<'_>, route: &Route) -> HeaderValue {
    let url = format!("{}{}", base(call), route.path());
    // Paths that we build are ASCII; a host that is no header value cannot have come in one.
    HeaderValue::try_from(url).unwrap_or_else(|_| HeaderValue::from_static("/"))
}

/// The part before `/v2/` of URLs for this client.
pub(crate) fn base(call: Call<'_>) -> String {
    base_for(&call.app.options, call.context, call.parts)
}

/// The part before `/v2/` of URLs for the client of a request, to whichever surface it came.
pub(crate) fn base_for(options: &ServerOptions, context: &RequestContext, parts: &Parts) -> String {
    if options.relative_urls {
        return options.prefix.clone();
    }
    match &options.host {
        // The whole URL as clients see it, including any path that a proxy maps to our prefix.
        Some(host) => host.clone(),
        None => {
            let base = wharf_http::location::base(context.peer(), parts);
            base.unwrap_or_default() + &options.prefix
        }
    }
}

/// The path under which clients find `route`.
pub(crate) fn path(call: Call<'_>, route: &Route) -> String {
    format!("{}{}", call.app.options.prefix, route.path())
}
