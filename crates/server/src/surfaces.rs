//! The dispatch by path: which surface answers a request on the registry's listener, and on the control socket.

use std::sync::Arc;

use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use wharf_http::{RequestContext, Surface};

use crate::{
    api::{Api, Entrance},
    body::Content,
    call::App,
    handlers,
    negotiation::wants_page,
    tokens::{self, Endpoint},
    ui::Ui,
    unread,
    v2::Distribution,
};

/// The surfaces on the registry's listener.
#[derive(Debug)]
pub(crate) struct Surfaces {
    app: Arc<App>,
    distribution: Distribution,
    api: Arc<Api>,
    /// The page for browsers; `None`: there is none.
    ui: Option<Ui>,
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
    /// `/ui/`
    Ui,
    /// `/`, which browsers are led from to the page.
    Root,
}

impl Place {
    /// The place of a path below the prefix of the server; `tokens` finds the paths of the token server.
    fn of(path: &str, tokens: impl FnOnce() -> Option<Endpoint>) -> Self {
        // First what nearly all requests are for.
        if path.starts_with("/v2/") {
            Self::Distribution
        } else if path.starts_with("/api/") || path == "/api" {
            Self::Api
        } else if path.starts_with("/ui/") || path == "/ui" {
            Self::Ui
        } else if path == "/" {
            Self::Root
        } else {
            tokens().map_or(Self::Distribution, Self::Tokens)
        }
    }
}

impl Surfaces {
    pub(crate) fn new(app: Arc<App>, api: Arc<Api>) -> Self {
        Self {
            distribution: Distribution::new(Arc::clone(&app)),
            ui: Ui::new(Arc::clone(&app), Arc::clone(&api)),
            app,
            api,
        }
    }

    fn place(&self, context: &RequestContext, path: &str) -> Place {
        // What does not lie below the prefix is answered by the distribution API, which says where it is.
        let Some(below) = path.strip_prefix(self.app.options.prefix.as_str()) else {
            return match path {
                "/" => Place::Root,
                _ => Place::Distribution,
            };
        };
        // A request without TLS on a TLS port is refused by the distribution API.
        let tokens = || Endpoint::of(&self.app, path).filter(|_| !context.lacks_tls());
        Place::of(below, tokens)
    }
}

impl Surfaces {
    /// Leads browsers from `/` to the page; for all others it stays the answer that says the server is alive.
    async fn root(
        &self,
        ui: &Ui,
        context: &mut RequestContext,
        parts: Parts,
        body: Incoming,
    ) -> Response<Content> {
        let mut response = match wants_page(&parts.headers) {
            false => self.distribution.respond(context, parts, body).await,
            true => {
                context.set_handler(handlers::UI);
                let mut response = Response::new(Content::Empty);
                *response.status_mut() = StatusCode::SEE_OTHER;
                let headers = response.headers_mut();
                // Prefixes are made of characters that a header can have.
                if let Ok(location) = HeaderValue::try_from(ui.first_page()) {
                    headers.insert(header::LOCATION, location);
                }
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                response
            }
        };
        response
            .headers_mut()
            .append(header::VARY, HeaderValue::from_static("Accept"));
        response
    }
}

/// Whether a request only reads.
fn reads(parts: &Parts) -> bool {
    matches!(parts.method, Method::GET | Method::HEAD)
}

impl Surface for Surfaces {
    type Body = Content;

    async fn respond(
        &self,
        context: &mut RequestContext,
        parts: Parts,
        mut body: Incoming,
    ) -> Response<Content> {
        match (self.place(context, parts.uri.path()), &self.ui) {
            (Place::Ui, Some(ui)) if !context.lacks_tls() => Box::pin(ui.respond(context, parts, body)).await,
            (Place::Root, Some(ui)) if !context.lacks_tls() && reads(&parts) => {
                self.root(ui, context, parts, body).await
            }
            (Place::Distribution | Place::Ui | Place::Root, _) => {
                self.distribution.respond(context, parts, body).await
            }
            // Boxed: rare, and the future of every request should not carry their size.
            (Place::Api, _) => Box::pin(self.api.respond(Entrance::Listener, context, parts, body)).await,
            (Place::Tokens(endpoint), _) => {
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
            ("/", Place::Root),
            ("/v2/", Place::Distribution),
            ("/ui", Place::Ui),
            ("/ui/", Place::Ui),
            ("/ui/repo/ui/app", Place::Ui),
            ("/uix", Place::Distribution),
            ("/v2/ui/tags/list", Place::Distribution),
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
