//! Repositories of mirrors: which one a request means, what it may not do there, and answers that are stale.

use http::{HeaderValue, Method, Response, header};
use wharf_http::location::authority;
use wharf_mirror::{Mirrored, Mirrors, Renamed};
use wharf_oci::{ErrorCode, RepoName, Route, query_value};

use crate::{
    body::Content,
    call::Call,
    error::{Failure, Result},
};

/// The route that a client means: containerd names the registry in `?ns=`, and docker asks mirrors without saying for which registry,
/// so that the name of the server tells.
///
/// # Errors
///
/// 404 when the client asks for a registry that is not mirrored here; containerd asks that registry itself then.
pub(super) fn meant(call: Call<'_>, mirrors: &Mirrors, route: Route) -> Result<Route> {
    let Some(name) = name(&route) else {
        return Ok(route);
    };
    let namespace = query_value(call.query(), "ns");
    let renamed = mirrors.rename(authority(call.parts), namespace.as_deref(), name);
    match renamed.map_err(|unknown| Failure::new(ErrorCode::NameUnknown, unknown.to_string()))? {
        Renamed::No => Ok(route),
        Renamed::To(name) => Ok(with_name(route, name)),
    }
}

/// The mirrored repository of a route, if it is one.
///
/// # Errors
///
/// 405 when the request would change it: what a mirror has is decided at its upstream. Unless the whole registry is a mirror, content
/// may be deleted, and comes back when it is asked for.
pub(super) fn of(call: Call<'_>, mirrors: &Mirrors, route: &Route) -> Result<Option<Mirrored>> {
    let headers = call.parts.headers.get_all(header::VIA).iter();
    let Some(mirrored) = name(route).and_then(|name| mirrors.of(name, headers)) else {
        return Ok(None);
    };
    let method = &call.parts.method;
    let is_change = matches!(*method, Method::PUT | Method::POST | Method::PATCH)
        || *method == Method::DELETE && (mirrors.is_whole() || matches!(route, Route::Upload(..)));
    if is_change && route.allows(method) {
        let text = format!(
            "`{}` is a mirror of `{}`, which nothing is pushed to; push to that registry, or under a name that is not mirrored",
            mirrored.name(),
            mirrored.upstream(),
        );
        return Err(Failure::new(ErrorCode::Unsupported, text)
            .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    Ok(Some(mirrored))
}

/// Says in an answer that it is stale, and why (RFC 7234, section 5.5.1).
pub(super) fn warn(response: &mut Response<Content>, stale: Option<&str>) {
    let Some(stale) = stale else {
        return;
    };
    let is_plain = |&letter: &char| matches!(letter, ' '..='~') && letter != '"' && letter != '\\';
    let text: String = stale.chars().filter(is_plain).take(500).collect();
    if let Ok(value) = HeaderValue::try_from(format!("110 wharf \"{text}\"")) {
        response.headers_mut().insert(header::WARNING, value);
    }
}

fn name(route: &Route) -> Option<&RepoName> {
    match route {
        Route::Base | Route::Catalog => None,
        Route::Tags(name)
        | Route::Manifest(name, _)
        | Route::Blob(name, _)
        | Route::Uploads(name)
        | Route::Upload(name, _)
        | Route::Referrers(name, _) => Some(name),
    }
}

fn with_name(route: Route, name: RepoName) -> Route {
    match route {
        Route::Base => Route::Base,
        Route::Catalog => Route::Catalog,
        Route::Tags(_) => Route::Tags(name),
        Route::Manifest(_, reference) => Route::Manifest(name, reference),
        Route::Blob(_, digest) => Route::Blob(name, digest),
        Route::Uploads(_) => Route::Uploads(name),
        Route::Upload(_, id) => Route::Upload(name, id),
        Route::Referrers(_, digest) => Route::Referrers(name, digest),
    }
}
