//! Which server a URL leads to, and what may be sent there.

use reqwest::Url;

/// Whether both URLs lead to the same server by the same scheme.
pub(crate) fn is_same_server(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether an exception of TLS that was made for `registry` holds for `other`: it holds for one host, and on this
/// machine, where no other one is in between, for all of its names.
pub(crate) fn is_same_host(registry: &Url, other: &Url) -> bool {
    registry.host_str() == other.host_str() || is_loopback(registry) && is_loopback(other)
}

/// Whether the URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Scheme, host and port, for messages: no user, password, path or query.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A URL of the web without user and password, which would be sent to its server.
pub(crate) fn parse(text: &str) -> Option<Url> {
    let mut url: Url = text.parse().ok()?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_plain = is_web && url.set_username("").is_ok() && url.set_password(None).is_ok();
    is_plain.then_some(url)
}

/// Whether a secret for `registry` may be sent to the token server `realm`: over TLS, or in clear text when the
/// registry itself speaks that, but not from this machine out into the network.
pub(crate) fn may_hold_tokens(registry: &Url, realm: &Url) -> bool {
    realm.scheme() == "https" || registry.scheme() == "http" && (is_loopback(realm) || !is_loopback(registry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        parse(text).unwrap()
    }

    #[test]
    fn servers_are_told_apart_by_scheme_host_and_port() {
        let same = |one: &str, other: &str| is_same_server(&url(one), &url(other));
        assert!(same("https://r.test/v2/", "https://R.test:443/x"));
        assert!(!same("https://r.test/", "http://r.test/"));
        assert!(!same("https://r.test/", "https://r.test:444/"));
        assert!(!same("https://r.test/", "https://r.test.evil/"));
    }

    #[test]
    fn exceptions_of_tls_hold_for_one_host() {
        let same = |one: &str, other: &str| is_same_host(&url(one), &url(other));
        assert!(same("https://r.test:5000/", "https://r.test:5001/"));
        assert!(
            same("https://localhost/", "https://127.0.0.1/") && same("https://[::1]/", "https://127.9.9.9/")
        );
        assert!(!same("https://localhost/", "https://r.test/"));
        assert!(!same("https://r.test/", "https://localhost/"));
    }

    #[test]
    fn secrets_travel_over_tls() {
        let may = |registry: &str, realm: &str| may_hold_tokens(&url(registry), &url(realm));
        assert!(may("https://r.test/", "https://a.test/"));
        assert!(!may("https://r.test/", "http://a.test/") && !may("https://r.test/", "http://r.test/"));
        assert!(!may("https://r.test/", "http://localhost/"));
        assert!(may("http://r.test/", "http://a.test/") && may("http://localhost/", "http://[::1]:1/"));
        assert!(!may("http://localhost/", "http://a.test/"));
    }

    #[test]
    fn urls_lose_their_users() {
        assert_eq!(url("https://u:p@a.test/x?y").as_str(), "https://a.test/x?y");
        assert_eq!(
            origin(&url("https://a.test:8443/x?secret")),
            "https://a.test:8443"
        );
        for bad in ["", "/x", "file:///x", "a.test", "https://"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
