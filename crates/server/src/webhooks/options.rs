//! Settings of webhooks: the endpoints, the events that they get, and their form.

use std::{fmt, time::Duration};

use http::{HeaderMap, HeaderValue, Uri, header};
use serde::{Deserialize, Serialize};
use wharf_storage::spool::SpoolLimits;

use wharf_client::outgoing::TrustError;

/// The settings of `notifications`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebhookOptions {
    /// Endpoints that events are posted to.
    pub endpoints: Vec<Endpoint>,
    /// Whether events of manifests list what they consist of (`events.includereferences`).
    pub include_references: bool,
}

/// One service that events are posted to.
#[derive(Clone, PartialEq)]
pub struct Endpoint {
    /// Name in logs and metrics.
    pub name: String,
    /// Whether no events are posted to it; its queue is kept.
    pub is_disabled: bool,
    /// URL that events are posted to.
    pub url: Url,
    /// Headers that are added to each request, in place of those of the same name that wharf sends. Never logged.
    pub headers: HeaderMap<HeaderValue>,
    /// Limit for one attempt, from connecting to the end of the answer.
    pub timeout: Duration,
    /// How many attempts may fail in a row before there is a pause.
    pub threshold: u32,
    /// The pause; it doubles with each further failure.
    pub backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// Media types whose events are not posted.
    pub ignored_media_types: Vec<String>,
    /// Actions whose events are not posted.
    pub ignored_actions: Vec<Action>,
    /// Form of what is posted.
    pub format: EventFormat,
    /// Limits of its queue.
    pub queue: SpoolLimits,
}

/// URL that events are posted to. Shown without what may be secret: user, password, path and query.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    pub(super) is_encrypted: bool,
    /// Name or address of the host, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Value of the `Host` header: as it was written, without user and password.
    pub(super) authority: String,
    pub(super) target: String,
    /// Value of the `Authorization` header.
    pub(super) credentials: Option<HeaderValue>,
    whole: String,
}

/// Action that an event tells of, in the terms of registry:2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Something was read.
    Pull,
    /// Something was stored.
    Push,
    /// A blob of one repository became one of another.
    Mount,
    /// Something was removed.
    Delete,
}

/// Form in which events are posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventFormat {
    /// The envelope of registry:2.
    #[default]
    V1,
    /// The envelope of registry:3.
    V2,
    /// CloudEvents 1.0 in structured mode.
    CloudEvents,
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The text is no URL of the kind that we can post to.
    #[error("must be a URL such as `https://hooks.example.com/registry`{0}")]
    Url(&'static str),
    /// With `https` the certificate of the endpoint cannot be checked.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl WebhookOptions {
    /// Whether an endpoint has a certificate to check.
    pub fn needs_authorities(&self) -> bool {
        let mut used = self.endpoints.iter().filter(|endpoint| !endpoint.is_disabled);
        used.any(|endpoint| endpoint.url.is_encrypted)
    }
}

impl Endpoint {
    /// An endpoint with the defaults of registry:2.
    pub fn new(name: impl Into<String>, url: Url) -> Self {
        Self {
            name: name.into(),
            is_disabled: false,
            url,
            headers: HeaderMap::new(),
            timeout: Duration::from_secs(1),
            threshold: 10,
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            ignored_media_types: Vec::new(),
            ignored_actions: Vec::new(),
            format: EventFormat::default(),
            queue: SpoolLimits::default(),
        }
    }

    pub(super) fn wants(&self, action: Action, media_type: Option<&str>) -> bool {
        let is_ignored = |ignored: &String| Some(ignored.as_str()) == media_type;
        !self.ignored_actions.contains(&action) && !self.ignored_media_types.iter().any(is_ignored)
    }
}

/// Shows no header values, and of the URL what is no secret.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().map(|name| format!("{name}: ***")).collect();
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("is_disabled", &self.is_disabled)
            .field("url", &self.url)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("threshold", &self.threshold)
            .field("backoff", &self.backoff)
            .field("max_backoff", &self.max_backoff)
            .field("ignored_media_types", &self.ignored_media_types)
            .field("ignored_actions", &self.ignored_actions)
            .field("format", &self.format)
            .field("queue", &self.queue)
            .finish()
    }
}

