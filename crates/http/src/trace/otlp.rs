//! OTLP over HTTP: spans as the JSON form of `ExportTraceServiceRequest`, sent to a collector.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Uri, header};
use serde_json::{Value, json};
use tokio::time;
use wharf_client::outgoing;

use super::{settings::TraceSettings, span::Span};

/// `SPAN_KIND_SERVER`
const SERVER: u8 = 2;
/// `STATUS_CODE_ERROR`
const ERROR: u8 = 2;

/// Sends batches to one collector.
pub(super) struct Exporter {
    endpoint: Uri,
    headers: HeaderMap,
    timeout: Duration,
    resource: Value,
}

impl Exporter {
    pub(super) fn new(settings: &TraceSettings) -> Self {
        let mut headers = settings.headers.clone();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let resource = settings.resource.iter().map(|(key, value)| text(key, value));
        Self {
            endpoint: settings.endpoint.clone(),
            headers,
            timeout: settings.timeout,
            resource: resource.collect(),
        }
    }

    /// Sends one batch. It is not tried again: by the time that a collector is back, newer spans wait.
    pub(super) async fn export(&self, batch: &[Span]) -> Result<(), String> {
        let body = self.document(batch).to_string();
        let request = outgoing::occasional()?.post(self.endpoint.to_string());
        let request = request.headers(self.headers.clone()).body(body);
        match time::timeout(self.timeout, request.send()).await {
            Ok(Ok(response)) if response.status().is_success() => Ok(()),
            Ok(Ok(response)) => Err(format!("the collector answers {}", response.status())),
            Ok(Err(error)) => Err(outgoing::reason(&error)),
            Err(_elapsed) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }

    fn document(&self, batch: &[Span]) -> Value {
        let spans: Value = batch.iter().map(document_of).collect();
        json!({"resourceSpans": [{
            "resource": {"attributes": self.resource},
            "scopeSpans": [{
                "scope": {"name": "wharf", "version": env!("CARGO_PKG_VERSION")},
                "spans": spans,
            }],
        }]})
    }
}

/// A span with the attributes of the semantic conventions for HTTP servers, 1.23.
fn document_of(span: &Span) -> Value {
    let method = span.method.as_str();
    let route = span.handler.map(|handler| handler.route);
    let mut attributes = vec![
        text("http.request.method", method),
        text("http.request.id", &span.request.uuid().to_string()),
        text("url.path", &span.path),
        text("network.protocol.version", span.protocol),
        integer("http.response.status_code", span.status.as_u16().into()),
        integer("http.response.body.size", span.sent),
    ];
    let optional = [
        ("http.route", route),
        ("url.query", span.query.as_deref()),
        ("user_agent.original", span.user_agent.as_deref()),
    ];
    for (key, value) in optional {
        attributes.extend(value.map(|value| text(key, value)));
    }
    let mut document = json!({
        "traceId": format!("{:032x}", span.context.trace),
        "spanId": format!("{:016x}", span.context.span),
        "name": match route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        },
        "kind": SERVER,
        "startTimeUnixNano": nanoseconds(span.started),
        "endTimeUnixNano": nanoseconds(span.ended.max(span.started)),
        "attributes": attributes,
        "status": {},
    });
    if let Some(parent) = span.parent {
        document["parentSpanId"] = format!("{parent:016x}").into();
    }
    // A 404 is not an error of the server.
    if span.status.is_server_error() {
        document["status"] = json!({"code": ERROR});
    }
    document
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// An attribute; 64-bit integers are strings in this JSON.
fn integer(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

fn nanoseconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}
