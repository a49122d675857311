//! The facts about a request that the activity log has, borrowed from it.

use http::{header, request::Parts};
use wharf_http::RequestContext;
use wharf_registry::CallerFacts;

/// The facts about a request. Its account is known once it has passed the gates.
pub(crate) fn of<'a>(context: &'a RequestContext, parts: &'a Parts) -> CallerFacts<'a> {
    let user_agent = parts.headers.get(header::USER_AGENT);
    CallerFacts {
        actor: context.actor(),
        request: Some(context.id().uuid()),
        address: context.client(&parts.headers),
        method: parts.method.as_str(),
        user_agent: user_agent
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default(),
    }
}
