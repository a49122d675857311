//! A proxy in front of a store that plays the faults of networks and of stores.
//!
//! It passes the `Host` header unchanged, so that a signature for its own address holds.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    runtime::{self, Runtime},
    time::sleep,
};

/// Bytes that are passed on at once.
const PIECE: usize = 16 << 10;

/// What happens to a request.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The store does not get it; the client gets this answer.
    Refuse(Refusal),
    /// The store gets it and does it; the client gets this answer.
    RefuseAfter(Refusal),
    /// The store does not get it, and the connection is reset.
    Reset,
    /// The store gets it and does it; the connection is reset instead of an answer.
    ResetAfter,
    /// The connection is reset after so many bytes of its body.
    CutRequest(u64),
    /// The connection is closed after so many bytes of the body of the answer.
    CutAnswer(u64),
    /// The store does not get it, and nothing is answered.
    Silence,
    /// Nothing follows so many bytes of the body of the answer.
    SilenceWithin(u64),
    /// It waits before it is passed on.
    Delay(Duration),
    /// Its body and that of the answer pass with so many bytes in a second.
    Throttle(u64),
}

/// An answer that says why a store refuses.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// Status of the answer
    pub status: u16,
    /// Code in its body; an answer to `HEAD` has none
    pub code: &'static str,
    /// Seconds to wait
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// An answer with this status and code.
    pub const fn new(status: u16, code: &'static str) -> Self {
        Self {
            status,
            code,
            retry_after: None,
        }
    }
}

/// Which requests a fault happens to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which {
    /// Their method; empty: any
    pub method: &'static str,
    /// What their path or query contains
    pub containing: &'static str,
    /// How many of them pass first
    pub after: usize,
    /// How many it happens to then; 0: all
    pub times: usize,
}

impl Which {
    /// The next request with this method, and with this in its path or query.
    pub const fn next(method: &'static str, containing: &'static str) -> Self {
        Self {
            method,
            containing,
            after: 0,
            times: 1,
        }
    }

    /// The next `times` requests.
    pub const fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// All requests from now on.
    pub const fn all() -> Self {
        Self::next("", "").times(0)
    }
}

#[derive(Debug)]
struct Rule {
    which: Which,
    fault: Fault,
    seen: usize,
}

#[derive(Debug, Default)]
struct Script {
    rules: Vec<Rule>,
    /// Method and target of each request
    requests: Vec<String>,
}

/// A running proxy. Dropping it ends it.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    runtime: Option<Runtime>,
}

impl FaultProxy {
    /// Starts it in front of `upstream`, without any fault.
    pub fn start(upstream: SocketAddr) -> Self {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        // A test may be on a runtime of its own, where no other one can be waited for.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        runtime.spawn(accept(listener, upstream, Arc::clone(&script)));
        Self {
            address,
            script,
            runtime: Some(runtime),
        }
    }

    /// Its address: `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets `fault` happen to `which` requests. Of several faults for one request the first happens.
    pub fn inject(&self, which: Which, fault: Fault) {
        let seen = 0;
        self.script().rules.push(Rule { which, fault, seen });
    }

    /// How many faults have happened since the last [`clear`](Self::clear).
    pub fn happened(&self) -> usize {
        let happened = |rule: &Rule| {
            let times = if rule.which.times == 0 {
                usize::MAX
            } else {
                rule.which.times
            };
            rule.seen.saturating_sub(rule.which.after).min(times)
        };
        self.script().rules.iter().map(happened).sum()
    }

    /// Method and target of each request since the last [`clear`](Self::clear).
    pub fn requests(&self) -> Vec<String> {
        self.script().requests.clone()
    }

    /// Ends all faults.
    pub fn clear(&self) {
        *self.script() = Script::default();
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Script {
    fn fault_of(&mut self, head: &Head) -> Option<Fault> {
        self.requests.push(format!("{} {}", head.method, head.target));
        let mut fault = None;
        for Rule {
            which,
            fault: of_rule,
            seen,
        } in &mut self.rules
        {
            let matches = which.method.is_empty() || which.method == head.method;
            if !matches || !head.target.contains(which.containing) || fault.is_some() {
                continue;
            }
            let is_past = which.times > 0 && *seen >= which.after + which.times;
            if *seen >= which.after && !is_past {
                fault = Some(*of_rule);
            }
            if !is_past {
                *seen += 1;
            }
        }
        fault
    }
}

async fn accept(listener: std::net::TcpListener, upstream: SocketAddr, script: Arc<Mutex<Script>>) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((client, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            let mut client = BufReader::new(client);
            // Ends with an error whenever either side goes away.
            while let Ok(true) = exchange(&mut client, upstream, &script).await {}
        });
    }
}

