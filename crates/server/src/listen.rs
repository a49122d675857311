//! Where clients come in: binding an address, accepting within limits, and draining at the end.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    sync::{Semaphore, watch},
    time,
};

use crate::{App, conn, port_owner};

/// Connections that the kernel holds for us while we are at our limit.
const BACKLOG: u32 = 1024;

/// registry:2 sends keep-alive probes after three minutes of silence, too.
const KEEPALIVE: Duration = Duration::from_secs(180);

/// How long to wait when the system has no descriptor or memory for another connection.
const BACK_OFF: Duration = Duration::from_millis(200);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The text is not an address.
    #[error("`{address}` is not an address to listen on; write `host:port` or `:port`")]
    Address {
        /// What was given.
        address: String,
    },
    /// Someone listens there.
    #[error("cannot listen on {address}: the port is in use{}", owner.as_deref().map(|owner| format!(" by {owner}")).unwrap_or_default())]
    InUse {
        /// Where.
        address: SocketAddr,
        /// Who, where that can be found out: `pid 123 (nginx)`.
        owner: Option<String>,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// What was given.
        address: String,
        /// Why.
        source: io::Error,
    },
}

/// Listens on `address`: `host:port`, or `:port` for all addresses, IPv6 and IPv4.
///
/// # Errors
/// Names who holds a port that is in use, where `/proc` tells.
pub async fn bind(address: &str) -> Result<TcpListener, BindError> {
    let mut last = None;
    for candidate in candidates(address).await? {
        match listen_on(candidate) {
            Ok(listener) => return Ok(listener),
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
    }))
}

/// What to try, in this order.
async fn candidates(address: &str) -> Result<Vec<SocketAddr>, BindError> {
    let not_an_address = || BindError::Address {
        address: address.to_owned(),
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(not_an_address)?;
    let port: u16 = port.parse().map_err(|_| not_an_address())?;
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
    socket.listen(BACKLOG)
}

/// Accepts until `shutdown`, then drains. Returns how many connections had to be cut.
pub(crate) async fn run(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) -> usize {
    let limits = app.options.limits;
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (drain, draining) = watch::channel(false);
    // Linux hands these options on to every accepted socket: no calls for each connection.
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / 6);
    if let Err(error) = SockRef::from(&listener).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "keep-alive probes are off");
    }

    let accept_all = async {
        let mut acceptor = Acceptor {
            listener,
            is_failing: false,
        };
        loop {
            let slot = acquire(&slots).await;
            let (stream, client) = acceptor.accept().await;
            let (app, draining) = (Arc::clone(&app), draining.clone());
            tokio::spawn(async move {
                conn::serve(app, stream, client, draining).await;
                drop(slot);
            });
        }
    };
    tokio::select! {
        () = shutdown => {}
        never = pin!(accept_all) => match never {},
    }

    drain.send_replace(true);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    match time::timeout(limits.drain, slots.acquire_many(all)).await {
        Ok(_all_slots) => 0,
        Err(_elapsed) => limits.connections - slots.available_permits(),
    }
}

/// A slot for one more connection; says so once when all are taken.
async fn acquire(slots: &Arc<Semaphore>) -> Option<tokio::sync::OwnedSemaphorePermit> {
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return Some(slot);
    }
    tracing::warn!("all connections that the limit allows are in use; new ones wait");
    Arc::clone(slots).acquire_owned().await.ok()
}

struct Acceptor {
    listener: TcpListener,
    is_failing: bool,
}

impl Acceptor {
    /// The next connection. A failure is logged once until it is over, and waited out.
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, client)) => {
                    self.is_failing = false;
                    // Without it, small answers wait for the client's delayed acknowledgement.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%client, %error, "a connection broke");
                        continue;
                    }
                    return (stream, client);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::error!(%error, "cannot accept connections; trying again until it works");
                    }
                    time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// Whether the error ends one connection, not our ability to accept others.
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
        let address = first.local_addr().unwrap();
        let error = bind(&address.to_string()).await.unwrap_err().to_string();
        let pid = std::process::id();
        assert!(error.contains(&format!("in use by pid {pid} (")), "{error}");
    }

    #[tokio::test]
    async fn a_port_alone_means_all_addresses() {
        let listener = bind(":0").await.unwrap();
        assert!(listener.local_addr().unwrap().ip().is_unspecified());
    }

    #[tokio::test]
    async fn nonsense_is_named() {
        for bad in ["", "5000", "localhost", "localhost:http", "localhost:70000"] {
            let error = bind(bad).await.unwrap_err().to_string();
            assert!(error.contains("write `host:port`"), "{bad}: {error}");
        }
    }
}
