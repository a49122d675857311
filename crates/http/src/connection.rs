//! One connection: detection of its protocol, limits of each protocol, and closing when the client stalls.

use std::{convert::Infallible, error::Error, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use hyper::{
    body::{Body, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{rt::TokioIo, server::graceful::GracefulConnection};
use tokio::{io::AsyncWriteExt as _, sync::watch, time};
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;
use wharf_budget::{Exhausted, Permit, Share};

use crate::{
    activity::{Stalled, Watch},
    body::{BodyObserver as _, ObservedBody},
    connections::Place,
    context::{Connection, RequestContext},
    end::End,
    explained::Explained,
    faults::fault,
    metrics::HttpMetrics,
    options::TransportOptions,
    peer::Peer,
    socket::{Socket, Stream, WatchedSocket},
    streams::Streams,
    surface::Surface,
    tls::Tls,
    transfers::{Holding, Transfers},
    turns::{Source, Turns},
};

/// The most that is read from, or gathered for, a connection at a time. Bodies pass in pieces of up
/// to this size, and each concurrent transfer may hold a few of them.
const BUFFER: usize = 256 << 10;

/// Read buffer of an HTTP/1.1 connection: larger reads gain nothing, and each upload holds one.
const READ_BUFFER: usize = 64 << 10;

/// Room for the 100 tags that a push by digest may name, and for the longest tokens.
const HEADERS_LIMIT: u32 = 64 << 10;

/// Maximum number of headers of a request. Over HTTP/1.1 hyper refuses more; over HTTP/2 it has no such limit, and
/// empty headers take several times their size in memory.
const MAX_HEADERS: usize = 100;

/// Bytes that a client may send on all streams of a connection before handlers have read them, at most. They lie in
/// memory, so they are charged to the share `windows`: a connection gets an eighth of what is free, and the more
/// connections there are, the smaller the windows of new ones. Half of it is the window of a stream, so that one body
/// that is not read does not stop the others. At 50 ms round trip, an upload gets 40 MB/s on the first connection,
/// 14 MB/s on the eighth, and 0.6 MB/s once there are dozens: a client that needs more opens another connection later,
/// or speaks HTTP/1.1, where TCP does the same work in the kernel.
const LARGEST_WINDOW: u32 = 4 << 20;

/// The window with which HTTP/2 begins: it cannot be smaller. It counts as part of the connection.
const SMALLEST_WINDOW: u32 = 65_535;

/// Part of a frame that has not come whole lies in memory.
const MAX_FRAME: u32 = 64 << 10;
const MAX_STREAMS: u32 = 100;

/// Over HTTP/2, where a stream may outlive its request in the buffers of its connection, answers up to this size are
/// not charged: a stream itself takes more.
const SMALL_ON_A_STREAM: u64 = 64;

/// Over HTTP/1.1, answers up to this size are not charged: the limit of connections bounds them.
const SMALL: u64 = 16 << 10;

/// Time for which an idle connection that makes room may take leave: over HTTP/2 the client has to agree.
const LEAVE: Duration = Duration::from_secs(1);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Seconds after which a client that was refused may come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The surface and the connection of a request. Shared as a whole, because counters of references that all
/// connections touch would be contended.
struct Answering<S> {
    surface: Arc<S>,
    connection: Arc<Connection>,
}

/// A connection that was accepted and has its place.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    pub(crate) client: Option<SocketAddr>,
    pub(crate) place: Place,
}

/// A connection whose protocol is known.
struct Opened {
    connection: Arc<Connection>,
    stream: Stream,
    protocol: Protocol,
}

/// Lets `surface` answer on a connection until the client goes, stalls, or the server drains.
pub(crate) async fn serve<S: Surface>(
    surface: Arc<S>,
    options: Arc<TransportOptions>,
    transfers: Arc<Transfers>,
    accepted: Accepted,
    mut drain: watch::Receiver<bool>,
) {
    let Accepted {
        socket,
        client,
        place,
    } = accepted;
    let limits = options.limits;
    let _counted = options.metrics.clone().map(HttpMetrics::connection);
    let opened = tokio::select! {
        opened = time::timeout(limits.headers, open(options, transfers, &place, socket, client)) => opened,
        () = place.end.asked() => return,
        _ = drain.wait_for(|&is_draining| is_draining) => return,
    };
    let Opened {
        connection,
        stream,
        protocol,
    } = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            tracing::debug!(?client, %error, "a connection failed before its first request");
            return;
        }
        Err(_elapsed) => {
            tracing::debug!(?client, "a connection timed out before its first request");
            return;
        }
    };
    connection.activity.opened();
    let answering = Arc::new(Answering {
        surface,
        connection: Arc::clone(&connection),
    });
    match protocol {
        Protocol::Http1 => {
            let service = service_fn(move |request| answer(Arc::clone(&answering), request));
            let stream = TokioIo::new(Explained::new(stream));
            let http = http1().serve_connection(stream, service);
            drive(http, Watch::new(limits, true), &connection, drain).await;
        }
        Protocol::Http2 => {
            let streams = Streams::new(Arc::clone(&connection.end));
            let (window, _permit) = window(&connection.options.budget.windows);
            let http = http2(streams.clone(), window);
            let service = service_fn(move |request| {
                let (answering, end) = (Arc::clone(&answering), streams.begin());
                answer_stream(answering, request, end)
            });
            let http = http.serve_connection(TokioIo::new(stream), service);
            drive(http, Watch::new(limits, false), &connection, drain).await;
        }
        Protocol::Tls => refuse_tls(stream).await,
    }
}