/// Passes on one request and its answer; `false` when the connection has ended.
async fn exchange(
    client: &mut BufReader<TcpStream>,
    upstream: SocketAddr,
    script: &Mutex<Script>,
) -> io::Result<bool> {
    let Some(head) = Head::read(client).await? else {
        return Ok(false);
    };
    let fault = script
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .fault_of(&head);
    let mut rate = None;
    let mut cut_request = None;
    match fault {
        Some(Fault::Refuse(refusal)) => {
            copy(client, &mut tokio::io::sink(), head.length, None).await?;
            return refuse(client, &head, refusal).await;
        }
        Some(Fault::Reset) => return reset(client),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Delay(delay)) => sleep(delay).await,
        Some(Fault::Throttle(bytes)) => rate = Some(bytes),
        Some(Fault::CutRequest(bytes)) => cut_request = Some(bytes),
        _ => {}
    }
    let mut store = BufReader::new(TcpStream::connect(upstream).await?);
    store.write_all(&head.text).await?;
    if head.expects {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if let Some(bytes) = cut_request {
        copy(client, &mut store, head.length.min(bytes), None).await?;
        return reset(client);
    }
    copy(client, &mut store, head.length, rate).await?;
    let answer = loop {
        let answer = Head::read(&mut store)
            .await?
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        if answer.target != "100" {
            break answer;
        }
    };
    match fault {
        Some(Fault::RefuseAfter(refusal)) => return refuse(client, &head, refusal).await,
        Some(Fault::ResetAfter) => return reset(client),
        _ => {}
    }
    client.write_all(&answer.text).await?;
    if head.method == "HEAD" || matches!(&*answer.target, "204" | "304") {
        return Ok(true);
    }
    match fault {
        Some(Fault::CutAnswer(bytes)) => {
            copy(&mut store, client, answer.length.min(bytes), None).await?;
            client.shutdown().await?;
            return Ok(false);
        }
        Some(Fault::SilenceWithin(bytes)) => {
            copy(&mut store, client, answer.length.min(bytes), None).await?;
            std::future::pending::<()>().await;
        }
        _ if answer.is_chunked => copy_chunks(&mut store, client).await?,
        _ => copy(&mut store, client, answer.length, rate).await?,
    }
    Ok(true)
}

/// A request's head, or an answer's.
struct Head {
    text: Vec<u8>,
    method: String,
    /// Path and query of a request; the status of an answer
    target: String,
    length: u64,
    is_chunked: bool,
    /// Whether the client waits to be told to go on
    expects: bool,
}

impl Head {
    /// `None` when the connection ends before.
    async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => text.push(byte),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && text.is_empty() => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        let lines = String::from_utf8_lossy(&text).into_owned();
        let mut lines = lines.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default().to_owned();
        let headers: HeaderMap = lines
            .filter_map(|line| line.split_once(':'))
            .filter_map(|(name, value)| {
                Some((
                    name.parse::<HeaderName>().ok()?,
                    value.trim().parse::<HeaderValue>().ok()?,
                ))
            })
            .collect();
        let text_of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let length = text_of("content-length").map_or(0, |length| length.parse().unwrap_or(0));
        Ok(Some(Self {
            length,
            is_chunked: text_of("transfer-encoding").is_some(),
            expects: text_of("expect").is_some(),
            text,
            method,
            target,
        }))
    }
}

/// Copies `length` bytes, with at most `rate` of them in a second.
async fn copy(
    from: &mut BufReader<TcpStream>,
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    length: u64,
    rate: Option<u64>,
) -> io::Result<()> {
    let mut left = length;
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = from.read(&mut piece[..most]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&piece[..read]).await?;
        left -= read as u64;
        if let Some(rate) = rate {
            sleep(Duration::from_micros(read as u64 * 1_000_000 / rate)).await;
        }
    }
    to.flush().await
}

/// Copies chunks up to the last one.
async fn copy_chunks(from: &mut BufReader<TcpStream>, to: &mut BufReader<TcpStream>) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(from.read_u8().await?);
        }
        let text = String::from_utf8_lossy(&line);
        let size = text.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        to.write_all(&line).await?;
        copy(from, to, size + 2, None).await?;
        if size == 0 {
            return Ok(());
        }
    }
}

async fn refuse(client: &mut BufReader<TcpStream>, request: &Head, refusal: Refusal) -> io::Result<bool> {
    let Refusal {
        status,
        code,
        retry_after,
    } = refusal;
    let body = match code {
        "" => String::new(),
        code => format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"
        ),
    };
    let retry = retry_after.map_or_else(String::new, |seconds| format!("Retry-After: {seconds}\r\n"));
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Fault\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n{retry}\r\n"
    );
    client.write_all(head.as_bytes()).await?;
    if request.method != "HEAD" {
        client.write_all(body.as_bytes()).await?;
    }
    Ok(true)
}

/// Ends the connection with a reset.
fn reset(client: &mut BufReader<TcpStream>) -> io::Result<bool> {
    client.get_mut().set_zero_linger()?;
    Ok(false)
}
