//! A blocking HTTP/1.1 client that shows exactly what was on the wire: header spelling, status, bytes.
//!
//! It follows no redirect, adds no header but `Host`, `Connection: close` and the body's length, and
//! opens one connection for each request, so that what one server answers can be compared with what
//! another one answers.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long one read or write may take before the exchange counts as failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// One request, built step by step and sent once.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Starts a request for `target`: a path with its query, or an absolute URL of which only that part counts.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Request {
        let path = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => target,
        };
        Request {
            method: method.to_owned(),
            target: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Adds a header line as written.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends these bytes with their `Content-Length`.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Request {
        self.body = Some(bytes.into());
        self
    }

    /// Sends the request to `authority` (`127.0.0.1:5000`) and reads the whole answer.
    ///
    /// # Errors
    /// When the connection breaks, times out (120 s for each read), or the answer is not HTTP/1.1.
    pub fn send(&self, authority: &str) -> io::Result<Response> {
        let mut stream = TcpStream::connect(authority)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
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
        let sent = stream.write_all(head.as_bytes()).and_then(|()| match &self.body {
            Some(body) => stream.write_all(body),
            None => Ok(()),
        });
        // A server may refuse early and close; its answer is what counts, if there is one.
        match (Response::read(&mut BufReader::new(stream), &self.method), sent) {
            (Ok(response), _) => Ok(response),
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        }
    }
}

/// One answer, whole.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header lines in their order and spelling.
    pub headers: Vec<(String, String)>,
    /// The body after transfer decoding.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name, whatever its spelling.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text, with what is not UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `Null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The error codes of the body, joined by `+`; empty when there are none.
    #[must_use]
    pub fn error_codes(&self) -> String {
        let json = self.json();
        let errors = json["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors
            .iter()
            .filter_map(|error| error["code"].as_str())
            .collect::<Vec<_>>()
            .join("+")
    }

    fn read(reader: &mut impl BufRead, method: &str) -> io::Result<Response> {
        let mut status = 100;
        let mut headers = Vec::new();
        while status / 100 == 1 {
            let line = read_line(reader)?;
            let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
            status = code
                .and_then(|code| code.parse().ok())
                .ok_or_else(|| malformed(&line))?;
            headers = read_headers(reader)?;
        }
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        if method != "HEAD" && status != 204 && status != 304 {
            response.body = read_body(reader, &response)?;
        }
        Ok(response)
    }
}

fn read_headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_body(reader: &mut impl BufRead, response: &Response) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if response
        .header("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        loop {
            let line = read_line(reader)?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16)
                .map_err(|_| malformed(&line))?;
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            read_line(reader)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match response.header("content-length") {
        Some(length) => {
            let length = length.parse::<u64>().map_err(|_| malformed(length))?;
            reader.take(length).read_to_end(&mut body)?;
            // registry:2 announces the length of the blob on a 416, and sends a sentence.
            if (body.len() as u64) < length && response.status != 416 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the body ended before its length",
                ));
            }
        }
        None => {
            reader.read_to_end(&mut body)?;
        }
    }
    Ok(body)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server closed without an answer",
        ));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP/1.1: `{line}`"))
}
