//! `wharf healthcheck`: asks the registry of this machine or container whether it is healthy.

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::{ffi::OsStringExt as _, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::config::{self, Listen};

/// Timeout of each step; a registry that needs longer counts as down.
const PATIENCE: Duration = Duration::from_secs(3);

/// Plain HTTP, to a TLS port as well: its refusal is a sign of life, and needs no trust in its certificate.
const REQUEST: &[u8] = b"GET / HTTP/1.0\r\nHost: localhost\r\nUser-Agent: wharf-healthcheck\r\n\r\n";

/// Succeeds when the registry answers with any status but 503.
pub(crate) fn run(path: Option<&Path>) -> anyhow::Result<()> {
    let served = path.map(Path::to_owned).or_else(configuration_of_the_container);
    let settings = config::load(served.as_deref())?;
    match answer(&settings.listen)? {
        503 => bail!(
            "the registry says that it is not healthy; `/debug/health` on `http.debug.addr` names the reason"
        ),
        _ => Ok(()),
    }
}

/// The status with which the server at an address answers; 503 says that it is not healthy.
///
/// # Errors
///
/// When no server answers in time, or not in HTTP.
pub(super) fn answer(listen: &Listen) -> anyhow::Result<u16> {
    match listen {
        Listen::Tcp(address) => ask(connect(address)?),
        Listen::Unix(path, _) => {
            let stream = UnixStream::connect(path)
                .with_context(|| format!("no server answers at `{}`", path.display()))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            ask(stream)
        }
    }
}

fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let reachable = match address.strip_prefix(':') {
        Some(port) => format!("localhost:{port}"),
        None => address
            .replacen("0.0.0.0:", "127.0.0.1:", 1)
            .replacen("[::]:", "[::1]:", 1),
    };
    let mut last = None;
    for candidate in reachable
        .to_socket_addrs()
        .with_context(|| format!("cannot find `{reachable}`"))?
    {
        match TcpStream::connect_timeout(&candidate, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    let error = last.map_or_else(|| anyhow::anyhow!("it has no address"), anyhow::Error::from);
    Err(error.context(format!("no server answers at `{reachable}`")))
}

/// The status of the answer.
fn ask(mut stream: impl Read + Write) -> anyhow::Result<u16> {
    stream.write_all(REQUEST).context("cannot send the request")?;
    // `HTTP/1.0 200`
    let mut start = [0; 12];
    stream
        .read_exact(&mut start)
        .context("the registry does not answer")?;
    status(&start).context("the answer is not HTTP")
}

fn status(start: &[u8; 12]) -> Option<u16> {
    let (version, status) = std::str::from_utf8(start).ok()?.split_once(' ')?;
    version.starts_with("HTTP/").then_some(())?;
    status.parse().ok()
}

/// The configuration file of the registry that is the first process of this container. Its environment, the other
/// source of its configuration, is that of the container, and so of this process.
fn configuration_of_the_container() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "it is not a file of the store")]
    let line = std::fs::read("/proc/1/cmdline").ok()?;
    let words = line
        .split(|byte| *byte == 0)
        .map(|word| OsString::from_vec(word.to_vec()));
    served_file(&words.collect::<Vec<_>>())
}

fn served_file(words: &[OsString]) -> Option<PathBuf> {
    let [program, command, file, ..] = words else {
        return None;
    };
    let name = Path::new(program).file_name()?;
    let is_ours = [OsStr::new("registry"), OsStr::new("wharf")].contains(&name);
    (is_ours && command == "serve" && !file.is_empty()).then(|| file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_names_its_file() {
        let file = |words: &[&str]| served_file(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(
            file(&["/bin/registry", "serve", "/etc/c.yml", ""]),
            Some("/etc/c.yml".into())
        );
        assert_eq!(file(&["registry", "serve", ""]), None);
        assert_eq!(file(&["/sbin/init", "serve", "/etc/c.yml"]), None);
        assert_eq!(file(&["registry"]), None);
    }

    #[test]
    fn only_http_has_a_status() {
        assert_eq!(status(b"HTTP/1.0 200"), Some(200));
        assert_eq!(status(b"HTTP/1.1 503"), Some(503));
        assert_eq!(status(b"SSH-2.0-Open"), None);
    }
}
