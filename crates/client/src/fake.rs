//! A server that answers as a test says, one request on each connection.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use crate::{Client, Notices, Options};

/// A server. Its thread ends with the process of the test.
pub(crate) struct Fake {
    address: SocketAddr,
}

/// A request that came.
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
}

/// What is answered.
pub(crate) enum Reply {
    /// A status, headers and a body.
    Answer(u16, Vec<(String, String)>, String),
    /// Nothing: the connection is closed.
    Reset,
    /// A byte of a large body now and then, as long as the client waits.
    Drip,
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = Arc::clone(&answer);
                thread::spawn(move || {
                    // A client that goes away early is its own affair.
                    _ = serve(&stream, &|asked| match &*asked.path {
                        "/v2/" => Reply::json(200, "{}"),
                        _ => answer(asked, address),
                    });
                });
            }
        });
        Self { address }
    }

    /// A client that is connected to it.
    pub(crate) async fn client(&self, notices: Notices) -> Client {
        let address = format!("http://{}", self.address).parse().unwrap();
        let options = Options {
            notices,
            ..Options::default()
        };
        Client::connect(&address, options).await.unwrap()
    }
}

fn serve(mut stream: &TcpStream, answer: &dyn Fn(&Asked) -> Reply) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut asked = Asked {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        authorization: None,
    };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        match &*name.to_ascii_lowercase() {
            "authorization" => asked.authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    match answer(&asked) {
        Reply::Reset => Ok(()),
        Reply::Answer(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
            for (name, value) in headers {
                head += &format!("{name}: {value}\r\n");
            }
            if status != 204 {
                head += &format!("Content-Length: {}\r\n", body.len());
            }
            write!(stream, "{head}\r\n{body}")
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
