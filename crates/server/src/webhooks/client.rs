//! A client that posts to one place over HTTP/1.1, with or without TLS, and follows nobody elsewhere.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
    time,
};
use tokio_rustls::TlsConnector;

use super::{
    Endpoint, EndpointError, EventFormat, cloud_event, envelope,
    options::{self, Url},
};
use wharf_http::trust;

/// Of an answer's body, so much is read, so that the connection can be used again.
const BODY_LIMIT: usize = 64 << 10;

/// Posts to one endpoint.
pub(super) struct Client {
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    tls: Option<TlsConnector>,
    open: Option<Open>,
}

/// A connection that waits for the next request.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

/// What counts of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) has_location: bool,
}

impl Client {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, EndpointError> {
        let content_type = match endpoint.format {
            EventFormat::V1 => envelope::V1_MEDIA_TYPE,
            EventFormat::V2 => envelope::V2_MEDIA_TYPE,
            EventFormat::CloudEvents => cloud_event::MEDIA_TYPE,
        };
        Ok(Self {
            url: endpoint.url.clone(),
            headers: options::headers(endpoint, content_type),
            timeout: endpoint.timeout,
            tls: endpoint.url.is_encrypted.then(trust::connector).transpose()?,
            open: None,
        })
    }

    /// Posts `body`. The error is a text for the log, without secrets.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<Answer, String> {
        let timeout = self.timeout;
        match time::timeout(timeout, self.exchange(body)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(format!("no answer within {timeout:?}; `timeout` allows more")),
        }
    }

    /// Closes what is open.
    pub(super) fn disconnect(&mut self) {
        self.open = None;
    }

    async fn exchange(&mut self, body: Bytes) -> Result<Answer, String> {
        // The other side may have closed it meanwhile, which is no failure. That it took the event before it did so
        // cannot be ruled out: it then gets it twice.
        if let Some(open) = self.open.take()
            && let Ok(answer) = self.send(open, body.clone()).await
        {
            return Ok(answer);
        }
        let open = self.connect().await?;
        self.send(open, body).await.map_err(|error| text_of(&error))
    }

    async fn send(&mut self, mut open: Open, body: Bytes) -> Result<Answer, hyper::Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        // It was parsed when the configuration was read.
        *request.uri_mut() = self.url.target.parse().unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        open.sender.ready().await?;
        let response = open.sender.send_request(request).await?;
        let answer = Answer {
            status: response.status(),
            retry_after: retry_after(response.headers(), SystemTime::now()),
            has_location: response.headers().contains_key(header::LOCATION),
        };
        if read_to_end(response).await {
            self.open = Some(open);
        }
        Ok(answer)
    }

    async fn connect(&self) -> Result<Open, String> {
        let Url { host, port, .. } = &self.url;
        let stream = TcpStream::connect((host.as_str(), *port))
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        // Without it, small requests may wait for a delayed acknowledgement; where it fails they do.
        _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return open(stream).await;
        };
        let name = ServerName::try_from(host.clone())
            .map_err(|error: InvalidDnsNameError| format!("the host cannot be checked: {error}"))?;
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|error| format!("TLS failed: {error}"))?;
        open(stream).await
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Open, String> {
    let (sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| text_of(&error))?;
    // Its end shows at the sender.
    let driver = tokio::spawn(async move { _ = connection.await }).abort_handle();
    Ok(Open { sender, driver })
}

/// Whether the body ended, and early enough.
async fn read_to_end(response: Response<Incoming>) -> bool {
    let mut body = response.into_body();
    let mut left = BODY_LIMIT;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return false;
        };
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    true
}

/// With what caused it: hyper's own words are short.
fn text_of(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let check = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(text))]);
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(check(" 120 "), Some(120));
        assert_eq!(check("Sun, 09 Sep 2001 01:47:40 GMT"), Some(60));
        assert_eq!(check("Sun, 09 Sep 2001 01:40:40 GMT"), None);
        assert_eq!(check("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
