//! HTTP/2 by hand: streams whose windows stay closed, and bodies that do not end.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::{
    SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::{HeaderMap, Method, Request, StatusCode};
use tokio::{net::TcpStream, task::JoinHandle, time};

/// How long a test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection without TLS that answers pings, and does nothing else by itself. Dropping it closes it.
#[derive(Debug)]
pub struct Http2Connection {
    requests: SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

/// A stream whose answer is not read. Dropping it resets it.
#[derive(Debug)]
pub struct Http2Stream {
    answer: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Http2Connection {
    /// Connects to `address`. The server may send `window` bytes of each answer.
    pub async fn open(address: SocketAddr, window: u32) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut builder = client::Builder::new();
        builder.initial_window_size(window).initial_max_send_streams(100);
        let (requests, connection) = builder.handshake(socket).await.unwrap();
        let driver = tokio::spawn(async move {
            // The server may close the connection: the test sees it by its streams.
            connection.await.ok();
        });
        Self { requests, driver }
    }

    /// Begins a request whose body, if it has one, ends when the [stream](Http2Stream::send) says so. `None`: the
    /// connection is closed.
    pub async fn begin(
        &mut self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        has_body: bool,
    ) -> Option<Http2Stream> {
        let mut requests = time::timeout(PATIENCE, self.requests.clone().ready())
            .await
            .ok()?
            .ok()?;
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://wharf.test{target}").parse().unwrap();
        *request.headers_mut() = headers;
        let (answer, body) = requests.send_request(request, !has_body).ok()?;
        Some(Http2Stream { answer, body })
    }
}

impl Drop for Http2Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Http2Stream {
    /// Sends bytes of the body as soon as the server takes them; they wait in this process until then.
    pub fn send(&mut self, bytes: Bytes, is_last: bool) {
        // The server may have reset the stream: the test sees it by its answer.
        self.body.send_data(bytes, is_last).ok();
    }

    /// The status of the answer, and whether the server has said to come again. `None`: the stream was reset.
    pub async fn status(&mut self) -> Option<StatusCode> {
        let answer = time::timeout(PATIENCE, &mut self.answer).await;
        Some(answer.expect("the server answers").ok()?.status())
    }
}
