//! Listening: binding an address, and accepting connections on it.

mod error;
mod unix;

pub use self::{
    error::{BindError, SOCKET_PATH_BYTES},
    unix::SocketOwner,
};

use std::{
    fmt, io,
    net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::net as unix_net,
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpSocket, UnixListener, lookup_host},
    time,
};

use crate::{port_owner, socket::Socket};

/// Connections that the kernel queues while the server is at its limit.
const BACKLOG: i32 = 1024;

/// Silence after which TCP keep-alive probes are sent, and the interval between them. The peer of a running request is
/// found to be gone after twice this time and a half.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Pause when the system has no descriptor or memory for another connection.
const BACK_OFF: Duration = Duration::from_millis(200);

/// A socket on which clients may connect. Dropping it closes it, and removes the file that it made.
#[derive(Debug)]
pub struct Listener {
    socket: ListeningSocket,
    _file: Option<unix::SocketFile>,
}

#[derive(Debug)]
enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The address of a [`Listener`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// Host and port.
    Tcp(SocketAddr),
    /// Path of a unix socket; `None`: the socket has no path.
    Unix(Option<PathBuf>),
}

impl ListenAddress {
    /// Whether only this machine can connect, without a proxy for other machines.
    pub fn is_loopback(&self) -> bool {
        // A unix socket is made for a proxy, which stands where other machines can connect.
        matches!(self, Self::Tcp(address) if address.ip().is_loopback())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(Some(path)) => path.display().fmt(f),
            Self::Unix(None) => f.write_str("a socket without a path"),
        }
    }
}

impl Listener {
    /// A listener on a TCP socket that another process has made, such as systemd. Needs a runtime.
    ///
    /// # Errors
    /// When the runtime cannot use it.
    pub fn of_tcp(listener: net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(ListeningSocket::Tcp(TcpListener::from_std(listener)?).into())
    }

    /// A listener on a unix socket that another process has made; its file stays when the listener is dropped.
    ///
    /// # Errors
    /// When the runtime cannot use it.
    pub fn of_unix(listener: unix_net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(ListeningSocket::Unix(UnixListener::from_std(listener)?).into())
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the system cannot tell the address.
    pub fn address(&self) -> io::Result<ListenAddress> {
        Ok(match &self.socket {
            ListeningSocket::Tcp(listener) => ListenAddress::Tcp(listener.local_addr()?),
            ListeningSocket::Unix(listener) => {
                ListenAddress::Unix(listener.local_addr()?.as_pathname().map(Path::to_owned))
            }
        })
    }

    /// Makes an acceptor of connections.
    ///
    /// `unacknowledged` is the time after which TCP gives up a client that takes nothing it was sent. It is not shorter
    /// than the limit for such clients: the kernel counts one that lives, and whose window is closed, as well.
    pub(crate) fn into_acceptor(self, unacknowledged: Duration) -> Acceptor {
        // Linux hands these options on to every accepted socket: no calls for each connection.
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE / 6);
        if let ListeningSocket::Tcp(listener) = &self.socket {
            let socket = SockRef::from(listener);
            let set = socket
                .set_tcp_keepalive(&keepalive)
                .and_then(|()| socket.set_tcp_user_timeout(Some(unacknowledged)));
            if let Err(error) = set {
                tracing::debug!(%error, "TCP does not look for peers that are gone");
            }
        }
        Acceptor {
            listener: self,
            is_failing: false,
        }
    }

    async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match &self.socket {
            ListeningSocket::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                Ok((Socket::Tcp(stream), Some(client)))
            }
            ListeningSocket::Unix(listener) => {
                let (stream, _nameless) = listener.accept().await?;
                Ok((Socket::Unix(stream), None))
            }
        }
    }
}

impl From<ListeningSocket> for Listener {
    fn from(socket: ListeningSocket) -> Self {
        Self { socket, _file: None }
    }
}

/// Listens on the unix socket at `path`. A socket that a killed server left there is replaced; the listener removes
/// its file when dropped. By default the mode is 0777 less the umask, as in registry:2: usually only the same user can
/// connect.
///
/// # Errors
/// When another process answers on the socket, the file at `path` is not a socket, the path is longer than
/// [`SOCKET_PATH_BYTES`], or the socket cannot be given to `owner`.
pub fn bind_unix(path: &Path, owner: &SocketOwner) -> Result<Listener, BindError> {
    let (listener, file) = unix::bind(path, owner)?;
    Ok(Listener {
        socket: ListeningSocket::Unix(listener),
        _file: Some(file),
    })
}

