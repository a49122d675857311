//! The distribution API: finds the handler of a request, and gives every answer what all answers have.

mod accept;
mod auth;
mod base;
mod blobs;
mod catalog;
mod manifests;
mod notify;
mod receive;
mod referrers;
mod tags;
mod uploads;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wharf_access::Identity;
use wharf_http::{RequestContext, Surface, is_preflight};
use wharf_oci::{ApiError, Digest, ErrorCode, Route};

use crate::{
    body::Content,
    call::{App, Call},
    error::{Failure, JSON, Result},
    handlers, location, request_log,
};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// After an early error the rest of the body is read and dropped for this long, so that a client that
/// sends first and reads later still gets its answer.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The same in bytes.
const DRAIN_BYTES: u64 = 64 << 20;

type Answer = Result<Response<Content>>;

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

    async fn respond(&self, context: &mut RequestContext, request: Request<Incoming>) -> Response<Content> {
        let (parts, mut body) = request.into_parts();
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
        call.complete(&mut response);
        if !body.is_end_stream() {
            abandon(&parts, body);
        }
        response
    }
}

/// `context` gets the handler and the actor as soon as they are known, also when the request fails.
async fn dispatch(app: &App, context: &mut RequestContext, parts: &Parts, body: &mut Incoming) -> Answer {
    let options = &app.options;
    let method = &parts.method;
    let call = Call { app, context, parts };
    if context.lacks_tls() {
        return Ok(base::https_only(call));
    }
    if *method == Method::OPTIONS && call.is_preflight() {
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    if app
        .services
        .health
        .as_deref()
        .is_some_and(|health| !health.is_well())
    {
        return Err(unhealthy());
    }
    let path = parts.uri.path();
    if path == "/" {
        return base::liveness(call);
    }
    let route = call.route(path)?;
    context.set_handler(handlers::of(&route));
    let call = Call { app, context, parts };
    // Before anything is done, and before the first byte of the body is asked for.
    if let Some(access) = &app.services.access
        && let Identity::User(name) = auth::authorize(call, access, &route).await?
    {
        context.set_actor(name);
    }
    let call = Call { app, context, parts };
    let reads = *method == Method::GET || *method == Method::HEAD;
    if options.read_only && !reads && route.allows(method) {
        return Err(Call::read_only());
    }
    match (&route, method) {
        (Route::Manifest(name, reference), _) if reads => manifests::get(call, name, reference).await,
        (Route::Blob(name, digest), _) if reads => blobs::get(call, name, digest).await,
        (Route::Base, _) if reads => Ok(base::version_check()),
        // What follows is rare, or costs far more than an allocation: it must not make the future
        // of every request as large as its own.
        (Route::Catalog, _) if reads => Box::pin(catalog::list(call)).await,
        (Route::Tags(name), _) if reads => Box::pin(tags::list(call, name)).await,
        (Route::Referrers(name, digest), _) if reads => Box::pin(referrers::list(call, name, digest)).await,
        (Route::Manifest(name, reference), &Method::PUT) => {
            Box::pin(manifests::put(call, name, reference, body)).await
        }
        (Route::Manifest(name, reference), &Method::DELETE) => {
            Box::pin(manifests::delete(call, name, reference)).await
        }
        (Route::Blob(name, digest), &Method::DELETE) => Box::pin(blobs::delete(call, name, digest)).await,
        (Route::Uploads(name), &Method::POST) => Box::pin(uploads::start(call, name, body)).await,
        (Route::Upload(name, id), _) if reads => Box::pin(uploads::status(call, name, id)).await,
        (Route::Upload(name, id), &Method::PATCH) => Box::pin(uploads::patch(call, name, id, body)).await,
        (Route::Upload(name, id), &Method::PUT) => Box::pin(uploads::put(call, name, id, body)).await,
        (Route::Upload(name, id), &Method::DELETE) => Box::pin(uploads::cancel(call, name, id)).await,
        (_, &Method::OPTIONS) => Ok(base::options(&route)),
        _ => Err(call.not_allowed(route.allowed_methods())),
    }
}

impl<'a> Call<'a> {
    pub(crate) fn route(self, path: &str) -> Result<Route> {
        let prefix = &self.app.options.prefix;
        let Some(below) = path.strip_prefix(prefix.as_str()) else {
            let text = format!("no such path; the registry API lies below `{prefix}/v2/` here");
            return Err(Failure::new(ErrorCode::Unsupported, text).with_status(StatusCode::NOT_FOUND));
        };
        Route::parse(below).map_err(|error| Failure::of_route(error, self.parts.method == Method::PUT))
    }

    /// Whether a browser asks what a page may do, and the operator has said something about that.
    fn is_preflight(self) -> bool {
        let options = &self.app.options;
        let is_configured =
            options.cors.is_some() || options.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        is_configured && is_preflight(self.parts)
    }

    fn read_only() -> Failure {
        let text = "the registry is read-only at the moment; its operator has set `storage.maintenance.readonly.enabled`";
        Failure::new(ErrorCode::Unsupported, text)
            .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
    }

    fn not_allowed(self, allowed: &'static str) -> Failure {
        let text = format!(
            "`{}` is not possible here; these methods are: {allowed}",
            self.parts.method
        );
        Failure::new(ErrorCode::Unsupported, text)
            .with_header(header::ALLOW, HeaderValue::from_static(allowed))
    }

    /// What all answers have.
    fn complete(self, response: &mut Response<Content>) {
        let is_head = self.parts.method == Method::HEAD;
        if is_head {
            let length = response.body().len();
            // A handler that knows the length of the body that it did not make has said so.
            if length > 0 {
                *response.body_mut() = Content::Empty;
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length.into());
            }
        }
        let headers = response.headers_mut();
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        for (name, value) in &self.app.options.headers {
            headers.append(name, value.clone());
        }
        if let Some(cors) = &self.app.options.cors {
            cors.add_to(headers, self.parts);
        }
        // `curl -X HEAD` waits for a body until the connection ends.
        if is_head && self.parts.version == Version::HTTP_11 && self.is_curl() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    fn is_curl(self) -> bool {
        self.header(&header::USER_AGENT)
            .is_some_and(|agent| agent.starts_with("curl/"))
    }

    /// A `Location`, as the operator and the proxies in between want it.
    fn location(self, route: &Route) -> HeaderValue {
        location::of(self, route)
    }

    /// The path of a route, as clients see it.
    fn path(self, route: &Route) -> String {
        location::path(self.app, route)
    }

    /// Whether the client has already what `digest` names (RFC 9110, section 13.1.2; weak comparison).
    fn has_already(self, digest: &str) -> bool {
        let values = self.parts.headers.get_all(header::IF_NONE_MATCH);
        values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|list| names_entity(list, digest))
    }
}

