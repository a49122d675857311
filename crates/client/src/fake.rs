//! A server that answers as a test says, one request on each connection.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use reqwest::Url;
use rustls::pki_types::PrivateKeyDer;

use crate::{
    Client, Notices, Options,
    upstream::{Upstream, UpstreamOptions},
};

/// A server. Its thread ends with the process of the test.
pub(crate) struct Fake {
    scheme: &'static str,
    address: SocketAddr,
}

/// A request that came.
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    /// All headers, by their names in lower case.
    headers: Vec<(String, String)>,
}

/// What is answered.
pub(crate) enum Reply {
    /// A status, headers and a body. A `Content-Length` among the headers may be wrong.
    Answer(u16, Vec<(String, String)>, String),
    /// Nothing: the connection is closed.
    Reset,
    /// A byte of a large body now and then, as long as the client waits.
    Drip,
    /// Nothing, as long as the client waits.
    Silence,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
    }
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let kind = ("Content-Type".to_owned(), "application/json".to_owned());
        Self::Answer(status, vec![kind], body.to_owned())
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer(_, headers, _) = &mut self {
            headers.retain(|(known, _)| known != name);
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

impl Fake {
    /// Starts it on a port of its own. The version check is answered with success.
    pub(crate) fn start(answer: impl Fn(&Asked, SocketAddr) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_over(None, answer)
    }

    /// The same over TLS, with a certificate that no authority has signed.
    pub(crate) fn start_tls(answer: impl Fn(&Asked, SocketAddr) -> Reply + Send + Sync + 'static) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::start_over(Some(Arc::new(config)), answer)
    }

    fn start_over(
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: impl Fn(&Asked, SocketAddr) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = Arc::clone(&answer);
                let tls = tls.clone();
                thread::spawn(move || {
                    let answer = |asked: &Asked| match &*asked.path {
                        "/v2/" => Reply::json(200, "{}"),
                        _ => answer(asked, address),
                    };
                    // A client that goes away early is its own affair.
                    _ = match tls {
                        None => serve(stream, &answer),
                        Some(config) => {
                            let connection = rustls::ServerConnection::new(config).unwrap();
                            serve(rustls::StreamOwned::new(connection, stream), &answer)
                        }
                    };
                });
            }
        });
        Self { scheme, address }
    }

    /// Its URL, without a path.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// A mirror's view of it, anonymous if `adjust` does not say otherwise.
    pub(crate) fn upstream(&self, adjust: impl FnOnce(&mut UpstreamOptions)) -> Upstream {
        let url: Url = self.url().parse().unwrap();
        let mut options = UpstreamOptions::new(url, "wharf-test".to_owned());
        adjust(&mut options);
        Upstream::new(options).unwrap()
    }

    /// A client that is connected to it.
    pub(crate) async fn client(&self, notices: Notices) -> Client {
        let address = self.url().parse().unwrap();
        let options = Options {
            notices,
            ..Options::default()
        };
        Client::connect(&address, options).await.unwrap()
    }
}

fn serve(stream: impl Read + Write, answer: &dyn Fn(&Asked) -> Reply) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut asked = Asked {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        authorization: None,
        headers: Vec::new(),
    };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        asked.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    asked.authorization = asked.header("authorization").map(str::to_owned);
    let length = asked
        .header("content-length")
        .and_then(|length| length.parse().ok());
    reader.read_exact(&mut vec![0; length.unwrap_or_default()])?;
    let reply = answer(&asked);
    let stream = reader.get_mut();
    match reply {
        Reply::Reset => Ok(()),
        Reply::Silence => stream.read_exact(&mut [0]),
        Reply::Answer(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
            let has_length = headers.iter().any(|(name, _)| name == "Content-Length");
            for (name, value) in headers {
                head += &format!("{name}: {value}\r\n");
            }
            if status != 204 && !has_length {
                head += &format!("Content-Length: {}\r\n", body.len());
            }
            let body = if asked.method == "HEAD" { "" } else { &body };
            write!(stream, "{head}\r\n{body}")?;
            stream.flush()
        }
        Reply::Drip => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
            loop {
                stream.write_all(b" ")?;
                thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}
