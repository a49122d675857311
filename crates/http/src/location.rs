//! Scheme and host of this server as the client sees them, through any reverse proxies.

use http::{HeaderMap, HeaderName, header, request};

use crate::peer::{Peer, parameter};

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Scheme and host of a request. The headers of a trusted proxy count, by the precedence of registry:2: `Forwarded`, else
/// `X-Forwarded-Proto` and `X-Forwarded-Host`, else the request itself.
///
/// `None` when the request names no host, or an invalid one: a relative URL is then right, and sends no client to
/// another server.
pub fn base(peer: &Peer, request: &request::Parts) -> Option<String> {
    let mut scheme = if peer.is_encrypted { "https" } else { "http" };
    let mut host = authority(request).map(str::to_owned);
    if peer.is_trusted {
        let headers = &request.headers;
        if let Some(forwarded) = text(headers, &header::FORWARDED) {
            let first = forwarded.split(',').next().unwrap_or_default();
            scheme = parameter(first, "proto").unwrap_or(scheme);
            host = parameter(first, "host").map(str::to_owned).or(host);
        } else {
            scheme = first(headers, &X_FORWARDED_PROTO).unwrap_or(scheme);
            host = first(headers, &X_FORWARDED_HOST).map(str::to_owned).or(host);
            host = host.map(|host| with_port(host, first(headers, &X_FORWARDED_PORT)));
        }
    }
    let scheme = if scheme.eq_ignore_ascii_case("https") {
        "https"
    } else {
        "http"
    };
    let host = host.filter(|host| is_host(host))?;
    Some(format!("{scheme}://{host}"))
}

/// Host and port that the request is for.
pub fn authority(request: &request::Parts) -> Option<&str> {
    let of_target = request.uri.authority().map(http::uri::Authority::as_str);
    of_target.or_else(|| text(&request.headers, &header::HOST))
}

/// Adds the port of the proxy to a host without one: many proxies are configured to pass `$host` on, which has no port.
/// Ports 80 and 443 are left out, as clients do.
fn with_port(host: String, port: Option<&str>) -> String {
    let has_port = match host.rfind(']') {
        Some(end) => host[end..].contains(':'),
        None => host.contains(':'),
    };
    match port.and_then(|port| port.parse::<u16>().ok()) {
        Some(port) if !has_port && !matches!(port, 0 | 80 | 443) => format!("{host}:{port}"),
        _ => host,
    }
}

/// The first element of a header's list, which the proxy next to the client wrote.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    text(headers, name)?
        .split(',')
        .next()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())
}

/// Whether the text can be a host and port: it has no byte that would start a path, a user name or a query.
pub fn is_host(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base_by(is_trusted: bool, headers: &[(&str, &str)]) -> Option<String> {
        let request = headers
            .iter()
            .fold(http::Request::get("/v2/"), |request, (name, value)| {
                request.header(*name, *value)
            });
        let peer = Peer {
            address: None,
            is_trusted,
            is_encrypted: false,
        };
        super::base(&peer, &request.body(()).unwrap().into_parts().0)
    }

    fn base(headers: &[(&str, &str)]) -> Option<String> {
        base_by(true, headers)
    }

    #[test]
    fn the_host_is_what_the_client_sees() {
        assert_eq!(
            base(&[("host", "localhost:5000")]).unwrap(),
            "http://localhost:5000"
        );
        assert_eq!(base(&[]), None);
        assert_eq!(base(&[("host", "evil/..?")]), None);
        let proxied = [
            ("host", "inside"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a.example, b"),
        ];
        assert_eq!(base(&proxied).unwrap(), "https://a.example");
        let only_proto = [("host", "a.example:5443"), ("x-forwarded-proto", "https")];
        assert_eq!(base(&only_proto).unwrap(), "https://a.example:5443");
        let forwarded = [
            ("host", "inside"),
            ("x-forwarded-host", "ignored"),
            (
                "forwarded",
                "for=1.2.3.4;Proto=https; host=\"a.example:8443\", for=5.6.7.8;host=b",
            ),
        ];
        assert_eq!(base(&forwarded).unwrap(), "https://a.example:8443");
    }

    #[test]
    fn a_port_that_the_proxy_names_is_added_where_none_is() {
        let with = |host: &str, port: &str| {
            base(&[
                ("host", host),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-port", port),
            ])
            .unwrap()
        };
        assert_eq!(with("a.example", "8443"), "https://a.example:8443");
        assert_eq!(with("a.example", "443"), "https://a.example");
        assert_eq!(with("a.example:5000", "8443"), "https://a.example:5000");
        assert_eq!(with("[::1]", "8443"), "https://[::1]:8443");
        assert_eq!(with("a.example", "evil"), "https://a.example");
    }

    #[test]
    fn headers_of_an_untrusted_peer_lead_no_client_elsewhere() {
        let says = [
            ("host", "a.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "host=evil.example"),
        ];
        assert_eq!(base_by(false, &says).unwrap(), "http://a.example");
    }
}
