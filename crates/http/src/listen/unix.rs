//! Listening on a unix socket, whose file stays behind when its server is killed and is removed otherwise.

use std::{
    fs::Permissions,
    io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net,
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::{
    BACKLOG,
    error::{BindError, SOCKET_PATH_BYTES},
};
use crate::port_owner;

/// Group and mode of a socket's file, which decide which processes may connect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketOwner {
    /// Name or number of the group; `None`: that of the process.
    pub group: Option<String>,
    /// Permissions; `None`: 0777 less the umask.
    pub mode: Option<u32>,
}

/// The file of a socket; removed when dropped, if it is still the file that this process made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Listens at `path`. A socket on which no process answers is replaced; any other file is not.
pub(super) fn bind(path: &Path, owner: &SocketOwner) -> Result<(UnixListener, SocketFile), BindError> {
    let cannot = |source| BindError::Other {
        address: path.display().to_string(),
        source,
    };
    if path.as_os_str().len() > SOCKET_PATH_BYTES {
        return Err(BindError::TooLong {
            path: path.to_owned(),
        });
    }
    let socket = match bound(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_abandoned(path)?;
            bound(path)
        }
        result => result,
    };
    let socket = socket.map_err(cannot)?;
    let file = SocketFile {
        identity: identity_of(path).map_err(cannot)?,
        path: path.to_owned(),
    };
    // Before it listens: no client connects by other rights than these.
    owner.apply(path)?;
    socket.listen(BACKLOG).map_err(cannot)?;
    let listener = UnixListener::from_std(net::UnixListener::from(socket)).map_err(cannot)?;
    Ok((listener, file))
}

fn bound(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

impl SocketOwner {
    fn apply(&self, path: &Path) -> Result<(), BindError> {
        let cannot = |what: &str, error: io::Error| BindError::Owner {
            path: path.to_owned(),
            reason: format!("{what}: {error}"),
        };
        if let Some(group) = &self.group {
            let id = group_id(group).ok_or_else(|| BindError::Owner {
                path: path.to_owned(),
                reason: format!("there is no group `{}` on this machine", group.escape_debug()),
            })?;
            let changed = std::os::unix::fs::chown(path, None, Some(id));
            changed.map_err(|error| {
                cannot(
                    &format!("cannot give it to the group `{group}`, of which the user of this process must be a member"),
                    error,
                )
            })?;
        }
        if let Some(mode) = self.mode {
            let changed = std::fs::set_permissions(path, Permissions::from_mode(mode));
            changed.map_err(|error| cannot(&format!("cannot set its mode to {mode:04o}"), error))?;
        }
        Ok(())
    }
}

/// The number of a group that is named, or given as a number.
fn group_id(group: &str) -> Option<u32> {
    if let Ok(id) = group.parse() {
        return Some(id);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the groups of the machine are not in the store"
    )]
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(group);
        is_it.then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

fn remove_abandoned(path: &Path) -> Result<(), BindError> {
    let cannot = |source| BindError::Other {
        address: path.display().to_string(),
        source,
    };
    if !path.symlink_metadata().map_err(cannot)?.file_type().is_socket() {
        return Err(BindError::NotASocket {
            path: path.to_owned(),
        });
    }
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => remove(path).map_err(cannot),
        // A process listens, or has a full queue, or we may not ask.
        other => Err(BindError::Answered {
            path: path.to_owned(),
            owner: other.ok().and_then(listener_of),
        }),
    }
}

/// Connects without waiting for a server whose queue is full.
fn connect(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// The process that listens at the other end. Needs a runtime.
fn listener_of(socket: Socket) -> Option<String> {
    let stream = UnixStream::from_std(net::UnixStream::from(socket)).ok()?;
    // The kernel says 0 for a process in another namespace.
    let pid = stream.peer_cred().ok()?.pid().filter(|&pid| pid > 0)?;
    Some(port_owner::described(pid.unsigned_abs()))
}

fn identity_of(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = path.symlink_metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

#[expect(clippy::disallowed_methods, reason = "the socket is not in the store")]
fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = identity_of(&self.path).is_ok_and(|found| found == self.identity);
        if is_ours && let Err(error) = remove(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::Builder::new()
            .prefix("wharf-socket-")
            .tempdir()
            .unwrap()
    }

    #[tokio::test]
    async fn a_socket_is_made_replaced_and_removed() {
        let directory = directory();
        let path = directory.path().join("s");
        let abandoned = net::UnixListener::bind(&path).unwrap();
        assert!(matches!(
            bind(&path, &SocketOwner::default()),
            Err(BindError::Answered { .. })
        ));
        // As after `kill -9`: the file exists, and no process listens.
        drop(abandoned);
        let bound = bind(&path, &SocketOwner::default()).unwrap();
        let error = bind(&path, &SocketOwner::default()).unwrap_err().to_string();
        let owner = format!("another process, pid {} (", std::process::id());
        assert!(error.contains(&owner), "{error}");
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_says_how_long_it_may_be() {
        let directory = directory();
        let bytes = directory.path().as_os_str().len() + 1;
        let path = |length: usize| directory.path().join("x".repeat(length - bytes));
        drop(bind(&path(SOCKET_PATH_BYTES), &SocketOwner::default()).unwrap());
        let error = bind(&path(SOCKET_PATH_BYTES + 1), &SocketOwner::default()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("it has 108 bytes") && error.contains("may have 107"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_socket_has_its_mode_before_a_client_can_connect() {
        let directory = directory();
        let path = directory.path().join("s");
        let owner = SocketOwner {
            group: None,
            mode: Some(0o600),
        };
        let _bound = bind(&path, &owner).unwrap();
        assert_eq!(
            path.symlink_metadata().unwrap().permissions().mode() & 0o7777,
            0o600
        );
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = directory();
        let path = directory.path().join("precious");
        drop(std::fs::File::create_new(&path).unwrap());
        let error = bind(&path, &SocketOwner::default()).unwrap_err().to_string();
        assert!(error.contains("is not a socket"), "{error}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_is_left_alone() {
        let directory = directory();
        let path = directory.path().join("s");
        let first = bind(&path, &SocketOwner::default()).unwrap();
        remove(&path).unwrap();
        let second = bind(&path, &SocketOwner::default()).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
