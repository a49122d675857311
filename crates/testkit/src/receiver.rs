//! A receiver of webhook deliveries that answers, hangs or closes as the test wants.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{tls::Identity, waiting::eventually};

/// The reaction of a receiver to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers with this status, and these header lines, each with its line end.
    Answer(u16, &'static str),
    /// Takes the request and never answers.
    Hang,
    /// Takes the request and closes the connection.
    Close,
}

/// A request that the receiver got.
#[derive(Debug, Clone)]
pub struct Received {
    /// First line and headers.
    pub head: String,
    /// Body of the request.
    pub body: Bytes,
    /// Whether it was answered with 2xx.
    pub is_accepted: bool,
}

/// A service on a port of its own. It ends when dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

/// A port that is taken, so that no other process gets it, and does not listen.
#[derive(Debug)]
pub struct ClosedPort(TcpSocket);

#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    received: Vec<Received>,
    connections: usize,
}

impl ClosedPort {
    /// Takes a port without listening on it.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self(socket)
    }

    /// The URL at which nothing listens.
    pub fn url(&self) -> String {
        format!("http://{}/events", self.0.local_addr().unwrap())
    }

    /// Starts a receiver that listens on the port.
    pub fn open(self) -> Receiver {
        Receiver::on(self.0.listen(64).unwrap(), None)
    }
}

impl Default for ClosedPort {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// A receiver that answers 200 to everything.
    pub fn start() -> Self {
        ClosedPort::new().open()
    }

    /// A receiver over TLS that answers 200 to everything.
    pub fn over_tls(identity: &Identity) -> Self {
        let listener = ClosedPort::new().0.listen(64).unwrap();
        Self::on(
            listener,
            Some(TlsAcceptor::from(Arc::new(identity.server_config()))),
        )
    }

    fn on(listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            behaviour: Behaviour::Answer(200, ""),
            received: Vec::new(),
            connections: 0,
        }));
        Self {
            address: listener.local_addr().unwrap(),
            scheme: if tls.is_some() { "https" } else { "http" },
            task: tokio::spawn(accept(listener, tls, Arc::clone(&shared))),
            shared,
        }
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The URL of the receiver.
    pub fn url(&self) -> String {
        format!("{}://{}/events", self.scheme, self.address)
    }

    /// Changes the reaction from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().unwrap().behaviour = behaviour;
    }

    /// All requests so far, accepted or not.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().unwrap().received.clone()
    }

    /// Number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().unwrap().connections
    }

    /// The requests that it accepted so far.
    pub fn accepted(&self) -> Vec<Received> {
        let received = self.received();
        received
            .into_iter()
            .filter(|received| received.is_accepted)
            .collect()
    }

    /// Waits until `count` requests were accepted.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let shared = Arc::clone(&self.shared);
        let enough = || {
            let received = &shared.lock().unwrap().received;
            let is_enough = received.iter().filter(|received| received.is_accepted).count() >= count;
            async move { is_enough }
        };
        eventually(&format!("{count} events were accepted"), enough).await;
        self.accepted()
    }

    /// Waits until `count` attempts were made.
    pub async fn wait_for_attempts(&self, count: usize) {
        let shared = Arc::clone(&self.shared);
        let enough = || {
            let is_enough = shared.lock().unwrap().received.len() >= count;
            async move { is_enough }
        };
        eventually(&format!("{count} attempts were made"), enough).await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Received {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The body.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The one event in the envelope.
    pub fn event(&self) -> Value {
        let events = self.json()["events"].as_array().unwrap().clone();
        assert_eq!(events.len(), 1, "one event in an envelope");
        events[0].clone()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Mutex<Shared>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.lock().unwrap().connections += 1;
        connections.spawn(serve(stream, tls.clone(), Arc::clone(&shared)));
    }
}

/// Serves one connection until the client closes it.
async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Mutex<Shared>>) {
    match tls {
        None => converse(stream, &shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                converse(stream, &shared).await;
            }
        }
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Mutex<Shared>) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut buffer).await {
        let behaviour = {
            let mut shared = shared.lock().unwrap();
            let behaviour = shared.behaviour.clone();
            let is_accepted = matches!(behaviour, Behaviour::Answer(200..300, _));
            shared.received.push(Received {
                head,
                body,
                is_accepted,
            });
            behaviour
        };
        match behaviour {
            Behaviour::Answer(status, headers) => {
                let answer = format!("HTTP/1.1 {status} Chosen\r\n{headers}Content-Length: 2\r\n\r\nok");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Close => return,
        }
    }
}

/// The next request of a connection.
pub(crate) async fn request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Option<(String, Bytes)> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let body_end = head_end + 4 + length.unwrap_or(0);
    while buffer.len() < body_end {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = Bytes::copy_from_slice(&buffer[head_end + 4..body_end]);
    buffer.drain(..body_end);
    Some((head, body))
}
