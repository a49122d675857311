//! A call: one request to the registry, as its handler sees it.

use std::sync::Arc;

use http::{HeaderName, request::Parts};
use wharf_http::RequestContext;
use wharf_registry::Registry;

use crate::options::{ServerOptions, ServerServices};

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

    /// The query of the target, without its question mark.
    pub(crate) fn query(self) -> &'a str {
        self.parts.uri.query().unwrap_or("")
    }
}
