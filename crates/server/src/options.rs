//! The options of the server that an operator may choose, and the services that it uses.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, header};
use wharf_access::{Access, sessions::Sessions};
use wharf_activity::Activity;
use wharf_budget::{Budget, Share};
use wharf_http::{AccessLog, Cors, Limits, Tls, Tracer, TransportOptions, TrustedProxies};
use wharf_mirror::Mirrors;
use wharf_registry::ScrubRecord;

use crate::{admin::Admin, health::Health, logo::Logo, metrics::Metrics, room::Room};

/// Options of the server that an operator may choose: data only.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerOptions {
    /// The absolute URL under which clients reach the server (`http.host`), without a final slash, and with the path
    /// that lies before `/v2/` there, if there is one; [`prefix`](Self::prefix) is not added.
    /// `None`: the URL follows from the request (`Forwarded`, `X-Forwarded-*`, `Host`).
    pub host: Option<String>,
    /// Path below which the API is served (`http.prefix`), without a final slash; empty: `/v2/` is at the root.
    pub prefix: String,
    /// Whether `Location` is answered without scheme and host.
    pub relative_urls: bool,
    /// Trusted reverse proxies: peers whose `Forwarded` and `X-Forwarded-*` headers count.
    pub trusted_proxies: TrustedProxies,
    /// Headers that are added to every answer.
    pub headers: HeaderMap<HeaderValue>,
    /// Origins of pages that may use the registry from a browser; `headers` may allow others.
    pub cors: Option<Cors>,
    /// Whether HTTP/2 is spoken without TLS with clients that begin with it. The server never proposes it.
    pub h2c: bool,
    /// Whether requests that would change the store are refused.
    pub read_only: bool,
    /// Whether manifests are answered by the types in `Accept`, as in registry:2 (decision D2).
    pub strict_accept: bool,
    /// Number of repositories on a page of the catalogue if the client names none.
    pub catalog_page: usize,
    /// Maximum number of repositories on a page of the catalogue.
    pub catalog_limit: usize,
    /// Maximum number of tags on a page if the client asks for pages.
    pub tags_limit: usize,
    /// Redirects of clients to the store itself, where it has an address for them; `None`: every blob is sent from here.
    pub redirect: Option<Redirect>,
    /// The page for browsers; `None`: there is none.
    pub ui: Option<UiOptions>,
    /// The limits that no client may exceed.
    pub limits: Limits,
}

impl ServerOptions {
    /// Whether pages of other sites may use the registry: by its own key, or by configured headers.
    pub(crate) fn has_cors(&self) -> bool {
        self.cors.is_some() || self.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    }
}

/// What an operator may choose of the page for browsers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UiOptions {
    /// Name of the registry in its bar; `None`: `wharf`.
    pub title: Option<String>,
    /// The image beside the name.
    pub logo: Option<Logo>,
    /// Whether the page changes nothing, whatever rights an account has.
    pub read_only: bool,
}

/// The blobs that clients are redirected for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirect {
    /// Size of the smallest one, in bytes: of a small one the redirect costs more than the blob
    pub min_size: u64,
    /// Time during which a client may begin to read it there
    pub expiry: Duration,
}

/// The services that the server uses; each is optional, but the budget.
#[derive(Debug, Clone, Default)]
pub struct ServerServices {
    /// Settings and certificates of TLS; `None`: connections are not encrypted.
    pub tls: Option<Tls>,
    /// Authentication and rights; `None`: every client may do everything.
    pub access: Option<Arc<Access>>,
    /// What all clients together may use.
    pub budget: Budget,
    /// The log that has a line for each request.
    pub access_log: Option<AccessLog>,
    /// The metrics of the server; `None`: nothing is counted.
    pub metrics: Option<Arc<Metrics>>,
    /// Health checks: while one fails, every request is refused. `None`: nothing is checked.
    pub health: Option<Arc<Health>>,
    /// The tracer that samples requests; `None`: nothing is traced.
    pub tracer: Option<Arc<Tracer>>,
    /// What administrators may see and change.
    pub admin: Admin,
    /// The record of who did what; `None`: it is off.
    pub activity: Option<Activity>,
    /// What the scrub has found; `None`: there is none.
    pub scrub: Option<Arc<ScrubRecord>>,
    /// The browsers that are signed in; `None`: they cannot sign in.
    pub sessions: Option<Sessions>,
    /// The repositories whose content comes from other registries; `None`: there are none.
    pub mirrors: Option<Arc<Mirrors>>,
    /// Whether the store is nearly full; `None`: that is not looked at.
    pub room: Option<Room>,
}

/// The options of the transport.
pub(crate) fn transport(options: &ServerOptions, services: &ServerServices) -> TransportOptions {
    TransportOptions {
        trusted_proxies: options.trusted_proxies.clone(),
        tls: services.tls.clone(),
        h2c: options.h2c,
        limits: options.limits,
        budget: services.budget.clone(),
        access_log: services.access_log.clone(),
        metrics: services.metrics.as_ref().map(|metrics| metrics.http()),
        tracer: services.tracer.clone(),
        content_sent: services.activity.as_ref().map(Activity::content_sent),
    }
}

/// Maximum number of connections at the control socket, and of requests over HTTP/2 there: a command uses one.
const AT_THE_SOCKET: usize = 32;

/// The options of the transport at the control socket: the same, but for TLS, and with connections of its own, so that the operator
/// gets through when clients have used all of theirs.
pub(crate) fn control_transport(options: &ServerOptions, services: &ServerServices) -> TransportOptions {
    let options = transport(options, services);
    TransportOptions {
        tls: None,
        budget: Budget {
            connections: Share::new("connections", AT_THE_SOCKET),
            requests: Share::new("requests", AT_THE_SOCKET),
            ..options.budget
        },
        ..options
    }
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
            h2c: true,
            read_only: false,
            strict_accept: false,
            catalog_page: 100,
            catalog_limit: 1000,
            tags_limit: 1000,
            redirect: None,
            ui: Some(UiOptions::default()),
            limits: Limits::default(),
        }
    }
}
