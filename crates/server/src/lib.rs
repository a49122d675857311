//! The surfaces of a registry: the distribution API under `/v2`, the administration API under `/api/v1`, and the debug port;
//! and the delivery of webhooks.
//!
//! The path of a request: [`wharf_http`] accepts the connection and makes the request's context, [`surfaces`] finds the
//! surface, [`v2`] finds the handler and turns the registry's result into an HTTP response, and [`error`] has the one table
//! that maps failures to responses. There are no rules of a registry here.

pub mod admin;
mod api;
mod body;
mod call;
mod debug;
mod error;
mod facts;
mod gates;
mod handlers;
mod health;
mod incoming;
mod location;
mod logo;
#[cfg(test)]
mod messages;
mod metrics;
mod negotiation;
mod options;
mod refused;
mod repository_sight;
mod request_log;
mod rights;
mod room;
mod site;
mod surfaces;
mod tag_rights;
mod tokens;
mod ui;
mod unread;
mod v2;
mod webhooks;
mod words;

pub use debug::DebugServer;
pub use health::{Check, Health, HealthMetrics, HttpProbe, Probe, Target};
pub use logo::Logo;
pub use metrics::{
    AccessMetrics, ActivityMetrics, BucketMetrics, BucketRequestMetrics, CacheMetrics, CollectionMetrics,
    METRICS, Metrics, MirrorMetrics, RetentionMetrics, ScrubMetrics, StoreMetrics, WebhookMetrics,
    WorkerMetrics,
};
pub use options::{Redirect, ServerOptions, ServerServices, UiOptions};
pub use room::Room;
pub use webhooks::{
    Action, Endpoint, EndpointError, EndpointMetrics, EventFormat, Url, WebhookError, WebhookOptions,
    Webhooks,
};

use std::sync::Arc;

use wharf_http::Listener;
use wharf_registry::Registry;

use self::{
    api::Api,
    call::App,
    surfaces::{Control, Surfaces},
};

/// The surfaces over one registry.
#[derive(Debug)]
pub struct Server {
    public: wharf_http::Server<Surfaces>,
    control: wharf_http::Server<Control>,
}

impl Server {
    /// A server for `registry`.
    pub fn new(registry: Arc<Registry>, options: ServerOptions, services: ServerServices) -> Self {
        let public = options::transport(&options, &services);
        let control = options::control_transport(&options, &services);
        let app = Arc::new(App {
            registry,
            options,
            services,
        });
        let api = Arc::new(Api::new(Arc::clone(&app)));
        Self {
            public: wharf_http::Server::new(Surfaces::new(app, Arc::clone(&api)), public),
            control: wharf_http::Server::new(Control::new(api), control),
        }
    }

    /// Answers requests on `listener` until `shutdown` completes, then lets running requests
    /// finish for as long as [`Limits::drain`](wharf_http::Limits::drain) allows. Returns how many connections had to
    /// be cut.
    pub async fn serve(&self, listener: Listener, shutdown: impl Future<Output = ()>) -> usize {
        self.public.serve(listener, shutdown).await
    }

    /// Answers requests on the control socket in the same way: each caller there is the local operator, who has every right. The
    /// mode of the socket decides who may connect.
    pub async fn serve_control(&self, listener: Listener, shutdown: impl Future<Output = ()>) -> usize {
        self.control.serve(listener, shutdown).await
    }
}