/// Detects the protocol, and does the TLS handshake if the client speaks TLS and the server has a certificate.
async fn open(
    options: Arc<TransportOptions>,
    transfers: Arc<Transfers>,
    place: &Place,
    socket: Socket,
    client: Option<SocketAddr>,
) -> io::Result<Opened> {
    let spoken = recognise(&socket).await?;
    let is_encrypted = options.tls.is_some() && spoken == Protocol::Tls;
    let lacks_tls = options.tls.is_some() && !is_encrypted;
    let protocol = match spoken {
        Protocol::Http2 if lacks_tls || !options.h2c => Protocol::Http1,
        spoken => spoken,
    };
    let socket = WatchedSocket::new(socket, Arc::clone(&place.activity));
    let connection = Arc::new(Connection {
        peer: Peer::new(client, &options.trusted_proxies, is_encrypted),
        lacks_tls,
        activity: Arc::clone(&place.activity),
        end: Arc::clone(&place.end),
        transfers,
        turns: Arc::new(Turns::new(Source::of(
            client,
            place.number,
            &options.trusted_proxies,
        ))),
        options,
    });
    let (stream, protocol) = match &connection.options.tls {
        // Boxed: a handshake is rare and large, and connections without one should not carry its size.
        Some(tls) if is_encrypted => {
            let shaken = Box::pin(shake_hands(tls, socket)).await;
            shaken.inspect_err(|error| tls.failed(client, error))?
        }
        _ => (Stream::Plain(socket), protocol),
    };
    Ok(Opened {
        connection,
        stream,
        protocol,
    })
}

async fn shake_hands(tls: &Tls, socket: WatchedSocket) -> io::Result<(Stream, Protocol)> {
    let acceptor = TlsAcceptor::from(tls.current().await);
    let limit = |connection: &mut rustls::ServerConnection| connection.set_buffer_limit(Some(BUFFER));
    let stream = acceptor.accept_with(socket, limit).await?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Ok((Stream::Tls(Box::new(stream)), protocol))
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Scripts grep for `Docker-Content-Digest:`, as Go spells it.
        .title_case_headers(true)
        .half_close(false)
        .max_buf_size(READ_BUFFER)
        .max_header_size(HEADERS_LIMIT as usize)
        // `Watch` checks the time limit of headers, without a timer for each request.
        .header_read_timeout(None);
    builder
}

