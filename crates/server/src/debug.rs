//! The debug port: health, workers and metrics on a listener of their own. Never reachable through the registry's.

use std::{collections::BTreeMap, future, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::State, routing};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts};
use hyper::body::Incoming;
use serde_json::Value;
use tower_service::Service as _;
use wharf_budget::{Budget, Share};
use wharf_http::{CONTENT_TYPE, Limits, Listener, RequestContext, Surface, TransportOptions};
use wharf_registry::ScrubRecord;
use wharf_workers::{Supervisor, WorkerStatus};

use crate::{gates::Gates, health::Health, metrics::Metrics, options::ServerOptions};

/// Maximum number of connections: Prometheus holds one, a browser a few.
const CONNECTIONS: usize = 32;

/// Time limit for the head of a request, and between two requests: longer than a usual scrape interval.
const PATIENCE: Duration = Duration::from_secs(90);

/// The content of the debug port.
#[derive(Debug, Clone, Default)]
pub struct DebugServer {
    /// The state of the health checks; `None`: there are no checks, and the server is healthy.
    pub health: Option<Arc<Health>>,
    /// What the scrub has found; `None`: there is none.
    pub scrub: Option<Arc<ScrubRecord>>,
    /// Path of the metrics page, and the metrics.
    pub metrics: Option<(String, Arc<Metrics>)>,
    /// The supervisor of the workers beside the requests.
    pub supervisor: Supervisor,
}

impl DebugServer {
    /// Answers requests on `listener`, for ever.
    pub async fn serve(self, listener: Listener) {
        let transport = TransportOptions {
            h2c: false,
            limits: Limits {
                headers: PATIENCE,
                keep_alive: PATIENCE,
                ..Limits::default()
            },
            // Of its own: it answers when the registry's clients have used all of theirs.
            budget: Budget {
                connections: Share::new("connections", CONNECTIONS),
                ..Budget::default()
            },
            ..TransportOptions::default()
        };
        let server = wharf_http::Server::new(DebugSurface::new(self), transport);
        server.serve(listener, future::pending()).await;
    }

    fn nothing_at(&self, path: &str) -> String {
        let why = if path == "/debug/vars" {
            "there is no `/debug/vars`; its numbers are among the metrics"
        } else if path.starts_with("/debug/pprof") {
            "there is no Go profiler here; `perf` profiles this program"
        } else if self.metrics.is_none() && path == "/metrics" {
            "metrics are off; `http.debug.prometheus.enabled: true` turns them on"
        } else {
            "no such page"
        };
        match &self.metrics {
            Some((metrics, _)) => {
                format!("{why}; there are `/debug/health`, `/debug/workers` and `{metrics}`")
            }
            None => format!("{why}; there are `/debug/health` and `/debug/workers`"),
        }
    }
}

/// The debug port shows nothing that needs rights, and answers while checks fail, because that is when it is read.
const GATES: Gates = Gates::OPEN;

// A surface whose gates can stop requests has to answer these.
const _: () = assert!(!GATES.can_stop());

/// The routes of the debug port.
struct DebugSurface {
    router: Router,
    options: ServerOptions,
}

impl DebugSurface {
    fn new(content: DebugServer) -> Self {
        let router = Router::new()
            .route("/debug/health", routing::get(health))
            .route("/debug/workers", routing::get(workers))
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(other)
            .with_state(Arc::new(content));
        Self {
            router,
            options: ServerOptions::default(),
        }
    }
}

impl Surface for DebugSurface {
    type Body = Body;

    async fn respond(&self, _context: &mut RequestContext, parts: Parts, body: Incoming) -> Response<Body> {
        let request = Request::from_parts(parts.clone(), body);
        let mut response = match self.router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        GATES.leave(&self.options, &parts, response.headers_mut());
        response
    }
}

