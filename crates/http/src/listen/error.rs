//! The error of listening on an address.

use std::{io, net::SocketAddr, path::PathBuf};

/// The longest path of a unix socket in bytes: Linux has room for 108, the last of which is zero.
pub const SOCKET_PATH_BYTES: usize = 107;

/// Reason why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The text is not an address.
    #[error("`{}` is not an address to listen on: {reason}; write `127.0.0.1:5000`, or `:5000` for all addresses of this machine", address.escape_debug())]
    Address {
        /// The address as it was given.
        address: String,
        /// Reason why it is not one.
        reason: &'static str,
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
    #[error("cannot listen on `{}`: another process{} answers there", path.display(), owner.as_deref().map(|owner| format!(", {owner},")).unwrap_or_default())]
    Answered {
        /// Path of the socket.
        path: PathBuf,
        /// The process that made the socket, such as `pid 123 (wharf)`, if it can be determined.
        owner: Option<String>,
    },
    /// The path is longer than the system takes for a socket.
    #[error("cannot listen on `{}`: it has {} bytes, and the path of a unix socket may have {SOCKET_PATH_BYTES}; choose a shorter path", path.display(), path.as_os_str().len())]
    TooLong {
        /// Path of the socket.
        path: PathBuf,
    },
    /// The file at the path is not a socket; it is not replaced.
    #[error("cannot listen on `{}`: the file there is not a socket; remove it, or choose another path", path.display())]
    NotASocket {
        /// Path of the file.
        path: PathBuf,
    },
    /// The socket cannot be given to its group, or have its mode.
    #[error("cannot listen on `{}`: {reason}", path.display())]
    Owner {
        /// Path of the socket.
        path: PathBuf,
        /// Reason, with its cause.
        reason: String,
    },
    /// The system refuses to listen.
    #[error("cannot listen on {address}")]
    Other {
        /// The address as it was given.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
}
