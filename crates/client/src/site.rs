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

/// Whether the token server `realm` belongs to `registry`: both are the same host, or have a domain in common that was registered
/// as one, by the list of public suffixes. Below an ending that the list does not know, as inside companies, the last two
/// labels are that domain.
pub(crate) fn is_related(registry: &Url, realm: &Url) -> bool {
    if is_same_host(registry, realm) {
        return true;
    }
    let domain = |url: &Url| {
        // The parts of an address are no labels of a name.
        let name = url.domain()?.trim_end_matches('.').to_ascii_lowercase();
        psl::domain_str(&name).map(str::to_owned)
    };
    domain(registry).is_some_and(|own| domain(realm) == Some(own))
}

/// Whether `hosts` has the host of `url`, with its port or without any.
pub(crate) fn is_listed(hosts: &[String], url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let with_port = format!("{host}:{port}");
    let is_it =
        |listed: &String| listed.eq_ignore_ascii_case(host) || listed.eq_ignore_ascii_case(&with_port);
    hosts.iter().any(is_it)
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
    fn token_servers_of_the_same_owner_are_told_from_others() {
        let related = |registry: &str, realm: &str| is_related(&url(registry), &url(realm));
        for (registry, realm) in [
            ("https://registry-1.docker.io/", "https://auth.docker.io/token"),
            ("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth"),
            ("https://ghcr.io/", "https://ghcr.io/token"),
            ("https://r.example.co.uk:5000/", "https://AUTH.example.co.uk/"),
            ("https://registry.corp.internal/", "https://auth.corp.internal/"),
            ("http://10.0.0.1:5000/", "http://10.0.0.1:5001/"),
            ("http://127.0.0.1:5000/", "http://localhost:5001/"),
        ] {
            assert!(related(registry, realm), "{registry} {realm}");
        }
        for (registry, realm) in [
            (
                "https://registry-1.docker.io/",
                "https://auth.docker.io.evil.test/",
            ),
            ("https://a.co.uk/", "https://b.co.uk/"),
            ("https://ann.github.io/", "https://eve.github.io/"),
            ("https://registry.internal/", "https://auth.internal/"),
            ("https://10.1.0.1/", "https://10.2.0.1/"),
            ("https://[fd00::1]/", "https://[fd00::2]/"),
            ("https://registry/", "https://auth/"),
        ] {
            assert!(!related(registry, realm), "{registry} {realm}");
        }
        let hosts = ["Auth.example.com".to_owned(), "b.test:8443".to_owned()];
        let listed = |realm: &str| is_listed(&hosts, &url(realm));
        assert!(listed("https://auth.example.com:8443/") && listed("https://b.test:8443/"));
        assert!(!listed("https://b.test/") && !listed("https://x.auth.example.com/"));
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
