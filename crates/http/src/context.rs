//! The context of one request, from its head to the end of its answer.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use http::{HeaderMap, StatusCode, header, request::Parts};

use wharf_budget::{Exhausted, Permit, Share};

use crate::{
    access_log::AccessLogLine,
    activity::Activity,
    body::BodyObserver,
    end::End,
    forwarding,
    handler::Handler,
    limits::Limits,
    metrics::{MethodLabel, Sample},
    options::TransportOptions,
    peer::Peer,
    request_id::RequestId,
    senders::{BodyWait, Origin, Receiving},
    trace::Span,
    transfers::Transfers,
    turns::Turns,
};

/// The state that the requests of one connection share.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) options: Arc<TransportOptions>,
    pub(crate) peer: Peer,
    /// Whether the client speaks plain HTTP on a TLS port.
    pub(crate) lacks_tls: bool,
    pub(crate) activity: Arc<Activity>,
    /// The order to close the connection.
    pub(crate) end: Arc<End>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) turns: Arc<Turns>,
}

/// The context of a request, from its head to the end of its answer.
///
/// While a request runs only numbers are stored here; costlier values are computed on demand. When the context
/// is dropped the request is over: it is then counted, logged and traced.
#[derive(Debug)]
pub struct RequestContext {
    connection: Arc<Connection>,
    started: Instant,
    id: RequestId,
    /// The span of the request in the application log: each line within it has the id.
    log_span: tracing::Span,
    method: MethodLabel,
    handler: Option<&'static Handler>,
    actor: Option<Arc<str>>,
    status: StatusCode,
    request_bytes: u64,
    sent: u64,
    /// Whether what is sent counts as content.
    is_content: bool,
    line: Option<Box<AccessLogLine>>,
    span: Option<Box<Span>>,
    /// The permit for a request over HTTP/2, and the order to end its stream.
    stream: Option<(Permit, Arc<End>)>,
    /// The body on its way, once the request has waited for bytes of it.
    receiving: OnceLock<Receiving>,
}

impl Connection {
    /// Logs that a request came without TLS.
    #[cold]
    pub(crate) fn note_plain_text(&self) {
        if let Some(tls) = &self.options.tls {
            tls.got_plain_text(self.peer.address);
        }
    }
}

impl RequestContext {
    pub(crate) fn new(connection: Arc<Connection>, parts: &Parts) -> Self {
        connection.activity.request_started();
        connection.peer.note_ignored(&parts.headers);
        let options = &*connection.options;
        let id = RequestId::next();
        Self {
            started: Instant::now(),
            id,
            log_span: id.span(),
            method: MethodLabel::of(&parts.method),
            handler: None,
            actor: None,
            status: StatusCode::OK,
            request_bytes: options.metrics.as_ref().map_or(0, |_| size_of_request(parts)),
            sent: 0,
            is_content: false,
            line: options.access_log.as_ref().and_then(|log| {
                let client = connection.peer.client(&parts.headers, &options.trusted_proxies);
                log.line(client, parts)
            }),
            span: options.tracer.as_ref().and_then(|tracer| tracer.begin(id, parts)),
            stream: None,
            receiving: OnceLock::new(),
            connection,
        }
    }

    /// The id of the request: the same in the application log, in traces, and in events.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// The other end of the connection.
    pub fn peer(&self) -> &Peer {
        &self.connection.peer
    }

    /// Whether the request came without TLS on a TLS port.
    pub fn lacks_tls(&self) -> bool {
        self.connection.lacks_tls
    }

    /// The limits that the client may not exceed.
    pub fn limits(&self) -> &Limits {
        &self.connection.options.limits
    }

