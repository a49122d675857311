//! One upstream of a mirror: a registry that is asked for manifests, blobs and tags, without ever waiting for it.
//!
//! A request is sent once. Only one whose connection broke before an answer is repeated, at once, because registries close
//! connections that were idle; and the body of a blob goes on after a broken connection. When to ask an upstream again that has
//! failed is for the mirror to decide.
//!
//! Credentials go to the upstream's own host, and to a token server that belongs to it: one of the same host or of the same
//! registered domain, or one that the operator has named. Another one is refused, so that an upstream that was taken over
//! cannot send them away. Anonymous tokens may come from any server.

mod blob;
mod error;
mod options;
mod rate;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use parking_lot::Mutex;
pub use reqwest::Url;
use serde_json::{Value, json};
use wharf_oci::{Digest, Reference, media_type, referrers_tag};

pub use self::{
    blob::UpstreamBlob,
    error::{UpstreamError, UpstreamErrorKind},
    options::{Lifetime, UpstreamLogin, UpstreamOptions},
    rate::RateLimit,
};
use crate::{
    BlobReader, Client, Credentials, Error, MANIFEST_LIMIT, Target, accepted, announced,
    credentials::stored::Helper,
    lists::{self, Pages},
    logins::Logins,
    site,
    wire::{Answer, Opened, Wire},
};
pub use crate::{Manifest, passed::passing_on};

/// The result of asking an upstream.
pub type Result<T> = std::result::Result<T, UpstreamError>;

/// One upstream.
#[derive(Debug)]
pub struct Upstream {
    client: Arc<Client>,
    /// Name of this registry in `Via`.
    via: String,
    /// What the last answer said that had headers with limits.
    rate: Mutex<Option<RateLimit>>,
}

/// What an upstream says of a manifest without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// Digest of the manifest, if the upstream says it.
    pub digest: Option<Digest>,
    /// Media type by the upstream's `Content-Type`.
    pub media_type: String,
    /// Size in bytes, if the upstream says it.
    pub size: Option<u64>,
}

impl Upstream {
    /// Prepares requests to an upstream; none is sent. Files of certificates are read.
    ///
    /// # Errors
    /// When a file of certificates cannot be used, or the URL is not one of a registry.
    pub fn new(options: UpstreamOptions) -> Result<Self> {
        let base = base(&options.url)?;
        let origin = site::origin(&base);
        let wire = Wire::fixed(base, &options).map_err(|error| UpstreamError::of(&origin, &error))?;
        let logins = match options.login {
            UpstreamLogin::Anonymous => Logins::Anonymous,
            UpstreamLogin::Given(login) => Logins::Stored(Credentials {
                given: Some(login),
                directory: None,
            }),
            UpstreamLogin::Stored(credentials) => Logins::Stored(credentials),
            UpstreamLogin::Helper { command, lifetime } => {
                let lifetime = match lifetime {
                    Lifetime::Once => Duration::MAX,
                    Lifetime::Each => Duration::ZERO,
                    Lifetime::For(lifetime) => lifetime,
                };
                Logins::kept(Helper::program_at(&command), lifetime)
            }
        };
        let host = wire.authority().to_owned();
        Ok(Self {
            client: Arc::new(Client::over(wire, host, logins)),
            via: options.via,
            rate: Mutex::default(),
        })
    }

    /// What the upstream says of a manifest; `None`: it has none.
    ///
    /// # Errors
    /// When the upstream does not answer, refuses, or does not answer as a registry.
    pub async fn head_manifest(
        &self,
        repository: &str,
        reference: &Reference,
    ) -> Result<Option<ManifestHead>> {
        let target = Target::pull(repository, &format!("manifests/{reference}"));
        let Some(headers) = self.head(&target, accepted()).await? else {
            return Ok(None);
        };
        self.refuse_html(&target.path, &headers)?;
        Ok(Some(ManifestHead {
            digest: announced(&headers).map_err(|error| self.failed(&error))?,
            media_type: text(&headers, &header::CONTENT_TYPE)
                .unwrap_or_default()
                .to_owned(),
            size: length(&headers),
        }))
    }

