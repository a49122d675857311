//! A blocking connection for flows in which one answer decides the next request: pushes and probes.

use std::io::{IoSlice, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::http::ResponseReader;

/// One connection that is kept alive.
pub(crate) struct Client {
    stream: TcpStream,
    reader: ResponseReader,
    buffer: Vec<u8>,
}

/// An answer of the server.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Path and query of `Location`, whatever host it names.
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    /// The answer itself if its status is `wanted`, an error that quotes it otherwise.
    pub(crate) fn expect(self, wanted: u16, what: &str) -> Result<Self> {
        ensure!(
            self.status == wanted,
            "{what}: expected status {wanted}, got {}: `{}`",
            self.status,
            self.body.trim()
        );
        Ok(self)
    }

    pub(crate) fn location(self, what: &str) -> Result<String> {
        self.location
            .with_context(|| format!("{what}: the answer has no `Location`"))
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        let reader = ResponseReader::new(true);
        Ok(Self {
            stream,
            reader,
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Sends a request whose body is `parts` in a row, and reads the whole answer.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        parts: &[&[u8]],
    ) -> Result<Answer> {
        let what = || format!("{method} {path}");
        let sent = self.send(method, path, headers, parts);
        let received = self.receive(method == "HEAD");
        // A server may refuse before it has read the body; its answer says more than the broken pipe.
        match (sent, received) {
            (Err(broken), Err(_)) => Err(broken).with_context(what),
            (_, received) => received.with_context(what),
        }
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        parts: &[&[u8]],
    ) -> std::io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: wharf-bench\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !matches!(method, "GET" | "HEAD") {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head.push_str("\r\n");
        let mut slices: Vec<_> = [head.as_bytes()]
            .iter()
            .chain(parts)
            .map(|part| IoSlice::new(part))
            .collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let written = self.stream.write_vectored(left)?;
            if written == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }

    fn receive(&mut self, headless_body: bool) -> Result<Answer> {
        self.reader.reset();
        self.reader.headless_body = headless_body;
        loop {
            let got = self
                .stream
                .read(&mut self.buffer)
                .context("cannot read the answer")?;
            ensure!(
                got > 0,
                "the server closed the connection without a complete answer"
            );
            if self.reader.feed(&self.buffer[..got])? {
                break;
            }
        }
        Ok(Answer {
            status: self.reader.status(),
            location: self.reader.header("location").map(path_and_query),
            body: String::from_utf8_lossy(self.reader.body()).into_owned(),
        })
    }
}

fn path_and_query(location: &str) -> String {
    let after_scheme = location.split_once("://").map(|(_, rest)| rest);
    match after_scheme {
        Some(rest) => rest
            .find('/')
            .map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned()),
        None => location.to_owned(),
    }
}
