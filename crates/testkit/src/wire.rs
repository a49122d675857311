//! Blocking requests, one a connection, for comparing the answers of several registries, header spelling included.

use std::{io, net::ToSocketAddrs as _};

use crate::raw::{RawAnswer, RawConnection};

/// One request, built step by step. It adds no header but `Host`, `Connection: close` and the body's length, and
/// follows no redirect.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Starts a request for `target`: a path with its query, or an absolute URL of which only that part counts.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: crate::client::path_of(target).to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Adds a header line as written.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends these bytes with their `Content-Length`.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Some(bytes.into());
        self
    }

    /// Sends the request to `authority` (`127.0.0.1:5000`) and reads the whole answer.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the answer is not HTTP/1.1.
    pub fn send(&self, authority: &str) -> io::Result<RawAnswer> {
        // A thread of its own: the test may itself run on a runtime, which must not block.
        std::thread::scope(|scope| {
            let exchange = scope.spawn(|| {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(self.exchange(authority))
            });
            exchange
                .join()
                .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
        })
    }

    async fn exchange(&self, authority: &str) -> io::Result<RawAnswer> {
        let mut addresses = authority.to_socket_addrs()?;
        let address = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut connection = RawConnection::connect(address).await?;
        let sent = connection.try_send(self.bytes(authority)).await;
        // A server may refuse early and close; its answer counts, if there is one.
        match (connection.answer_to(&self.method).await, sent) {
            (Ok(answer), _) => Ok(answer),
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        }
    }

    fn bytes(&self, authority: &str) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {authority}\r\n",
            self.method, self.target
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        } else if matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            head.push_str("Content-Length: 0\r\n");
        }
        head.push_str("Connection: close\r\n\r\n");
        [head.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}
