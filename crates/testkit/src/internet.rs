//! The servers of an internet, all played by one listener on loopback: programs reach them by their names through it as
//! their proxy, and the same listener by its address as a server of their own machine.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    receiver::request,
    tls::{Authority, Wanted},
};

/// First byte of a TLS connection.
const HANDSHAKE: u8 = 22;

/// A request to one of the servers.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `http://` or `https://`, the server as the client names it, and the path with its query.
    pub url: String,
    /// First line and headers.
    pub head: String,
    /// Body of the request.
    pub body: String,
}

/// An answer, with status and header lines.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: String,
    body: String,
}

/// The servers. They end when dropped.
pub struct Internet {
    address: SocketAddr,
    authority: Arc<Authority>,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

type Answers = dyn Fn(&Asked) -> Reply + Send + Sync;

#[derive(Clone)]
struct Shared {
    answers: Arc<Answers>,
    authority: Arc<Authority>,
    /// Hosts with a certificate that no authority has signed.
    untrusted: Arc<[&'static str]>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Internet {
    /// Servers that answer as `answers` says. All have certificates of one authority, but `untrusted`, which sign their own.
    /// The certificate of `expired.test` ended long ago, and that of `misnamed.test` is for `other.test`.
    pub async fn start(
        untrusted: &[&'static str],
        answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            answers: Arc::new(answers),
            authority: Arc::new(Authority::new("authority of the internet")),
            untrusted: untrusted.into(),
            asked: Arc::default(),
        };
        Self {
            address,
            authority: Arc::clone(&shared.authority),
            asked: Arc::clone(&shared.asked),
            task: tokio::spawn(accept(listener, shared)),
        }
    }

    /// The URL of the proxy through which the servers are reached.
    pub fn proxy(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Host and port of the server on this machine.
    pub fn local(&self) -> String {
        self.address.to_string()
    }

    /// Certificate of the authority, as PEM.
    pub fn authority(&self) -> &str {
        self.authority.certificate()
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Asked {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Reply {
    /// An answer without headers.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: String::new(),
            body: body.into(),
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::new(status, "").header("Location", location)
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Internet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Internet")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        // A client may hang up whenever it likes.
        connections.spawn(async move { shared.serve(stream).await.ok() });
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let local = stream.local_addr()?.to_string();
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0] == HANDSHAKE {
            return self.serve_tls(stream, local).await;
        }
        let mut buffer = Vec::new();
        while let Some((head, body)) = request(&mut stream, &mut buffer).await {
            let mut words = head.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if method == "CONNECT" {
                let server = target.strip_suffix(":443").unwrap_or(target).to_owned();
                stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
                return self.serve_tls(stream, server).await;
            }
            let url = match target.starts_with('/') {
                true => format!("http://{local}{target}"),
                false => target.to_owned(),
            };
            self.answer(&mut stream, url, head, &body).await?;
        }
        Ok(())
    }

    async fn serve_tls(&self, stream: TcpStream, server: String) -> io::Result<()> {
        let host = server.rsplit_once(':').map_or(server.as_str(), |(host, _)| host);
        let wanted = match host {
            "expired.test" => Wanted::host(host).valid(2001, 2002),
            "misnamed.test" => Wanted::host("other.test"),
            host => Wanted::host(host),
        };
        let identity = match self.untrusted.contains(&host) || host == "127.0.0.1" {
            true => wanted.self_signed(),
            false => wanted.signed_by(&self.authority),
        };
        let acceptor = TlsAcceptor::from(Arc::new(identity.server_config()));
        let mut stream = acceptor.accept(stream).await?;
        let mut buffer = Vec::new();
        while let Some((head, body)) = request(&mut stream, &mut buffer).await {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let url = format!("https://{server}{path}");
            self.answer(&mut stream, url, head, &body).await?;
        }
        Ok(())
    }

    async fn answer(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        url: String,
        head: String,
        body: &[u8],
    ) -> io::Result<()> {
        let body = String::from_utf8_lossy(body).into_owned();
        let asked = Asked { url, head, body };
        let Reply {
            status,
            headers,
            body,
        } = (self.answers)(&asked);
        self.asked.lock().unwrap().push(asked);
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} Chosen\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await?;
        // The end of a large answer may still wait in the buffers of TLS.
        stream.flush().await
    }
}
