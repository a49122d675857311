//! What is remembered of one request for those who watch: its id, its measures, its span.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use http::{StatusCode, header, request::Parts};
use uuid::Uuid;

use crate::{
    Metrics, ServerOptions,
    metrics::{Handler, MethodLabel, Sample},
    trace::Span,
};

/// A request, from its head to the end of its answer.
///
/// On the way of a request only numbers are noted here; what costs more waits until somebody wants to know.
#[derive(Debug)]
pub(crate) struct Observation {
    started: Instant,
    id: OnceLock<Uuid>,
    method: MethodLabel,
    handler: Option<Handler>,
    request_bytes: u64,
    status: StatusCode,
    sent: u64,
    span: Option<Box<Span>>,
}

impl Observation {
    pub(crate) fn new(parts: &Parts, options: &ServerOptions) -> Self {
        Self {
            started: Instant::now(),
            id: OnceLock::new(),
            method: MethodLabel::of(&parts.method),
            handler: None,
            request_bytes: options.metrics.as_ref().map_or(0, |_| size_of_request(parts)),
            status: StatusCode::OK,
            sent: 0,
            span: options.tracer.as_ref().and_then(|tracer| tracer.begin(parts)),
        }
    }

    /// Which request this is, in logs and for others who are told of it.
    pub(crate) fn id(&self) -> &Uuid {
        self.id.get_or_init(Uuid::new_v4)
    }

    /// Since the end of the head.
    pub(crate) fn took(&self) -> Duration {
        self.started.elapsed()
    }

    /// What it asks for is known.
    pub(crate) fn routed(&mut self, handler: Handler, metrics: Option<&Metrics>) {
        self.handler = Some(handler);
        if let Some(metrics) = metrics {
            metrics.http.began(handler);
        }
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// `bytes` more of the answer's body went to the client.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// The answer is complete, or given up.
    pub(crate) fn finish(&mut self, options: &ServerOptions) {
        if let (Some(handler), Some(metrics)) = (self.handler, &options.metrics) {
            metrics.http.ended(&Sample {
                handler,
                method: self.method,
                status: self.status,
                took: self.took(),
                request: self.request_bytes,
                response: self.sent,
            });
        }
        if let (Some(span), Some(tracer)) = (self.span.take(), &options.tracer) {
            tracer.end(span, self.handler, self.status, self.sent);
        }
    }
}

/// The head as HTTP/1.1 would write it, and the body as it is announced: what registry:2 counts.
fn size_of_request(parts: &Parts) -> u64 {
    let target = parts
        .uri
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    let first_line = parts.method.as_str().len() + target + "HTTP/1.1".len();
    let headers = parts.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    let body = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    ((first_line + headers) as u64).saturating_add(body.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(length: Option<&str>) -> Parts {
        let mut request = http::Request::put("/v2/a?b=c").header("x-y", "12345");
        if let Some(length) = length {
            request = request.header(header::CONTENT_LENGTH, length);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_size_is_that_of_the_head_and_of_the_announced_body() {
        assert_eq!(size_of_request(&parts(None)), 3 + 9 + 8 + 8);
        assert_eq!(size_of_request(&parts(Some("70"))), 28 + 14 + 2 + 70);
        for nonsense in ["x", "-1", "99999999999999999999"] {
            assert!(size_of_request(&parts(Some(nonsense))) < 100, "{nonsense}");
        }
        assert_eq!(size_of_request(&parts(Some("18446744073709551615"))), u64::MAX);
    }

    #[test]
    fn a_request_keeps_its_id() {
        let observation = Observation::new(&parts(None), &ServerOptions::default());
        assert_eq!(observation.id(), observation.id());
    }
}
