//! The interface between the transport and the surfaces.

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
    /// The surface sets the handler and the account in `context` as soon as they are known. It also receives requests
    /// without TLS on a TLS port ([`RequestContext::lacks_tls`]), and has to refuse them.
    fn respond(
        &self,
        context: &mut RequestContext,
        parts: Parts,
        body: Incoming,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}
