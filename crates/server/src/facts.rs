//! The facts about a request: those that the activity log has, borrowed from it, and those that events have.

use std::sync::Arc;

use http::{header, request::Parts};
use wharf_http::{RequestContext, location::authority};
use wharf_registry::{CallerFacts, Origin, RequestFacts, Surface};

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

/// The origin of a request that came to `surface`, as the registry writes it into events. `base_url`: what stands before `/v2/` in
/// URLs for its client.
pub(crate) fn origin(
    surface: Surface,
    context: &RequestContext,
    parts: &Parts,
    base_url: String,
) -> Arc<Origin> {
    Arc::new(Origin {
        actor: context.actor().map(Arc::from),
        surface,
        request: Some(RequestFacts {
            id: context.id().uuid(),
            address: context.client_text(&parts.headers),
            host: authority(parts).unwrap_or_default().to_owned(),
            method: parts.method.to_string(),
            user_agent: of(context, parts).user_agent.to_owned(),
            base_url,
        }),
    })
}
