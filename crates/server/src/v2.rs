//! The distribution API: routes requests to handlers, and completes their answers.

mod accept;
mod answer;
mod auth;
mod base;
mod blobs;
mod byte_ranges;
mod catalog;
mod clean;
mod conditions;
mod deletion;
mod inert;
mod manifests;
mod mirrored;
mod origin;
mod receive;
mod referrers;
mod tags;
mod uploads;

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use hyper::body::Incoming;
use wharf_http::{RequestContext, Surface};
use wharf_mirror::Mirrored;
use wharf_oci::{ApiError, ErrorCode, Route};

pub(crate) use self::auth::{challenge, denied};

use self::answer::{Answer, empty, not_allowed};
use crate::{
    body::Content,
    call::{App, Call},
    error::{Failure, Result},
    gates::{Demand, Gates, SecurityHeaders, Stop},
    handlers, request_log,
    rights::Rights,
    unread,
};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

const GATES: Gates = Gates {
    tls: true,
    cors: true,
    health: true,
    authentication: true,
    read_only: true,
    security_headers: SecurityHeaders::Configured,
};

/// The distribution API.
#[derive(Debug)]
pub(crate) struct Distribution {
    app: Arc<App>,
}

impl Distribution {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl Surface for Distribution {
    type Body = Content;

