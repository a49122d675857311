//! The surfaces of a registry: the distribution API under `/v2`, and the debug port; and the delivery of webhooks.
//!
//! The path of a request: [`wharf_http`] accepts the connection and makes the request's context, [`v2`] finds the
//! handler and turns the registry's result into an HTTP response, and [`error`] has the one table that maps failures
//! to responses. There are no rules of a registry here.

mod body;
mod call;
mod debug;
mod error;
mod facts;
mod gates;
mod handlers;
mod health;
mod location;
mod metrics;
mod options;
mod request_log;
mod v2;
mod webhooks;

pub use debug::DebugServer;
pub use health::{Check, Health, HealthMetrics, HttpProbe, Probe, Target};
pub use metrics::{
    ActivityMetrics, BucketMetrics, BucketRequestMetrics, CacheMetrics, METRICS, Metrics, StoreMetrics,
    WebhookMetrics, WorkerMetrics,
};
pub use options::{Redirect, ServerOptions, ServerServices};
pub use webhooks::{
    Action, Endpoint, EndpointError, EndpointMetrics, EventFormat, Url, WebhookError, WebhookOptions,
    Webhooks,
};

use std::sync::Arc;

use wharf_http::Listener;
use wharf_registry::Registry;

use self::{call::App, v2::Distribution};

/// The distribution API over a registry.
#[derive(Debug)]
pub struct Server(wharf_http::Server<Distribution>);

impl Server {
    /// A server for `registry`.
    pub fn new(registry: Arc<Registry>, options: ServerOptions, services: ServerServices) -> Self {
        let transport = options::transport(&options, &services);
        let surface = Distribution::new(App {
            registry,
            options,
            services,
        });
        Self(wharf_http::Server::new(surface, transport))
    }

    /// Answers requests on `listener` until `shutdown` completes, then lets running requests
    /// finish for as long as [`Limits::drain`](wharf_http::Limits::drain) allows. Returns how many connections had to
    /// be cut.
    pub async fn serve(&self, listener: Listener, shutdown: impl Future<Output = ()>) -> usize {
        self.0.serve(listener, shutdown).await
    }
}
