//! A request of our own to somebody else, over plain HTTP and a connection that is used once.

use std::{fmt, pin::pin};

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends `request` to where `uri` points, which also becomes its target and, unless it has one, its `Host`.
/// The caller bounds the time. Of the answer there is the head: its body is not read.
///
/// # Errors
/// A sentence for operators. It names no header, which may hold secrets, and no part of `uri`.
pub(crate) async fn send(uri: &Uri, mut request: Request<Full<Bytes>>) -> Result<Response<()>, String> {
    let failed = |error: &dyn fmt::Display| format!("no answer: {error}");
    let authority = uri.authority().ok_or("no host to connect to")?;
    let address = (
        authority.host().trim_matches(['[', ']']),
        authority.port_u16().unwrap_or(80),
    );
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| failed(&error))?;
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
