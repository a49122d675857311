//! Answers that are read in pieces, while they are still sent.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use wharf_testkit::{PATIENCE, Server};

/// A GET request on a connection of its own. Dropping it closes the connection.
pub(super) struct Reading {
    stream: TcpStream,
    head: String,
    received: Vec<u8>,
}

impl Reading {
    /// Sends the request.
    pub(super) async fn begin(server: &Server, path: &str) -> Self {
        Self::begin_with(server, path, "").await
    }

    /// Sends the request with these header lines, each with its line end.
    pub(super) async fn begin_with(server: &Server, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            server.address()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream,
            head: String::new(),
            received: Vec::new(),
        }
    }

    /// Waits for status and headers; gives the status.
    pub(super) async fn status(&mut self) -> u16 {
        while self.head.is_empty() {
            let end = self.received.windows(4).position(|window| window == b"\r\n\r\n");
            match end {
                Some(end) => {
                    let head = self.received.drain(..end + 4).collect();
                    self.head = String::from_utf8(head).unwrap();
                }
                None => assert!(self.fill().await, "the connection ended without an answer"),
            }
        }
        self.head[9..12].parse().unwrap()
    }

    /// Waits until so many bytes of the body have come, and checks that they are these.
    pub(super) async fn expect_beginning(&mut self, bytes: &[u8]) {
        assert_eq!(self.status().await, 200, "{}", self.head);
        while self.received.len() < bytes.len() {
            let came = self.received.len();
            assert!(self.fill().await, "the connection ended after {came} bytes");
        }
        assert!(self.received.starts_with(bytes), "other bytes were expected");
    }

    /// Reads to the end; the error is what came of a body that broke off.
    pub(super) async fn rest(mut self) -> Result<Vec<u8>, Vec<u8>> {
        self.status().await;
        let length = self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().unwrap())
        });
        match length {
            Some(length) => {
                while self.received.len() < length {
                    if !self.fill().await {
                        return Err(self.received);
                    }
                }
            }
            // Chunks, whose end is a chunk of no bytes. None of these bodies has that text in it.
            None => {
                while !self.received.ends_with(b"\r\n0\r\n\r\n") {
                    if !self.fill().await {
                        return Err(self.received);
                    }
                }
                self.received = joined(&self.received);
            }
        }
        Ok(self.received)
    }

    /// Reads more; `false` at the end of the connection.
    async fn fill(&mut self) -> bool {
        let mut piece = vec![0; 64 << 10];
        let read = timeout(PATIENCE, self.stream.read(&mut piece)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing came within {PATIENCE:?}"));
        let length = read.unwrap_or(0);
        self.received.extend_from_slice(&piece[..length]);
        length > 0
    }
}

/// The bytes of chunks.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            break;
        }
        body.extend_from_slice(&chunks[end + 2..end + 2 + length]);
        chunks = &chunks[end + 2 + length + 2..];
    }
    body
}
