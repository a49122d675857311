//! The HTTP client of one endpoint: HTTP/1.1, with or without TLS, without following redirects.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tokio::time;
use wharf_client::outgoing::{self, Trust, Versions};

use super::{Endpoint, EndpointError, EventFormat, cloud_event, envelope, options};

/// Bytes of an answer's body that are read, so that the connection can be used again.
const BODY_LIMIT: usize = 64 << 10;

/// Posts to one endpoint.
pub(super) struct Client {
    url: String,
    headers: HeaderMap,
    timeout: Duration,
    /// The client of the last answer, with its idle connection.
    open: Option<reqwest::Client>,
}

/// The parts of an answer that decide about the delivery.
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
        if endpoint.url.is_encrypted {
            // Now, so that a machine without certificate authorities fails at the start.
            outgoing::load_system_authorities()?;
        }
        Ok(Self {
            url: endpoint.url.without_credentials(),
            headers: options::headers(endpoint, content_type),
            timeout: endpoint.timeout,
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

    /// Closes the idle connection.
    pub(super) fn disconnect(&mut self) {
        self.open = None;
    }

    async fn exchange(&mut self, body: Bytes) -> Result<Answer, String> {
        // The endpoint may have closed the idle connection, which is not a failure. It may have accepted the event
        // before that: then it gets the event twice.
        if let Some(open) = self.open.take()
            && let Ok(answer) = self.send(open, body.clone()).await
        {
            return Ok(answer);
        }
        self.send(connector()?, body)
            .await
            .map_err(|error| outgoing::reason(&error))
    }

    async fn send(&mut self, client: reqwest::Client, body: Bytes) -> reqwest::Result<Answer> {
        let request = client.post(&self.url).headers(self.headers.clone()).body(body);
        let response = request.send().await?;
        let answer = Answer {
            status: response.status(),
            retry_after: retry_after(response.headers(), SystemTime::now()),
            has_location: response.headers().contains_key(header::LOCATION),
        };
        if read_to_end(response).await {
            self.open = Some(client);
        }
        Ok(answer)
    }
}

/// A client without a connection.
fn connector() -> Result<reqwest::Client, String> {
    outgoing::builder(Trust::System, Versions::Http1)
        .map_err(|error| error.to_string())?
        .http1_title_case_headers()
        .build()
        .map_err(|error| outgoing::reason(&error))
}

/// Whether the body ended within the limit.
async fn read_to_end(mut response: reqwest::Response) -> bool {
    let mut left = BODY_LIMIT;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if chunk.len() <= left => left -= chunk.len(),
            Ok(None) => return true,
            Ok(Some(_)) | Err(_) => return false,
        }
    }
}

/// Parses `Retry-After`: seconds, or a date.
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
