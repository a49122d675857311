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
mod manifests;
mod origin;
mod receive;
mod referrers;
mod tags;
mod uploads;

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wharf_budget::{Exhausted, Share};
use wharf_http::{RequestContext, Surface};
use wharf_oci::{ApiError, ErrorCode, Route};

use self::answer::{Answer, empty, not_allowed};
use crate::{
    body::Content,
    call::{App, Call},
    error::{Failure, Result},
    gates::{Demand, Gates, Refusal, SecurityHeaders, Stop},
    handlers, request_log,
    rights::Rights,
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

/// After an early error the rest of the body is read and dropped for this long, so that a client that
/// sends first and reads later still gets its answer.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Limit in bytes of the rest of the body that is read and dropped.
const DRAIN_BYTES: u64 = 64 << 20;

/// Over HTTP/2 the rest of the body is left unread, and the stream open, for this long: a stream that ends with unread
/// bytes is reset, and curl before 8 then shows the reset in place of the answer.
const RESET_DELAY: Duration = Duration::from_secs(1);

/// Over HTTP/2, limit in bytes of the rest of the body that is read and dropped.
const RESET_DELAY_BYTES: u64 = 1 << 20;

/// The distribution API.
#[derive(Debug)]
pub(crate) struct Distribution {
    app: App,
}

impl Distribution {
    pub(crate) fn new(app: App) -> Self {
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
            && let Err(exhausted) = Box::pin(charge(call, &mut response)).await
        {
            response = Failure::from(exhausted).into_response();
            complete(call, &mut response);
        }
        if !body.is_end_stream() {
            abandon(&app.services.budget.requests, &parts, body);
        }
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
    let rights = pass_gates(app, context, parts, &route).await?;
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let call = Call { app, context, parts };
    match (&route, method) {
        (Route::Manifest(name, reference), _) if reads => manifests::get(call, name, reference).await,
        (Route::Blob(name, digest), _) if reads => blobs::get(call, &rights, name, digest).await,
        (Route::Base, _) if reads => Ok(base::version_check()),
        // What follows is rare, or costs far more than an allocation: it must not make the future
        // of every request as large as its own.
        (Route::Catalog, _) if reads => Box::pin(catalog::list(call, &rights)).await,
        (Route::Tags(name), _) if reads => Box::pin(tags::list(call, &rights, name)).await,
        (Route::Referrers(name, digest), _) if reads => Box::pin(referrers::list(call, name, digest)).await,
        (Route::Manifest(name, reference), &Method::PUT) => {
            Box::pin(manifests::put(call, &rights, name, reference, body)).await
        }
        (Route::Manifest(name, reference), &Method::DELETE) => {
            Box::pin(manifests::delete(call, rights, name, reference)).await
        }
        (Route::Blob(name, digest), &Method::DELETE) => {
            Box::pin(blobs::delete(call, &rights, name, digest)).await
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
    match GATES.pass(services, context, parts, demand).await {
        Ok(rights) => Ok(rights),
        Err(Refusal::ReadOnly) => Err(read_only()),
        Err(Refusal::Forbidden(missing)) => Err(auth::forbidden(context.actor(), &missing)),
        Err(refusal) => Err(auth::unauthenticated(context, parts, refusal, &demand)),
    }
}

/// Charges an answer in memory to the budget until it is sent.
async fn charge(call: Call<'_>, response: &mut Response<Content>) -> Result<(), Exhausted> {
    let answers = &call.app.services.budget.answers;
    let length = usize::try_from(response.body().len()).unwrap_or(usize::MAX);
    let permit = call.context.room(answers, length).await?;
    response.body_mut().charge(permit);
    Ok(())
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

/// Reads the rest of the body for a bounded time while the answer is sent, so that the client gets it: closing a
/// connection, or a stream, with unread bytes resets it. With `Expect` the client has sent nothing, and reading would ask
/// it to. A stream counts as a request until then; where there is no room for it, it is reset at once.
fn abandon(requests: &Share, parts: &Parts, body: Incoming) {
    if parts.version > Version::HTTP_11 {
        let Some(permit) = requests.try_take(1) else {
            return;
        };
        let hold = async move {
            let _permit = permit;
            if let Some(_unread) = drain(body, RESET_DELAY_BYTES).await {
                std::future::pending::<()>().await;
            }
        };
        tokio::spawn(tokio::time::timeout(RESET_DELAY, hold));
    } else if !parts.headers.contains_key(header::EXPECT) {
        tokio::spawn(tokio::time::timeout(DRAIN_TIME, drain(body, DRAIN_BYTES)));
    }
}

/// Reads and drops up to `limit` bytes; the rest of the body if there is one.
async fn drain(mut body: Incoming, mut limit: u64) -> Option<Incoming> {
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match limit.checked_sub(bytes) {
            Some(rest) => limit = rest,
            None => return Some(body),
        }
    }
    None
}
