//! A minimal HTTP/1.1 for the load generator: prepared requests, and a parser that counts responses.

use anyhow::{Context as _, Result, bail, ensure};

/// Reads one response at a time from the bytes of a socket.
///
/// It keeps the head and, only when asked, the body: a generator that copies what it receives would
/// measure itself.
#[derive(Default)]
pub(crate) struct ResponseReader {
    state: State,
    head: Vec<u8>,
    status: u16,
    body_bytes: u64,
    /// Whether the request was a HEAD, whose answer has a length and no body.
    pub(crate) headless_body: bool,
    keep_body: bool,
    body: Vec<u8>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Head,
    Body {
        left: u64,
    },
    ChunkSize {
        size: u64,
        /// Behind the digits of a chunk's length: an extension or the carriage return.
        ended: bool,
    },
    ChunkData {
        left: u64,
    },
    ChunkEnd,
    Trailer {
        line_empty: bool,
    },
    Done,
}

impl ResponseReader {
    pub(crate) fn new(keep_body: bool) -> Self {
        Self {
            keep_body,
            ..Self::default()
        }
    }

    /// Takes `data` and returns whether the response is now complete.
    pub(crate) fn feed(&mut self, mut data: &[u8]) -> Result<bool> {
        while !data.is_empty() {
            data = match self.state {
                State::Head => self.feed_head(data)?,
                State::Body { left } => {
                    let taken = self.take_body(data, left);
                    self.state = if taken == left {
                        State::Done
                    } else {
                        State::Body { left: left - taken }
                    };
                    &data[usize::try_from(taken)?..]
                }
                State::Done => bail!("the server sent bytes after the end of its response"),
                _ => self.feed_chunked(data)?,
            };
        }
        Ok(self.state == State::Done)
    }

    /// Prepares for the next response on the connection.
    pub(crate) fn reset(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.body.clear();
        self.body_bytes = 0;
    }

    /// Whether no byte of a response has come yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.state == State::Head && self.head.is_empty()
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of body so far, without chunk framing.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The body, when `keep_body` was set.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    fn feed_head<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8]> {
        let before = self.head.len();
        self.head.extend_from_slice(data);
        let Some(end) = find_end_of_head(&self.head, before.saturating_sub(3)) else {
            ensure!(
                self.head.len() < 64 * 1024,
                "the head of the response is longer than 64 KiB"
            );
            return Ok(&[]);
        };
        self.head.truncate(end);
        self.status = parse_status(&self.head)?;
        self.state = if self.headless_body || matches!(self.status, 204 | 304) {
            State::Done
        } else if let Some(length) = header(&self.head, "content-length") {
            match length.parse().context("`Content-Length` is not a number")? {
                0 => State::Done,
                left => State::Body { left },
            }
        } else if header(&self.head, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            State::ChunkSize {
                size: 0,
                ended: false,
            }
        } else {
            bail!(
                "a response with neither `Content-Length` nor chunks ends the connection; not supported here"
            );
        };
        Ok(&data[end - before..])
    }

    /// Counts up to `left` bytes of body and returns how many there were.
    fn take_body(&mut self, data: &[u8], left: u64) -> u64 {
        let taken = left.min(data.len() as u64);
        self.body_bytes += taken;
        if self.keep_body {
            let end = usize::try_from(taken).unwrap_or(data.len());
            self.body.extend_from_slice(&data[..end]);
        }
        taken
    }

    fn feed_chunked<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8]> {
        let (first, rest) = (data[0], &data[1..]);
        match self.state {
            State::ChunkSize { size, ended } => {
                self.state = match (first, char::from(first).to_digit(16)) {
                    (b'\n', _) if size == 0 => State::Trailer { line_empty: true },
                    (b'\n', _) => State::ChunkData { left: size },
                    (_, Some(digit)) if !ended => {
                        ensure!(size < 1 << 56, "a chunk of the response is impossibly long");
                        State::ChunkSize {
                            size: size * 16 + u64::from(digit),
                            ended: false,
                        }
                    }
                    _ => State::ChunkSize { size, ended: true },
                };
                Ok(rest)
            }
            State::ChunkData { left } => {
                let taken = self.take_body(data, left);
                self.state = if taken == left {
                    State::ChunkEnd
                } else {
                    State::ChunkData { left: left - taken }
                };
                Ok(&data[usize::try_from(taken)?..])
            }
            State::ChunkEnd => {
                if first == b'\n' {
                    self.state = State::ChunkSize {
                        size: 0,
                        ended: false,
                    };
                }
                Ok(rest)
            }
            State::Trailer { line_empty } => {
                self.state = match first {
                    b'\n' if line_empty => State::Done,
                    b'\n' => State::Trailer { line_empty: true },
                    b'\r' => State::Trailer { line_empty },
                    _ => State::Trailer { line_empty: false },
                };
                Ok(rest)
            }
            State::Head | State::Body { .. } | State::Done => Ok(data),
        }
    }
}

fn find_end_of_head(head: &[u8], from: usize) -> Option<usize> {
    head[from..]
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| from + at + 4)
}

fn parse_status(head: &[u8]) -> Result<u16> {
    let digits = head
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    digits
        .and_then(|digits| digits.parse().ok())
        .with_context(|| format!("not an HTTP response: `{}`", String::from_utf8_lossy(head)))
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
        let (found, value) = (line.get(..name.len())?, line.get(name.len()..)?);
        let value = value.strip_prefix(b":")?;
        found
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| std::str::from_utf8(value).ok().map(str::trim))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `response` in pieces of each size and returns the body each time.
    fn bodies(response: &[u8]) -> Vec<Vec<u8>> {
        (1..=response.len())
            .map(|size| {
                let mut reader = ResponseReader::new(true);
                let pieces: Vec<_> = response.chunks(size).collect();
                for (number, piece) in pieces.iter().enumerate() {
                    assert_eq!(reader.feed(piece).unwrap(), number + 1 == pieces.len());
                }
                assert_eq!(reader.status(), 200);
                reader.body().to_vec()
            })
            .collect()
    }

    #[test]
    fn a_body_of_known_length_is_read_however_it_is_cut() {
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        assert!(bodies(response).iter().all(|body| body == b"hello"));
    }

    #[test]
    fn a_chunked_body_is_read_however_it_is_cut() {
        let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=a\r\nhello\r\n1\r\n!\r\n0\r\nT: x\r\n\r\n";
        assert!(bodies(response).iter().all(|body| body == b"hello!"));
    }

    #[test]
    fn the_answer_to_head_has_no_body() {
        let mut reader = ResponseReader::new(false);
        reader.headless_body = true;
        assert!(
            reader
                .feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
                .unwrap()
        );
        assert_eq!(reader.header("Content-Length"), Some("5"));
    }

    #[test]
    fn bytes_after_the_end_are_an_error() {
        let mut reader = ResponseReader::default();
        assert!(
            reader
                .feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab")
                .is_err()
        );
    }
}
