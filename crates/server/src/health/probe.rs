//! The probes of health checks: the store, a file, an address, a URL.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, Uri, header};
use tokio::{net::TcpStream, time};
use wharf_storage::{ErrorKind, Storage};

use wharf_client::outgoing;

/// Maximum number of redirects that are followed, as in registry:2.
const REDIRECTS: usize = 10;

/// A probe of the store or of a target outside the server.
pub enum Probe {
    /// Whether the store can be used.
    Storage {
        /// The store of the registry.
        storage: Arc<dyn Storage>,
        /// Whether the registry is read-only: a store that can only be read does not fail.
        only_read: bool,
        /// Longest time until the store answers.
        timeout: Duration,
    },
    /// A target outside the server.
    Target(Target),
}

/// A target outside the server: data only.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Path of a file; fails as long as it exists.
    File(PathBuf),
    /// An address; fails if it does not accept connections.
    Tcp {
        /// Address, as `host:port`.
        address: String,
        /// Longest time until a connection.
        timeout: Duration,
    },
    /// A URL; fails if it does not answer the expected status.
    Http(Box<HttpProbe>),
}

/// A probe by an HTTP request.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpProbe {
    /// URL, as `http://…`.
    pub uri: Uri,
    /// Headers of the request; values that may be secrets must be marked as sensitive.
    pub headers: HeaderMap,
    /// Expected status.
    pub status: StatusCode,
    /// Longest time until the answer.
    pub timeout: Duration,
}

impl Probe {
    /// Runs the probe once. The error is a sentence for operators.
    pub(super) async fn look(&self) -> Result<(), String> {
        match self {
            Self::Storage {
                storage,
                only_read,
                timeout,
            } => storage_works(&**storage, *only_read, *timeout).await,
            Self::Target(Target::File(path)) => no_file(path.clone()).await,
            Self::Target(Target::Tcp { address, timeout }) => listens(address, *timeout).await,
            Self::Target(Target::Http(probe)) => probe.look().await,
        }
    }
}

async fn storage_works(storage: &dyn Storage, only_read: bool, timeout: Duration) -> Result<(), String> {
    match time::timeout(timeout, storage.check()).await {
        Err(_elapsed) => Err(format!(
            "the store has not answered for {timeout:?}: look at the disk or the file server below it"
        )),
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == ErrorKind::ReadOnly && only_read => Ok(()),
        Ok(Err(error)) if error.kind() == ErrorKind::ReadOnly => Err(format!(
            "{error}: pushes would fail; remount it, or set `storage.maintenance.readonly.enabled` to serve pulls only"
        )),
        Ok(Err(error)) => Err(format!("the store cannot be used: {error}")),
    }
}

/// Checks the file on a thread that may block: it may be on a file server that does not answer.
async fn no_file(path: PathBuf) -> Result<(), String> {
    let exists = tokio::task::spawn_blocking(move || path.try_exists()).await;
    match exists {
        Ok(Ok(false)) => Ok(()),
        Ok(Ok(true)) => Err("file exists: this server counts as unhealthy until it is removed".to_owned()),
        Ok(Err(error)) => Err(format!("cannot check whether the file exists: {error}")),
        Err(_) => Err("cannot check whether the file exists: the check failed".to_owned()),
    }
}

async fn listens(address: &str, timeout: Duration) -> Result<(), String> {
    match time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(_connection)) => Ok(()),
        Ok(Err(error)) => Err(format!("connection to `{address}` failed: {error}")),
        Err(_elapsed) => Err(format!(
            "connection to `{address}` failed: no answer within {timeout:?}"
        )),
    }
}

impl HttpProbe {
    async fn look(&self) -> Result<(), String> {
        let status = match time::timeout(self.timeout, self.status_after_redirects()).await {
            Ok(status) => status?,
            Err(_elapsed) => return Err(format!("no answer within {:?}", self.timeout)),
        };
        if status == self.status {
            Ok(())
        } else {
            Err(format!(
                "downstream service returned unexpected status: {} where {} is expected",
                status.as_u16(),
                self.status.as_u16()
            ))
        }
    }

    async fn status_after_redirects(&self) -> Result<StatusCode, String> {
        let mut uri = self.uri.clone();
        for _ in 0..=REDIRECTS {
            let place = |uri: &Uri| (uri.scheme().cloned(), uri.authority().cloned());
            let is_elsewhere = place(&uri) != place(&self.uri);
            let (status, location) = self.head(&uri, is_elsewhere).await?;
            match location.filter(|_| status.is_redirection()) {
                Some(location) => uri = redirected(&uri, &location)?,
                None => return Ok(status),
            }
        }
        Err(format!("more than {REDIRECTS} redirects"))
    }

