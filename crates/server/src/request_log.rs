//! The line of a request in the application log: one, at its end, with the fields of registry:2.
//!
//! registry:2 logs every 404 as an error, and there is one for each new layer that is pushed. Here only failures that
//! the operator has to look at are errors.

use http::{Method, Response, StatusCode, header};
use wharf_http::redact;
use wharf_oci::{ApiError, Route};

use crate::{body::Content, call::Call, error::Failure};

/// Logs a request with its fields, which have the names of registry:2.
macro_rules! event {
    ($level:ident, $request:expr, $($rest:tt)+) => {{
        let request = $request;
        tracing::$level!(
            http.request.method = %request.call.parts.method,
            http.request.host = request.host(),
            http.request.uri = redact::cut(&request.uri()),
            http.request.referer = request.url_in(&header::REFERER).as_deref().map(redact::cut),
            http.request.useragent = request.call.header(&header::USER_AGENT).map(redact::cut),
            http.request.remoteaddr = request.client().map(display),
            http.request.contenttype = request.call.header(&header::CONTENT_TYPE).map(redact::cut),
            http.response.duration = ?request.call.context.elapsed(),
            vars.name = request.name().map(display),
            vars.reference = request.reference().map(display),
            vars.digest = request.digest().map(display),
            vars.uuid = request.upload().map(display),
            auth.user.name = request.call.context.actor(),
            $($rest)+
        );
    }};
}

/// Logs a request that succeeded.
pub(crate) fn answered(call: Call<'_>, response: &Response<Content>) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        event!(
            debug,
            Described::new(call),
            http.response.status = response.status().as_u16(),
            http.response.written = response.body().len(),
            http.response.contenttype = content_type.and_then(|value| value.to_str().ok()),
            "response completed"
        );
    }
}

/// Logs a request that was refused, or failed.
pub(crate) fn failed(call: Call<'_>, failure: &Failure) {
    let [error, ..] = failure.errors() else { return };
    let status = error.status();
    macro_rules! failed {
        ($level:ident) => {
            event!(
                $level,
                Described::new(call),
                http.response.status = status.as_u16(),
                http.response.written = wharf_oci::error_body(failure.errors()).len(),
                http.response.contenttype = "application/json; charset=utf-8",
                err.code = %code(error),
                err.message = %error.message,
                err.detail = failure.cause().or_else(|| error.detail.as_str()),
                "response completed with error"
            )
        };
    }
    // A refusal for want of room is counted in the budget's metrics, and that of a guess in the activity log: a line for each would
    // be a second attack.
    let is_everyday = failure.is_busy() || (!status.is_server_error() && is_everyday(call, status));
    if is_everyday {
        if tracing::enabled!(tracing::Level::DEBUG) {
            failed!(debug);
        }
    } else if status.is_server_error() {
        failed!(error);
    } else if tracing::enabled!(tracing::Level::INFO) {
        failed!(info);
    }
}

/// Whether a failure is normal: clients ask for a blob before they push it, and get a 401 before they log in. A wrong
/// password, and a failing health check, have log lines of their own.
fn is_everyday(call: Call<'_>, status: StatusCode) -> bool {
    match status {
        StatusCode::NOT_FOUND => matches!(call.parts.method, Method::GET | Method::HEAD),
        StatusCode::UNAUTHORIZED => true,
        StatusCode::SERVICE_UNAVAILABLE => {
            let health = call.app.services.health.as_deref();
            health.is_some_and(|health| !health.is_well())
        }
        _ => false,
    }
}

/// The error code as registry:2 writes it: `manifest unknown`.
fn code(error: &ApiError) -> String {
    error.code.code().to_ascii_lowercase().replace('_', " ")
}

/// The fields of a request for the log.
struct Described<'a> {
    call: Call<'a>,
    route: Option<Route>,
}

impl<'a> Described<'a> {
    fn new(call: Call<'a>) -> Self {
        Self {
            call,
            route: call.route(call.parts.uri.path()).ok(),
        }
    }

    fn host(&self) -> Option<&'a str> {
        let authority = self.call.parts.uri.authority().map(http::uri::Authority::as_str);
        self.call
            .header(&header::HOST)
            .or(authority)
            .map(|host| redact::cut(host.rsplit('@').next().unwrap_or(host)))
    }

    fn uri(&self) -> std::borrow::Cow<'a, str> {
        let target = self.call.parts.uri.path_and_query();
        redact::target(target.map_or("/", |target| target.as_str()))
    }

    fn url_in(&self, name: &header::HeaderName) -> Option<std::borrow::Cow<'a, str>> {
        self.call.header(name).map(redact::url)
    }

    fn client(&self) -> Option<std::net::IpAddr> {
        self.call.context.client(&self.call.parts.headers)
    }

    fn name(&self) -> Option<&wharf_oci::RepoName> {
        self.route.as_ref()?.repository()
    }

    fn reference(&self) -> Option<String> {
        match self.route.as_ref()? {
            Route::Manifest(_, reference) => Some(reference.to_string()),
            _ => None,
        }
    }

    fn digest(&self) -> Option<&wharf_oci::Digest> {
        match self.route.as_ref()? {
            Route::Blob(_, digest) | Route::Referrers(_, digest) => Some(digest),
            _ => None,
        }
    }

    fn upload(&self) -> Option<&wharf_oci::UploadId> {
        match self.route.as_ref()? {
            Route::Upload(_, id) => Some(id),
            _ => None,
        }
    }
}
