//! Which proxy a request goes through: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` as Go's `net/http` reads them, because
//! registry:2 and docker do.
//!
//! reqwest reads them as curl does: it also takes `ALL_PROXY`, knows no ports in `NO_PROXY`, and asks a proxy for
//! `localhost`.

use std::{net::IpAddr, sync::OnceLock};

use ipnet::IpNet;
use reqwest::Url;

/// The proxies of a process.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    direct: Vec<Direct>,
}

/// Places that are reached without a proxy: an entry of `NO_PROXY`.
#[derive(Debug, PartialEq, Eq)]
enum Direct {
    /// `*`
    Everything,
    /// `10.0.0.0/8`
    Network(IpNet),
    /// `10.0.0.1`, `10.0.0.1:80`, `[::1]:80`
    Address(IpAddr, Option<u16>),
    /// `example.com`, `.example.com`, `*.example.com`, each with or without a port.
    Domain {
        /// Suffix of the covered hosts, with a dot in front: `.example.com`.
        suffix: String,
        /// Whether `example.com` itself is covered as well, and not only its subdomains.
        with_itself: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// The proxies of the environment, read once.
    pub(super) fn of_the_environment() -> &'static Self {
        static PROXIES: OnceLock<Proxies> = OnceLock::new();
        PROXIES.get_or_init(|| Self::new(|name| std::env::var(name).ok()))
    }

    fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let names = [name.to_owned(), name.to_ascii_lowercase()];
            let mut values = names.iter().filter_map(|name| variable(name));
            values.find(|value| !value.is_empty())
        };
        let proxy = |name: &str| {
            let text = either(name)?;
            let proxy = parse_proxy(&text);
            if proxy.is_none() {
                // The value may hold a password.
                tracing::warn!("`{name}` is not the URL of a proxy, and is ignored");
            }
            proxy
        };
        Self {
            http: proxy("HTTP_PROXY"),
            https: proxy("HTTPS_PROXY"),
            direct: parse_direct(&either("NO_PROXY").unwrap_or_default()),
        }
    }

    /// The proxy for a request to `url`; `None`: no proxy.
    pub(super) fn find(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme() {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        };
        // A loopback address is never reached through a proxy.
        proxy.filter(|_| !is_loopback(url) && !self.direct.iter().any(|direct| direct.covers(url)))
    }
}