    /// A manifest of at most 4 MiB, whose digest was checked; `None`: the upstream has none.
    ///
    /// # Errors
    /// The errors of [`head_manifest`](Self::head_manifest), and when the bytes do not have their digest.
    pub async fn manifest(&self, repository: &str, reference: &Reference) -> Result<Option<Manifest>> {
        let target = Target::pull(repository, &format!("manifests/{reference}"));
        let asked = AskedUpstream {
            upstream: self,
            target: &target,
        };
        let Some(answer) = self.found(asked.page(&target.path, MANIFEST_LIMIT).await)? else {
            return Ok(None);
        };
        self.refuse_html(&target.path, &answer.headers)?;
        let manifest = Manifest::of(&target.path, reference, answer).map_err(|error| self.failed(&error))?;
        if !manifest.bytes.trim_ascii_start().starts_with(b"{") {
            let error = Error::not_a_registry(&target.path, "the manifest is no JSON object");
            return Err(self.failed(&error));
        }
        let media_type = media_type_of(&manifest);
        Ok(Some(Manifest {
            media_type,
            ..manifest
        }))
    }

    /// The size of a blob in bytes; `None`: the upstream has none.
    ///
    /// # Errors
    /// The errors of [`head_manifest`](Self::head_manifest), and when the upstream does not say the size.
    pub async fn head_blob(&self, repository: &str, digest: &Digest) -> Result<Option<u64>> {
        let target = Target::pull(repository, &format!("blobs/{digest}"));
        let Some(headers) = self.head(&target, HeaderMap::new()).await? else {
            return Ok(None);
        };
        let missing = || {
            let error = Error::not_a_registry(&target.path, "it does not say the size of the blob");
            self.failed(&error)
        };
        length(&headers).ok_or_else(missing).map(Some)
    }

    /// A blob, or the bytes `range` of it; `None`: the upstream has none. Its digest is not checked.
    ///
    /// # Errors
    /// The errors of [`head_manifest`](Self::head_manifest).
    pub async fn open_blob(
        &self,
        repository: &str,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<Option<UpstreamBlob>> {
        let client = Arc::clone(&self.client);
        let mut reader = match range {
            Some(range) => BlobReader::part(client, repository, digest, range),
            None => BlobReader::new(client, repository, digest),
        };
        if self.found(reader.start().await)?.is_none() {
            return Ok(None);
        }
        if let Some(headers) = reader.headers() {
            // These may be of another server, to which the registry led.
            self.check_loop(headers).map_err(|error| self.failed(&error))?;
        }
        Ok(Some(UpstreamBlob::new(reader, self.origin())))
    }

    /// The tags of a repository, in the upstream's order; `None`: the upstream has no such repository.
    ///
    /// # Errors
    /// The errors of [`head_manifest`](Self::head_manifest), and when the list has no end.
    pub async fn tags(&self, repository: &str) -> Result<Option<Vec<String>>> {
        let target = Target::pull(repository, "tags/list");
        let asked = AskedUpstream {
            upstream: self,
            target: &target,
        };
        self.found(lists::names(&asked, &target.path, "tags", usize::MAX).await)
    }

    /// The manifests that refer to `digest`, as an OCI index: by the API of the upstream, or by the tag at which clients keep
    /// the list for a registry without that API. `None`: the upstream has neither.
    ///
    /// # Errors
    /// The errors of [`head_manifest`](Self::head_manifest), and when the list has more than 20,000 entries or 32 MiB.
    pub async fn referrers(&self, repository: &str, digest: &Digest) -> Result<Option<Bytes>> {
        let target = Target::pull(repository, &format!("referrers/{digest}"));
        let asked = AskedUpstream {
            upstream: self,
            target: &target,
        };
        let listed = lists::referrers(&asked, &target.path).await;
        if let Some(entries) = listed.map_err(|error| self.failed(&error))? {
            let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
            return Ok(Some(index.to_string().into()));
        }
        let tag = Reference::Tag(referrers_tag(digest));
        let kept = self.manifest(repository, &tag).await?;
        // Something else may be at that tag.
        let kept = kept.filter(|kept| media_type::essence(&kept.media_type) == media_type::OCI_INDEX);
        Ok(kept.map(|kept| kept.bytes))
    }

    /// What the last answer with such headers said about the number of requests that are allowed.
    pub fn rate(&self) -> Option<RateLimit> {
        *self.rate.lock()
    }

    /// Scheme, host and port, for messages.
    pub fn origin(&self) -> String {
        self.client.wire.origin()
    }

    /// The head of the answer for `target`; `None`: the upstream does not have it.
    async fn head(&self, target: &Target, headers: HeaderMap) -> Result<Option<HeaderMap>> {
        let outcome = async {
            let opened = self.client.open(target, &Method::HEAD, headers).await?;
            let Opened { response, elsewhere } = opened;
            self.observe(response.headers(), elsewhere.as_deref())?;
            // There is no body, and so no reason for a refusal.
            let answer = Answer {
                status: response.status(),
                headers: response.headers().clone(),
                body: Bytes::new(),
                elsewhere,
            };
            Ok(answer.successful(&target.path)?.headers)
        };
        self.found(outcome.await)
    }

    /// Looks at the head of an answer, whatever it is: its limits if it is one of the registry and not of a server `elsewhere`, and
    /// whether the request came back to this registry.
    fn observe(&self, headers: &HeaderMap, elsewhere: Option<&str>) -> crate::Result<()> {
        if let Some(rate) = RateLimit::of(headers).filter(|_| elsewhere.is_none()) {
            *self.rate.lock() = Some(rate);
        }
        self.check_loop(headers)
    }

    fn check_loop(&self, headers: &HeaderMap) -> crate::Result<()> {
        let hops = headers.get_all(header::VIA).iter();
        let hops = hops
            .filter_map(|hop| hop.to_str().ok())
            .flat_map(|hop| hop.split(','));
        let names = hops.filter_map(|hop| hop.split_whitespace().nth(1));
        match names.into_iter().any(|name| name == self.via) {
            true => Err(Error::Refused {
                path: "/v2/".to_owned(),
                status: http::StatusCode::LOOP_DETECTED,
                message: format!(
                    "the answer came from this registry itself, by its name `{}` in `Via`",
                    self.via
                ),
                after: None,
                server: None,
            }),
            false => Ok(()),
        }
    }

    /// Some proxies answer with a page for people: of a login, or about an error.
    fn refuse_html(&self, path: &str, headers: &HeaderMap) -> Result<()> {
        let kind = text(headers, &header::CONTENT_TYPE).map(media_type::essence);
        match kind.is_some_and(|kind| kind.eq_ignore_ascii_case("text/html")) {
            true => Err(self.failed(&Error::not_a_registry(
                path,
                "HTML in place of a manifest; is `remoteurl` the address of a registry, or of a page before it?",
            ))),
            false => Ok(()),
        }
    }

    /// What was found; `None`: the upstream says that it does not have it.
    fn found<T>(&self, outcome: crate::Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(found) => Ok(Some(found)),
            Err(error) if error::is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &Error) -> UpstreamError {
        UpstreamError::of(&self.origin(), error)
    }
}

/// The pages of a list of an upstream.
struct AskedUpstream<'a> {
    upstream: &'a Upstream,
    target: &'a Target,
}