fn http2(streams: Streams, window: u32) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .initial_stream_window_size((window / 2).max(SMALLEST_WINDOW))
        .initial_connection_window_size(window)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(HEADERS_LIMIT)
        .max_send_buf_size(BUFFER);
    // No pings: TCP finds peers that are gone, and a peer that sleeps does not answer.
    builder
}

/// The window of a new HTTP/2 connection, and the permit for it.
fn window(windows: &Share) -> (u32, Option<Permit>) {
    let free = windows.limit() - windows.used();
    let window = u32::try_from(free / 8).unwrap_or(u32::MAX).min(LARGEST_WINDOW);
    match windows.try_take(window as usize) {
        Some(permit) if window > SMALLEST_WINDOW => (window, Some(permit)),
        _ => (SMALLEST_WINDOW, None),
    }
}

/// Drives `http` until it ends, its watch closes it, it makes room for another one, or it has finished what ran when
/// draining began.
async fn drive<C: GracefulConnection<Error = hyper::Error>>(
    http: C,
    mut watch: Watch,
    connection: &Connection,
    mut drain: watch::Receiver<bool>,
) {
    let client = connection.peer.address;
    let mut http = pin!(http);
    let mut interval = time::interval_at(time::Instant::now() + watch.interval(), watch.interval());
    interval.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let (mut is_draining, mut is_leaving) = (false, false);
    loop {
        tokio::select! {
            biased;
            result = http.as_mut() => {
                if let Err(error) = result {
                    report_end(client, &error);
                }
                return;
            }
            _ = interval.tick() => {
                if is_leaving && connection.activity.idle().is_some() {
                    return;
                }
                if let Some(reason) = watch.check(&connection.activity) {
                    report(client, reason);
                    return;
                }
            }
            () = connection.end.asked() => {
                if connection.end.is_unconditional() {
                    tracing::debug!(?client, "closed a connection to make room");
                    return;
                }
                if connection.activity.idle().is_none() {
                    connection.end.withdraw();
                    continue;
                }
                tracing::debug!(?client, "closes an idle connection to make room");
                is_leaving = true;
                http.as_mut().graceful_shutdown();
                interval.reset_after(LEAVE);
            }
            _ = drain.wait_for(|&is_draining| is_draining), if !is_draining => {
                is_draining = true;
                http.as_mut().graceful_shutdown();
            }
        }
    }
}

fn report_end(client: Option<SocketAddr>, error: &hyper::Error) {
    if error.is_parse_too_large() {
        report_large_head(client);
    } else {
        // Clients disconnect; that is no failure of the server.
        tracing::debug!(?client, ?error, "a connection ended early");
    }
}

fn report_large_head(client: Option<SocketAddr>) {
    let client = text_of(client);
    tracing::info!(
        client,
        "refused a request with more than {MAX_HEADERS} headers, or more than 64 KiB of them"
    );
}

fn text_of(client: Option<SocketAddr>) -> String {
    client.map(|client| client.to_string()).unwrap_or_default()
}

fn report(client: Option<SocketAddr>, reason: Stalled) {
    match reason {
        Stalled::Write => {
            let client = text_of(client);
            tracing::info!(
                client,
                "closed a connection whose client took nothing of its answer for `http.timeouts.answer`"
            );
        }
        Stalled::Headers | Stalled::Idle => {
            tracing::debug!(?client, ?reason, "closed a connection whose client stalled");
        }
    }
}

type Answer<S> = Response<ObservedBody<<S as Surface>::Body, RequestContext>>;

