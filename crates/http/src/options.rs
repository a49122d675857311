//! The options of the transport that an operator may choose.

use std::sync::{Arc, atomic::AtomicU64};

use wharf_budget::Budget;

use crate::{
    access_log::AccessLog, limits::Limits, metrics::HttpMetrics, proxies::TrustedProxies, tls::Tls,
    trace::Tracer,
};

/// Options of the transport, the same for every surface.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// Trusted reverse proxies: peers whose `Forwarded` and `X-Forwarded-*` headers count.
    pub trusted_proxies: TrustedProxies,
    /// Settings and certificates of TLS; `None`: connections are not encrypted.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is spoken without TLS with clients that begin with it. The server never proposes it.
    pub h2c: bool,
    /// The limits that no client may exceed.
    pub limits: Limits,
    /// What all clients together may use.
    pub budget: Budget,
    /// The log that has a line for each request.
    pub access_log: Option<AccessLog>,
    /// The counters of requests and connections; `None`: nothing is counted.
    pub metrics: Option<Arc<HttpMetrics>>,
    /// The tracer that samples requests; `None`: nothing is traced.
    pub tracer: Option<Arc<Tracer>>,
    /// Where the bytes of content that was sent are counted ([`count_content`](crate::RequestContext::count_content)); `None`: nowhere.
    pub content_sent: Option<Arc<AtomicU64>>,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            trusted_proxies: TrustedProxies::default(),
            tls: None,
            h2c: true,
            limits: Limits::default(),
            budget: Budget::default(),
            access_log: None,
            metrics: None,
            tracer: None,
            content_sent: None,
        }
    }
}
