//! HTTP: the accept loop, limits, and the distribution API on the wire.
//!
//! The way of a request: [`listen`] accepts a connection and bounds how many there are, [`conn`]
//! speaks HTTP/1.1 or HTTP/2 on it and watches that its client keeps moving, [`v2`] finds the
//! handler and turns what the registry answers into the wire's words, and [`error`] holds the one
//! table from what went wrong to what the client is told. There are no rules of a registry here.

mod access_log;
mod activity;
mod body;
mod conn;
mod cors;
mod debug;
mod error;
mod health;
mod listen;
mod location;
mod metrics;
mod observation;
mod outgoing;
mod peer;
mod port_owner;
mod proxies;
mod redact;
mod request_log;
mod socket;
mod tls;
mod trace;
mod trust;
mod v2;
mod webhooks;

pub use access_log::{AccessLog, AccessLogFormat};
pub use cors::{Cors, OriginError};
pub use debug::DebugServer;
pub use health::{Check, DEFAULT_INTERVAL, Health, HealthMetrics, HttpProbe, Probe};
pub use listen::{BindError, ListenAddress, Listener, bind, bind_unix};
pub use metrics::{
    CacheMetrics, Exposition, Family, Kind, METRICS, Metric, Metrics, Source, StoreMetrics, WebhookMetrics,
};
pub use proxies::{Network, NetworkError, TrustedProxies};
pub use tls::{CipherSuite, CipherSuiteError, ClientAuth, Tls, TlsError, TlsOptions};
pub use trace::{TraceMetrics, TraceSettings, Tracer};
pub use trust::TrustError;
pub use webhooks::{
    Action, Endpoint, EndpointError, EndpointMetrics, EventFormat, Url, WebhookError, WebhookOptions,
    Webhooks,
};

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};
use wharf_access::Access;
use wharf_registry::Registry;

/// How the server behaves, as far as an operator may choose.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The absolute URL under which clients reach the server (`http.host`), without a final slash, and with the path
    /// that lies before `/v2/` there, if there is one; [`prefix`](Self::prefix) is not added.
    /// `None`: what the request says (`Forwarded`, `X-Forwarded-*`, `Host`).
    pub host: Option<String>,
    /// The path below which the API lies (`http.prefix`), without a final slash; empty: `/v2/` is at the root.
    pub prefix: String,
    /// Answer `Location` without scheme and host.
    pub relative_urls: bool,
    /// Who is believed when it says for whom, and by which name, it asks.
    pub trusted_proxies: TrustedProxies,
    /// Added to every answer.
    pub headers: HeaderMap<HeaderValue>,
    /// Which pages may use the registry from a browser, beyond what `headers` says.
    pub cors: Option<Cors>,
    /// How TLS is spoken. `None`: it is not.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is spoken without TLS with clients that begin with it. No client is led to it by us.
    pub h2c: bool,
    /// Refuse what would change the store.
    pub read_only: bool,
    /// Who is let in. `None`: everybody, to do everything.
    pub access: Option<Arc<Access>>,
    /// Answer manifests as registry:2 does, by what `Accept` names (decision D2).
    pub strict_accept: bool,
    /// How many repositories a page of the catalogue has when the client does not say.
    pub catalog_page: usize,
    /// The most repositories that a page of the catalogue has.
    pub catalog_limit: usize,
    /// The most tags that a page has when the client asks for pages.
    pub tags_limit: usize,
    /// What no client may exceed.
    pub limits: Limits,
    /// Where a line for each request goes.
    pub access_log: Option<AccessLog>,
    /// Who is told what happened.
    pub webhooks: Option<Webhooks>,
    /// What is counted. `None`: nothing.
    pub metrics: Option<Arc<Metrics>>,
    /// Refuse every request while a check fails. `None`: nothing is checked.
    pub health: Option<Arc<Health>>,
    /// Who is told what each request did and how long it took. `None`: nobody.
    pub tracer: Option<Arc<Tracer>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            host: None,
            prefix: String::new(),
            relative_urls: false,
            trusted_proxies: TrustedProxies::default(),
            headers: HeaderMap::new(),
            cors: None,
            tls: None,
            h2c: true,
            read_only: false,
            access: None,
            strict_accept: false,
            catalog_page: 100,
            catalog_limit: 1000,
            tags_limit: 1000,
            limits: Limits::default(),
            access_log: None,
            webhooks: None,
            metrics: None,
            health: None,
            tracer: None,
        }
    }
}

/// What no client may exceed. Times are checked at intervals, so each may take up to a half longer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// From the first byte of a request, or the start of the connection, to the end of its headers.
    pub headers: Duration,
    /// Within a request: without a byte of its body that we wait for, or without the client taking a
    /// byte of the answer that waits for it.
    pub idle: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// From the order to stop until running requests are given up.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            headers: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            // Longer than the 90 s for which Go's HTTP client, and so docker, keeps a connection:
            // else a request could cross our closing it.
            keep_alive: Duration::from_secs(120),
            drain: Duration::from_secs(8),
        }
    }
}

/// What every request needs.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) registry: Arc<Registry>,
    pub(crate) options: ServerOptions,
}

/// The distribution API over a registry.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
}

impl Server {
    /// A server for `registry`.
    pub fn new(registry: Arc<Registry>, options: ServerOptions) -> Self {
        Self {
            app: Arc::new(App { registry, options }),
        }
    }

    /// Answers what comes in on `listener` until `shutdown` completes, then lets running requests
    /// finish for as long as [`Limits::drain`] allows. Returns how many connections had to be cut.
    pub async fn serve(&self, listener: Listener, shutdown: impl Future<Output = ()>) -> usize {
        listen::run(Arc::clone(&self.app), listener, shutdown).await
    }
}
