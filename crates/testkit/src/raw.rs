//! HTTP/1.1 byte by byte, over TCP, TLS or a unix socket, for requests that no decent client sends and headers as they were spelled.

use std::{fmt, io, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    PATIENCE,
    connect::{Way, Wire},
    tls::Trust,
};

/// A connection on which the test writes what it likes.
pub struct RawConnection {
    stream: Wire,
    received: Vec<u8>,
}

/// An answer as it came over the wire.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// The status line and the header lines, as sent.
    pub head: String,
    /// The body, without any transfer coding.
    pub body: Vec<u8>,
}

impl RawConnection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        Self::on(Way::Tcp(address))
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
        Self::on(Way::Tcp(address)).await.ok()
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

    /// Writes `bytes` as they are; fails when the server has closed the connection.
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
        let head = self.head().await?;
        let body = match header_of(&head, "transfer-encoding") {
            Some(_) => self.chunked_body().await?,
            None => {
                let length =
                    header_of(&head, "content-length").map_or(0, |length| length.trim().parse().unwrap());
                while self.received.len() < length {
                    self.fill().await?;
                }
                self.received.drain(..length).collect()
            }
        };
        Some(RawAnswer { head, body })
    }

    /// Reads the head of an answer, as after a HEAD request.
    pub async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.received.drain(..end + 4).collect();
                let head = String::from_utf8(head).unwrap();
                // An interim answer such as `100 Continue` is not what the test waits for.
                if !head.starts_with("HTTP/1.1 1") {
                    return Some(head);
                }
            } else {
                self.fill().await?;
            }
        }
    }

    /// Waits until the server closes the connection, and gives what it sent before.
    pub async fn closed(mut self) -> Vec<u8> {
        while self.fill().await.is_some() {}
        self.received
    }

    /// Whether the server sends anything, or closes, within `wait`.
    pub async fn stirs_within(&mut self, wait: Duration) -> bool {
        timeout(wait, self.fill()).await.is_ok()
    }

    async fn chunked_body(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = self.received.windows(2).position(|window| window == b"\r\n") {
                    let line: Vec<u8> = self.received.drain(..end + 2).collect();
                    break String::from_utf8(line).unwrap();
                }
                self.fill().await?;
            };
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            while self.received.len() < length + 2 {
                self.fill().await?;
            }
            body.extend(self.received.drain(..length));
            self.received.drain(..2);
            if length == 0 {
                return Some(body);
            }
        }
    }

    /// Reads more; `None` at the end of the connection, however it ended.
    async fn fill(&mut self) -> Option<()> {
        let mut buffer = vec![0; 16 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut buffer))
            .await
            .unwrap_or_else(|_| panic!("the server neither answers nor closes within {PATIENCE:?}"));
        match read {
            Ok(0) | Err(_) => None,
            Ok(length) => {
                self.received.extend_from_slice(&buffer[..length]);
                Some(())
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
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The value of a header, whatever its spelling.
    pub fn header(&self, name: &str) -> Option<&str> {
        header_of(&self.head, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status(), status, "{}{}", self.head, self.text());
        self
    }
}

fn header_of<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
