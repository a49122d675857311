//! The handlers by which requests are counted and traced; those of the distribution API and of the token server are named as in
//! registry:2.

use wharf_http::Handler;
use wharf_oci::Route;

/// All handlers, each at its index.
pub(crate) static HANDLERS: [Handler; 12] = [
    handler(0, "base", "/v2/"),
    handler(1, "blob", "/v2/{name}/blobs/{digest}"),
    handler(2, "blob_upload", "/v2/{name}/blobs/uploads/"),
    handler(3, "blob_upload_chunk", "/v2/{name}/blobs/uploads/{uuid}"),
    handler(4, "catalog", "/v2/_catalog"),
    handler(5, "manifest", "/v2/{name}/manifests/{reference}"),
    handler(6, "referrers", "/v2/{name}/referrers/{digest}"),
    handler(7, "tags", "/v2/{name}/tags/list"),
    handler(8, "token", "/auth/token"),
    handler(9, "token_keys", "/auth/jwks.json"),
    handler(10, "api", "/api/v1/"),
    handler(11, "ui", "/ui/"),
];

/// The handler of the administration API.
pub(crate) static API: &Handler = &HANDLERS[10];

/// The handler of the page for browsers.
pub(crate) static UI: &Handler = &HANDLERS[11];

/// The handler that sends blobs.
pub(crate) static BLOB: &Handler = &HANDLERS[1];

/// The handler that issues tokens.
pub(crate) static TOKEN: &Handler = &HANDLERS[8];

/// The handler that shows the public keys of tokens.
pub(crate) static TOKEN_KEYS: &Handler = &HANDLERS[9];

const fn handler(index: usize, name: &'static str, route: &'static str) -> Handler {
    Handler { index, name, route }
}

/// The handler of a route.
pub(crate) fn of(route: &Route) -> &'static Handler {
    match route {
        Route::Base => &HANDLERS[0],
        Route::Blob(..) => BLOB,
        Route::Uploads(_) => &HANDLERS[2],
        Route::Upload(..) => &HANDLERS[3],
        Route::Catalog => &HANDLERS[4],
        Route::Manifest(..) => &HANDLERS[5],
        Route::Referrers(..) => &HANDLERS[6],
        Route::Tags(_) => &HANDLERS[7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_counted_by_its_handler() {
        for (place, handler) in HANDLERS.iter().enumerate() {
            assert_eq!(handler.index, place, "{handler:?}");
            if !handler.route.starts_with("/v2/") {
                continue;
            }
            let path = handler
                .route
                .replace("{name}", "a/b")
                .replace("{digest}", &format!("sha256:{}", "0".repeat(64)))
                .replace("{reference}", "1.0")
                .replace("{uuid}", "018f3a4e-2b6c-4d1e-9f00-0123456789ab");
            assert_eq!(of(&Route::parse(&path).unwrap()), handler, "{path}");
        }
    }
}