async fn health(State(content): State<Arc<DebugServer>>) -> Response<Body> {
    let failing = content.health.as_deref().map(Health::failing).unwrap_or_default();
    let status = if failing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = serde_json::json!(failing);
    // A detail, with which the server is as healthy as before: all other images can be pulled.
    let damage = content
        .scrub
        .as_ref()
        .map(|scrub| scrub.damage())
        .unwrap_or_default();
    if !damage.is_empty() {
        let damage: BTreeMap<String, String> = damage
            .into_iter()
            .map(|(digest, text)| (digest.to_string(), text))
            .collect();
        body["scrub"] = serde_json::json!(damage);
    }
    json(status, &body)
}

async fn workers(State(content): State<Arc<DebugServer>>) -> Response<Body> {
    let statuses = content.supervisor.statuses();
    json(StatusCode::OK, &statuses.iter().map(described).collect())
}

/// A worker's status as JSON.
fn described(worker: &WorkerStatus) -> Value {
    serde_json::json!({
        "name": worker.name,
        "state": worker.state.as_str(),
        "since": jiff::Timestamp::try_from(worker.since).ok().map(|since| since.to_string()),
        "units": worker.units,
        "failures": worker.failures,
        "last_error": worker.last_error,
        "detail": worker.detail,
    })
}

/// The metrics, whose path the operator chooses, and every other path.
async fn other(State(content): State<Arc<DebugServer>>, method: Method, uri: Uri) -> Response<Body> {
    if !matches!(method, Method::GET | Method::HEAD) {
        return method_not_allowed().await;
    }
    match &content.metrics {
        Some((path, metrics)) if path == uri.path() => page(StatusCode::OK, CONTENT_TYPE, metrics.page()),
        _ => text(StatusCode::NOT_FOUND, &content.nothing_at(uri.path())),
    }
}

async fn method_not_allowed() -> Response<Body> {
    let mut response = text(
        StatusCode::METHOD_NOT_ALLOWED,
        "only GET and HEAD are allowed here",
    );
    let allowed = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    page(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn json(status: StatusCode, body: &Value) -> Response<Body> {
    page(status, "application/json; charset=utf-8", body.to_string())
}

fn page(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use wharf_oci::Digest;
    use wharf_registry::{Options, Registry, Scrub, ScrubOptions};
    use wharf_storage::{Objects as _, Put, layout, object::ObjectStorage};

    use super::*;
    use crate::metrics::ScrubMetrics;

    #[tokio::test(start_paused = true)]
    async fn a_damaged_blob_is_a_detail_of_a_healthy_server() {
        let storage = Arc::new(ObjectStorage::in_memory());
        let digest = Digest::sha256_of(b"content");
        let damaged = Put::new(layout::blob(&digest), "CONTENT");
        storage.publish(&[damaged]).await.unwrap();
        let registry = Arc::new(Registry::new(storage, Options::default()));
        let options = ScrubOptions {
            interval: Duration::from_secs(30 * 24 * 60 * 60),
            rate: 1_000_000.try_into().unwrap(),
        };
        let (scrub, record) = Scrub::new(registry, options).unwrap();
        let content = Arc::new(DebugServer {
            scrub: Some(Arc::clone(&record)),
            ..DebugServer::default()
        });
        let shown = async || {
            let response = health(State(Arc::clone(&content))).await;
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        assert_eq!(shown().await, (StatusCode::OK, "{}".to_owned()));
        content.supervisor.spawn(scrub);
        tokio::time::sleep(Duration::from_secs(60 * 60)).await;
        let expected = format!(r#"{{"scrub":{{"{digest}":"damaged; no image needs it"}}}}"#);
        assert_eq!(shown().await, (StatusCode::OK, expected));
        let page = Metrics::new().with(ScrubMetrics(record)).page();
        for line in [
            "wharf_scrub_blobs_total 1",
            "wharf_scrub_bytes_total 7",
            "wharf_scrub_damaged_blobs 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}: {page}");
        }
        assert!(
            page.contains("wharf_scrub_last_round_end_timestamp_seconds 1"),
            "{page}"
        );
    }
}
