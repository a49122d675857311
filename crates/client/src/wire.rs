//! Requests to one registry: which server gets them, what they may carry there, and how long they may take.

mod answer;
mod clients;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{RequestBuilder, Response, Url};
use tokio::time::{sleep, timeout};

use crate::{
    Address, Error, Options, Result, certificates,
    outgoing::{Route, Trust},
    passed,
    patience::{self, Fault, Notices, Patience},
    site,
    unreachable::{Remedies, explain},
    upstream::UpstreamOptions,
};
pub(crate) use answer::{Answer, Opened, READ_TIMEOUT};
use answer::{failed, next_link};
use clients::{Clients, trust};

/// Redirects that are followed in one request, as docker does: blobs often come from another server.
const REDIRECTS: usize = 10;
/// Time limit for a whole answer that is gathered in memory, such as a manifest or a page of a list, with the pauses before it. A page of
/// 16 MiB passes in it over 500 kbit/s.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Time that the body of an answer that is gathered in memory may take, for a connection that waits for nothing.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);
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
    /// Scheme, host and port: `https://registry.example.com:5000/`. The registry may be below a path.
    base: Url,
    notices: Notices,
    /// Time limit for a whole answer that is gathered in memory.
    whole: Duration,
    manners: Manners,
}

/// How a connection differs for a command, where a person waits for the registry, and for a mirror.
#[derive(Debug, Clone)]
struct Manners {
    /// Whether requests are repeated after a pause. Without patience, one whose connection broke is repeated once, at once: a
    /// registry may close a connection in the moment in which it is used again.
    is_patient: bool,
    /// Time limit for the head of an answer, with all redirects before it; `None`: the one for the next byte.
    head: Option<Duration>,
    /// Hosts that may get credentials as token servers, beside those of the registry's own domain; `None`: all that the registry
    /// names.
    realms: Option<Vec<String>>,
    remedies: Remedies,
    route: Route,
}

