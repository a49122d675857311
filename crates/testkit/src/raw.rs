//! HTTP/1.1 byte by byte, over TCP, TLS or a unix socket: malformed requests, and answers exactly as sent.

use std::{fmt, io, net::SocketAddr, path::Path, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    connect::{Way, Wire},
    tls::Trust,
    waiting::PATIENCE,
};

/// A connection on which the test writes any bytes.
pub struct RawConnection {
    stream: Wire,
    received: Vec<u8>,
}

/// An answer, byte for byte.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// The status code.
    pub status: u16,
    /// The header lines, in their order and spelling.
    pub headers: Vec<(String, String)>,
    /// The status line and the header lines, as sent.
    pub head: String,
    /// The body, without any transfer coding.
    pub body: Vec<u8>,
}

impl RawConnection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        Self::connect(address)
            .await
            .unwrap_or_else(|e| panic!("connect to {address}: {e}"))
    }

    /// Connects with TLS.
    pub async fn open_tls(address: SocketAddr, trust: &Trust) -> Self {
        Self::on(Way::Tls(address, trust.clone()))
            .await
            .unwrap_or_else(|e| panic!("connect to {address}: {e}"))
    }

    /// Connects to a unix socket.
    pub async fn open_unix(path: &Path) -> Self {
        Self::on(Way::Unix(path.to_owned()))
            .await
            .unwrap_or_else(|e| panic!("connect to {}: {e}", path.display()))
    }

    /// Connects; `None` when the server does not take the connection.
    pub async fn try_open(address: SocketAddr) -> Option<Self> {
        Self::connect(address).await.ok()
    }

    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::on(Way::Tcp(address)).await
    }

    async fn on(way: Way) -> io::Result<Self> {
        Ok(Self {
            stream: way.open().await?,
            received: Vec::new(),
        })
    }

    /// Writes `bytes` as they are.
    ///
    /// # Panics
    ///
    /// When the server has closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes)
            .await
            .unwrap_or_else(|e| panic!("the server no longer reads: {e}"));
    }

    /// Writes `bytes` as they are.
    ///
    /// # Errors
    ///
    /// When the server has closed the connection.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(PATIENCE, async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        })
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
    }

    /// Reads one answer to a request that was not HEAD.
    pub async fn answer(&mut self) -> RawAnswer {
        self.try_answer()
            .await
            .unwrap_or_else(|| panic!("the connection ended without an answer"))
    }

    /// Reads one answer; `None` when the connection ends, or has ended, without one.
    pub async fn try_answer(&mut self) -> Option<RawAnswer> {
        self.answer_to("GET").await.ok()
    }

    /// Reads the answer to a request of this method.
    pub(crate) async fn answer_to(&mut self, method: &str) -> io::Result<RawAnswer> {
        let mut answer = RawAnswer::of(self.read_head().await?)?;
        if method != "HEAD" && !matches!(answer.status, 204 | 304) {
            answer.body = self.body(&answer).await?;
        }
        Ok(answer)
    }

    /// Reads the head of an answer, as after a HEAD request.
    pub async fn head(&mut self) -> Option<String> {
        self.read_head().await.ok()
    }

    /// Waits until the server closes the connection, and gives what it sent before.
    pub async fn closed(mut self) -> Vec<u8> {
        while self.fill().await.is_ok() {}
        self.received
    }

    /// Whether the server sends anything, or closes, within `wait`.
    pub async fn stirs_within(&mut self, wait: Duration) -> bool {
        timeout(wait, self.fill()).await.is_ok()
    }

    async fn read_head(&mut self) -> io::Result<String> {
        loop {
            let head = self.take_until(b"\r\n\r\n").await?;
            // An interim answer such as `100 Continue` is not what the test waits for.
            if !head.starts_with("HTTP/1.1 1") {
                return Ok(head);
            }
        }
    }

    async fn body(&mut self, answer: &RawAnswer) -> io::Result<Vec<u8>> {
        if answer.header("transfer-encoding").is_some() {
            return self.chunked_body().await;
        }
        let Some(length) = answer.header("content-length") else {
            let ends = answer.header("connection");
            if ends.is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
                return Ok(Vec::new());
            }
            while self.fill().await.is_ok() {}
            return Ok(std::mem::take(&mut self.received));
        };
        let length = length.parse().map_err(|_| malformed(length))?;
        while self.received.len() < length {
            match self.fill().await {
                // registry:2 announces the length of the blob on a 416, and sends a sentence.
                Err(_) if answer.status == 416 => return Ok(std::mem::take(&mut self.received)),
                filled => filled?,
            }
        }
        Ok(self.received.drain(..length).collect())
    }

    async fn chunked_body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_until(b"\r\n").await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(size, 16).map_err(|_| malformed(&line))?;
            while self.received.len() < length + 2 {
                self.fill().await?;
            }
            body.extend(self.received.drain(..length));
            self.received.drain(..2);
            if length == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads on to `end`, and takes what was received up to and with it.
    async fn take_until(&mut self, end: &[u8]) -> io::Result<String> {
        loop {
            let found = self.received.windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                let taken = self.received.drain(..at + end.len()).collect();
                return String::from_utf8(taken).map_err(|_| malformed("not UTF-8"));
            }
            self.fill().await?;
        }
    }

    /// Reads more; fails at the end of the connection, however it ended.
    async fn fill(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut buffer))
            .await
            .unwrap_or_else(|_| panic!("the server neither answers nor closes within {PATIENCE:?}"));
        match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.received.extend_from_slice(&buffer[..length]);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for RawConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawConnection")
    }
}

impl RawAnswer {
    fn of(head: String) -> io::Result<Self> {
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
        let status = status.and_then(|line| line.get(2..5)?.parse().ok());
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(line))?;
            Ok((name.to_owned(), value.trim().to_owned()))
        });
        Ok(Self {
            status: status.ok_or_else(|| malformed(&head))?,
            headers: headers.collect::<io::Result<_>>()?,
            head,
            body: Vec::new(),
        })
    }

    /// The value of the first header of that name, whatever its spelling.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text, with bytes that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `Null` when it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The error codes of the body, joined by `+`; empty when there are none.
    pub fn error_codes(&self) -> String {
        let json = self.json();
        let errors = json["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors
            .iter()
            .filter_map(|error| error["code"].as_str())
            .collect::<Vec<_>>()
            .join("+")
    }

    /// Checks the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}{}", self.head, self.text());
        self
    }
}

fn malformed(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP/1.1: `{text}`"))
}