impl Pages for AskedUpstream<'_> {
    async fn page(&self, path: &str, limit: usize) -> crate::Result<Answer> {
        let answer = self.upstream.client.ask(self.target, path, limit).await?;
        let elsewhere = answer.elsewhere.as_deref();
        self.upstream.observe(&answer.headers, elsewhere)?;
        answer.successful(path)
    }

    fn next_page(&self, page: &str, answer: &Answer) -> crate::Result<Option<String>> {
        self.upstream.client.wire.next_page(page, answer)
    }
}

/// The URL before `/v2/`.
fn base(url: &Url) -> Result<Url> {
    let wrong = |reason: &str| {
        let text = format!("`{}` is not the URL of an upstream: {reason}", site::origin(url));
        UpstreamError::new(UpstreamErrorKind::Wrong, text)
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it has a user in it; `username` and `password` are keys of their own",
        ));
    }
    let base = site::parse(url.as_str());
    let mut base = base.ok_or_else(|| wrong("it must begin with `https://` or `http://`"))?;
    base.set_query(None);
    base.set_fragment(None);
    let path = base.path().trim_end_matches('/');
    let path = path.strip_suffix("/v2").unwrap_or(path).to_owned();
    base.set_path(&path);
    Ok(base)
}

/// The media type of a manifest, by its own word when the upstream calls it something that no manifest is: some stores know
/// only bytes.
fn media_type_of(manifest: &Manifest) -> String {
    if media_type::is_manifest(media_type::essence(&manifest.media_type)) {
        return manifest.media_type.clone();
    }
    let json: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let own = json["mediaType"]
        .as_str()
        .filter(|own| media_type::is_manifest(own));
    own.unwrap_or(&manifest.media_type).to_owned()
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &header::CONTENT_LENGTH)?.trim().parse().ok()
}
