//! Requests and answers: one HTTP client, the certificates that it trusts, and limits on what it reads.

use std::{path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use reqwest::{RequestBuilder, Response, Url};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;

use crate::{
    Address, Error, Options, Result,
    address::Scheme,
    outgoing::{self, Trust, Versions},
    site,
};

/// Time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Redirects that are followed in one request, as docker does: blobs often come from another server.
const REDIRECTS: usize = 10;
/// Time limit for the next byte of an answer.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a text that a server sends with an error.
const ERROR_LIMIT: usize = 64 << 10;
/// Bytes of the answer to a request that changes the registry; they say nothing that is used.
const PUSH_ANSWER_LIMIT: usize = 1 << 20;

/// A connection to a registry.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Client for the host of the registry, with the exceptions of TLS that were made for it.
    own: reqwest::Client,
    /// Client for all other servers, whose certificates are always checked.
    others: reqwest::Client,
    /// The same two for requests with large bodies: no answer comes before their last byte, so only the sender of the body
    /// can tell whether there is progress.
    senders: [reqwest::Client; 2],
    /// Scheme, host and port: `https://registry.example.com:5000/`.
    base: Url,
}

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
    elsewhere: Option<String>,
}

impl Opened {
    /// Reads at most `limit` bytes of the answer.
    pub(crate) async fn read(self, limit: usize) -> Result<Answer> {
        Answer::read(self.response, limit, self.elsewhere).await
    }

    /// The next bytes of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.response.chunk().await.map_err(|error| failed(&error))
    }
}

impl Wire {
    /// Tries the possible schemes until the registry answers one.
    pub(crate) async fn connect(address: &Address, options: &Options) -> Result<Self> {
        // As docker does: no other machine is in between, and certificates for loopback are often self-signed.
        let is_exempt = options.insecure || address.is_loopback();
        let pair = |read_timeout: Option<Duration>| -> Result<[reqwest::Client; 2]> {
            let others = client(trust(options)?, read_timeout)?;
            let own = match is_exempt {
                true => client(Trust::Anything, read_timeout)?,
                false => others.clone(),
            };
            Ok([own, others])
        };
        let [own, others] = pair(Some(READ_TIMEOUT))?;
        let senders = pair(None)?;
        let mut reasons = Vec::new();
        for scheme in address.schemes(options.insecure) {
            let text = format!("{}://{}/", scheme.text(), address.host());
            let Some(base) = site::parse(&text) else {
                reasons.push(format!("`{text}` is not a URL"));
                continue;
            };
            let mut wire = Self {
                own: own.clone(),
                others: others.clone(),
                senders: senders.clone(),
                base,
            };
            match wire.follow(&Method::GET, "/v2/", &HeaderMap::new()).await {
                Ok(found) if is_registry(found.response.status()) => {
                    wire.base = upgraded(wire.base, found.response.url());
                    return Ok(wire);
                }
                Ok(found) => reasons.push(format!(
                    "`{text}v2/` is answered with {}, as no registry does",
                    found.response.status()
                )),
                Err(Stopped::Failed(error)) => {
                    reasons.push(explain(&error, *scheme, &wire.base, address.host()));
                }
                Err(Stopped::Ours(error)) => return Err(error),
            }
        }
        Err(Error::Unreachable {
            url: address.host().to_owned(),
            reason: reasons.join("; "),
        })
    }

    /// Gets `path` of the registry, and reads at most `limit` bytes of the answer.
    pub(crate) async fn get(&self, path: &str, headers: &HeaderMap, limit: usize) -> Result<Answer> {
        self.open(&Method::GET, path, headers).await?.read(limit).await
    }

    /// Asks for `path` of the registry, and leaves the body of the answer to be read.
    pub(crate) async fn open(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Opened> {
        let followed = self.follow(method, path, headers).await;
        let Followed { response, is_own } = followed.map_err(Stopped::into_error)?;
        let elsewhere = (!is_own).then(|| site::origin(response.url()));
        Ok(Opened { response, elsewhere })
    }

    /// Sends a request that follows no redirect, with credentials only if `url` is one of the registry.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: reqwest::Body,
    ) -> Result<Answer> {
        if !site::is_same_server(&self.base, url) {
            headers.remove(header::AUTHORIZATION);
        }
        let client = &self.senders[usize::from(!site::is_same_host(&self.base, url))];
        let request = client.request(method, url.clone());
        let response = request.headers(headers).body(body).send().await;
        Answer::read(response.map_err(|error| failed(&error))?, PUSH_ANSWER_LIMIT, None).await
    }

