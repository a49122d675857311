//! Listening on a unix socket, whose file stays behind when its server is killed and is removed otherwise.

use std::{
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::error::BindError;

/// The file of a socket; removed when dropped, if it is still the file that this process made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Listens at `path`. A socket on which no process answers is replaced; any other file is not.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    let cannot = |source| BindError::Other {
        address: path.display().to_string(),
        source,
    };
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_abandoned(path)?;
            UnixListener::bind(path)
        }
        result => result,
    };
    let listener = listener.map_err(cannot)?;
    let file = SocketFile {
        identity: identity_of(path).map_err(cannot)?,
        path: path.to_owned(),
    };
    Ok((listener, file))
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
        Ok(()) | Err(_) => Err(BindError::Answered {
            path: path.to_owned(),
        }),
    }
}

/// Connects without waiting for a server whose queue is full.
fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
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
        let abandoned = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(BindError::Answered { .. })));
        // As after `kill -9`: the file exists, and no process listens.
        drop(abandoned);
        let bound = bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(BindError::Answered { .. })));
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = directory();
        let path = directory.path().join("precious");
        drop(std::fs::File::create_new(&path).unwrap());
        let error = bind(&path).unwrap_err().to_string();
        assert!(error.contains("is not a socket"), "{error}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_is_left_alone() {
        let directory = directory();
        let path = directory.path().join("s");
        let first = bind(&path).unwrap();
        remove(&path).unwrap();
        let second = bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