    async fn respond(
        &self,
        context: &mut RequestContext,
        parts: Parts,
        mut body: Incoming,
    ) -> Response<Content> {
        let app = &self.app;
        let result = dispatch(app, context, &parts, &mut body).await;
        let call = Call {
            app,
            context,
            parts: &parts,
        };
        let mut response = match result {
            Ok(response) => {
                request_log::answered(call, &response);
                response
            }
            Err(failure) => {
                request_log::failed(call, &failure);
                failure.into_response()
            }
        };
        complete(call, &mut response);
        if response.body().is_large()
            // Boxed: rare, and the future of every request should not carry its size.
            && let Err(exhausted) = Box::pin(response.body_mut().charged(call.context, &app.services.budget.answers)).await
        {
            response = Failure::from(exhausted).into_response();
            complete(call, &mut response);
        }
        unread::abandon(&app.services.budget.requests, &parts, body);
        response
    }
}

/// `context` gets the handler and the actor as soon as they are known, also when the request fails.
async fn dispatch(app: &App, context: &mut RequestContext, parts: &Parts, body: &mut Incoming) -> Answer {
    let method = &parts.method;
    if let Err(stop) = GATES.enter((&app.options, &app.services), context, parts) {
        return stopped(Call { app, context, parts }, stop);
    }
    let path = parts.uri.path();
    if path == "/" {
        return base::liveness(Call { app, context, parts });
    }
    let route = match (Call { app, context, parts }).route(path) {
        Ok(route) => route,
        Err(failure) => return clean::answer(Call { app, context, parts }, path, failure),
    };
    context.set_handler(handlers::of(&route));
    let mirrors = app.services.mirrors.as_deref();
    let route = match mirrors {
        Some(mirrors) => mirrored::meant(Call { app, context, parts }, mirrors, route)?,
        None => route,
    };
    let rights = pass_gates(app, context, parts, &route).await?;
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if matches!(route, Route::Manifest(..) | Route::Blob(..)) && *method == Method::GET {
        context.count_content();
    }
    let call = Call { app, context, parts };
    if let Some(mirrors) = mirrors
        && let Some(mirrored) = mirrored::of(call, mirrors, &route)?
        && reads
    {
        return Box::pin(read_mirrored(call, &rights, &mirrored, &route)).await;
    }
    match (&route, method) {
        (Route::Manifest(name, reference), _) if reads => manifests::get(call, name, reference).await,
        (Route::Blob(name, digest), _) if reads => blobs::get(call, &rights, name, digest).await,
        (Route::Base, _) if reads => Ok(base::version_check()),
        // What follows is rare, or costs far more than an allocation: it must not make the future
        // of every request as large as its own.
        (Route::Catalog, _) if reads => Box::pin(catalog::list(call, &rights)).await,
        (Route::Tags(name), _) if reads => Box::pin(tags::list(call, &rights, name, None)).await,
        (Route::Referrers(name, digest), _) if reads => Box::pin(referrers::list(call, name, digest)).await,
        (Route::Manifest(name, reference), &Method::PUT) => {
            Box::pin(manifests::put(call, &rights, name, reference, body)).await
        }
        (Route::Manifest(name, reference), &Method::DELETE) => {
            Box::pin(manifests::delete(call, rights, name, reference)).await
        }
        (Route::Blob(name, digest), &Method::DELETE) => {
            Box::pin(blobs::delete(call, rights, name, digest)).await
        }
        (Route::Uploads(name), &Method::POST) => Box::pin(uploads::start(call, &rights, name, body)).await,
        (Route::Upload(name, id), _) if reads => Box::pin(uploads::status(call, name, id)).await,
        (Route::Upload(name, id), &Method::PATCH) => Box::pin(uploads::patch(call, name, id, body)).await,
        (Route::Upload(name, id), &Method::PUT) => Box::pin(uploads::put(call, name, id, body)).await,
        (Route::Upload(name, id), &Method::DELETE) => Box::pin(uploads::cancel(call, name, id)).await,
        (_, &Method::OPTIONS) => Ok(base::options(&route)),
        _ => Err(not_allowed(call, route.allowed_methods())),
    }
}

/// Reads from a repository of a mirror.
async fn read_mirrored(call: Call<'_>, rights: &Rights, mirrored: &Mirrored, route: &Route) -> Answer {
    match route {
        Route::Manifest(_, reference) => manifests::get_mirrored(call, mirrored, reference).await,
        Route::Blob(_, digest) => blobs::get_mirrored(call, rights, mirrored, digest).await,
        Route::Tags(name) => tags::list(call, rights, name, Some(mirrored)).await,
        Route::Referrers(_, digest) => referrers::list_mirrored(call, mirrored, digest).await,
        Route::Base | Route::Catalog | Route::Uploads(_) | Route::Upload(..) => {
            Err(not_allowed(call, route.allowed_methods()))
        }
    }
}

/// The answer to a request that a gate stops before routing.
fn stopped(call: Call<'_>, stop: Stop) -> Answer {
    match stop {
        Stop::NeedsTls => Ok(base::https_only(call)),
        Stop::Preflight => Ok(empty(StatusCode::NO_CONTENT)),
        Stop::Unhealthy => Err(unhealthy()),
    }
}

/// Passes the gates that depend on the route. A function of its own, so that the future of the handler does not carry
/// the size of this one.
async fn pass_gates(app: &App, context: &mut RequestContext, parts: &Parts, route: &Route) -> Result<Rights> {
    let source = auth::source_of_mount(parts, route);
    let actions = auth::Actions::of(route, &parts.method);
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let demand = Demand {
        actions: actions.as_slice(),
        wish: source.as_ref().map(auth::pull),
        tag: auth::tag(route),
        changes_store: !reads && route.allows(&parts.method),
    };
    let services = (&app.options, &app.services);
    let passed = GATES.pass(services, context, parts, demand).await;
    passed.map_err(|refusal| auth::refused(context, parts, refusal, &demand))
}

/// Completes an answer: headers that all answers have, and no body for `HEAD`.
fn complete(call: Call<'_>, response: &mut Response<Content>) {
    let parts = call.parts;
    let is_head = parts.method == Method::HEAD;
    if is_head {
        let length = response.body().len();
        // A handler that made no body has set the length itself.
        if length > 0 {
            *response.body_mut() = Content::Empty;
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
        }
    }
    let headers = response.headers_mut();
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    GATES.leave(&call.app.options, parts, headers);
    inert::make(&call.app.options, parts, headers);
    // `curl -X HEAD` waits for a body until the connection ends.
    if is_head && parts.version == Version::HTTP_11 && is_curl(call) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

fn is_curl(call: Call<'_>) -> bool {
    call.header(&header::USER_AGENT)
        .is_some_and(|agent| agent.starts_with("curl/"))
}

/// The refusal while a health check fails, in the words of registry:2.
fn unhealthy() -> Failure {
    ApiError::new(ErrorCode::Unavailable)
        .with_detail("health check failed: please see /debug/health")
        .into()
}

fn read_only() -> Failure {
    let text = "the registry is read-only at the moment; its operator has set `storage.maintenance.readonly.enabled`";
    Failure::new(ErrorCode::Unsupported, text)
        .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
}
