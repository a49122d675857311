//! A request of our own to somebody else, over a connection that is used once.

use std::{fmt, pin::pin, sync::OnceLock};

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::trust::{self, TrustError};

/// Sends `request` to where `uri` points, which also becomes its target and, unless it has one, its `Host`.
/// The caller bounds the time. Of the answer there is the head: its body is not read.
///
/// # Errors
/// A sentence for operators. It names no header, which may hold secrets, and no part of `uri`.
pub async fn send(uri: &Uri, request: Request<Full<Bytes>>) -> Result<Response<()>, String> {
    let authority = uri.authority().ok_or("no host to connect to")?;
    let is_encrypted = uri.scheme_str() == Some("https");
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority
        .port_u16()
        .unwrap_or(if is_encrypted { 443 } else { 80 });
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| failed(&error))?;
    if !is_encrypted {
        return exchange(uri, request, stream).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    let connector = connector().map_err(|error| failed(&error))?;
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|error| format!("TLS failed: {error}"))?;
    exchange(uri, request, stream).await
}

/// The authorities are read when somebody is asked over TLS for the first time.
fn connector() -> Result<TlsConnector, TrustError> {
    static CONNECTOR: OnceLock<Result<TlsConnector, TrustError>> = OnceLock::new();
    CONNECTOR.get_or_init(trust::connector).clone()
}

fn failed(error: &dyn fmt::Display) -> String {
    format!("no answer: {error}")
}

async fn exchange(
    uri: &Uri,
    mut request: Request<Full<Bytes>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Response<()>, String> {
    let authority = uri.authority().ok_or("no host to connect to")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse().map_err(|error| failed(&error))?;
    // Without a user and a password that may stand before it.
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    if let Ok(host) = host.try_into() {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    let mut answer = pin!(sender.send_request(request));
    let response = tokio::select! {
        biased;
        response = &mut answer => response,
        result = connection => match result {
            // The server has closed it: after an answer, or without one.
            Ok(()) => answer.await,
            Err(error) => Err(error),
        },
    };
    Ok(response.map_err(|error| failed(&error))?.map(drop))
}