    /// The address of the client, behind trusted proxies, by the headers of its request; `None` if it is unknown.
    pub fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let proxies = &self.connection.options.trusted_proxies;
        self.connection.peer.client(headers, proxies)
    }

    /// The address by which the request is limited: only proxies that are trusted for that name another one than their own.
    pub fn limited_client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let proxies = &self.connection.options.trusted_proxies;
        self.connection.peer.limited_client(headers, proxies)
    }

    /// The address by which rights are decided: only proxies that the operator has named may say that it is another one than
    /// their own. `None` if it is unknown.
    pub fn proven_client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let proxies = &self.connection.options.trusted_proxies;
        self.connection.peer.proven_client(headers, proxies)
    }

    /// Warns, once, that a limit counts the clients of a proxy as one, when a request is refused for that limit.
    pub fn note_limited(&self, headers: &HeaderMap) {
        let limited = self.limited_client(headers);
        if let (Some(proxy), true) = (limited, limited != self.client(headers)) {
            forwarding::limited(headers, proxy);
        }
    }

    /// The address of the client as registry:2 writes it into events: with the port if no proxy lies between, empty if
    /// it is unknown.
    pub fn client_text(&self, headers: &HeaderMap) -> String {
        let proxies = &self.connection.options.trusted_proxies;
        self.connection.peer.client_text(headers, proxies)
    }

    /// The time since the end of the head.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sets the handler that answers the request. Only requests with a handler are counted.
    pub fn set_handler(&mut self, handler: &'static Handler) {
        if self.handler.replace(handler).is_none()
            && let Some(metrics) = &self.connection.options.metrics
        {
            metrics.began(handler);
        }
    }

    /// Counts the bytes of the answer's body, as far as they are sent, as content, unless the answer is no success.
    pub fn count_content(&mut self) {
        self.is_content = true;
    }

    /// Sets the name of the account that makes the request.
    pub fn set_actor(&mut self, actor: Arc<str>) {
        self.actor = Some(actor);
    }

    /// The name of the account that makes the request; `None` until it is known, and for anonymous requests.
    pub fn actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// Waits for memory for a whole answer of `amount` bytes, which `share` permits. Answers that no client takes are ended
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if there is no room in time.
    pub async fn room(&self, share: &Share, amount: usize) -> Result<Permit, Exhausted> {
        self.connection.transfers.room(share, amount).await
    }

    /// Waits for room for `amount` bytes of the request's body, which `share` permits, in the turn of the client's network.
    /// Requests whose bodies do not come are ended meanwhile.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if there is no room within `patience`.
    pub async fn room_for_body(
        &self,
        share: &Share,
        amount: usize,
        patience: Duration,
    ) -> Result<Permit, Exhausted> {
        let Connection { transfers, turns, .. } = &*self.connection;
        transfers.gather(turns, share, amount, patience).await
    }

    /// Ends some clients that send next to nothing, or take nothing, because there is no room for a large body. The request
    /// has a better chance when it comes again.
    pub fn make_room_for_body(&self) {
        self.connection.transfers.end_some();
    }

    /// Begins a wait for bytes of the request's body. A client that sends next to nothing while the server waits is ended
    /// when others need its place.
    pub fn wait_for_body(&self) -> BodyWait<'_> {
        let receiving = self.receiving.get_or_init(|| {
            let connection = &self.connection;
            let end = self.stream.as_ref().map_or(&connection.end, |(_, end)| end);
            connection.transfers.senders.add(Origin {
                client: connection.peer.address,
                source: connection.turns.source,
                end: Arc::clone(end),
            })
        });
        receiving.wait()
    }

    /// Keeps `permit` until the request, whose stream `end` ends, is over.
    pub(crate) fn keep(&mut self, permit: Permit, end: Arc<End>) {
        self.stream = Some((permit, end));
    }

    pub(crate) fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }
}

impl BodyObserver for RequestContext {
    fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    fn log_span(&self) -> &tracing::Span {
        &self.log_span
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        self.connection.activity.request_finished();
        let options = &*self.connection.options;
        if let Some(content_sent) = &options.content_sent
            && self.is_content
            && self.status.is_success()
        {
            content_sent.fetch_add(self.sent, Relaxed);
        }
        if let (Some(handler), Some(metrics)) = (self.handler, &options.metrics) {
            metrics.ended(&Sample {
                handler,
                method: self.method,
                status: self.status,
                took: self.started.elapsed(),
                request: self.request_bytes,
                response: self.sent,
            });
        }
        if let (Some(span), Some(tracer)) = (self.span.take(), &options.tracer) {
            tracer.end(span, self.handler, self.status, self.sent);
        }
        if let (Some(mut line), Some(log)) = (self.line.take(), &options.access_log) {
            line.finished(self.status, self.actor.take(), self.sent);
            log.write(&line);
        }
    }
}

/// Size of the head as HTTP/1.1 would write it, plus the announced length of the body: what registry:2 counts.
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
}
