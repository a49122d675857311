//! Scheme and host of this server as the client sees them, through any reverse proxies.

use http::{HeaderMap, HeaderName, header, request};

use crate::peer::{Peer, parameter};

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_SCHEME: HeaderName = HeaderName::from_static("x-forwarded-scheme");
const X_FORWARDED_SSL: HeaderName = HeaderName::from_static("x-forwarded-ssl");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Scheme and host of a request. The headers of a trusted proxy count, by the precedence of registry:2: `Forwarded`, else
/// `X-Forwarded-Proto` and `X-Forwarded-Host`, else the request itself. Proxies that send `X-Forwarded-Scheme` or
/// `X-Forwarded-Ssl` instead of the first are understood as well. `X-Forwarded-Port` says where the last proxy listens, which
/// need not be the port that the client knows, and does not count.
///
/// `None` when the request names no host, or an invalid one: a relative URL is then right, and sends no client to
/// another server.
pub fn base(peer: &Peer, request: &request::Parts) -> Option<String> {
    let headers = &request.headers;
    let forwarded = text(headers, &header::FORWARDED).filter(|_| peer.is_trusted);
    let (scheme, host) = match forwarded {
        Some(forwarded) => {
            let first = forwarded.split(',').next().unwrap_or_default();
            (parameter(first, "proto"), parameter(first, "host"))
        }
        None if peer.is_trusted => (scheme_of_proxy(headers), first(headers, &X_FORWARDED_HOST)),
        None => (None, None),
    };
    let is_encrypted = scheme.map_or(peer.is_encrypted, |scheme| scheme.eq_ignore_ascii_case("https"));
    let host = host.or_else(|| authority(request)).filter(|host| is_host(host))?;
    let url = format!("{}://{host}", if is_encrypted { "https" } else { "http" });
    if peer.is_trusted && scheme.is_none() && !is_encrypted {
        peer.note_missing_scheme(headers, &url);
    }
    Some(url)
}

/// The scheme that clients use, by the headers of a proxy that does not send `Forwarded`.
fn scheme_of_proxy(headers: &HeaderMap) -> Option<&str> {
    let is_on = |value: &&str| value.eq_ignore_ascii_case("on");
    first(headers, &X_FORWARDED_PROTO)
        .or_else(|| first(headers, &X_FORWARDED_SCHEME))
        .or_else(|| first(headers, &X_FORWARDED_SSL).filter(is_on).map(|_| "https"))
}

/// Host and port that the request is for.
pub fn authority(request: &request::Parts) -> Option<&str> {
    let of_target = request.uri.authority().map(http::uri::Authority::as_str);
    of_target.or_else(|| text(&request.headers, &header::HOST))
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
    fn the_port_of_the_last_proxy_is_not_the_one_that_the_client_knows() {
        for host in ["a.example", "a.example:5000", "[::1]"] {
            let says = [
                ("host", host),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-port", "8443"),
            ];
            assert_eq!(base(&says).unwrap(), format!("https://{host}"));
        }
    }

    #[test]
    fn proxies_say_in_several_ways_that_their_clients_use_tls() {
        let with = |headers: &[(&'static str, &'static str)]| {
            base(&[&[("host", "a.example")], headers].concat()).unwrap()
        };
        assert_eq!(with(&[("x-forwarded-ssl", "on")]), "https://a.example");
        assert_eq!(with(&[("x-forwarded-ssl", "off")]), "http://a.example");
        assert_eq!(with(&[("x-forwarded-scheme", "HTTPS")]), "https://a.example");
        let both = [("x-forwarded-ssl", "on"), ("x-forwarded-proto", "http")];
        assert_eq!(with(&both), "http://a.example");
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
