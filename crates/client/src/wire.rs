//! Requests and answers: one HTTP client, the certificates that it trusts, and limits on what it reads.

use std::{path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use reqwest::{Request, RequestBuilder, redirect};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;

use crate::{
    Address, Error, Options, Result,
    address::Scheme,
    outgoing::{self, Trust, Versions},
};

/// Time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Redirects that are followed in one request, as docker does: blobs often come from another server.
const REDIRECTS: usize = 10;
/// Time limit for the next byte of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a text that a server sends with an error.
const ERROR_LIMIT: usize = 64 << 10;

/// A connection to a registry.
#[derive(Debug)]
pub(crate) struct Wire {
    http: reqwest::Client,
    /// Scheme, host and port: `https://registry.example.com:5000`.
    base: String,
}

/// An answer of a registry.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Wire {
    /// Tries the possible schemes until the registry answers one.
    pub(crate) async fn connect(address: &Address, options: &Options) -> Result<Self> {
        let http = client(address, options)?;
        let mut reasons = Vec::new();
        for scheme in address.schemes(options.insecure) {
            let base = format!("{}://{}", scheme.text(), address.host());
            match http.get(format!("{base}/v2/")).send().await {
                Ok(answer) if is_registry(answer.status()) => return Ok(Self { http, base }),
                Ok(answer) => reasons.push(format!(
                    "`{base}/v2/` is answered with {}, as no registry does",
                    answer.status()
                )),
                Err(error) => reasons.push(explain(&error, *scheme, address)),
            }
        }
        Err(Error::Unreachable {
            url: address.host().to_owned(),
            reason: reasons.join("; "),
        })
    }

    /// A request to the registry.
    pub(crate) fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        self.elsewhere(method, &format!("{}{path}", self.base))
    }

    /// A request to a URL that the registry named.
    pub(crate) fn elsewhere(&self, method: Method, url: &str) -> Result<RequestBuilder> {
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        let url = url.parse().ok().filter(|_| is_web);
        let url = url.ok_or_else(|| Error::not_a_registry("WWW-Authenticate", "it names an invalid URL"))?;
        Ok(RequestBuilder::from_parts(
            self.http.clone(),
            Request::new(method, url),
        ))
    }
}

impl Answer {
    /// Sends `request`, and reads at most `limit` bytes of the answer.
    pub(crate) async fn read(request: RequestBuilder, limit: usize) -> Result<Self> {
        let failed = |error: &reqwest::Error| Error::Unreachable {
            url: error
                .url()
                .map(|url| host_and_path(url.as_str()))
                .unwrap_or_default(),
            reason: outgoing::cause(error),
        };
        let mut response = request.send().await.map_err(|error| failed(&error))?;
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
            // The text of a server goes to the terminal of the user.
            message: message
                .chars()
                .filter(|character| !character.is_control())
                .take(2000)
                .collect(),
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

fn client(address: &Address, options: &Options) -> Result<reqwest::Client> {
    let refused = |reason: String| Error::Authorities {
        path: "the system".to_owned(),
        reason,
    };
    // As docker does: no other machine is in between, and certificates for loopback are often self-signed.
    let trust = match options.insecure || address.is_loopback() {
        true => Trust::Anything,
        false if options.authorities.is_empty() => Trust::System,
        false => Trust::SystemAnd(authorities(&options.authorities)?),
    };
    outgoing::builder(trust, Versions::Http1And2)
        .map_err(|error| refused(error.to_string()))?
        .redirect(redirect::Policy::limited(REDIRECTS))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(|error| refused(outgoing::reason(&error)))
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

fn explain(error: &reqwest::Error, scheme: Scheme, address: &Address) -> String {
    let cause = outgoing::cause(error);
    let host = address.host();
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