/// Answers a request over HTTP/1.1.
async fn answer<S: Surface>(
    answering: Arc<Answering<S>>,
    request: Request<Incoming>,
) -> Result<Answer<S>, Infallible> {
    let (parts, body) = request.into_parts();
    let context = new_context(&answering.connection, &parts);
    if let Some(fault) = fault(&parts) {
        return Ok(refuse(context, fault));
    }
    let response = respond(&*answering.surface, context, parts, body).await;
    let connection = &answering.connection;
    Ok(charged(response, SMALL, || {
        let (transfers, turns) = (Arc::clone(&connection.transfers), Arc::clone(&connection.turns));
        Holding::new(
            transfers,
            turns,
            connection.peer.address,
            Arc::clone(&connection.end),
        )
    }))
}

/// Answers a request over HTTP/2, which is charged to the budget: `end` ends it.
async fn answer_stream<S: Surface>(
    answering: Arc<Answering<S>>,
    request: Request<Incoming>,
    end: Arc<End>,
) -> Result<Answer<S>, Infallible> {
    let (parts, body) = request.into_parts();
    let connection = &answering.connection;
    let mut context = new_context(connection, &parts);
    if parts.headers.len() > MAX_HEADERS {
        report_large_head(connection.peer.address);
        return Ok(without_body(context, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    match connection.transfers.admit(&connection.turns).await {
        Ok(permit) => context.keep(permit, Arc::clone(&end)),
        Err(error) => return Ok(put_off(context, error)),
    }
    let response = respond(&*answering.surface, context, parts, body).await;
    Ok(charged(response, SMALL_ON_A_STREAM, || {
        let (transfers, turns) = (Arc::clone(&connection.transfers), Arc::clone(&connection.turns));
        Holding::of_stream(transfers, turns, connection.peer.address, end)
    }))
}

fn new_context(connection: &Arc<Connection>, parts: &Parts) -> RequestContext {
    if connection.lacks_tls {
        connection.note_plain_text();
    }
    RequestContext::new(Arc::clone(connection), parts)
}

async fn respond<S: Surface>(
    surface: &S,
    mut context: RequestContext,
    parts: Parts,
    body: Incoming,
) -> Answer<S> {
    let log_span = context.log_span().clone();
    let response = surface.respond(&mut context, parts, body);
    let response = response.instrument(log_span).await;
    context.set_status(response.status());
    response.map(|body| ObservedBody::new(body, context))
}

/// Charges the body of an answer to the budget unless it is small.
fn charged<B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin>(
    response: Response<ObservedBody<B, RequestContext>>,
    small: u64,
    holding: impl FnOnce() -> Holding,
) -> Response<ObservedBody<B, RequestContext>> {
    response.map(|body| {
        if body.size_hint().exact().is_some_and(|size| size <= small) {
            return body;
        }
        body.charged(holding())
    })
}

/// The answer to a request over HTTP/1.1 that is not valid HTTP, for the reason `fault`.
fn refuse<B>(mut context: RequestContext, fault: &'static str) -> Response<ObservedBody<B, RequestContext>> {
    context.set_status(StatusCode::BAD_REQUEST);
    let mut response = Response::new(ObservedBody::text(fault, context));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, TEXT);
    // A proxy in front may have understood it in another way: what follows may be no request.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a request that the budget has no room for.
fn put_off<B>(context: RequestContext, error: Exhausted) -> Response<ObservedBody<B, RequestContext>> {
    tracing::debug!(parent: context.log_span(), %error, "put off a request");
    let mut response = without_body(context, StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// A refusal over HTTP/2. It has no body, which a client could leave lying.
fn without_body<B>(
    mut context: RequestContext,
    status: StatusCode,
) -> Response<ObservedBody<B, RequestContext>> {
    context.set_status(status);
    let mut response = Response::new(ObservedBody::text("", context));
    *response.status_mut() = status;
    response
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
    Tls,
}

/// Time until the first bytes of a connection that may become HTTP/2 are looked at again: first, and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The pause after `pause`. A client that never sends the rest is looked at a few times a second.
fn longer(pause: Duration) -> Duration {
    (2 * pause).min(LONGEST_PAUSE)
}

/// Detects the protocol by the first bytes, without consuming them.
async fn recognise(socket: &Socket) -> io::Result<Protocol> {
    const HTTP2: &[u8] = b"PRI ";
    const TLS_HANDSHAKE: u8 = 0x16;

    let mut first = [0; HTTP2.len()];
    let mut pause = SHORTEST_PAUSE;
    loop {
        let count = socket.peek(&mut first).await?;
        match &first[..count] {
            [TLS_HANDSHAKE, ..] => return Ok(Protocol::Tls),
            HTTP2 => return Ok(Protocol::Http2),
            // The socket stays readable while these bytes lie there: look again a little later.
            seen @ [_, ..] if HTTP2.starts_with(seen) => {
                time::sleep(pause).await;
                pause = longer(pause);
            }
            _ => return Ok(Protocol::Http1),
        }
    }
}

/// Tells a TLS client at once that this port speaks HTTP. Clients look for these first bytes: docker
/// then says `server gave HTTP response to HTTPS client`, or goes on without TLS where it may.
async fn refuse_tls(mut stream: Stream) {
    const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Connection: close\r\n\r\nClient sent an HTTPS request to an HTTP server.\n";

    let exchange = async {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await?;
        // Closing a socket with unread bytes resets it, and the client may lose our answer.
        let mut hello = [0; 4096];
        while tokio::io::AsyncReadExt::read(&mut stream, &mut hello).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    if let Err(error) = time::timeout(Duration::from_secs(1), exchange)
        .await
        .unwrap_or(Ok(()))
    {
        tracing::debug!(%error, "a TLS client disconnected before its answer");
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::{
        io::{AsyncReadExt as _, duplex},
        sync::Semaphore,
        task::yield_now,
    };

    use super::*;
    use crate::limits::Limits;

    fn connection() -> Connection {
        let options = Arc::new(TransportOptions::default());
        let share = |name| Share::new(name, 1);
        Connection {
            peer: Peer::new(None, &options.trusted_proxies, false),
            lacks_tls: false,
            activity: Arc::default(),
            end: Arc::default(),
            transfers: Arc::new(Transfers::new(share("transfers"), share("requests"))),
            turns: Arc::new(Turns::new(Source::Connection(0))),
            options,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_makes_room_unless_a_request_has_just_begun() {
        let connection = connection();
        let (mut client, server) = duplex(1024);
        let (_drain, drained) = watch::channel(false);
        let may_answer = Semaphore::new(0);
        let (activity, end) = (&connection.activity, &connection.end);
        let http = http1().serve_connection(
            TokioIo::new(server),
            service_fn(async |_: Request<Incoming>| {
                activity.request_started();
                let _permit = may_answer.acquire().await;
                activity.request_finished();
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }),
        );
        let limits = connection.options.limits;
        let driven = drive(http, Watch::new(limits, true), &connection, drained);
        let exchange = async {
            client
                .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            while activity.idle().is_some() {
                yield_now().await;
            }
            end.ask_if_idle();
            while end.is_asked() {
                yield_now().await;
            }
            may_answer.add_permits(1);
            let mut answer = [0; 1024];
            let count = client.read(&mut answer).await.unwrap();
            assert!(answer[..count].starts_with(b"HTTP/1.1 200 OK"));
            end.ask_if_idle();
            assert_eq!(client.read(&mut answer).await.unwrap(), 0, "it is idle now");
        };
        tokio::join!(driven, exchange);
    }

    #[test]
    fn first_bytes_that_do_not_go_on_are_looked_at_a_few_times_only() {
        let pauses = std::iter::successors(Some(SHORTEST_PAUSE), |&pause| Some(longer(pause)));
        let mut time = Duration::ZERO;
        let looks = pauses.take_while(|&pause| {
            time += pause;
            time < Limits::default().headers
        });
        assert!(looks.count() < 30);
    }
}
