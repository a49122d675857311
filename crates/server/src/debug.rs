//! The second port, for those who watch: health and metrics. Never reachable through the first one.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use crate::{Health, Listener, Metrics, metrics, socket::Socket};

/// Prometheus holds one connection, a person a few. More wait.
const CONNECTIONS: usize = 32;

/// For the head of a request, and from one to the next: longer than a usual scrape interval.
const PATIENCE: Duration = Duration::from_secs(90);

/// A head of this size has every header that anybody needs here.
const HEAD_LIMIT: usize = 16 << 10;

/// What the second port shows.
#[derive(Debug, Clone, Default)]
pub struct DebugServer {
    /// The state of the checks; `None`: there are none, and all is well.
    pub health: Option<Arc<Health>>,
    /// The metrics, and the path at which they are.
    pub metrics: Option<(String, Arc<Metrics>)>,
}

impl DebugServer {
    /// Answers what comes in on `listener`, for ever.
    pub async fn serve(self, listener: Listener) {
        let server = Arc::new(self);
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let mut acceptor = listener.into_acceptor();
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await;
            let (socket, _client) = acceptor.accept().await;
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                match socket {
                    Socket::Tcp(stream) => server.attend(TokioIo::new(stream)).await,
                    Socket::Unix(stream) => server.attend(TokioIo::new(stream)).await,
                }
                drop(slot);
            });
        }
    }

    async fn attend(self: Arc<Self>, io: impl hyper::rt::Read + hyper::rt::Write + Unpin) {
        let service = service_fn(|request: Request<Incoming>| {
            let response = self.answer(request.method(), request.uri().path());
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .title_case_headers(true)
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(HEAD_LIMIT)
            .serve_connection(io, service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the debug port ended early");
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "there is only something to read here: GET",
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        match (path, &self.metrics) {
            ("/debug/health", _) => self.health(),
            (path, Some((there, metrics))) if path == there => {
                page(StatusCode::OK, metrics::CONTENT_TYPE, metrics.page())
            }
            _ => text(StatusCode::NOT_FOUND, &self.nothing_at(path)),
        }
    }

    fn health(&self) -> Response<Full<Bytes>> {
        let failing = self.health.as_deref().map(Health::failing).unwrap_or_default();
        let status = if failing.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let body = serde_json::json!(failing).to_string();
        page(status, "application/json; charset=utf-8", body)
    }

    fn nothing_at(&self, path: &str) -> String {
        let why = if path == "/debug/vars" {
            "what Go programs show at `/debug/vars` is among the metrics here"
        } else if path.starts_with("/debug/pprof") {
            "there is no Go profiler here; `perf` profiles this program"
        } else if self.metrics.is_none() && path == "/metrics" {
            "metrics are off; `http.debug.prometheus.enabled: true` turns them on"
        } else {
            "no such page"
        };
        match &self.metrics {
            Some((metrics, _)) => format!("{why}; there are `/debug/health` and `{metrics}`"),
            None => format!("{why}; there is `/debug/health`"),
        }
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    page(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn page(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
