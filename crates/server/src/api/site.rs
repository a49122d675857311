//! Requests that a browser sends for another site (CSRF), or to a name that leads here by a trick (DNS rebinding).

use http::request::Parts;
use wharf_http::{RequestContext, location};

use super::problem::{Kind, Problem, Result};
use crate::site::{self, authority_of};

/// The names under which clients know this server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    /// The configured URL of the server.
    pub(crate) url: Option<&'a str>,
    /// Whether users log in. Where they do not, a request is refused unless it is certain to come from this machine.
    pub(crate) has_users: bool,
}

impl Site<'_> {
    /// Refuses a request that does not come from where it says.
    pub(crate) fn check(self, context: &RequestContext, request: &Parts) -> Result<()> {
        let base = location::base(context.peer(), request);
        self.check_client(context, request)?;
        self.check_names(base.as_deref(), request)
    }

    /// Refuses a request that does not come from this machine, or that is for another one by its names, where users do not log in.
    pub(crate) fn check_machine(self, context: &RequestContext, request: &Parts) -> Result<()> {
        self.check_client(context, request)?;
        self.check_host(location::base(context.peer(), request).as_deref(), request)
    }

    /// Refuses a client that is not certain to be on this machine, where users do not log in.
    fn check_client(self, context: &RequestContext, request: &Parts) -> Result<()> {
        if !self.has_users {
            let client = context.proven_client(&request.headers);
            if !client.is_some_and(|client| client.to_canonical().is_loopback()) {
                return Err(Problem::new(
                    Kind::NotThisMachine,
                    "users do not log in here, and then this answers this machine alone; configure users (`auth.htpasswd`), or \
                     use the control socket",
                ));
            }
        }
        Ok(())
    }

    /// The same for the host that the request is for; `base` is the URL by which the client reaches this server.
    fn check_host(self, base: Option<&str>, request: &Parts) -> Result<()> {
        let written = location::authority(request);
        let behind_proxy = base.and_then(authority_of);
        if !self.has_users
            && let Some(host) = [written, behind_proxy]
                .into_iter()
                .flatten()
                .find(|host| !self.is_here(host))
        {
            let shown: String = host.chars().take(80).collect();
            let text = format!(
                "the request is for `{}`; users do not log in here, and then requests for `localhost` alone are answered, because a page of another site could have sent this one",
                shown.escape_debug()
            );
            return Err(Problem::new(Kind::ForeignHost, text));
        }
        Ok(())
    }

    /// The same for all names in the request.
    fn check_names(self, base: Option<&str>, request: &Parts) -> Result<()> {
        self.check_host(base, request)?;
        if site::is_own_by(self.url, || base.map(str::to_owned), request) {
            return Ok(());
        }
        let text = "a browser sent this request for a page of another site, which may not use this API; open the page of this \
                    server itself, or use a program that is no browser";
        Err(Problem::new(Kind::CrossSite, text))
    }

    /// Whether `authority` names this machine, or is that of the configured URL.
    fn is_here(self, authority: &str) -> bool {
        let host = host_of(authority);
        let is_configured = self
            .url
            .and_then(authority_of)
            .is_some_and(|own| host_of(own).eq_ignore_ascii_case(host));
        is_configured || is_loopback(host)
    }
}

/// Whether a host is a name of this machine that no name server can give to another one.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_loopback())
        || host == "localhost"
        || host.ends_with(".localhost")
}

/// The host of `host:port`.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(site: Site<'_>, base: Option<&str>, headers: &[(&str, &str)]) -> Option<Kind> {
        let request = headers
            .iter()
            .fold(http::Request::get("/api/v1/whoami"), |request, (name, value)| {
                request.header(*name, *value)
            });
        let request = request.body(()).unwrap().into_parts().0;
        site.check_names(base, &request)
            .err()
            .map(|problem| problem.kind())
    }

    const OPEN: Site<'_> = Site {
        url: None,
        has_users: false,
    };
    const USERS: Site<'_> = Site {
        url: Some("https://registry.example.com/sub"),
        has_users: true,
    };

    #[test]
    fn without_users_only_names_of_this_machine_are_answered() {
        for host in [
            "localhost",
            "localhost:5000",
            "LOCALHOST:5000",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
            "[::1]",
            "a.localhost:1",
            "localhost.",
        ] {
            assert_eq!(kind(OPEN, None, &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:5000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil-localhost",
            "10.0.0.1:5000",
            "[::2]:5000",
            "0.0.0.0:5000",
            "",
            "localhost:5000@evil.example",
            "[::ffff:10.0.0.1]",
        ] {
            assert_eq!(
                kind(OPEN, None, &[("host", host)]).is_some(),
                !host.is_empty(),
                "{host}"
            );
        }
        let behind = Some("http://evil.example");
        assert_eq!(
            kind(OPEN, behind, &[("host", "localhost")]),
            Some(Kind::ForeignHost)
        );
        let configured = Site {
            url: Some("https://registry.example.com"),
            ..OPEN
        };
        assert_eq!(kind(configured, None, &[("host", "registry.example.com")]), None);
    }

    #[test]
    fn a_page_of_another_site_is_refused_with_and_without_users() {
        let host = ("host", "localhost:5000");
        for site in [OPEN, USERS] {
            for (header, expected) in [
                (("sec-fetch-site", "same-origin"), None),
                (("sec-fetch-site", "none"), None),
                (("sec-fetch-site", "same-site"), Some(Kind::CrossSite)),
                (("sec-fetch-site", "cross-site"), Some(Kind::CrossSite)),
                (("sec-fetch-site", "\u{ff}"), Some(Kind::CrossSite)),
                (("origin", "http://localhost:5000"), None),
                (("origin", "http://LOCALHOST:5000"), None),
                (("origin", "http://localhost:3000"), Some(Kind::CrossSite)),
                (("origin", "https://evil.example"), Some(Kind::CrossSite)),
                (("origin", "null"), Some(Kind::CrossSite)),
                (("origin", ""), Some(Kind::CrossSite)),
            ] {
                assert_eq!(kind(site, None, &[host, header]), expected, "{site:?} {header:?}");
            }
        }
        let inside = ("host", "127.0.0.1:5000");
        let own = ("origin", "https://registry.example.com");
        assert_eq!(kind(USERS, None, &[inside, own]), None, "the URL is configured");
        let base = Some("https://other.example");
        assert_eq!(
            kind(USERS, base, &[inside, ("origin", "https://other.example")]),
            None,
            "a proxy says so"
        );
    }
}