/// Why a request is refused while a health check fails; word for word as registry:2 has it.
fn unhealthy() -> Failure {
    ApiError::new(ErrorCode::Unavailable)
        .with_detail("health check failed: please see /debug/health")
        .into()
}

/// Whether a list of entity tags names `digest`. Unquoted ones count: registry:2 takes them.
fn names_entity(list: &str, digest: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || opaque.trim_matches('"') == digest
    })
}

/// Reads on for a bounded time, beside the answer, so that the client sees it: closing a connection with
/// unread bytes resets it. A client that waits for `100 Continue` has sent nothing; reading would ask it to.
fn abandon(parts: &Parts, mut body: Incoming) {
    if parts.version > Version::HTTP_11 || parts.headers.contains_key(header::EXPECT) {
        return;
    }
    let drain = async move {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    tokio::spawn(tokio::time::timeout(DRAIN_TIME, drain));
}

/// Carries out what a complete request asks for, to its end, also when its client leaves meanwhile: nothing is
/// left half done, and what the registry holds locked while it works stays locked.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = wharf_registry::Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => Ok(result?),
        Err(error) => {
            let text = "the registry failed; its operator finds the reason in the log";
            Err(Failure::new(ErrorCode::Unknown, text).caused_by(error))
        }
    }
}

fn empty(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::Empty);
    *response.status_mut() = status;
    response
}

fn json(bytes: Vec<u8>) -> Response<Content> {
    let mut response = Response::new(Content::Full(Bytes::from(bytes)));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// A header value of text that we made, or checked the grammar of: ASCII.
fn value(text: impl Into<String>) -> HeaderValue {
    HeaderValue::try_from(text.into()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The value of an `Etag` header for `digest`, which is its text.
fn entity_tag(digest: &str) -> HeaderValue {
    value(format!("\"{digest}\""))
}

fn content_digest(digest: &Digest) -> HeaderValue {
    value(digest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_leaves_ends_nothing_half_way() {
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (proceed, may_proceed) = tokio::sync::oneshot::channel::<()>();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let request = tokio::spawn(to_the_end(async move {
            started.send(()).unwrap();
            may_proceed.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        }));
        has_started.await.unwrap();
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        proceed.send(()).unwrap();
        is_done.await.unwrap();
    }

    #[test]
    fn entity_tags_are_read_in_every_spelling() {
        for list in [
            "sha256:a",
            "\"sha256:a\"",
            "W/\"sha256:a\"",
            "*",
            "\"x\", \"sha256:a\"",
            "x,sha256:a",
        ] {
            assert!(names_entity(list, "sha256:a"), "{list}");
        }
        for list in ["", "\"\"", "sha256:b", "\"sha256:ab\"", "\"sha256:b\", \"c\""] {
            assert!(!names_entity(list, "sha256:a"), "{list}");
        }
    }
}
