//! `admin`: the control socket, through which the commands of the operator reach a running server.

use std::path::PathBuf;

use wharf_http::SOCKET_PATH_BYTES;
use wharf_storage::layout;

use super::{
    Admin, Engine, Settings,
    keys::{Default, Key, Since, keys},
    section::Section,
};

keys! {
    SOCKET: Option<String> = Key::new("admin.socket")
        .shown_default(Default::Words("`wharf/control.sock` in the directory of the data; none for a bucket"))
        .help("Path of the unix socket for the operator, with the mode 0600; its directory must exist")
        .since(Since::Ours);
}

/// Reads `admin`.
pub(super) fn read(root: &Section<'_>) -> Admin {
    let socket = root.get(SOCKET);
    if let Some(path) = &socket
        && path.len() > SOCKET_PATH_BYTES
    {
        let text = format!(
            "has {} bytes, and the path of a unix socket may have {SOCKET_PATH_BYTES}; choose a shorter one",
            path.len()
        );
        root.problem(SOCKET, &text);
    }
    Admin {
        socket: socket.map(PathBuf::from),
    }
}

/// The place of the control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlSocket {
    pub(crate) path: PathBuf,
    /// Whether the operator chose the path, and a start without the socket would surprise.
    pub(crate) is_chosen: bool,
}

impl Settings {
    /// The place of the control socket; `None`: the server has none. A store that is only read gets no socket in its directory,
    /// which may be mounted read-only, or be that of another server.
    pub(crate) fn control_socket(&self) -> Option<ControlSocket> {
        if let Some(path) = &self.admin.socket {
            return Some(ControlSocket {
                path: path.clone(),
                is_chosen: true,
            });
        }
        match &self.storage {
            Engine::Filesystem { root } if !self.server.read_only => Some(ControlSocket {
                path: root.join(layout::CONTROL_SOCKET),
                is_chosen: false,
            }),
            Engine::Filesystem { .. } | Engine::InMemory | Engine::S3(_) | Engine::Cloud(_) => None,
        }
    }
}
