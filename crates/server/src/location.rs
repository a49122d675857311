//! Absolute URLs of this server, as the client sees it through whatever proxies lie between.

use http::{HeaderMap, HeaderName, HeaderValue, header, request};

use crate::App;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The value of a `Location` header for `path`.
pub(crate) fn of(app: &App, request: &request::Parts, path: &str) -> HeaderValue {
    let url = if app.options.relative_urls {
        path.to_owned()
    } else {
        let base = app.options.host.clone().or_else(|| base_of(request));
        format!("{}{path}", base.unwrap_or_default())
    };
    // Paths that we build are ASCII; a host that is no header value cannot have come in one.
    HeaderValue::try_from(url).unwrap_or_else(|_| HeaderValue::from_static("/"))
}

/// Scheme and host of a request, by the precedence of registry:2: `Forwarded`, else
/// `X-Forwarded-Proto` and `X-Forwarded-Host`, else the request itself.
///
/// `None` when the request names no host (HTTP/1.0): a relative URL is then right.
fn base_of(request: &request::Parts) -> Option<String> {
    let (mut scheme, mut host) = ("http", request.uri.authority().map(http::uri::Authority::as_str));
    host = host.or_else(|| text(&request.headers, &header::HOST));
    if let Some(forwarded) = text(&request.headers, &header::FORWARDED) {
        scheme = parameter(forwarded, "proto").unwrap_or(scheme);
        host = parameter(forwarded, "host").or(host);
    } else {
        let first = |name: &HeaderName| text(&request.headers, name)?.split(',').next().map(str::trim);
        scheme = first(&X_FORWARDED_PROTO).unwrap_or(scheme);
        host = first(&X_FORWARDED_HOST).or(host);
    }
    let scheme = if scheme.eq_ignore_ascii_case("https") {
        "https"
    } else {
        "http"
    };
    let host = host.filter(|host| is_host(host))?;
    Some(format!("{scheme}://{host}"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())
}

/// A parameter of the first element of a `Forwarded` header (RFC 7239).
fn parameter<'a>(forwarded: &'a str, wanted: &str) -> Option<&'a str> {
    let first = forwarded.split(',').next()?;
    first.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case(wanted) && !value.is_empty()).then_some(value)
    })
}

/// Whether the text can be a host and port: nothing that would start a path, a user name or a query.
fn is_host(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(headers: &[(&str, &str)]) -> Option<String> {
        let request = headers
            .iter()
            .fold(http::Request::get("/v2/"), |request, (name, value)| {
                request.header(*name, *value)
            });
        base_of(&request.body(()).unwrap().into_parts().0)
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
}
