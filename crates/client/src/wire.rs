//! Requests and answers: one HTTP client, the certificates that it trusts, and limits on what it reads.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use reqwest::{RequestBuilder, Response, Url};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{
    Address, Error, Options, Result,
    address::Scheme,
    certificates,
    lifetimes::Lifetimes,
    outgoing::{self, Identity, Trust, Versions},
    patience::{self, Fault, Notices, Patience},
    site,
    unreachable::explain,
};

/// Time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Redirects that are followed in one request, as docker does: blobs often come from another server.
const REDIRECTS: usize = 10;
/// Time limit for the next byte of an answer.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit for a whole answer that is gathered in memory, such as a manifest or a page of a list, with the pauses before it. A page of
/// 16 MiB passes in it over 500 kbit/s.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of a text that a server sends with an error.
const ERROR_LIMIT: usize = 64 << 10;
/// Bytes of the answer to a request that changes the registry: the largest are plans of the administration API.
const PUSH_ANSWER_LIMIT: usize = 16 << 20;

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
    notices: Notices,
    /// Time limit for a whole answer that is gathered in memory.
    whole: Duration,
    /// When the tokens end that token servers have given.
    pub(crate) lifetimes: Lifetimes,
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
        let authorities = certificates::authorities(&options.authorities)?;
        let mut of_host = certificates::of_host(address.host())?;
        of_host.authorities.extend(authorities.iter().cloned());
        // As docker does: no other machine is in between, and certificates for loopback are often self-signed.
        let is_exempt = options.insecure || address.is_loopback();
        let pair = |read_timeout: Option<Duration>| -> Result<[reqwest::Client; 2]> {
            let trusted = match is_exempt {
                true => Trust::Anything,
                false => trust(of_host.authorities.clone()),
            };
            let own = client(trusted, of_host.identity.as_ref(), read_timeout)?;
            Ok([own, client(trust(authorities.clone()), None, read_timeout)?])
        };
        let [own, others] = pair(Some(READ_TIMEOUT))?;
        let senders = pair(None)?;
        let mut reasons = Vec::new();
        for scheme in address.schemes(options.insecure) {
            let text = format!("{}://{}/", scheme.text(), address.server());
            let Some(base) = site::parse(&text) else {
                reasons.push(format!("`{text}` is not a URL"));
                continue;
            };
            let mut wire = Self {
                own: own.clone(),
                others: others.clone(),
                senders: senders.clone(),
                base,
                notices: options.notices.clone(),
                whole: WHOLE_TIMEOUT,
                lifetimes: Lifetimes::default(),
            };
            match wire.probe().await {
                Ok(found) if is_registry(found.response.status()) => {
                    wire.base = upgraded(wire.base, found.response.url());
                    return Ok(wire);
                }
                Ok(found) => reasons.push(no_registry(&wire.base, &found.response)),
                Err(Stopped::Failed(error)) => {
                    let is_own = error
                        .url()
                        .is_none_or(|url| url.host_str() == wire.base.host_str());
                    // A redirect led to another server, for which none of the remedies for this one helps.
                    let reason = match is_own {
                        true => explain(&error, *scheme, address.host()),
                        false => failed(&error).to_string(),
                    };
                    if !reasons.contains(&reason) {
                        reasons.push(reason);
                    }
                }
                Err(Stopped::Ours(error)) => return Err(error),
            }
        }
        Err(Error::Unreachable {
            url: address.host().to_owned(),
            reason: reasons.join("; "),
        })
    }

    /// Asks whether a registry answers, also of one that is busy.
    async fn probe(&self) -> std::result::Result<Followed, Stopped> {
        let mut patience = Patience::default();
        loop {
            let found = self.follow(&Method::GET, "/v2/", &HeaderMap::new()).await?;
            let fault = Fault::of(found.response.status(), found.response.headers());
            if !self.pause(&mut patience, fault).await {
                return Ok(found);
            }
        }
    }

    /// Waits before a request that ended with `error` is repeated, and says so; gives `error` back if it is not to be repeated.
    pub(crate) async fn pause_after(&self, patience: &mut Patience, error: Error) -> Result<()> {
        match self.pause(patience, Fault::of_error(&error)).await {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Waits before a request that had this fault is repeated, and says so; `false`: it is not to be repeated.
    pub(crate) async fn pause(&self, patience: &mut Patience, fault: Option<Fault>) -> bool {
        let Some(fault) = fault else {
            return false;
        };
        let Some(pause) = patience.next(&fault) else {
            return false;
        };
        let host = self.base.authority();
        self.notices.tell(&patience::sentence(host, &fault, pause));
        sleep(pause).await;
        true
    }

    /// Gets `path` of the registry as [`get`](Self::get) does, and asks again where that may help.
    pub(crate) async fn get_patiently(
        &self,
        path: &str,
        headers: &HeaderMap,
        limit: usize,
    ) -> Result<Answer> {
        let mut patience = Patience::default();
        loop {
            let outcome = self.get(path, headers, limit).await;
            let fault = match &outcome {
                Ok(answer) => Fault::of(answer.status, &answer.headers),
                Err(Error::Interrupted { .. }) => Some(Fault::Broken),
                Err(_) => None,
            };
            if !self.pause(&mut patience, fault).await {
                return outcome;
            }
        }
    }

    /// The path and query of the page after `page`, by the links of its answer (RFC 8288).
    ///
    /// # Errors
    /// When the link leads to another server: this one is asked, and no other.
    pub(crate) fn next_page(&self, page: &str, answer: &Answer) -> Result<Option<String>> {
        let links = answer.headers.get_all(header::LINK).iter();
        let mut links = links.filter_map(|link| link.to_str().ok()).filter_map(next_link);
        let Some(target) = links.next() else {
            return Ok(None);
        };
        let invalid = || Error::not_a_registry(target, "it is not the link to a page");
        let here = self.base.join(page).map_err(|_| invalid())?;
        let next = here.join(target).map_err(|_| invalid())?;
        // Registries behind a proxy often do not know by which scheme and port they are reached.
        if next.host_str() != here.host_str() {
            return Err(Error::Untrusted {
                server: site::origin(&next),
                reason: format!(
                    "`{}` says that the next page of its list is there; the registry must know its own name (`http.host`, or \
                     `X-Forwarded-Host` of the proxy before it)",
                    site::origin(&self.base)
                ),
            });
        }
        let query = next.query().map(|query| format!("?{query}"));
        Ok(Some(format!("{}{}", next.path(), query.unwrap_or_default())))
    }

    /// Gets `path` of the registry, and reads at most `limit` bytes of the answer.
    pub(crate) async fn get(&self, path: &str, headers: &HeaderMap, limit: usize) -> Result<Answer> {
        let whole = async { self.open(&Method::GET, path, headers).await?.read(limit).await };
        self.limited(path, whole).await
    }

    /// Waits for an answer that is gathered in memory. Without a limit on all of it, a server that sends a byte now and then would
    /// hold the command for ever.
    pub(crate) async fn limited<T>(&self, path: &str, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let host = self.base.authority();
        timeout(self.whole, answer).await.unwrap_or_else(|_| {
            Err(Error::Unreachable {
                url: format!("{host}{}", path.split('?').next().unwrap_or(path)),
                reason: format!(
                    "its answer was not whole after {}",
                    patience::duration(self.whole)
                ),
            })
        })
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
        let elsewhere = (!site::is_same_server(&self.base, url)).then(|| site::origin(url));
        Answer::read(
            response.map_err(|error| failed(&error))?,
            PUSH_ANSWER_LIMIT,
            elsewhere,
        )
        .await
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
        let url = request.try_clone().and_then(|request| request.build().ok());
        let path = url
            .map(|request| request.url().path().to_owned())
            .unwrap_or_default();
        self.limited(&path, self.ask_token_server_for_long(request, limit))
            .await
    }

    async fn ask_token_server_for_long(&self, request: RequestBuilder, limit: usize) -> Result<Answer> {
        let mut patience = Patience::default();
        let response = loop {
            // Requests of tokens have small bodies, which can be sent again.
            let again = request.try_clone();
            let response = again
                .ok_or_else(|| Error::not_a_registry("the request of a token", "it cannot be repeated"))?
                .send()
                .await
                .map_err(|error| failed(&error))?;
            let fault = Fault::of(response.status(), response.headers());
            if !self.pause(&mut patience, fault).await {
                break response;
            }
        };
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
    let url = error
        .url()
        .map(|url| host_and_path(url.as_str()))
        .unwrap_or_default();
    if error.is_connect() || error.is_timeout() || error.is_builder() {
        let host = error.url().map(|url| url.authority().to_owned());
        let reason = explain(error, Scheme::Https, host.as_deref().unwrap_or_default());
        return Error::Unreachable { url, reason };
    }
    let reason = outgoing::cause(error);
    Error::Interrupted { url, reason }
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
        })
    }

    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The target of the link to the next page: `</v2/_catalog?last=b&n=2>; rel="next"`, also among others.