impl Direct {
    fn parse(entry: &str) -> Option<Self> {
        if let Ok(network) = entry.parse() {
            return Some(Self::Network(network));
        }
        let (host, port) = match split_port(entry) {
            Some((host, port)) => (host, Some(port)),
            None => (entry, None),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(address) = host.parse() {
            return Some(Self::Address(address, port));
        }
        let host = host
            .strip_prefix("*")
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        let with_itself = !host.starts_with('.');
        (!host.is_empty()).then(|| Self::Domain {
            suffix: if with_itself {
                format!(".{host}")
            } else {
                host.to_owned()
            },
            with_itself,
            port,
        })
    }

    fn covers(&self, url: &Url) -> bool {
        let on_port = |port: &Option<u16>| port.is_none() || *port == url.port_or_known_default();
        match self {
            Self::Everything => true,
            Self::Network(network) => address(url).is_some_and(|address| network.contains(&address)),
            Self::Address(ours, port) => address(url) == Some(*ours) && on_port(port),
            Self::Domain {
                suffix,
                with_itself,
                port,
            } => {
                let host = url.host_str().unwrap_or_default();
                let is_itself = *with_itself && host == &suffix[1..];
                (is_itself || host.ends_with(suffix.as_str())) && on_port(port)
            }
        }
    }
}

/// `host:port` of a proxy, without user and password.
pub(super) fn host_and_port(proxy: &Url) -> String {
    let host = proxy.host_str().unwrap_or_default();
    match proxy.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A URL, or `host:port` for one with `http`.
fn parse_proxy(text: &str) -> Option<Url> {
    let is_proxy =
        |url: &Url| url.has_host() && matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    let whole = text.parse().ok().filter(is_proxy);
    whole.or_else(|| {
        let text = format!("http://{text}");
        text.parse()
            .ok()
            .filter(|url| !text["http://".len()..].contains("://") && is_proxy(url))
    })
}

fn parse_direct(text: &str) -> Vec<Direct> {
    let text = text.to_lowercase();
    let entries = || text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    if entries().any(|entry| entry == "*") {
        return vec![Direct::Everything];
    }
    entries().filter_map(Direct::parse).collect()
}

/// Splits `host:80` and `[::1]:80`; not `::1`, which is an address without a port.
fn split_port(entry: &str) -> Option<(&str, u16)> {
    let (host, port) = entry.rsplit_once(':')?;
    let is_address_alone = host.contains(':') && !host.ends_with(']');
    port.parse()
        .ok()
        .filter(|_| !is_address_alone)
        .map(|port| (host, port))
}

fn is_loopback(url: &Url) -> bool {
    url.host_str() == Some("localhost") || address(url).is_some_and(|address| address.is_loopback())
}

fn address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::new(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn found(proxies: &Proxies, url: &str) -> Option<String> {
        proxies
            .find(&url.parse().unwrap())
            .map(|proxy| proxy.as_str().to_owned())
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let both = proxies(&[("HTTP_PROXY", "http://a:1"), ("https_proxy", "b:2")]);
        assert_eq!(found(&both, "http://x.test/").as_deref(), Some("http://a:1/"));
        assert_eq!(found(&both, "https://x.test/").as_deref(), Some("http://b:2/"));
        let none = proxies(&[("ALL_PROXY", "http://a:1"), ("HTTP_PROXY", "")]);
        assert_eq!(found(&none, "http://x.test/"), None);
        let capitals = proxies(&[("HTTP_PROXY", "a:1"), ("http_proxy", "b:2")]);
        assert_eq!(found(&capitals, "http://x.test/").as_deref(), Some("http://a:1/"));
        let secret = proxies(&[("HTTP_PROXY", "http://user:secret@a:1")]);
        let proxy = secret.find(&"http://x.test/".parse().unwrap()).unwrap();
        assert_eq!(host_and_port(proxy), "a:1");
        for bad in ["ftp://a:1", "http://", "http://a b/", "a:b:c"] {
            let bad = proxies(&[("HTTP_PROXY", bad)]);
            assert_eq!(found(&bad, "http://x.test/"), None, "{bad:?}");
        }
    }

    #[test]
    fn this_machine_is_asked_without_a_proxy() {
        let all = proxies(&[("HTTP_PROXY", "http://a:1")]);
        for direct in ["http://localhost:5000/", "http://127.1.2.3/", "http://[::1]:80/"] {
            assert_eq!(found(&all, direct), None, "{direct}");
        }
        assert!(found(&all, "http://10.0.0.1/").is_some());
        assert!(found(&all, "http://localhost.test/").is_some());
    }

    /// The table is that of Go's documentation of `httpproxy.Config`.
    #[test]
    fn exceptions_are_read_as_go_reads_them() {
        let check = |no_proxy: &str, url: &str, is_direct: bool| {
            let proxies = proxies(&[
                ("HTTP_PROXY", "http://a:1"),
                ("HTTPS_PROXY", "http://a:1"),
                ("NO_PROXY", no_proxy),
            ]);
            assert_eq!(found(&proxies, url).is_none(), is_direct, "{no_proxy}: {url}");
        };
        check("", "http://example.com/", false);
        check("*", "http://example.com/", true);
        check("a.test, *", "http://10.0.0.1/", true);
        check("example.com", "http://example.com/", true);
        check("Example.COM ", "http://sub.EXAMPLE.com/", true);
        check("example.com", "http://notexample.com/", false);
        check("example.com", "http://example.com.test/", false);
        for below in [".example.com", "*.example.com"] {
            check(below, "http://example.com/", false);
            check(below, "http://sub.example.com/", true);
        }
        check("example.com:80", "http://example.com/", true);
        check("example.com:80", "https://example.com/", false);
        check("example.com:8080", "http://sub.example.com:8080/", true);
        check("10.0.0.1", "http://10.0.0.1:99/", true);
        check("10.0.0.1:80", "http://10.0.0.1:99/", false);
        check("10.0.0.1:80", "http://10.0.0.1/", true);
        check("10.0.0.0/8", "http://10.99.0.1:99/", true);
        check("10.1.2.3/8", "http://10.99.0.1/", true);
        check("10.0.0.0/8", "http://11.0.0.1/", false);
        check("10.0.0.0/8", "http://ten.test/", false);
        check("fd00::/8", "http://[fd00::1]/", true);
        check("fd00::1", "http://[fd00::1]:99/", true);
        check("[fd00::1]:80", "http://[fd00::1]/", true);
        check("[fd00::1]:80", "http://[fd00::1]:99/", false);
        check(" , ,:80,[]", "http://example.com/", false);
    }
}
