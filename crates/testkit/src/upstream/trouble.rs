//! What goes wrong with answers of a played upstream, when, and how they are sent then.

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::watch,
};

use super::{asked::Asked, reply::Reply};
use crate::{image::Manifest, waiting::PATIENCE};

/// Bytes of a body that are written at once.
const PIECE: usize = 64 << 10;

/// What goes wrong with a request. Several at once may.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It gets this answer: status, headers, body.
    Answer(u16, Vec<(String, String)>, Bytes),
    /// The connection is closed instead of an answer.
    Close,
    /// It is never answered.
    Silence,
    /// The answer begins when the gate is open.
    Wait(Gate),
    /// So many bytes of the body, at least one, are sent, and the others when the gate is open.
    WaitAfter(usize, Gate),
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// One bit of the last byte is another one.
    Flip,
    /// These bytes are the body.
    Body(Bytes),
    /// This length is announced, whatever the body has. What is missing never comes: the connection is closed.
    Length(usize),
    /// The body is sent in chunks, without its length before.
    Chunks,
    /// The body is followed by noise that does not end; in chunks, without a length before.
    Endless,
    /// A `Range` is passed over: the answer is the whole body.
    Whole,
    /// Afterwards the tag of the repository names this manifest of it, and the one before is gone.
    Move {
        /// Name of the repository.
        repository: String,
        /// The tag.
        tag: String,
        /// The other manifest.
        to: Manifest,
    },
}

/// Requests that a [`Trouble`] happens to.
#[derive(Debug, Clone, Default)]
pub struct When {
    method: String,
    containing: String,
    pub(super) after: usize,
    pub(super) times: Option<usize>,
}

/// A barrier that requests wait at until the test opens it. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<GateState>);

#[derive(Debug)]
struct GateState {
    is_open: watch::Sender<bool>,
    arrived: watch::Sender<usize>,
}

impl Trouble {
    /// An answer with this status, and an error in the form of registries.
    pub fn status(status: u16) -> Self {
        let reply = Reply::error(status, "TROUBLE", "as the test wants it");
        Self::Answer(reply.status, reply.headers, reply.body)
    }

    /// As [`status`](Self::status), with one more header.
    pub fn status_with(status: u16, name: &str, value: impl Into<String>) -> Self {
        let mut reply = Reply::error(status, "TROUBLE", "as the test wants it");
        reply.headers.push((name.to_owned(), value.into()));
        Self::Answer(reply.status, reply.headers, reply.body)
    }

    /// A page for browsers, as captive portals and proxies send it.
    pub fn html() -> Self {
        let headers = vec![("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())];
        Self::Answer(
            200,
            headers,
            Bytes::from_static(b"<!DOCTYPE html><title>Sign in</title>"),
        )
    }

    /// A redirect to this URL.
    pub fn redirect(location: impl Into<String>) -> Self {
        Self::Answer(307, vec![("Location".to_owned(), location.into())], Bytes::new())
    }
}

impl When {
    /// Every request.
    pub fn always() -> Self {
        Self::default()
    }

    /// Requests with this method.
    pub fn method(method: &str) -> Self {
        Self {
            method: method.to_owned(),
            ..Self::default()
        }
    }

    /// Those of them that have this in their path.
    pub fn of(mut self, containing: impl Into<String>) -> Self {
        self.containing = containing.into();
        self
    }

    /// So many of them, and then no more.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// Only after so many of them.
    pub fn after(mut self, after: usize) -> Self {
        self.after = after;
        self
    }

    pub(super) fn fits(&self, asked: &Asked) -> bool {
        (self.method.is_empty() || self.method == asked.method) && asked.path.contains(&self.containing)
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(GateState {
            is_open: watch::Sender::new(false),
            arrived: watch::Sender::new(0),
        }))
    }

    /// Lets all requests pass, also those to come.
    pub fn open(&self) {
        self.0.is_open.send_replace(true);
    }

    /// Waits until `count` requests have come to the gate, those that have passed included.
    ///
    /// # Panics
    ///
    /// When they have not after [`PATIENCE`].
    pub async fn reached_by(&self, count: usize) {
        let mut arrived = self.0.arrived.subscribe();
        let reached = tokio::time::timeout(PATIENCE, arrived.wait_for(|arrived| *arrived >= count)).await;
        assert!(reached.is_ok(), "fewer than {count} requests came to the gate");
    }

    async fn pass(&self) {
        self.0.arrived.send_modify(|arrived| *arrived += 1);
        let mut is_open = self.0.is_open.subscribe();
        // The sender lives in the gate, which is borrowed.
        is_open.wait_for(|is_open| *is_open).await.unwrap();
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// Sends an answer with all that goes wrong. `false`: the connection ends.
pub(super) async fn play(
    stream: &mut (impl AsyncWrite + Unpin),
    asked: &Asked,
    mut reply: Reply,
    troubles: &[Trouble],
) -> io::Result<bool> {
    let mut gates = Vec::new();
    let mut cut = None;
    let mut length = None;
    let (mut is_chunked, mut is_endless) = (false, false);
    for trouble in troubles {
        match trouble {
            Trouble::Answer(status, headers, body) => {
                reply = Reply {
                    status: *status,
                    headers: headers.clone(),
                    body: body.clone(),
                };
            }
            Trouble::Close => return Ok(false),
            Trouble::Silence => std::future::pending().await,
            Trouble::Wait(gate) => gate.pass().await,
            Trouble::WaitAfter(bytes, gate) => gates.push((*bytes, gate)),
            Trouble::Cut(bytes) => cut = Some(*bytes),
            Trouble::Flip => reply.body = flipped(&reply.body),
            Trouble::Body(body) => reply.body = body.clone(),
            Trouble::Length(announced) => length = Some(*announced),
            Trouble::Chunks => is_chunked = true,
            Trouble::Endless => (is_chunked, is_endless) = (true, true),
            Trouble::Whole | Trouble::Move { .. } => {}
        }
    }
    let announced = length.unwrap_or(reply.body.len());
    let mut head = format!("HTTP/1.1 {} Played\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&match is_chunked {
        true => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
        false => format!("Content-Length: {announced}\r\n\r\n"),
    });
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    if asked.method == "HEAD" || reply.status == 204 {
        return Ok(true);
    }
    let end = cut.map_or(reply.body.len(), |cut| cut.min(reply.body.len()));
    let end = if is_chunked { end } else { end.min(announced) };
    let mut sent = 0;
    while sent < end {
        let stop = gates.iter().map(|(at, _)| *at).filter(|at| *at > sent).min();
        let next = end.min(sent + PIECE).min(stop.unwrap_or(usize::MAX));
        write_piece(stream, &reply.body[sent..next], is_chunked).await?;
        sent = next;
        for (_, gate) in gates.iter().filter(|(at, _)| *at == sent) {
            gate.pass().await;
        }
    }
    if is_endless {
        // Until the reader has enough.
        loop {
            write_piece(stream, &[b' '; PIECE], true).await?;
        }
    }
    if cut.is_some() || !is_chunked && sent < announced {
        return Ok(false);
    }
    if is_chunked {
        stream.write_all(b"0\r\n\r\n").await?;
        stream.flush().await?;
    }
    Ok(true)
}

async fn write_piece(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], is_chunk: bool) -> io::Result<()> {
    if is_chunk {
        stream
            .write_all(format!("{:x}\r\n", bytes.len()).as_bytes())
            .await?;
    }
    stream.write_all(bytes).await?;
    if is_chunk {
        stream.write_all(b"\r\n").await?;
    }
    stream.flush().await
}

/// The same bytes, but for one bit of the last one.
fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.into()
}
