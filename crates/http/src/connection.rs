//! One connection: detection of its protocol, limits of each protocol, and closing when the client stalls.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{io::AsyncWriteExt as _, sync::watch, time};
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;

use crate::{
    activity::{Activity, Watch},
    body::{BodyObserver as _, ObservedBody},
    context::{Connection, RequestContext},
    metrics::HttpMetrics,
    options::TransportOptions,
    peer::Peer,
    socket::{Socket, Stream, WatchedSocket},
    surface::Surface,
    tls::Tls,
};

/// The most that is read from, or gathered for, a connection at a time. Bodies pass in pieces of up
/// to this size, and each concurrent transfer may hold a few of them.
const BUFFER: usize = 256 << 10;

/// Read buffer of an HTTP/1.1 connection: larger reads gain nothing, and each upload holds one.
const READ_BUFFER: usize = 64 << 10;

/// Room for the 100 tags that a push by digest may name, and for the longest tokens.
const HEADERS_LIMIT: u32 = 64 << 10;

/// Bytes that a client may send on one stream before its handler has taken them. Bounds the memory
/// of an upload over HTTP/2; at 50 ms round trip it still lets 40 MB/s through.
const STREAM_WINDOW: u32 = 2 << 20;

/// Bytes that a client may send on all streams of a connection together before handlers have taken them.
const CONNECTION_WINDOW: u32 = 8 << 20;

const MAX_FRAME: u32 = 256 << 10;
const MAX_STREAMS: u32 = 128;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The surface and the connection of a request. Shared as a whole, because counters of references that all
/// connections touch would be contended.
struct Answering<S> {
    surface: Arc<S>,
    connection: Arc<Connection>,
}

/// A connection whose protocol is known.
struct Opened {
    connection: Arc<Connection>,
    stream: Stream,
    protocol: Protocol,
}

/// Lets `surface` answer on `socket` until the client goes, stalls, or the server drains.
pub(crate) async fn serve<S: Surface>(
    surface: Arc<S>,
    options: Arc<TransportOptions>,
    (socket, client): (Socket, Option<SocketAddr>),
    mut drain: watch::Receiver<bool>,
) {
    let limits = options.limits;
    let _counted = options.metrics.clone().map(HttpMetrics::connection);
    let opened = tokio::select! {
        opened = time::timeout(limits.headers, open(options, socket, client)) => opened,
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
    let answering = Arc::new(Answering {
        surface,
        connection: Arc::clone(&connection),
    });
    let service = service_fn(move |request| answer(Arc::clone(&answering), request));
    match protocol {
        Protocol::Http1 => {
            let http = http1().serve_connection(TokioIo::new(stream), service);
            drive(http, Watch::new(limits, true), &connection, drain).await;
        }
        Protocol::Http2 => {
            let http = http2().serve_connection(TokioIo::new(stream), service);
            drive(http, Watch::new(limits, false), &connection, drain).await;
        }
        Protocol::Tls => refuse_tls(stream).await,
    }
}

/// Detects the protocol, and does the TLS handshake if the client speaks TLS and the server has a certificate.
async fn open(
    options: Arc<TransportOptions>,
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
    let activity = Arc::new(Activity::default());
    let socket = WatchedSocket::new(socket, Arc::clone(&activity));
    let connection = Arc::new(Connection {
        peer: Peer::new(client, &options.trusted_proxies, is_encrypted),
        lacks_tls,
        activity,
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

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(HEADERS_LIMIT)
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Drives `http` until it ends, its watch closes it, or it has finished what ran when draining began.
async fn drive<C: GracefulConnection>(
    http: C,
    mut watch: Watch,
    connection: &Connection,
    mut drain: watch::Receiver<bool>,
) where
    C::Error: std::fmt::Debug,
{
    let client = connection.peer.address;
    let mut http = pin!(http);
    let mut interval = time::interval_at(time::Instant::now() + watch.interval(), watch.interval());
    interval.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut is_draining = false;
    loop {
        tokio::select! {
            biased;
            result = http.as_mut() => {
                if let Err(error) = result {
                    // Clients disconnect; that is no failure of the server.
                    tracing::debug!(?client, ?error, "a connection ended early");
                }
                return;
            }
            _ = interval.tick() => {
                if let Some(reason) = watch.check(&connection.activity) {
                    tracing::debug!(?client, ?reason, "closed a connection whose client stalled");
                    return;
                }
            }
            _ = drain.wait_for(|&is_draining| is_draining), if !is_draining => {
                is_draining = true;
                http.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer<S: Surface>(
    answering: Arc<Answering<S>>,
    request: Request<Incoming>,
) -> Result<Response<ObservedBody<S::Body, RequestContext>>, Infallible> {
    let (parts, body) = request.into_parts();
    if answering.connection.lacks_tls {
        answering.connection.note_plain_text();
    }
    let mut context = RequestContext::new(Arc::clone(&answering.connection), &parts);
    let log_span = context.log_span().clone();
    let response = answering.surface.respond(&mut context, parts, body);
    let response = response.instrument(log_span).await;
    context.set_status(response.status());
    Ok(response.map(|body| ObservedBody::new(body, context)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
    Tls,
}

/// Detects the protocol by the first bytes, without consuming them.
async fn recognise(socket: &Socket) -> io::Result<Protocol> {
    const HTTP2: &[u8] = b"PRI ";
    const TLS_HANDSHAKE: u8 = 0x16;

    let mut first = [0; HTTP2.len()];
    loop {
        let count = socket.peek(&mut first).await?;
        match &first[..count] {
            [TLS_HANDSHAKE, ..] => return Ok(Protocol::Tls),
            HTTP2 => return Ok(Protocol::Http2),
            // The socket stays readable while these bytes lie there: look again a little later.
            seen @ [_, ..] if HTTP2.starts_with(seen) => time::sleep(Duration::from_millis(5)).await,
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
