//! Headers of pages: what a browser may do with them, and which caches may keep them.
//!
//! **Content-Security-Policy.** Everything is forbidden, and only what is written here is allowed: scripts, styles and images of our own
//! assets, requests and forms to ourselves. There is no nonce, no hash and no exception, so markup that slipped through an escape would
//! still run nothing. `require-trusted-types-for` keeps our own scripts from writing markup. Where the configuration says by which name
//! clients reach this server, scripts and styles are limited to the folder of the assets: then not even content of the registry below
//! `/v2/`, which has the same origin, could be one.
//!
//! **Frames.** `frame-ancestors 'none'`, and `X-Frame-Options` for old browsers: no other page can lay ours under a pointer.
//!
//! **Caches.** A page is private and is asked for each time: `no-store` keeps it out of every cache, also out of the one by which a
//! browser goes back, so it is gone after signing out. Assets are named by their content, and stay for a year.

use http::{HeaderMap, HeaderName, HeaderValue, header};

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Features of browsers that no page of ours uses.
const NO_FEATURES: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), \
                           microphone=(), midi=(), payment=(), publickey-credentials-get=(), usb=()";

/// The policy of what is no page, and runs nothing wherever it is opened: images of the operator, downloads, errors as text.
const INERT: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Adds the headers of a page. `assets` is the URL of the folder of the assets if the origin of this server is certain.
pub(super) fn of_page(headers: &mut HeaderMap, assets: Option<&str>) {
    let own = assets.unwrap_or("'self'");
    let policy = format!(
        "default-src 'none'; script-src {own}; style-src {own}; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    insert(headers, header::CONTENT_SECURITY_POLICY, &policy);
    insert(headers, header::CONTENT_TYPE, "text/html; charset=utf-8");
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Accept-Language, Cookie, Accept-Encoding"),
    );
    never_stored(headers);
    of_all(headers);
}

/// Adds the headers of what is neither a page nor an asset.
pub(super) fn of_data(headers: &mut HeaderMap) {
    insert(headers, header::CONTENT_SECURITY_POLICY, INERT);
    never_stored(headers);
    of_all(headers);
}

/// Adds the headers of an asset, which never changes under its name.
pub(super) fn of_asset(headers: &mut HeaderMap) {
    insert(headers, header::CONTENT_SECURITY_POLICY, INERT);
    insert(
        headers,
        header::CACHE_CONTROL,
        "public, max-age=31536000, immutable",
    );
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    of_all(headers);
}

fn of_all(headers: &mut HeaderMap) {
    insert(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(headers, header::X_FRAME_OPTIONS, "DENY");
    // `no-referrer` would make browsers send `Origin: null` with our own forms.
    insert(headers, header::REFERRER_POLICY, "same-origin");
    insert(headers, OPENER_POLICY, "same-origin");
    insert(headers, RESOURCE_POLICY, "same-origin");
    insert(headers, PERMISSIONS_POLICY, NO_FEATURES);
}

fn never_stored(headers: &mut HeaderMap) {
    insert(headers, header::CACHE_CONTROL, "no-store");
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_a_page_has_no_exception() {
        for assets in [None, Some("https://registry.example.com/ui/assets/")] {
            let mut headers = HeaderMap::new();
            of_page(&mut headers, assets);
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; "), "{policy}");
            for word in ["unsafe", "nonce", "sha256", "data:", "*", "http:"] {
                assert!(!policy.contains(word), "{word}: {policy}");
            }
            assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        }
    }
}