/// Listens on `address`: `host:port`, or `:port` for all addresses, IPv6 and IPv4.
///
/// # Errors
/// When the address cannot be listened on. The error names the process that holds a port in use, if `/proc` shows it.
pub async fn bind(address: &str) -> Result<Listener, BindError> {
    let mut last = None;
    for candidate in candidates(address).await? {
        match listen_on(candidate) {
            Ok(listener) => return Ok(ListeningSocket::Tcp(listener).into()),
            Err(source) if source.kind() == io::ErrorKind::AddrInUse => {
                return Err(BindError::InUse {
                    address: candidate,
                    owner: port_owner::find(candidate.port()),
                });
            }
            Err(source) => {
                last = Some(BindError::Other {
                    address: candidate.to_string(),
                    source,
                });
            }
        }
    }
    Err(last.unwrap_or_else(|| BindError::Address {
        address: address.to_owned(),
        reason: "its host has no address",
    }))
}

/// Checks the form of an address for [`bind`], without looking its host up.
///
/// # Errors
/// When it is not `host:port` or `:port`.
pub fn check_address(address: &str) -> Result<(), BindError> {
    parts(address).map(drop)
}

/// Host and port of an address.
fn parts(address: &str) -> Result<(&str, u16), BindError> {
    let wrong = |reason| BindError::Address {
        address: address.to_owned(),
        reason,
    };
    if address.contains("://") {
        return Err(wrong("it is a URL, and no scheme belongs there"));
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
    let port = port
        .parse()
        .map_err(|_| wrong("its port is no number from 0 to 65535"))?;
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !is_bracketed {
        return Err(wrong(
            "an IPv6 address stands in brackets there, as in `[::1]:5000`",
        ));
    }
    if host.contains(['/', ' ']) {
        return Err(wrong("its host is neither a name nor an address"));
    }
    Ok((host, port))
}

/// The socket addresses to try, in this order.
async fn candidates(address: &str) -> Result<Vec<SocketAddr>, BindError> {
    let (host, port) = parts(address)?;
    if host.is_empty() {
        // An IPv6 socket takes IPv4 as well; a machine without IPv6 needs the second.
        let any: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        return Ok(any.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    match lookup_host(address).await {
        Ok(found) => Ok(found.collect()),
        Err(source) => Err(BindError::Other {
            address: address.to_owned(),
            source,
        }),
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for connections of the last run to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG.unsigned_abs())
}

/// Accepts connections, and waits out failures, so that there is always a next connection.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: Listener,
    is_failing: bool,
}

impl Acceptor {
    /// The next connection. A failure is logged once until it is over, and accepting is tried again.
    ///
    /// `make_room` is called when the process or the system has no descriptor for another connection.
    pub(crate) async fn accept(&mut self, make_room: impl Fn()) -> (Socket, Option<SocketAddr>) {
        loop {
            match self.listener.accept().await {
                Ok((socket, client)) => {
                    self.is_failing = false;
                    // Without it, small answers wait for the client's delayed acknowledgement.
                    if let Socket::Tcp(stream) = &socket
                        && let Err(error) = stream.set_nodelay(true)
                    {
                        tracing::debug!(?client, %error, "a connection failed when it was accepted");
                        continue;
                    }
                    return (socket, client);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::error!(%error, "cannot accept connections; trying again until it works");
                    }
                    if is_out_of_descriptors(&error) {
                        make_room();
                    }
                    time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// Whether the process, or the system, has no descriptor left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    let out = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    rustix::io::Errno::from_io_error(error).is_some_and(|errno| out.contains(&errno))
}

/// Whether the error concerns one connection, and others can be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_names_its_owner() {
        let first = bind("127.0.0.1:0").await.unwrap();
        let address = first.address().unwrap();
        let error = bind(&address.to_string()).await.unwrap_err().to_string();
        let pid = std::process::id();
        assert!(error.contains(&format!("in use by pid {pid} (")), "{error}");
    }

    #[tokio::test]
    async fn a_port_alone_means_all_addresses() {
        let listener = bind(":0").await.unwrap();
        let address = listener.address().unwrap();
        assert!(
            matches!(address, ListenAddress::Tcp(address) if address.ip().is_unspecified()),
            "{address}"
        );
    }

    #[tokio::test]
    async fn nonsense_is_named() {
        for (bad, reason) in [
            ("", "no port"),
            ("5000", "no port"),
            ("localhost:http", "no number"),
            (":port", "no number"),
            ("localhost:70000", "no number"),
            ("tcp://127.0.0.1:5000", "is a URL"),
            ("::1:5000", "brackets"),
            ("a b:5000", "neither"),
        ] {
            let error = bind(bad).await.unwrap_err().to_string();
            assert!(error.contains(reason), "{bad}: {error}");
            assert!(error.contains("write `127.0.0.1:5000`"), "{bad}: {error}");
        }
    }
}
