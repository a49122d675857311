//! How an upstream is reached, and the credentials for it: data, which can be compared and shown without secrets.

use std::{fmt, path::PathBuf, time::Duration};

use reqwest::Url;

use crate::{
    credentials::{Credentials, Login},
    site,
};

/// How an upstream is reached.
#[derive(Clone, PartialEq)]
pub struct UpstreamOptions {
    /// URL before `/v2/`, by `https://` or `http://`; it may have a path.
    pub url: Url,
    /// Credentials for the upstream.
    pub login: UpstreamLogin,
    /// Paths of PEM files with certificates of authorities to trust beside the system's.
    pub authorities: Vec<PathBuf>,
    /// Paths of the certificate by which the upstream knows this client, and of its key, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Trust any certificate of the upstream's host. Other servers, such as its token server, are not exempt.
    pub insecure: bool,
    /// Proxy for all requests to the upstream, and to the servers that it names; `None`: the proxies of the environment.
    pub http_proxy: Option<Url>,
    /// Further hosts, each with or without a port, that may get the credentials as token servers.
    pub realms: Vec<String>,
    /// Time limit for the head of an answer.
    pub timeout: Duration,
    /// Name of this registry in the header `Via` of each request.
    pub via: String,
}

/// Credentials for an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamLogin {
    /// None: every request is anonymous.
    Anonymous,
    /// One user.
    Given(Login),
    /// What a configuration of docker has for the upstream's host.
    Stored(Credentials),
    /// What a program answers, by the protocol of docker's credential helpers.
    Helper {
        /// Path or name of the program.
        command: String,
        /// Time for which its answer is used.
        lifetime: Lifetime,
    },
}

/// Time for which the answer of a credential helper is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as this process runs.
    Once,
    /// For one login: the helper is asked each time that the upstream requires credentials.
    Each,
    /// So long.
    For(Duration),
}

impl UpstreamOptions {
    /// Time limit for the head of an answer, when the operator sets none.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// An upstream at `url` with defaults: anonymous, the authorities of the system, the proxies of the environment.
    /// `via` names this registry.
    pub fn new(url: Url, via: String) -> Self {
        Self {
            url,
            login: UpstreamLogin::Anonymous,
            authorities: Vec::new(),
            identity: None,
            insecure: false,
            http_proxy: None,
            realms: Vec::new(),
            timeout: Self::TIMEOUT,
            via,
        }
    }
}

/// Without the password of a proxy, and what else a URL may hide.
impl fmt::Debug for UpstreamOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamOptions")
            .field(
                "url",
                &format_args!("{}{}", site::origin(&self.url), self.url.path()),
            )
            .field("login", &self.login)
            .field("authorities", &self.authorities)
            .field("identity", &self.identity)
            .field("insecure", &self.insecure)
            .field("http_proxy", &self.http_proxy.as_ref().map(site::origin))
            .field("realms", &self.realms)
            .field("timeout", &self.timeout)
            .field("via", &self.via)
            .finish()
    }
}
