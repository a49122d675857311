//! The dispatch by path: which surface answers a request on the registry's listener, and on the control socket.

use std::sync::Arc;

use http::{Response, request::Parts};
use hyper::body::Incoming;
use wharf_http::{RequestContext, Surface};

use crate::{
    api::{Api, Entrance},
    body::Content,
    call::App,
    v2::Distribution,
};

/// The surfaces on the registry's listener.
#[derive(Debug)]
pub(crate) struct Surfaces {
    prefix: String,
    distribution: Distribution,
    api: Arc<Api>,
}

/// The one surface on the control socket.
#[derive(Debug)]
pub(crate) struct Control {
    api: Arc<Api>,
}

/// The surface that a path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `/v2/`, and every path that belongs to no other surface.
    Distribution,
    /// `/api/`
    Api,
}

impl Place {
    /// The place of a path below the prefix of the server.
    fn of(path: &str) -> Self {
        // First what nearly all requests are for.
        if path.starts_with("/v2/") {
            Self::Distribution
        } else if path.starts_with("/api/") || path == "/api" {
            Self::Api
        } else {
            Self::Distribution
        }
    }
}

impl Surfaces {
    pub(crate) fn new(app: Arc<App>, api: Arc<Api>) -> Self {
        Self {
            prefix: app.options.prefix.clone(),
            distribution: Distribution::new(app),
            api,
        }
    }
}

impl Surface for Surfaces {
    type Body = Content;

    async fn respond(&self, context: &mut RequestContext, parts: Parts, body: Incoming) -> Response<Content> {
        // What does not lie below the prefix is answered by the distribution API, which says where it is.
        let below = parts.uri.path().strip_prefix(self.prefix.as_str());
        match below.map_or(Place::Distribution, Place::of) {
            Place::Distribution => self.distribution.respond(context, parts, body).await,
            // Boxed: rare, and the future of every request should not carry its size.
            Place::Api => Box::pin(self.api.respond(Entrance::Listener, context, parts, body)).await,
        }
    }
}

impl Control {
    pub(crate) fn new(api: Arc<Api>) -> Self {
        Self { api }
    }
}

impl Surface for Control {
    type Body = Content;

    async fn respond(&self, context: &mut RequestContext, parts: Parts, body: Incoming) -> Response<Content> {
        self.api.respond(Entrance::Socket, context, parts, body).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_components_lead_to_another_surface() {
        for (path, place) in [
            ("/", Place::Distribution),
            ("/v2/", Place::Distribution),
            ("/v2/api/tags/list", Place::Distribution),
            ("/apiary", Place::Distribution),
            ("//api/v1", Place::Distribution),
            ("/API/v1", Place::Distribution),
            ("/api", Place::Api),
            ("/api/", Place::Api),
            ("/api/v1/users", Place::Api),
            ("/api/v9", Place::Api),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }
}
