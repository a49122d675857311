//! How the server behaves, as far as an operator may choose, and the services that it uses.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use wharf_access::Access;
use wharf_http::{AccessLog, Cors, Limits, Tls, Tracer, TransportOptions, TrustedProxies};

use crate::{health::Health, metrics::Metrics};

/// How the server behaves, as far as an operator may choose: data only.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerOptions {
    /// The absolute URL under which clients reach the server (`http.host`), without a final slash, and with the path
    /// that lies before `/v2/` there, if there is one; [`prefix`](Self::prefix) is not added.
    /// `None`: what the request says (`Forwarded`, `X-Forwarded-*`, `Host`).
    pub host: Option<String>,
    /// The path below which the API lies (`http.prefix`), without a final slash; empty: `/v2/` is at the root.
    pub prefix: String,
    /// Answer `Location` without scheme and host.
    pub relative_urls: bool,
    /// Trusted reverse proxies: peers whose `Forwarded` and `X-Forwarded-*` headers count.
    pub trusted_proxies: TrustedProxies,
    /// Headers that are added to every answer.
    pub headers: HeaderMap<HeaderValue>,
    /// Pages that may use the registry from a browser, beyond what `headers` says.
    pub cors: Option<Cors>,
    /// Whether HTTP/2 is spoken without TLS with clients that begin with it. The server never proposes it.
    pub h2c: bool,
    /// Refuse what would change the store.
    pub read_only: bool,
    /// Answer manifests as registry:2 does, by what `Accept` names (decision D2).
    pub strict_accept: bool,
    /// How many repositories a page of the catalogue has when the client does not say.
    pub catalog_page: usize,
    /// The most repositories that a page of the catalogue has.
    pub catalog_limit: usize,
    /// The most tags that a page has when the client asks for pages.
    pub tags_limit: usize,
    /// The limits that no client may exceed.
    pub limits: Limits,
}

/// The services that the server uses, each optional.
#[derive(Debug, Clone, Default)]
pub struct ServerServices {
    /// How TLS is spoken; `None`: connections are not encrypted.
    pub tls: Option<Tls>,
    /// Authentication and rights; `None`: every client may do everything.
    pub access: Option<Arc<Access>>,
    /// The log that has a line for each request.
    pub access_log: Option<AccessLog>,
    /// The metrics of the server; `None`: nothing is counted.
    pub metrics: Option<Arc<Metrics>>,
    /// Refuse every request while a check fails. `None`: nothing is checked.
    pub health: Option<Arc<Health>>,
    /// The tracer that samples requests; `None`: nothing is traced.
    pub tracer: Option<Arc<Tracer>>,
}

/// How the connections are served.
pub(crate) fn transport(options: &ServerOptions, services: &ServerServices) -> TransportOptions {
    TransportOptions {
        trusted_proxies: options.trusted_proxies.clone(),
        tls: services.tls.clone(),
        h2c: options.h2c,
        limits: options.limits,
        access_log: services.access_log.clone(),
        metrics: services.metrics.as_ref().map(|metrics| metrics.http()),
        tracer: services.tracer.clone(),
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
            limits: Limits::default(),
        }
    }
}
