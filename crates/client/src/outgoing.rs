//! Outgoing HTTP: the one place where clients are made, so that all of them trust the same authorities, use the same
//! proxies, and follow no redirect unless told to.

mod proxies;
mod trust;

use std::{path::Path, sync::OnceLock};

use reqwest::{ClientBuilder, Proxy, Url, redirect};

use self::proxies::Proxies;
pub(crate) use self::trust::tls_text;
pub use self::trust::{Identity, Trust, TrustError, load_system_authorities};

/// Versions of HTTP that a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/1.1 alone.
    Http1,
    /// Over TLS also HTTP/2, where the server takes it.
    Http1And2,
}

/// How requests leave this machine.
#[derive(Debug, Clone, Default)]
pub(crate) enum Route {
    /// Through the proxies that the environment names.
    #[default]
    Environment,
    /// All of them through this proxy, whatever the environment says.
    Through(Url),
}

/// A client with the settings that all clients share: TLS by `trust`, the proxies of the environment as
/// registry:2 takes them (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`), no redirects, no cookies, no `Referer`. Making one
/// is cheap: the authorities of the system are read when a certificate has to be checked for the first time. The caller
/// bounds the time.
///
/// # Errors
/// When the TLS library refuses the authorities of `trust`.
pub fn builder(trust: Trust, versions: Versions) -> Result<ClientBuilder, TrustError> {
    builder_as(trust, versions, None, &Route::Environment)
}

/// The same, with a certificate that is shown to a server that asks for one, and by another route.
pub(crate) fn builder_as(
    trust: Trust,
    versions: Versions,
    identity: Option<&Identity>,
    route: &Route,
) -> Result<ClientBuilder, TrustError> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let builder = reqwest::Client::builder()
        .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .proxy(route.proxy());
    let builder = match versions {
        Versions::Http1 => builder.http1_only(),
        Versions::Http1And2 => builder,
    };
    Ok(match trust.client_config(versions.alpn(), identity)? {
        Some(config) => builder.tls_backend_preconfigured(config),
        None => {
            let builder = builder.tls_danger_accept_invalid_certs(true);
            match identity.map(|identity| reqwest::Identity::from_pem(identity.pem())) {
                Some(Ok(identity)) => builder.identity(identity),
                Some(Err(error)) => return Err(TrustError::Tls(cause(&error))),
                None => builder,
            }
        }
    })
}

/// A client for requests that are rare, such as those of health checks and traces. It uses each connection once: no
/// request may fail because the other side closed a connection that waited. Made when it is needed, and shared.
///
/// # Errors
/// A sentence for operators, when TLS cannot be used.
pub fn occasional() -> Result<&'static reqwest::Client, String> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let make = || {
        let builder = builder(Trust::System, Versions::Http1).map_err(|error| error.to_string())?;
        builder
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| cause(&error))
    };
    CLIENT.get_or_init(make).as_ref().map_err(Clone::clone)
}

/// A client of the server that listens on the unix socket at `path`, whatever host its URLs name. It uses no proxy.
///
/// # Errors
/// A sentence for operators, when the client cannot be made.
pub fn at_socket(path: &Path) -> Result<reqwest::Client, String> {
    let builder = builder(Trust::System, Versions::Http1).map_err(|error| error.to_string())?;
    builder
        .no_proxy()
        .unix_socket(path)
        .build()
        .map_err(|error| cause(&error))
}

impl Route {
    fn proxy(&self) -> Proxy {
        match self.clone() {
            Self::Environment => Proxy::custom(|url| Proxies::of_the_environment().find(url).cloned()),
            Self::Through(proxy) => Proxy::custom(move |_| Some(proxy.clone())),
        }
    }

    /// Host and port of the proxy through which a connection was tried.
    pub(crate) fn proxy_of(&self, error: &reqwest::Error) -> Option<String> {
        let url = error.url().filter(|_| error.is_connect())?;
        let proxy = match self {
            Self::Environment => Proxies::of_the_environment().find(url)?,
            Self::Through(proxy) => proxy,
        };
        Some(proxies::host_and_port(proxy))
    }
}

impl Versions {
    /// Names of the protocols in TLS, in the order of preference.
    fn alpn(self) -> Vec<Vec<u8>> {
        let http1 = b"http/1.1".to_vec();
        match self {
            Self::Http1 => vec![http1],
            Self::Http1And2 => vec![b"h2".to_vec(), http1],
        }
    }
}

/// Why a request failed, in a sentence for operators. It names no header, which may hold secrets, and of the URL
/// nothing but the proxy that stands before it.
pub fn reason(error: &reqwest::Error) -> String {
    let text = match trust::tls_error(error) {
        Some(tls) => format!("TLS failed: {tls}"),
        None if error.is_connect() => format!("cannot connect: {}", cause(error)),
        None => format!("no answer: {}", cause(error)),
    };
    match Route::Environment.proxy_of(error) {
        Some(proxy) => format!("{text} (through the proxy `{proxy}`)"),
        None => text,
    }
}

/// The error of the TLS library behind a failed request.
pub(crate) fn tls_cause(error: &reqwest::Error) -> Option<&rustls::Error> {
    trust::tls_cause(error)
}

/// The innermost cause; the errors around it repeat the URL or say less.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    if let Some(tls) = trust::tls_error(error) {
        return tls;
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
