//! TLS handshakes, for tests of the parameters that a server negotiates.

use std::net::SocketAddr;

use rustls::ProtocolVersion;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{connect, tls::Trust, waiting::PATIENCE};

/// The result of a handshake.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// Protocol of ALPN, such as `h2`.
    pub alpn: Option<String>,
    /// Version of TLS.
    pub version: ProtocolVersion,
    /// Cipher suite, by its name in rustls.
    pub suite: String,
    /// The server's own certificate.
    pub certificate: Vec<u8>,
    /// Whether a session was resumed.
    pub is_resumed: bool,
}

impl Trust {
    /// Makes a handshake with the server at `address`, and requests `/v2/` to be sure that it accepts the client.
    ///
    /// # Errors
    ///
    /// The message of the client's TLS library, when there is no connection.
    pub async fn shake_hands(&self, address: SocketAddr) -> Result<Handshake, String> {
        let exchange = async {
            let stream = TcpStream::connect(address).await?;
            let mut stream = connect::shake_hands(stream, self).await?;
            // A server of TLS 1.3 checks the client's certificate after the client has finished its handshake.
            stream
                .write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await?;
            stream.read_u8().await?;
            let (_, tls) = stream.get_ref();
            Ok(Handshake {
                alpn: tls
                    .alpn_protocol()
                    .map(|name| String::from_utf8_lossy(name).into_owned()),
                version: tls.protocol_version().unwrap(),
                suite: format!("{:?}", tls.negotiated_cipher_suite().unwrap().suite()),
                certificate: tls.peer_certificates().unwrap()[0].to_vec(),
                is_resumed: tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            })
        };
        let result: Result<_, std::io::Error> = timeout(PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| panic!("no handshake with {address} within {PATIENCE:?}"));
        result.map_err(|error| error.to_string())
    }
}
