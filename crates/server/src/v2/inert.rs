//! Content of the registry in a browser: it is shown as nothing that runs.
//!
//! The page of this server has the same origin as its content, and clients choose what that is. A blob or a manifest that a browser opens
//! must therefore not be a document of this origin, and none that a page loads may be a script or a style of it. Each of these headers
//! would do for what it is about; none of them means anything to a client of a registry, or to a page that reads answers by `fetch`.
//!
//! - `X-Content-Type-Options: nosniff`: bytes are what their type says. Blobs are `application/octet-stream`, which no browser runs.
//! - `Content-Security-Policy: sandbox; default-src 'none'`: what is shown as a document has an origin of its own, and loads and runs nothing.
//! - `Content-Disposition: attachment` where a browser navigates to a blob: it is saved, and not shown at all.
//! - The type of a manifest is chosen by the client that pushed it. If it is one that a browser runs or shows, which no client of a
//!   registry uses, the answer has `application/octet-stream`. It is not asked whether the client is a browser, which some do not tell.
//! - `Cross-Origin-Resource-Policy: same-site`, unless the operator opens the registry to pages of other sites by CORS.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use wharf_oci::media_type;

use crate::{negotiation::wants_page, options::ServerOptions};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Browsers send it with every request over TLS, and no page can.
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

const POLICY: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");

/// Adds the headers to an answer. Those that the operator has configured stay.
pub(super) fn make(options: &ServerOptions, request: &Parts, headers: &mut HeaderMap) {
    let mut add = |name: HeaderName, value: HeaderValue| _ = headers.entry(name).or_insert(value);
    add(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    add(header::CONTENT_SECURITY_POLICY, POLICY);
    if !options.has_cors() {
        add(RESOURCE_POLICY, HeaderValue::from_static("same-site"));
    }
    let content_type = headers.get(header::CONTENT_TYPE);
    let shown = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if runs(shown) {
        let octets = HeaderValue::from_static(media_type::OCTET_STREAM);
        headers.insert(header::CONTENT_TYPE, octets);
    }
    if request.uri.path().contains("/blobs/") && is_navigation(request) {
        let attachment = HeaderValue::from_static("attachment");
        headers.insert(header::CONTENT_DISPOSITION, attachment);
    }
}

/// Whether a browser would show the answer.
fn is_navigation(request: &Parts) -> bool {
    match request.headers.get(SEC_FETCH_DEST) {
        Some(value) => {
            [&b"document"[..], b"iframe", b"frame", b"embed", b"object"].contains(&value.as_bytes())
        }
        // Without TLS browsers do not say it.
        None => wants_page(&request.headers),
    }
}

/// Whether a browser runs or shows content of this type: all but the types of manifests, JSON and bytes.
fn runs(content_type: &str) -> bool {
    let essence = media_type::essence(content_type).as_bytes();
    let begins = |start: &[u8]| {
        let found = essence.get(..start.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(start))
    };
    let ends = |end: &[u8]| {
        let from = essence.len().checked_sub(end.len());
        from.is_some_and(|from| essence[from..].eq_ignore_ascii_case(end))
    };
    let is_data = essence.is_empty()
        || begins(b"application/vnd.")
        || [
            &b"application/json"[..],
            b"application/octet-stream",
            b"multipart/byteranges",
            b"text/plain",
        ]
        .iter()
        .any(|data| essence.eq_ignore_ascii_case(data));
    // A suffix says how the bytes are read, whatever stands before it.
    !is_data || ends(b"+xml") || ends(b"html")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(request: http::request::Builder, content_type: &'static str) -> HeaderMap {
        let parts = request.body(()).unwrap().into_parts().0;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        make(&ServerOptions::default(), &parts, &mut headers);
        headers
    }

    #[test]
    fn a_browser_saves_a_blob_and_shows_none() {
        let blob = || http::Request::get("/v2/a/blobs/sha256:00");
        for (request, expected) in [
            (blob().header("sec-fetch-dest", "document"), true),
            (blob().header("sec-fetch-dest", "iframe"), true),
            (blob().header("accept", "text/html,*/*;q=0.8"), true),
            (
                blob()
                    .header("sec-fetch-dest", "empty")
                    .header("accept", "text/html"),
                false,
            ),
            (blob().header("accept", "*/*"), false),
            (blob(), false),
        ] {
            let headers = made(request, media_type::OCTET_STREAM);
            assert_eq!(
                headers.contains_key(header::CONTENT_DISPOSITION),
                expected,
                "{headers:?}"
            );
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(headers[header::CONTENT_SECURITY_POLICY], POLICY);
        }
    }

    #[test]
    fn no_answer_has_a_type_that_a_browser_runs() {
        let manifest = || http::Request::get("/v2/a/manifests/1.0");
        for dangerous in [
            "text/html",
            "text/javascript",
            "application/javascript; charset=utf-8",
            "image/svg+xml",
            "application/vnd.evil+xml",
            "application/xhtml+xml",
            "text/css",
            "application/xml",
        ] {
            assert_eq!(
                made(manifest(), dangerous)[header::CONTENT_TYPE],
                media_type::OCTET_STREAM,
                "{dangerous}"
            );
        }
        let image = made(
            manifest().header("sec-fetch-dest", "empty"),
            media_type::OCI_MANIFEST,
        );
        assert_eq!(image[header::CONTENT_TYPE], media_type::OCI_MANIFEST);
    }

    #[test]
    fn what_the_operator_has_configured_stays() {
        let options = ServerOptions {
            headers: [(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))]
                .into_iter()
                .collect(),
            ..ServerOptions::default()
        };
        let parts = http::Request::get("/v2/").body(()).unwrap().into_parts().0;
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'self'"),
        );
        make(&options, &parts, &mut headers);
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "default-src 'self'");
        assert!(!headers.contains_key(RESOURCE_POLICY));
    }
}