    /// The URL of `path`, or the one that the registry names for the next request of an upload. A registry behind a proxy that
    /// ends TLS often names itself by `http://`: TLS is kept then, and a way out of TLS to another server is an error.
    pub(crate) fn url(&self, location: &str) -> Result<Url> {
        let invalid = || Error::not_a_registry(location, "it is not part of a URL");
        let joined = self.base.join(location).map_err(|_| invalid())?;
        let mut url = site::parse(joined.as_str()).ok_or_else(invalid)?;
        if self.base.scheme() == "https" && url.scheme() == "http" {
            if url.host_str() != self.base.host_str() {
                return Err(Error::Untrusted {
                    server: site::origin(&url),
                    reason: "the registry sends the upload there, and it would leave TLS".to_owned(),
                });
            }
            let is_kept = url.set_scheme("https").is_ok() && url.set_port(self.base.port()).is_ok();
            is_kept.then_some(()).ok_or_else(invalid)?;
        }
        Ok(url)
    }

    /// The URL of a token server that the registry named, if it may get credentials.
    pub(crate) fn token_server(&self, realm: &str) -> Result<Url> {
        let url = site::parse(realm)
            .ok_or_else(|| Error::not_a_registry("WWW-Authenticate", "it names an invalid URL"))?;
        if site::may_hold_tokens(&self.base, &url) {
            return Ok(url);
        }
        Err(Error::Untrusted {
            server: site::origin(&url),
            reason: format!(
                "`{}` names it as its token server, and it would get credentials in clear text; \
                 the realm of the registry must be `https://`",
                site::origin(&self.base)
            ),
        })
    }

    /// Sends a request to the token server; a redirect would carry the credentials on, and is an error.
    pub(crate) async fn ask_token_server(&self, request: RequestBuilder, limit: usize) -> Result<Answer> {
        let response = request.send().await.map_err(|error| failed(&error))?;
        if response.status().is_redirection() {
            return Err(Error::Untrusted {
                server: site::origin(response.url()),
                reason: format!(
                    "it answers a request for a token with {}, and credentials are sent nowhere else; \
                     the realm of the registry must be the final URL",
                    response.status()
                ),
            });
        }
        Answer::read(response, limit, None).await
    }

    /// The client for requests to `url`.
    pub(crate) fn client_for(&self, url: &Url) -> &reqwest::Client {
        match site::is_same_host(&self.base, url) {
            true => &self.own,
            false => &self.others,
        }
    }

    /// Asks for `path`, and follows redirects: never from TLS to plain HTTP, and without `Authorization` once a redirect has
    /// led to another server.
    async fn follow(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> std::result::Result<Followed, Stopped> {
        let invalid = |what: &str| Stopped::Ours(Error::not_a_registry(what, "it is not part of a URL"));
        let text = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let mut url = site::parse(&text).ok_or_else(|| invalid(path))?;
        let mut headers = headers.clone();
        let mut is_own = true;
        for _ in 0..=REDIRECTS {
            let request = self.client_for(&url).request(method.clone(), url.clone());
            let request = request.headers(headers.clone());
            let response = request.send().await.map_err(Stopped::Failed)?;
            let Some(location) = redirected(&response) else {
                return Ok(Followed { response, is_own });
            };
            let next = url
                .join(location)
                .ok()
                .and_then(|next| site::parse(next.as_str()));
            let next = next.ok_or_else(|| invalid(location))?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(Stopped::Ours(Error::Untrusted {
                    server: site::origin(&url),
                    reason: format!(
                        "it redirects from `https://` to `{}`, which anyone on the way could read and change",
                        site::origin(&next)
                    ),
                }));
            }
            if !site::is_same_server(&self.base, &next) {
                is_own = false;
                headers.remove(header::AUTHORIZATION);
            }
            url = next;
        }
        let reason = format!("more than {REDIRECTS} redirects");
        Err(Stopped::Ours(Error::Unreachable {
            url: site::origin(&url),
            reason,
        }))
    }
}

/// The last answer of a chain of redirects.
struct Followed {
    response: Response,
    /// Whether no redirect has led away from the registry.
    is_own: bool,
}

/// Why a request has no answer.
enum Stopped {
    /// The request failed.
    Failed(reqwest::Error),
    /// The request was not sent, or not sent on.
    Ours(Error),
}

impl Stopped {
    fn into_error(self) -> Error {
        match self {
            Self::Failed(error) => failed(&error),
            Self::Ours(error) => error,
        }
    }
}

