//! The load generator for reads: one thread, epoll, prepared requests; the same for every server.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::http::ResponseReader;

/// How much is read from a socket at once.
const READ_BUFFER: usize = 256 * 1024;
/// The longest wait for a server.
const PATIENCE: Duration = Duration::from_secs(30);

/// A load: the requests, the connections and the end.
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    /// Requests, sent in turn; each connection starts at another one.
    pub(crate) requests: &'a [Vec<u8>],
    pub(crate) head: bool,
    pub(crate) limit: Limit,
}

/// When a load ends.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// After this time, and not before each connection could have had one response; of what is
    /// unfinished then, the bytes that came count.
    Time(Duration),
    /// When every connection has had this many responses.
    Each(u64),
}

/// The outcome of a load. Every response had status 200; another status is an error.
pub(crate) struct Outcome {
    pub(crate) responses: u64,
    pub(crate) body_bytes: u64,
    /// Latency of each response in microseconds.
    pub(crate) latencies: Vec<u32>,
}

impl Outcome {
    /// The median and the 99th percentile of the latencies in microseconds.
    pub(crate) fn median_and_p99(&mut self) -> Option<[u32; 2]> {
        median_and_p99(&mut self.latencies)
    }
}

/// The median and the 99th percentile of `latencies`.
pub(crate) fn median_and_p99(latencies: &mut [u32]) -> Option<[u32; 2]> {
    latencies.sort_unstable();
    let last = latencies.len().checked_sub(1)?;
    let within = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index below the length"
        )]
        let place = (last as f64 * share).round() as usize;
        latencies.get(place).copied()
    };
    Some([within(0.5)?, within(0.99)?])
}

struct Connection {
    stream: TcpStream,
    reader: ResponseReader,
    next_request: usize,
    sent_at: Instant,
    responses: u64,
    /// Body bytes of the response under way that are in the outcome already.
    counted: u64,
}

impl Load<'_> {
    /// Runs the load to its end.
    pub(crate) fn run(&self) -> Result<Outcome> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = (0..self.connections)
            .map(|number| self.connect(number))
            .collect::<Result<Vec<_>>>()?;
        for (number, connection) in connections.iter().enumerate() {
            epoll::add(
                &poll,
                &connection.stream,
                epoll::EventData::new_u64(number as u64),
                epoll::EventFlags::IN,
            )?;
        }
        let mut outcome = Outcome {
            responses: 0,
            body_bytes: 0,
            latencies: Vec::new(),
        };
        let mut buffer = vec![0; READ_BUFFER];
        let mut events = Vec::with_capacity(self.connections);
        let mut ready = VecDeque::new();
        let started = Instant::now();
        for connection in &mut connections {
            self.send(connection)?;
        }
        let mut unfinished = self.connections;
        while unfinished > 0 && !self.is_over(started, outcome.responses) {
            let patience = Timespec {
                tv_sec: 0,
                tv_nsec: 20_000_000,
            };
            epoll::wait(&poll, spare_capacity(&mut events), Some(&patience))?;
            ensure!(
                !events.is_empty() || connections.iter().any(|c| c.sent_at.elapsed() < PATIENCE),
                "no answer for {} s",
                PATIENCE.as_secs()
            );
            ready.extend(events.drain(..).map(|event: epoll::Event| event.data.u64()));
            while let Some(number) = ready.pop_front() {
                let connection = &mut connections[usize::try_from(number)?];
                if !self.receive(connection, &mut buffer, &mut outcome)? {
                    continue;
                }
                if matches!(self.limit, Limit::Each(n) if connection.responses >= n) {
                    epoll::delete(&poll, &connection.stream)?;
                    unfinished -= 1;
                } else {
                    self.send(connection)?;
                }
            }
        }
        Ok(outcome)
    }

    fn is_over(&self, started: Instant, responses: u64) -> bool {
        let enough = responses >= self.connections as u64;
        matches!(self.limit, Limit::Time(time) if enough && started.elapsed() >= time)
    }

    fn connect(&self, number: usize) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).context("cannot connect to the server")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut reader = ResponseReader::new(false);
        reader.headless_body = self.head;
        let next_request = number % self.requests.len();
        Ok(Connection {
            stream,
            reader,
            next_request,
            sent_at: Instant::now(),
            responses: 0,
            counted: 0,
        })
    }

    fn send(&self, connection: &mut Connection) -> Result<()> {
        let request = &self.requests[connection.next_request];
        connection.next_request = (connection.next_request + 1) % self.requests.len();
        connection.sent_at = Instant::now();
        // A request of a few hundred bytes on an idle connection always fits the socket's buffer.
        connection
            .stream
            .write_all(request)
            .context("the server closed the connection")
    }

    /// Reads once; true when that completed a response.
    fn receive(&self, connection: &mut Connection, buffer: &mut [u8], outcome: &mut Outcome) -> Result<bool> {
        let got = match connection.stream.read(buffer) {
            Ok(0) if connection.reader.is_fresh() => {
                bail!("the server closed the connection between requests")
            }
            Ok(0) => bail!("the server closed the connection in the middle of a response"),
            Ok(got) => got,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(false);
            }
            Err(error) => return Err(error).context("cannot read the response"),
        };
        let complete = connection.reader.feed(&buffer[..got])?;
        outcome.body_bytes += connection.reader.body_bytes() - connection.counted;
        connection.counted = connection.reader.body_bytes();
        if complete {
            let status = connection.reader.status();
            ensure!(
                status == 200,
                "expected status 200, got {status} for `{}`",
                self.requests[0].escape_ascii()
            );
            let latency = connection.sent_at.elapsed().as_micros();
            outcome.latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
            outcome.responses += 1;
            connection.responses += 1;
            connection.counted = 0;
            connection.reader.reset();
        }
        Ok(complete)
    }
}

/// A GET or HEAD, ready to be sent.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: wharf-bench\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}
