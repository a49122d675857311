//! The dispatch by path: which surface answers a request on the registry's listener, and on the control socket.

use std::sync::Arc;

use http::{Response, request::Parts};
use hyper::body::Incoming;
use wharf_http::{RequestContext, Surface};

use crate::{
    api::{Api, Entrance},
    body::Content,
    call::App,
    tokens::{self, Endpoint},
    unread,
    v2::Distribution,
};

/// The surfaces on the registry's listener.
#[derive(Debug)]
pub(crate) struct Surfaces {
    app: Arc<App>,
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
    /// The token server, if there is one.
    Tokens(Endpoint),
}

impl Place {
    /// The place of a path below the prefix of the server; `tokens` finds the paths of the token server.
    fn of(path: &str, tokens: impl FnOnce() -> Option<Endpoint>) -> Self {
        // First what nearly all requests are for.
        if path.starts_with("/v2/") {
            Self::Distribution
        } else if path.starts_with("/api/") || path == "/api" {
            Self::Api
        } else {
            tokens().map_or(Self::Distribution, Self::Tokens)
        }
    }
}

impl Surfaces {
    pub(crate) fn new(app: Arc<App>, api: Arc<Api>) -> Self {
        Self {
            distribution: Distribution::new(Arc::clone(&app)),
            app,
            api,
        }
    }

    fn place(&self, context: &RequestContext, path: &str) -> Place {
        // What does not lie below the prefix is answered by the distribution API, which says where it is.
        let Some(below) = path.strip_prefix(self.app.options.prefix.as_str()) else {
            return Place::Distribution;
        };
        // A request without TLS on a TLS port is refused by the distribution API.
        let tokens = || Endpoint::of(&self.app, path).filter(|_| !context.lacks_tls());
        Place::of(below, tokens)
    }
}

impl Surface for Surfaces {
    type Body = Content;

    async fn respond(
        &self,
        context: &mut RequestContext,
        parts: Parts,
        mut body: Incoming,
    ) -> Response<Content> {
        match self.place(context, parts.uri.path()) {
            Place::Distribution => self.distribution.respond(context, parts, body).await,
            // Boxed: rare, and the future of every request should not carry their size.
            Place::Api => Box::pin(self.api.respond(Entrance::Listener, context, parts, body)).await,
            Place::Tokens(endpoint) => {
                let response = tokens::respond(&self.app, endpoint, context, &parts, &mut body);
                let response = Box::pin(response).await;
                unread::abandon(&self.app.services.budget.requests, &parts, body);
                response
            }
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
            assert_eq!(Place::of(path, || None), place, "{path}");
        }
    }

    #[test]
    fn the_token_server_is_looked_for_last() {
        for path in ["/v2/", "/api/v1/users", "/api"] {
            Place::of(path, || panic!("{path} is another's"));
        }
        assert_eq!(
            Place::of("/auth/token", || Some(Endpoint::Token)),
            Place::Tokens(Endpoint::Token)
        );
    }
}