    /// Sends a `HEAD` request. Headers may hold a password: they are sent to the configured scheme and host only,
    /// never after a redirect to another.
    async fn head(&self, uri: &Uri, is_elsewhere: bool) -> Result<(StatusCode, Option<String>), String> {
        let mut request = outgoing::occasional()?.head(uri.to_string());
        if !is_elsewhere {
            request = request.headers(self.headers.clone());
        }
        let response = request.send().await.map_err(|error| outgoing::reason(&error))?;
        let location = response.headers().get(header::LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        Ok((response.status(), location.map(str::to_owned)))
    }
}

fn redirected(from: &Uri, location: &str) -> Result<Uri, String> {
    let to = match (from.scheme_str(), from.authority()) {
        (Some(scheme), Some(authority)) if location.starts_with('/') && !location.starts_with("//") => {
            format!("{scheme}://{authority}{location}")
        }
        _ => location.to_owned(),
    };
    match to.parse::<Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() => Ok(uri),
        _ => Err("the answer redirects to a URL that is not `http://` or `https://`".to_owned()),
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage {
                only_read, timeout, ..
            } => f
                .debug_struct("Storage")
                .field("only_read", only_read)
                .field("timeout", timeout)
                .finish_non_exhaustive(),
            Self::Target(target) => target.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use wharf_storage::{
        faulty::{Fault, Faulty},
        object::ObjectStorage,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Answers each connection with the next of `answers`; gives what was asked.
    async fn server(answers: Vec<String>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                asked.push(String::from_utf8(head).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (address, task)
    }

    fn probe(address: &str, status: u16) -> Probe {
        let mut headers = HeaderMap::new();
        headers.insert("x-key", "secret".parse().unwrap());
        Probe::Target(Target::Http(Box::new(HttpProbe {
            uri: format!("http://{address}/up?x=1").parse().unwrap(),
            headers,
            status: StatusCode::from_u16(status).unwrap(),
            timeout: PATIENCE,
        })))
    }

    fn answer(status: &str, headers: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n")
    }

    #[tokio::test]
    async fn a_url_is_asked_with_its_headers() {
        let (address, asked) = server(vec![answer("204 No Content", "")]).await;
        probe(&address, 204).look().await.unwrap();
        let asked = asked.await.unwrap().remove(0);
        assert!(asked.starts_with("HEAD /up?x=1 HTTP/1.1\r\n"), "{asked}");
        assert!(
            asked.contains("x-key: secret") && asked.contains(&format!("host: {address}")),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn another_status_is_named() {
        let (address, _asked) = server(vec![answer("500 Oh", "")]).await;
        let why = probe(&address, 200).look().await.unwrap_err();
        assert_eq!(
            why,
            "downstream service returned unexpected status: 500 where 200 is expected"
        );
    }

    #[tokio::test]
    async fn redirects_are_followed_without_secrets_for_strangers() {
        let (stranger, asked_stranger) = server(vec![answer("200 OK", "")]).await;
        let redirects = vec![
            answer("302 Found", "Location: /there\r\n"),
            answer("301 Moved", &format!("Location: http://{stranger}/x\r\n")),
        ];
        let (address, asked) = server(redirects).await;
        probe(&address, 200).look().await.unwrap();
        let asked = asked.await.unwrap();
        assert!(
            asked[1].starts_with("HEAD /there ") && asked[1].contains("secret"),
            "{asked:?}"
        );
        let asked = asked_stranger.await.unwrap();
        assert!(
            asked[0].starts_with("HEAD /x ") && !asked[0].contains("secret"),
            "{asked:?}"
        );
        assert!(redirected(&"https://a/".parse().unwrap(), "/b").is_ok_and(|uri| uri == "https://a/b"));
        assert!(redirected(&"http://a/".parse().unwrap(), "file:///a/").is_err());
        assert!(redirected(&"http://a/".parse().unwrap(), "//b/").is_err());
    }

    #[tokio::test]
    async fn somebody_must_listen() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let tcp = Probe::Target(Target::Tcp {
            address: address.clone(),
            timeout: PATIENCE,
        });
        tcp.look().await.unwrap();
        drop(listener);
        for probe in [tcp, probe(&address, 200)] {
            let why = probe.look().await.unwrap_err();
            assert!(why.contains("refused"), "{why}");
        }
    }

    #[tokio::test]
    async fn a_store_that_fails_is_not_well() {
        let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
        let probe = |only_read| Probe::Storage {
            storage: Arc::clone(&faulty) as _,
            only_read,
            timeout: PATIENCE,
        };
        probe(false).look().await.unwrap();
        faulty.inject(Fault::before(ErrorKind::ReadOnly));
        let why = probe(false).look().await.unwrap_err();
        assert!(why.contains("readonly.enabled"), "{why}");
        probe(true).look().await.unwrap();
    }
}
