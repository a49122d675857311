//! Style sheets, modules and icons; and the image of the operator.
//!
//! They are asked for and answered without looking at the client: they are the same for all, and are no secret.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use wharf_pages::assets::{self, Asset};

use super::{headers, shared::Shared};
use crate::{
    body::Content,
    logo::Logo,
    negotiation::{self, Encoding},
};

/// The answer for a path below the root; `None`: it is not one of an asset.
pub(super) fn answer(shared: &Shared, path: &str, request: &HeaderMap) -> Option<Response<Content>> {
    if let Some(below) = path.strip_prefix("/assets/") {
        return Some(match assets::get(below) {
            Some(asset) => of_asset(asset, request),
            // A page of another version is still shown, and gets its own with the next click.
            None => absent(),
        });
    }
    let name = path.strip_prefix("/logo/")?;
    let logo = shared.options.logo.as_ref();
    Some(match logo.filter(|logo| logo.name() == name) {
        Some(logo) => of_logo(logo),
        None => absent(),
    })
}

fn of_asset(asset: &'static Asset, request: &HeaderMap) -> Response<Content> {
    let (bytes, encoding) = match negotiation::encoding(request, true) {
        Encoding::Brotli => (asset.brotli, Some("br")),
        Encoding::Gzip => (asset.gzip, Some("gzip")),
        Encoding::Identity => (asset.bytes, None),
    };
    let mut response = Response::new(Content::Full(Bytes::from_static(bytes)));
    let headers = response.headers_mut();
    headers::of_asset(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn of_logo(logo: &Logo) -> Response<Content> {
    let mut response = Response::new(Content::Full(logo.bytes().clone()));
    let headers = response.headers_mut();
    headers::of_asset(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(logo.media_type()));
    response
}

fn absent() -> Response<Content> {
    let mut response = Response::new(Content::Empty);
    *response.status_mut() = StatusCode::NOT_FOUND;
    headers::of_data(response.headers_mut());
    response
}
