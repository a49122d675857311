//! Answers of servers: read within limits, and what is wrong with those that fail.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, StatusCode};
use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    Error, Result,
    address::Scheme,
    outgoing::{self, Route},
    patience,
    unreachable::{Remedies, explain},
};

/// Time limit for the next byte of an answer.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a text that a server sends with an error.
const ERROR_LIMIT: usize = 64 << 10;
/// An answer of a registry.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The server that answered, when redirects led away from the registry.
    pub(crate) elsewhere: Option<String>,
}

/// An answer with a body that was not read yet.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) response: Response,
    /// The server that answered, when redirects led away from the registry.
    pub(crate) elsewhere: Option<String>,
}

impl Opened {
    /// Reads at most `limit` bytes of the answer.
    pub(crate) async fn read(self, limit: usize) -> Result<Answer> {
        Answer::read(self.response, limit, self.elsewhere).await
    }

    /// The next bytes of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        // The client's own limit may be longer, for the sake of heads that take their time.
        match timeout(READ_TIMEOUT, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| broken(&error)),
            Err(_elapsed) => Err(silent(host_and_path(self.response.url().as_str()))),
        }
    }
}

impl Answer {
    /// Reads at most `limit` bytes of the answer.
    pub(super) async fn read(
        mut response: Response,
        limit: usize,
        elsewhere: Option<String>,
    ) -> Result<Self> {
        let status = response.status();
        let limit = if status.is_success() { limit } else { ERROR_LIMIT };
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if body.len() + chunk.len() > limit {
                let path = response.url().path().to_owned();
                return Err(Error::TooLarge { path, limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self {
            status,
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
            elsewhere,
        })
    }

    /// Turns a refusal into an error with the registry's own words.
    pub(crate) fn successful(self, path: &str) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error = &json["errors"][0];
        let code = error["code"].as_str();
        let message = error["message"].as_str().unwrap_or("without a reason");
        let mut message = code.map_or(message.to_owned(), |code| format!("{code}: {message}"));
        let after = patience::retry_after(&self.headers);
        if let Some(after) = after {
            message.push_str(&format!(
                "; it asks to come back in {}",
                patience::duration(after)
            ));
        }
        Err(Error::Refused {
            path: path.to_owned(),
            status: self.status,
            message: message.chars().take(2000).collect(),
            after,
            server: self.elsewhere,
        })
    }

    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The target of the link to the next page: `</v2/_catalog?last=b&n=2>; rel="next"`, also among others.
pub(super) fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (target, after) = rest[rest.find('<')? + 1..].split_once('>')?;
        let ends = [",<", ", <"].into_iter().filter_map(|end| after.find(end));
        let end = ends.min().unwrap_or(after.len());
        let (parameters, others) = after.split_at(end);
        let mut parameters = parameters.split(';').map(str::trim);
        let is_next = parameters.any(|parameter| {
            let value = parameter.strip_prefix("rel=").unwrap_or_default();
            value
                .trim_matches('"')
                .split(' ')
                .any(|relation| relation == "next")
        });
        if is_next {
            return Some(target);
        }
        rest = others;
    }
}

/// Why the body of an answer ends early.
fn broken(error: &reqwest::Error) -> Error {
    failed(error, Remedies::Command, &Route::Environment)
}

/// Why a request has no answer.
pub(super) fn failed(error: &reqwest::Error, remedies: Remedies, route: &Route) -> Error {
    let url = error
        .url()
        .map(|url| host_and_path(url.as_str()))
        .unwrap_or_default();
    if error.is_connect() || error.is_builder() {
        let host = error.url().map(|url| url.authority().to_owned());
        let host = host.as_deref().unwrap_or_default();
        let reason = explain(error, Scheme::Https, host, remedies, route);
        return Error::Unreachable { url, reason };
    }
    if error.is_timeout() {
        return silent(url);
    }
    let reason = outgoing::cause(error);
    Error::Interrupted { url, reason }
}

/// The server at `url` sends nothing.
fn silent(url: String) -> Error {
    Error::TimedOut {
        url,
        reason: format!(
            "no byte came for {}; is the server overloaded, or does a firewall drop the connection?",
            patience::duration(READ_TIMEOUT)
        ),
    }
}

/// Host and path of a URL, without user, password and query.
fn host_and_path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('?').next().unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_next_page() {
        for (header, target) in [
            (
                r#"</v2/_catalog?last=b&n=2>; rel="next""#,
                "/v2/_catalog?last=b&n=2",
            ),
            (
                r#"<https://r.example.com/v2/_catalog?n=1>; rel="next""#,
                "https://r.example.com/v2/_catalog?n=1",
            ),
            ("<?last=b,c>;rel=next", "?last=b,c"),
            (r#"</a>; rel="prev", </b>; title="x"; rel="last next""#, "/b"),
        ] {
            assert_eq!(next_link(header), Some(target), "{header}");
        }
        for bad in [
            "",
            "</v2/>; rel=\"prev\"",
            "</v2/",
            "</v2/>; title=next",
            "</a>; rel=\"nextish\"",
        ] {
            assert_eq!(next_link(bad), None, "{bad}");
        }
    }
}