fn failed(error: &reqwest::Error) -> Error {
    Error::Unreachable {
        url: error
            .url()
            .map(|url| host_and_path(url.as_str()))
            .unwrap_or_default(),
        reason: outgoing::cause(error),
    }
}

/// The `Location` of a redirect.
fn redirected(response: &Response) -> Option<&str> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(header::LOCATION).filter(|_| is_redirect)?;
    location.to_str().ok()
}

/// The base of a registry that answered at `answered`: a plain one that redirects to TLS on the same host is asked over
/// TLS from then on.
fn upgraded(base: Url, answered: &Url) -> Url {
    let is_upgrade = base.scheme() == "http"
        && answered.scheme() == "https"
        && base.host_str() == answered.host_str()
        && answered.path() == "/v2/";
    match is_upgrade.then(|| answered.join("/")) {
        Some(Ok(secure)) => secure,
        _ => base,
    }
}

impl Answer {
    /// Reads at most `limit` bytes of the answer.
    async fn read(mut response: Response, limit: usize, elsewhere: Option<String>) -> Result<Self> {
        let status = response.status();
        let limit = if status.is_success() { limit } else { ERROR_LIMIT };
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
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
        let message = code.map_or(message.to_owned(), |code| format!("{code}: {message}"));
        Err(Error::Refused {
            path: path.to_owned(),
            status: self.status,
            message: message.chars().take(2000).collect(),
        })
    }

    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The path and query of the next page: `</v2/_catalog?last=b&n=2>; rel="next"` (RFC 8288). Pages are on the same server.
pub(crate) fn next_page(link: &str) -> Option<String> {
    let (target, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
    if !relation.contains("next") {
        return None;
    }
    let path = match target.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => target,
    };
    path.starts_with('/').then(|| path.to_owned())
}

/// The servers that are trusted without an exception.
fn trust(options: &Options) -> Result<Trust> {
    Ok(match options.authorities.is_empty() {
        true => Trust::System,
        false => Trust::SystemAnd(authorities(&options.authorities)?),
    })
}

/// A client that follows no redirect by itself.
fn client(trust: Trust, read_timeout: Option<Duration>) -> Result<reqwest::Client> {
    let refused = |reason: String| Error::Authorities {
        path: "the system".to_owned(),
        reason,
    };
    let builder = outgoing::builder(trust, Versions::Http1And2)
        .map_err(|error| refused(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT);
    let builder = match read_timeout {
        Some(limit) => builder.read_timeout(limit),
        None => builder,
    };
    builder.build().map_err(|error| refused(outgoing::reason(&error)))
}

/// The certificates in PEM files.
fn authorities(paths: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>> {
    let mut authorities = Vec::new();
    for path in paths {
        let failed = |reason: String| Error::Authorities {
            path: path.display().to_string(),
            reason,
        };
        #[expect(clippy::disallowed_methods, reason = "certificates are not in the store")]
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let before = authorities.len();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            authorities.push(certificate.map_err(|error| failed(error.to_string()))?);
        }
        if authorities.len() == before {
            return Err(failed("there is none in it".to_owned()));
        }
    }
    Ok(authorities)
}

/// Whether a registry may answer the version check with `status`: everything is allowed, or the user must log in.
fn is_registry(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN
}

fn explain(error: &reqwest::Error, scheme: Scheme, base: &Url, host: &str) -> String {
    let cause = outgoing::cause(error);
    if error.url().is_some_and(|url| url.host_str() != base.host_str()) {
        // A redirect led to another server, for which none of the remedies below helps.
        return failed(error).to_string();
    }
    if cause.contains("certificate") || cause.contains("UnknownIssuer") {
        return format!(
            "its certificate is not trusted ({cause}); add `--cacert FILE` with its authority, or `--insecure`"
        );
    }
    if scheme == Scheme::Https && cause.contains("InvalidContentType") {
        return format!("it speaks no TLS; `http://{host}` says that plain HTTP is meant");
    }
    format!("{}: {cause}", scheme.text())
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
        assert_eq!(
            next_page(r#"</v2/_catalog?last=b&n=2>; rel="next""#).as_deref(),
            Some("/v2/_catalog?last=b&n=2")
        );
        assert_eq!(
            next_page(r#"<https://r.example.com/v2/_catalog?n=1>; rel="next""#).as_deref(),
            Some("/v2/_catalog?n=1")
        );
        for bad in [
            "",
            "</v2/>; rel=\"prev\"",
            "<v2>; rel=next",
            "</v2/",
            "<https://r.example.com>; rel=next",
        ] {
            assert_eq!(next_page(bad), None, "{bad}");
        }
    }
}
