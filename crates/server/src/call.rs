//! A call: one request to the registry, as handlers receive it.

use std::sync::Arc;

use http::{HeaderName, Method, StatusCode, request::Parts};
use wharf_http::RequestContext;
use wharf_oci::{ErrorCode, Route};
use wharf_registry::Registry;

use crate::{
    error::{Failure, Result},
    options::{ServerOptions, ServerServices},
};

/// The registry, the options and the services that all requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) registry: Arc<Registry>,
    pub(crate) options: ServerOptions,
    pub(crate) services: ServerServices,
}

/// A request whose body is still to be read.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) app: &'a App,
    pub(crate) context: &'a RequestContext,
    pub(crate) parts: &'a Parts,
}

impl<'a> Call<'a> {
    /// The text of a header; `None` if it is absent or not ASCII.
    pub(crate) fn header(self, name: &HeaderName) -> Option<&'a str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The route of `path`, which may lie below a prefix.
    pub(crate) fn route(self, path: &str) -> Result<Route> {
        let prefix = &self.app.options.prefix;
        let Some(below) = path.strip_prefix(prefix.as_str()) else {
            let text = format!("no such path; the registry API lies below `{prefix}/v2/` here");
            return Err(Failure::new(ErrorCode::Unsupported, text).with_status(StatusCode::NOT_FOUND));
        };
        Route::parse(below).map_err(|error| Failure::of_route(error, self.parts.method == Method::PUT))
    }

    /// The query of the target, without its question mark.
    pub(crate) fn query(self) -> &'a str {
        self.parts.uri.query().unwrap_or("")
    }
}