impl std::str::FromStr for Url {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let uri: Uri = text.parse().map_err(|_| EndpointError::Url(""))?;
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(EndpointError::Url(", with `http` or `https`")),
        };
        let authority = uri.authority().ok_or(EndpointError::Url(""))?;
        let (user, place) = match authority.as_str().rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority.as_str()),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let has_port = place
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.ends_with(']'));
        if host.is_empty() || (has_port && authority.port_u16().is_none()) {
            return Err(EndpointError::Url("; host or port are missing or wrong"));
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self {
            is_encrypted,
            host: host.to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if is_encrypted { 443 } else { 80 }),
            authority: place.to_owned(),
            target: if target.starts_with('?') {
                format!("/{target}")
            } else {
                target.to_owned()
            },
            credentials: user.map(credentials).transpose()?,
            whole: text.to_owned(),
        })
    }
}

/// `user:password` of a URL, for a header.
fn credentials(user: &str) -> Result<HeaderValue, EndpointError> {
    use base64::Engine as _;
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
    let decoded = if user.contains(':') {
        decoded
    } else {
        [decoded, b":".to_vec()].concat()
    };
    let text = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(decoded)
    );
    let mut value = HeaderValue::try_from(text).map_err(|_| EndpointError::Url(""))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Url {
    /// The target of requests. User and password go into a header instead.
    pub(super) fn without_credentials(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.target)
    }

    /// All of it, secrets included.
    pub(super) fn whole(&self) -> &str {
        &self.whole
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        write!(f, "{scheme}://{}/…", self.authority)
    }
}

impl Action {
    /// As events and the configuration spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Mount => "mount",
            Self::Delete => "delete",
        }
    }

    /// All there are.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Push, Self::Mount, Self::Delete];
}

/// The headers of a request to `endpoint` that do not depend on the event.
pub(super) fn headers(endpoint: &Endpoint, content_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("wharf/", env!("CARGO_PKG_VERSION"))),
    );
    if let Some(credentials) = &endpoint.url.credentials {
        headers.insert(header::AUTHORIZATION, credentials.clone());
    }
    for name in endpoint.headers.keys() {
        headers.remove(name);
        for value in endpoint.headers.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if let Ok(host) = HeaderValue::try_from(&endpoint.url.authority) {
        headers.insert(header::HOST, host);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let check = |text: &str, host: &str, port: u16, authority: &str, target: &str| {
            let url: Url = text.parse().unwrap();
            assert_eq!(
                (
                    url.host.as_str(),
                    url.port,
                    url.authority.as_str(),
                    url.target.as_str()
                ),
                (host, port, authority, target),
                "{text}"
            );
        };
        check("http://a.example", "a.example", 80, "a.example", "/");
        check("https://a.example/x?y=z", "a.example", 443, "a.example", "/x?y=z");
        check(
            "http://u:p@127.0.0.1:8080/e",
            "127.0.0.1",
            8080,
            "127.0.0.1:8080",
            "/e",
        );
        check("http://[::1]:8080/e", "::1", 8080, "[::1]:8080", "/e");
        check("http://[::1]/e", "::1", 80, "[::1]", "/e");
        for bad in [
            "",
            "a.example",
            "/x",
            "ftp://a/",
            "http://",
            "http://a:b/",
            "http://a b/",
            "http://:80/",
        ] {
            let error = bad.parse::<Url>().unwrap_err().to_string();
            assert!(error.starts_with("must be a URL such as"), "{bad}: {error}");
        }
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let mut endpoint = Endpoint::new(
            "a",
            "https://user:p%40ss@a.example/t0ken?key=k3y".parse().unwrap(),
        );
        endpoint
            .headers
            .insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer b3arer"));
        let shown = format!("{endpoint:?}");
        assert!(
            shown.contains("https://a.example/…") && shown.contains("authorization: ***"),
            "{shown}"
        );
        for secret in ["user", "p%40ss", "t0ken", "k3y", "b3arer"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        // `user:p@ss`, until the configuration says otherwise.
        let credentials = endpoint.url.credentials.as_ref().unwrap();
        assert_eq!(credentials, "Basic dXNlcjpwQHNz");
        let value = &headers(&endpoint, "text/plain")[header::AUTHORIZATION];
        assert_eq!(value, "Bearer b3arer");
    }
}