fn next_link(header: &str) -> Option<&str> {
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

/// The servers that are trusted without an exception.
fn trust(authorities: Vec<rustls::pki_types::CertificateDer<'static>>) -> Trust {
    match authorities.is_empty() {
        true => Trust::System,
        false => Trust::SystemAnd(authorities),
    }
}

/// A client that follows no redirect by itself.
fn client(
    trust: Trust,
    identity: Option<&Identity>,
    read_timeout: Option<Duration>,
) -> Result<reqwest::Client> {
    let refused = |reason: String| Error::Authorities {
        path: "the system".to_owned(),
        reason,
    };
    let builder = outgoing::builder_as(trust, Versions::Http1And2, identity)
        .map_err(|error| refused(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT);
    let builder = match read_timeout {
        Some(limit) => builder.read_timeout(limit),
        None => builder,
    };
    builder.build().map_err(|error| refused(outgoing::reason(&error)))
}

/// Whether a registry may answer the version check with `status`: everything is allowed, or the user must log in.
fn is_registry(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN
}

/// What an answer says about the server that is no registry.
fn no_registry(base: &Url, response: &Response) -> String {
    let status = response.status();
    let origin = site::origin(base);
    match status {
        // Servers answer so when they are spoken to in clear text and expect TLS.
        StatusCode::BAD_REQUEST if base.scheme() == "http" => {
            format!(
                "`{origin}/v2/` is answered with {status}; if it speaks TLS, write `https://{}`",
                base.authority()
            )
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            let after = patience::retry_after(response.headers());
            let after = after.map(|after| format!("in {}", patience::duration(after)));
            format!(
                "`{origin}/v2/` is answered with {status}; try again {}",
                after.as_deref().unwrap_or("later")
            )
        }
        status => format!(
            "`{origin}/v2/` is answered with {status}, as no registry does; are host and port those of a registry?"
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

    #[tokio::test]
    async fn an_answer_that_comes_byte_by_byte_has_an_end() {
        use crate::{
            Notices,
            fake::{Fake, Reply},
        };

        let fake = Fake::start(|_, _| Reply::Drip);
        let mut client = fake.client(Notices::default()).await;
        client.wire.whole = Duration::from_millis(100);
        let error = client.repositories().await.unwrap_err().to_string();
        assert!(error.contains("its answer was not whole after 100 ms"), "{error}");
    }
}
