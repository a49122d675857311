//! The error of listening on an address.

use std::{io, net::SocketAddr, path::PathBuf};

/// Reason why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The text is not an address.
    #[error("`{address}` is not an address to listen on; write `host:port` or `:port`")]
    Address {
        /// The address as it was given.
        address: String,
    },
    /// The port is in use.
    #[error("cannot listen on {address}: the port is in use{}", owner.as_deref().map(|owner| format!(" by {owner}")).unwrap_or_default())]
    InUse {
        /// The address that is in use.
        address: SocketAddr,
        /// The process that listens there, such as `pid 123 (nginx)`, if it can be determined.
        owner: Option<String>,
    },
    /// Another process answers on the unix socket.
    #[error("cannot listen on `{}`: another process answers there", path.display())]
    Answered {
        /// Path of the socket.
        path: PathBuf,
    },
    /// The file at the path is not a socket; it is not replaced.
    #[error("cannot listen on `{}`: the file there is not a socket; remove it, or choose another path", path.display())]
    NotASocket {
        /// Path of the file.
        path: PathBuf,
    },
    /// The system refuses to listen.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address as it was given.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
}
