//! Faults of requests over HTTP/1.1 that proxies and servers understand in different ways, so that none of them is let
//! through (RFC 9112).

use http::{Version, header, request::Parts};

/// The reason why a request is refused before a surface sees it.
pub(crate) fn fault(parts: &Parts) -> Option<&'static str> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => {}
        (Some(_), Some(_)) => return Some("The request has more than one `Host`; send one.\n"),
        (None, _) if parts.version < Version::HTTP_11 => {}
        (None, _) => return Some("The request has no `Host`, which HTTP/1.1 requires.\n"),
    }
    let mut encodings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => None,
        (Some(encoding), None) if encoding.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        _ => Some("`Transfer-Encoding` must be `chunked` alone.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(version: Version, headers: &[(&str, &str)]) -> bool {
        let mut request = http::Request::get("/v2/").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        fault(&request.body(()).unwrap().into_parts().0).is_some()
    }

    #[test]
    fn a_request_has_one_host() {
        assert!(!is_refused(Version::HTTP_11, &[("host", "a")]));
        assert!(is_refused(Version::HTTP_11, &[]));
        assert!(is_refused(Version::HTTP_11, &[("host", "a"), ("host", "a")]));
        assert!(!is_refused(Version::HTTP_10, &[]));
        assert!(is_refused(Version::HTTP_10, &[("host", "a"), ("host", "b")]));
    }

    #[test]
    fn a_body_is_chunked_or_has_a_length() {
        let host = ("host", "a");
        let encoding = |value| [host, ("transfer-encoding", value)];
        assert!(!is_refused(Version::HTTP_11, &encoding("Chunked")));
        for value in [
            "identity, chunked",
            "gzip, chunked",
            "chunked, chunked",
            "identity",
            "",
        ] {
            assert!(is_refused(Version::HTTP_11, &encoding(value)), "{value}");
        }
        let two = [
            host,
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ];
        assert!(is_refused(Version::HTTP_11, &two));
    }
}