impl Manners {
    /// Those of commands.
    fn of_commands() -> Self {
        Self {
            is_patient: true,
            head: None,
            realms: None,
            remedies: Remedies::Command,
            route: Route::Environment,
        }
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
            let client = |trust, identity| {
                let clients = Clients {
                    identity,
                    read_timeout,
                    ..Clients::default()
                };
                clients.make(trust)
            };
            let own = client(trusted, of_host.identity.as_ref())?;
            Ok([own, client(trust(authorities.clone()), None)?])
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
                manners: Manners::of_commands(),
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
                        true => {
                            let Manners { remedies, route, .. } = &wire.manners;
                            explain(&error, *scheme, address.host(), *remedies, route)
                        }
                        false => wire.failed(&error).to_string(),
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

    /// A connection to the registry at `base`, which is not asked anything yet and never waited for.
    ///
    /// # Errors
    /// When a file of certificates cannot be used.
    pub(crate) fn fixed(base: Url, options: &UpstreamOptions) -> Result<Self> {
        let authorities = certificates::authorities(&options.authorities)?;
        let identity = options.identity.as_ref();
        let identity = identity
            .map(|(certificate, key)| certificates::identity(certificate, key))
            .transpose()?;
        let mut headers = HeaderMap::new();
        let via = HeaderValue::try_from(format!("1.1 {}", options.via));
        let invalid = |_| {
            Error::not_a_registry(
                "Via",
                "the name of this registry is not one that a header can carry",
            )
        };
        headers.insert(header::VIA, via.map_err(invalid)?);
        let route = match &options.http_proxy {
            Some(proxy) => Route::Through(proxy.clone()),
            None => Route::Environment,
        };
        let client = |trust, identity| {
            let clients = Clients {
                identity,
                // The head has a limit of its own, which may be longer.
                read_timeout: Some(READ_TIMEOUT.max(options.timeout)),
                headers: headers.clone(),
                route: route.clone(),
            };
            clients.make(trust)
        };
        let trusted = match options.insecure {
            true => Trust::Anything,
            false => trust(authorities.clone()),
        };
        let own = client(trusted, identity.as_ref())?;
        let others = client(trust(authorities), None)?;
        Ok(Self {
            senders: [own.clone(), others.clone()],
            own,
            others,
            base,
            notices: Notices::default(),
            whole: options.timeout.saturating_add(BODY_TIMEOUT),
            manners: Manners {
                is_patient: false,
                head: Some(options.timeout),
                realms: Some(options.realms.clone()),
                remedies: Remedies::Mirror,
                route,
            },
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
    /// A connection without patience goes on at once after a broken one, a few times.
    pub(crate) async fn pause_after(&self, patience: &mut Patience, error: Error) -> Result<()> {
        let fault = Fault::of_error(&error);
        let is_repeated = match self.manners.is_patient {
            true => self.pause(patience, fault).await,
            false => fault == Some(Fault::Broken) && patience.goes_on_at_once(),
        };
        match is_repeated {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Waits before a request that had this fault is repeated, and says so; `false`: it is not to be repeated.
    pub(crate) async fn pause(&self, patience: &mut Patience, fault: Option<Fault>) -> bool {
        let Some(fault) = fault.filter(|_| self.manners.is_patient) else {
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
        let here = self.located(page).ok_or_else(invalid)?;
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
        // A registry below a path may not know that path.
        let below = next.path().strip_prefix(self.base.path().trim_end_matches('/'));
        let path = below.filter(|path| path.starts_with('/')).unwrap_or(next.path());
        Ok(Some(format!("{path}{}", query.unwrap_or_default())))
    }

    /// Gets `path` of the registry, and reads at most `limit` bytes of the answer.
    pub(crate) async fn get(&self, path: &str, headers: &HeaderMap, limit: usize) -> Result<Answer> {
        let whole = async { self.open(&Method::GET, path, headers).await?.read(limit).await };
        self.limited(path, whole).await
    }

    /// Waits for an answer that is gathered in memory. Without a limit on all of it, a server that sends a byte now and then would
    /// hold the command for ever.
    pub(crate) async fn limited<T>(&self, path: &str, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let late = |_| {
            let reason = format!(
                "its answer was not whole after {}",
                patience::duration(self.whole)
            );
            self.late(path, reason)
        };
        timeout(self.whole, answer).await.map_err(late)?
    }

    fn late(&self, path: &str, reason: String) -> Error {
        let path = path.split('?').next().unwrap_or(path);
        let url = format!("{}{path}", self.base.authority());
        Error::TimedOut { url, reason }
    }

    /// Waits for the head of an answer, as long as it may take.
    async fn head<T>(&self, path: &str, head: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(limit) = self.manners.head else {
            return head.await;
        };
        let late = |_| {
            self.late(
                path,
                format!("no answer began within {}", patience::duration(limit)),
            )
        };
        timeout(limit, head).await.map_err(late)?
    }

    /// The URL of `path` below the base; `None`: it is not part of a URL.
    fn located(&self, path: &str) -> Option<Url> {
        site::parse(&format!("{}{path}", self.base.as_str().trim_end_matches('/')))
    }

    /// The server that is asked: scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        site::origin(&self.base)
    }

    /// Host, with the port if it is not the usual one.
    pub(crate) fn authority(&self) -> &str {
        self.base.authority()
    }

    fn failed(&self, error: &reqwest::Error) -> Error {
        failed(error, self.manners.remedies, &self.manners.route)
    }

    /// Asks for `path` of the registry, and leaves the body of the answer to be read.
    pub(crate) async fn open(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Opened> {
        let followed = async {
            let followed = Box::pin(self.follow(method, path, headers)).await;
            followed.map_err(|stopped| match stopped {
                Stopped::Failed(error) => self.failed(&error),
                Stopped::Ours(error) => error,
            })
        };
        let Followed { response, is_own } = self.head(path, followed).await?;
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
            response.map_err(|error| self.failed(&error))?,
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

    /// The URL of a token server that the registry named, if it may be asked for a token, `with_secret` also by credentials.
    pub(crate) fn token_server(&self, realm: &str, with_secret: bool) -> Result<Url> {
        let url = site::parse(realm)
            .ok_or_else(|| Error::not_a_registry("WWW-Authenticate", "it names an invalid URL"))?;
        if let Some(realms) = self.manners.realms.as_ref().filter(|_| with_secret)
            && !site::is_related(&self.base, &url)
            && !site::is_listed(realms, &url)
        {
            return Err(Error::Untrusted {
                server: site::origin(&url),
                reason: format!(
                    "`{}` names it as its token server, and it is of another domain, so no credentials were sent; if they are \
                     meant for it, add `{}` to `realms` of the mirror",
                    site::origin(&self.base),
                    url.authority()
                ),
            });
        }
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
        // A token is short: its limit is the one of a head, where there is one.
        let answer = self.head(&path, self.ask_token_server_for_long(request, limit));
        self.limited(&path, answer).await
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
                .map_err(|error| self.failed(&error))?;
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
        let mut url = self.located(path).ok_or_else(|| invalid(path))?;
        let mut headers = headers.clone();
        if let Some(via) = passed::via() {
            headers.insert(header::VIA, via);
        }
        let mut is_own = true;
        for _ in 0..=REDIRECTS {
            let send = || {
                let request = self.client_for(&url).request(method.clone(), url.clone());
                request.headers(headers.clone()).send()
            };
            let response = match send().await {
                Err(error) if self.manners.repeats_after(&error) => send().await,
                response => response,
            };
            let response = response.map_err(Stopped::Failed)?;
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

impl Manners {
    /// Whether a request without effect that ended so is repeated at once.
    fn repeats_after(&self, error: &reqwest::Error) -> bool {
        !self.is_patient && !error.is_connect() && !error.is_timeout() && !error.is_builder()
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

#[cfg(test)]
mod tests {
    use super::*;

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
