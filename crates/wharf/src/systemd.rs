//! The protocol of systemd: socket activation, and notifications of the server's state.
//!
//! Both are a few environment variables and one datagram (`sd_listen_fds(3)`, `sd_notify(3)`); no library is needed.

use std::{
    env, future, io,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram, UnixListener},
        },
    },
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use listenfd::ListenFd;
use rustix::net::{AddressFamily, SocketType};
use wharf_workers::{Periodic, Worker};

/// A socket that the service manager has opened.
#[derive(Debug)]
pub(crate) enum Inherited {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The socket that systemd has opened for the server (`LISTEN_FDS`), if there is one.
///
/// Must be called before there are threads: it removes the variables from the environment.
pub(crate) fn inherited_socket() -> anyhow::Result<Option<Inherited>> {
    let mut passed = ListenFd::from_env();
    match passed.len() {
        0 => return Ok(None),
        1 => {}
        count => bail!(
            "{count} sockets were passed by systemd, and only one can be served; leave one `ListenStream=` in the socket unit"
        ),
    }
    let stream = i32::try_from(SocketType::STREAM.as_raw())?;
    // A socket without an address in the unit, `ListenStream=5000`, is IPv6 and accepts both.
    for family in [AddressFamily::INET6, AddressFamily::INET] {
        let family = i32::from(family.as_raw());
        if let Ok(Some(listener)) = passed.take_custom::<TcpListener>(0, family, stream, "TCP socket") {
            return Ok(Some(Inherited::Tcp(listener)));
        }
    }
    let listener = passed.take_unix_listener(0).context(
        "what systemd passed is neither a TCP socket nor a unix stream socket; use `ListenStream=` in the socket unit",
    )?;
    Ok(listener.map(Inherited::Unix))
}

/// Notifies the service manager of the server's state, if there is a manager (`NOTIFY_SOCKET`).
#[derive(Debug)]
pub(crate) struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    pub(crate) fn new() -> Self {
        let manager = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let manager = manager.and_then(|name| match connect(name.as_bytes()) {
            Ok(manager) => Some(manager),
            Err(error) => {
                tracing::warn!(%error, "cannot reach the service manager at $NOTIFY_SOCKET");
                None
            }
        });
        Self { manager }
    }

    /// Notifies that clients can connect.
    pub(crate) fn ready(&self, address: &str) {
        self.send(&format!("READY=1\nSTATUS=listening on {address}"));
    }

    /// Notifies that the server is stopping.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping; running requests may finish");
    }

    /// The worker that says again and again that we are alive, where the manager restarts us otherwise
    /// (`WATCHDOG_USEC`). It runs beside the requests, so it falls silent when those no longer get their turn.
    pub(crate) fn watchdog(self: &Arc<Self>) -> Option<impl Worker + use<>> {
        let interval = watchdog_limit()? / 2;
        let notifier = Arc::clone(self);
        Some(Periodic::new("watchdog", Duration::ZERO, interval, move || {
            notifier.send("WATCHDOG=1");
            future::ready(Ok(String::new()))
        }))
    }

    fn send(&self, text: &str) {
        if let Some((socket, manager)) = &self.manager
            && let Err(error) = socket.send_to_addr(text.as_bytes(), manager)
        {
            tracing::warn!(%error, "cannot notify the service manager");
        }
    }
}

/// A new socket, and the manager's address: a path, or an abstract name that begins with `@`.
fn connect(name: &[u8]) -> io::Result<(UnixDatagram, SocketAddr)> {
    let manager = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    // A lost message is better than a server that waits for its manager.
    socket.set_nonblocking(true)?;
    Ok((socket, manager))
}

/// The longest silence that the manager accepts; `None`: it has no watchdog.
fn watchdog_limit() -> Option<Duration> {
    let text = |name| env::var(name).ok();
    if text("WATCHDOG_PID").is_some_and(|pid| pid != std::process::id().to_string()) {
        return None;
    }
    let limit = text("WATCHDOG_USEC")?.parse().ok()?;
    Some(Duration::from_micros(limit)).filter(|limit| !limit.is_zero())
}
