//! The seam between transport and surfaces.

use std::error::Error;

use bytes::Bytes;
use http::{Response, request::Parts};
use hyper::body::{Body, Incoming};

use crate::context::RequestContext;

/// A set of routes that answers the requests of a [`Server`](crate::Server)'s connections.
///
/// Surfaces are type parameters: a request reaches its surface by a plain call.
pub trait Surface: Send + Sync + 'static {
    /// The body of answers.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers one request.
    ///
    /// The surface notes in `context` which handler answers and in whose name, as soon as it knows. It is also handed
    /// requests that came without TLS to where TLS is spoken ([`RequestContext::lacks_tls`]) and has to refuse them.
    fn respond(
        &self,
        context: &mut RequestContext,
        parts: Parts,
        body: Incoming,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}
