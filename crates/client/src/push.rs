//! Pushing: blobs, mounts and manifests, and what a registry needs to be asked before.

mod body;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use tokio::{sync::mpsc, time::timeout};
use wharf_oci::{Descriptor, Digest, Reference, media_type};

use self::body::{Pieces, Pumped, pump};
use crate::{
    Client, Error, PAGE_LIMIT, Result, Target,
    patience::{self, Patience},
    stream::{Blob, Checked},
    wire::{Answer, Opened},
};

/// Time limit for the answer after the last byte of a blob: the registry may have to sync, hash and copy all of it.
const FINISH_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Time after which an upload is asked about again that a broken connection still holds.
const HELD: Duration = Duration::from_millis(300);
/// How often it is asked about.
const HELD_TRIES: u32 = 4;
/// How often a blob is sent from its start again because the registry has forgotten its upload.
const RESTARTS: u32 = 10;
/// Pieces of a blob between the reader and the connection.
const PIECES: usize = 4;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// How a blob came into a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// The registry had it in another repository, and no byte was sent.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

/// The answer to the push of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushedManifest {
    /// Whether the registry lists the manifest as a referrer of its subject by itself.
    pub lists_subject: bool,
}

impl Client {
    /// The size of a blob; `None`: the repository does not have it.
    ///
    /// # Errors
    /// When the registry refuses to answer.
    pub async fn blob_size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>> {
        let target = Target::push(repository, None);
        let path = format!("/v2/{repository}/blobs/{digest}");
        let Some(opened) = self.look(&target.at(path)).await? else {
            return Ok(None);
        };
        let length = opened.response.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Ok(Some(length.unwrap_or_default()))
    }

    /// Whether a repository that is read has a blob.
    ///
    /// # Errors
    /// When the registry refuses to answer.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let target = Target::pull(repository, &format!("blobs/{digest}"));
        Ok(self.look(&target).await?.is_some())
    }

    /// The digest of a manifest of a repository that is read; `None`: there is none.
    ///
    /// # Errors
    /// When the registry refuses to answer.
    pub async fn manifest_digest(&self, repository: &str, reference: &Reference) -> Result<Option<Digest>> {
        let target = Target::pull(repository, &format!("manifests/{reference}"));
        self.digest_at(&target, repository, reference).await
    }

    /// The same for a repository that is pushed to.
    ///
    /// # Errors
    /// When the registry refuses to answer.
    pub async fn pushed_digest(&self, repository: &str, reference: &Reference) -> Result<Option<Digest>> {
        let target = Target::push(repository, None).at(format!("/v2/{repository}/manifests/{reference}"));
        self.digest_at(&target, repository, reference).await
    }

    async fn digest_at(
        &self,
        target: &Target,
        repository: &str,
        reference: &Reference,
    ) -> Result<Option<Digest>> {
        let Some(opened) = self.look(target).await? else {
            return Ok(None);
        };
        if let Reference::Digest(digest) = reference {
            return Ok(Some(*digest));
        }
        let digest = opened.response.headers().get(CONTENT_DIGEST);
        match digest.and_then(|digest| digest.to_str().ok()?.parse().ok()) {
            Some(digest) => Ok(Some(digest)),
            // The header is optional, and some proxies take it away.
            None => Ok(Some(self.manifest(repository, reference).await?.digest)),
        }
    }

    /// Pushes a blob, unless the registry can mount it from the repository `from`. `sent` is told of the bytes that pass.
    ///
    /// When the connection breaks, the registry is asked how much it has, and gets the rest. The bytes are compared with
    /// the descriptor on their way: if they are wrong, the last of them is not sent.
    ///
    /// # Errors
    /// When the registry refuses, cannot be reached for long, or the bytes are not those of the descriptor.
    pub async fn push_blob<B: Blob>(
        &self,
        repository: &str,
        descriptor: &Descriptor,
        blob: &mut B,
        from: Option<&str>,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<Upload> {
        let target = Target::push(repository, from);
        let mut location = match self.start(repository, &target, descriptor, from).await? {
            Started::Mounted => return Ok(Upload::Mounted),
            Started::Upload(location) => location,
        };
        let mut checked = Checked::new(blob, descriptor);
        let (mut position, mut furthest, mut restarts) = (0, 0, 0);
        let mut trouble = Trouble::default();
        loop {
            let reached = checked.seek(position);
            let result = match reached {
                0 => self.put(&target, &location, &mut checked, descriptor, sent).await,
                _ => {
                    self.append(&target, &location, &mut checked, descriptor, (reached, sent))
                        .await
                }
            };
            let Err(error) = result else {
                return Ok(Upload::Sent);
            };
            self.forget_login(&target, &error);
            self.pause_for_upload(&mut trouble, error).await?;
            match self.progress(&target, &location).await? {
                Some((next, at)) => {
                    // The registry has more than ever before: the connection is slow or bad, but not useless.
                    if at > furthest {
                        furthest = at;
                        trouble = Trouble::default();
                    }
                    (location, position) = (next, at);
                }
                // Finished in spite of the lost answer, or gone.
                None if self.blob_size(repository, &descriptor.digest).await? == Some(descriptor.size) => {
                    return Ok(Upload::Sent);
                }
                None if restarts == RESTARTS => {
                    let reason = format!("it has forgotten an upload of one blob {restarts} times");
                    return Err(Error::not_a_registry(location.path(), &reason));
                }
                None => match self.start(repository, &target, descriptor, None).await? {
                    Started::Mounted => return Ok(Upload::Mounted),
                    Started::Upload(next) => {
                        (location, position) = (next, 0);
                        restarts += 1;
                    }
                },
            }
        }
    }

    /// Mounts a blob from the repository `from`; whether the registry did so.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    pub async fn mount_blob(&self, repository: &str, digest: &Digest, from: &str) -> Result<bool> {
        let target = Target::push(repository, Some(from));
        let path = format!(
            "/v2/{repository}/blobs/uploads/?mount={digest}&from={}",
            in_query(from)
        );
        let url = self.wire.url(&path)?;
        let answer = self
            .change(&target, Method::POST, &url, HeaderMap::new(), Bytes::new())
            .await;
        let answer = match answer {
            Err(Error::Unauthorized { .. } | Error::MissingRight { .. }) => return Ok(false),
            answer => answer?,
        };
        if answer.status == StatusCode::ACCEPTED
            && let Ok(Started::Upload(location)) = self.location(&answer, &path)
        {
            // The registry began an upload in its place, which is not needed.
            let given_up = self.change(&target, Method::DELETE, &location, HeaderMap::new(), Bytes::new());
            _ = given_up.await;
        }
        Ok(answer.status == StatusCode::CREATED)
    }

    /// Mounts a blob from the repository `from`, if the registry can; otherwise begins an upload.
    async fn start(
        &self,
        repository: &str,
        target: &Target,
        descriptor: &Descriptor,
        from: Option<&str>,
    ) -> Result<Started> {
        let path = format!("/v2/{repository}/blobs/uploads/");
        if let Some(from) = from {
            let url = self.wire.url(&format!(
                "{path}?mount={}&from={}",
                descriptor.digest,
                in_query(from)
            ))?;
            let answer = self.change(target, Method::POST, &url, HeaderMap::new(), Bytes::new());
            match answer.await {
                Ok(answer) if answer.status == StatusCode::CREATED => return Ok(Started::Mounted),
                Ok(answer) if answer.status == StatusCode::ACCEPTED => return self.location(&answer, &path),
                // A registry that cannot mount, or must not: the bytes are sent.
                Ok(_) | Err(Error::Unauthorized { .. } | Error::MissingRight { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let url = self.wire.url(&path)?;
        let answer = self.change(target, Method::POST, &url, HeaderMap::new(), Bytes::new());
        let answer = answer.await?.successful(&path)?;
        self.location(&answer, &path)
    }

    fn location(&self, answer: &Answer, path: &str) -> Result<Started> {
        let location = answer.header(&header::LOCATION);
        let location = location.ok_or_else(|| Error::not_a_registry(path, "an upload without `Location`"))?;
        Ok(Started::Upload(self.wire.url(location)?))
    }

    /// Sends the whole blob with the request that ends its upload.
    async fn put<B: Blob>(
        &self,
        target: &Target,
        location: &Url,
        blob: &mut Checked<'_, B>,
        descriptor: &Descriptor,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let url = with_digest(location, &descriptor.digest);
        let request = Request {
            method: Method::PUT,
            url: &url,
            range: None,
            length: descriptor.size,
        };
        let answer = self.stream(target, request, blob, sent).await?;
        uploaded(answer, &url, &descriptor.digest)
    }

    /// Sends the rest of the blob, and ends its upload.
    async fn append<B: Blob>(
        &self,
        target: &Target,
        location: &Url,
        blob: &mut Checked<'_, B>,
        descriptor: &Descriptor,
        (position, sent): (u64, &(dyn Fn(u64) + Sync)),
    ) -> Result<()> {
        let mut location = location.clone();
        if position < descriptor.size {
            let request = Request {
                method: Method::PATCH,
                url: &location,
                range: Some(format!("{position}-{}", descriptor.size - 1)),
                length: descriptor.size - position,
            };
            let answer = self.stream(target, request, blob, sent).await?;
            let answer = answer.successful(location.path())?;
            if let Some(next) = answer.header(&header::LOCATION) {
                location = self.wire.url(next)?;
            }
        }
        let url = with_digest(&location, &descriptor.digest);
        let answer = self.change(target, Method::PUT, &url, HeaderMap::new(), Bytes::new());
        uploaded(answer.await?, &url, &descriptor.digest)
    }

    /// Sends what is left of `blob` as the body of one request.
    async fn stream<B: Blob>(
        &self,
        target: &Target,
        request: Request<'_>,
        blob: &mut Checked<'_, B>,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<Answer> {
        let mut headers = self.headers(target);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(media_type::OCTET_STREAM),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(request.length));
        if let Some(range) = request.range.and_then(|range| range.try_into().ok()) {
            headers.insert(header::CONTENT_RANGE, range);
        }
        let (sender, receiver) = mpsc::channel(PIECES);
        let body = reqwest::Body::wrap(Pieces {
            receiver,
            left: request.length,
        });
        let answer = self.wire.send(request.method, request.url, headers, body);
        let mut answer = std::pin::pin!(answer);
        let pump = pump(blob, sender, sent);
        tokio::select! {
            biased;
            // An answer before the last byte is a refusal, or a broken connection.
            answer = &mut answer => answer,
            pumped = pump => {
                // A connection that takes no more says why.
                let (Pumped::All | Pumped::Refused) = pumped?;
                let path = || request.url.path().to_owned();
                timeout(FINISH_TIMEOUT, answer).await.unwrap_or_else(|_| Err(Error::TimedOut {
                    url: path(),
                    reason: "no answer came after the last byte".to_owned(),
                }))
            }
        }
    }

    /// Where an upload goes on, and how many bytes it has; `None`: there is no such upload.
    async fn progress(&self, target: &Target, location: &Url) -> Result<Option<(Url, u64)>> {
        let answer = self
            .change(target, Method::GET, location, HeaderMap::new(), Bytes::new())
            .await?;
        if !answer.status.is_success() {
            return Ok(None);
        }
        let next = match answer.header(&header::LOCATION) {
            Some(next) => self.wire.url(next)?,
            None => location.clone(),
        };
        // `0-0` stands for no byte as well as for one: then the upload begins anew.
        let range = answer.header(&header::RANGE).unwrap_or_default();
        let last = range.trim_start_matches("bytes=").split_once('-');
        let last = last.and_then(|(_, last)| last.trim().parse::<u64>().ok());
        Ok(last.filter(|last| *last > 0).map(|last| (next, last + 1)))
    }

    /// Pushes a manifest as it is.
    ///
    /// # Errors
    /// When the registry refuses it, or stores something else.
    pub async fn push_manifest(
        &self,
        repository: &str,
        reference: &Reference,
        media_type: &str,
        bytes: &Bytes,
    ) -> Result<PushedManifest> {
        let target = Target::push(repository, None);
        let path = format!("/v2/{repository}/manifests/{reference}");
        let url = self.wire.url(&path)?;
        let content_type = HeaderValue::from_str(media_type)
            .map_err(|_| Error::not_a_registry(media_type, "it is no media type"))?;
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
        let answer = self
            .change(&target, Method::PUT, &url, headers, bytes.clone())
            .await?;
        let answer = answer.successful(&path)?;
        let algorithm = reference
            .digest()
            .map_or(wharf_oci::Algorithm::Sha256, Digest::algorithm);
        let expected = Digest::of(algorithm, bytes);
        let stored = answer
            .header(&CONTENT_DIGEST)
            .and_then(|digest| digest.parse().ok());
        if let Some(actual) =
            stored.filter(|stored: &Digest| stored.algorithm() == algorithm && *stored != expected)
        {
            return Err(Error::Damaged {
                path,
                expected,
                actual,
            });
        }
        let lists_subject = answer.headers.contains_key(&SUBJECT);
        Ok(PushedManifest { lists_subject })
    }

    /// Asks with `HEAD`; `None`: it does not exist.
    async fn look(&self, target: &Target) -> Result<Option<Opened>> {
        let mut patience = Patience::default();
        loop {
            let opened = self.open(target, &Method::HEAD, crate::accepted());
            let opened = match self.wire.limited(&target.path, opened).await {
                Ok(opened) => opened,
                Err(error) => {
                    self.wire.pause_after(&mut patience, error).await?;
                    continue;
                }
            };
            let status = opened.response.status();
            match status {
                StatusCode::NOT_FOUND => return Ok(None),
                status if status.is_success() => return Ok(Some(opened)),
                status => {
                    let error = Error::Refused {
                        path: target.path.clone(),
                        status,
                        message: "without a reason".to_owned(),
                        after: patience::retry_after(opened.response.headers()),
                        server: opened.elsewhere,
                    };
                    self.wire.pause_after(&mut patience, error).await?;
                }
            }
        }
    }

    /// Asks for the path of `target`, logs in when the registry requires that, and leaves the body to be read.
    pub(crate) async fn open(&self, target: &Target, method: &Method, headers: HeaderMap) -> Result<Opened> {
        let with = |authorization: Option<HeaderValue>| {
            let mut headers = headers.clone();
            headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
            headers
        };
        let known = self.tokens.known(&target.scope);
        let opened = self.wire.open(method, &target.path, &with(known.clone())).await?;
        if opened.response.status() != StatusCode::UNAUTHORIZED {
            return Ok(opened);
        }
        let refusal = opened.read(PAGE_LIMIT).await?;
        let authorization = self.log_in(target, known.as_ref(), &refusal).await?;
        let header = Some(authorization.header.clone());
        let opened = self.wire.open(method, &target.path, &with(header)).await?;
        if opened.response.status() == StatusCode::UNAUTHORIZED {
            let again = opened.read(PAGE_LIMIT).await?;
            return Err(self.refused_again(authorization, target, &again).await);
        }
        Ok(opened)
    }

    /// Sends a request that may be repeated, with the few bytes of `body`, and logs in when the registry requires that.
    pub(crate) async fn change(
        &self,
        target: &Target,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer> {
        let mut patience = Patience::default();
        loop {
            match self.change_once(target, &method, url, &headers, &body).await {
                Err(error) => self.wire.pause_after(&mut patience, error).await?,
                Ok(answer)
                    if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS =>
                {
                    let Err(error) = answer.successful(url.path()) else {
                        continue;
                    };
                    self.wire.pause_after(&mut patience, error).await?;
                }
                Ok(answer) => return Ok(answer),
            }
        }
    }

    pub(crate) async fn change_once(
        &self,
        target: &Target,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Answer> {
        let send = |mut all: HeaderMap| {
            all.extend(headers.clone());
            let answer = self.wire.send(method.clone(), url, all, body.clone().into());
            async {
                let silent = |_| Error::TimedOut {
                    url: url.path().to_owned(),
                    reason: "no answer came".to_owned(),
                };
                timeout(FINISH_TIMEOUT, answer).await.map_err(silent)?
            }
        };
        let known = self.tokens.known(&target.scope);
        let with = |value: Option<HeaderValue>| {
            let value = value.map(|value| (header::AUTHORIZATION, value));
            value.into_iter().collect()
        };
        let answer = send(with(known.clone())).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let authorization = self.log_in(target, known.as_ref(), &answer).await?;
        let again = send(with(Some(authorization.header.clone()))).await?;
        if again.status == StatusCode::UNAUTHORIZED {
            return Err(self.refused_again(authorization, target, &again).await);
        }
        Ok(again)
    }

    /// Headers with the authorization that was good for `target` before.
    fn headers(&self, target: &Target) -> HeaderMap {
        let known = self.tokens.known(&target.scope);
        known
            .map(|value| (header::AUTHORIZATION, value))
            .into_iter()
            .collect()
    }

    /// Waits before an upload goes on: as after any failure, when the token has ended meanwhile, and when the registry has not noticed yet
    /// that the connection is broken.
    async fn pause_for_upload(&self, trouble: &mut Trouble, error: Error) -> Result<()> {
        if is_unauthorized(&error) {
            trouble.refusals += 1;
            // With a new token it goes on, unless that is refused as well.
            return match trouble.refusals {
                1 => Ok(()),
                _ => Err(error),
            };
        }
        let is_held = matches!(&error, Error::Refused { status, .. }
            if matches!(*status, StatusCode::CONFLICT | StatusCode::RANGE_NOT_SATISFIABLE));
        if is_held && trouble.held < HELD_TRIES {
            trouble.held += 1;
            tokio::time::sleep(HELD * trouble.held).await;
            return Ok(());
        }
        self.wire.pause_after(&mut trouble.patience, error).await
    }

    /// Forgets an authorization that is refused by now: the token has ended.
    fn forget_login(&self, target: &Target, error: &Error) {
        if is_unauthorized(error) {
            self.tokens.clear(&target.scope);
        }
    }
}

/// What has gone wrong with an upload since its last byte.
#[derive(Default)]
struct Trouble {
    patience: Patience,
    /// How often it was refused for want of a good token.
    refusals: u32,
    /// How often it was held by a connection that is broken.
    held: u32,
}

enum Started {
    Mounted,
    Upload(Url),
}

struct Request<'a> {
    method: Method,
    url: &'a Url,
    range: Option<String>,
    length: u64,
}

impl Target {
    /// A repository that is pushed to, and the one that blobs are mounted from.
    pub(crate) fn push(repository: &str, from: Option<&str>) -> Self {
        let from = from.map(|from| format!(" repository:{from}:pull"));
        Self::new(
            format!("/v2/{repository}/"),
            format!("repository:{repository}:pull,push{}", from.unwrap_or_default()),
            Some(repository.to_owned()),
        )
    }

    pub(crate) fn at(self, path: String) -> Self {
        Self { path, ..self }
    }
}

fn is_unauthorized(error: &Error) -> bool {
    matches!(error, Error::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED)
}

/// The name of a repository as the value of a query.
fn in_query(repository: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'_')
        .remove(b'.');
    utf8_percent_encode(repository, KEPT).to_string()
}

/// `location` with the digest that ends the upload; its own query stays.
fn with_digest(location: &Url, digest: &Digest) -> Url {
    let mut url = location.clone();
    let own = url.query().filter(|query| !query.is_empty());
    let query = match own {
        Some(own) => format!("{own}&digest={digest}"),
        None => format!("digest={digest}"),
    };
    url.set_query(Some(&query));
    url
}

/// Checks the answer to the request that ended an upload.
fn uploaded(answer: Answer, url: &Url, expected: &Digest) -> Result<()> {
    let answer = answer.successful(url.path())?;
    if answer.status != StatusCode::CREATED {
        let reason = format!("it ends an upload with {}", answer.status);
        return Err(Error::not_a_registry(url.path(), &reason));
    }
    let stored = answer
        .header(&CONTENT_DIGEST)
        .and_then(|digest| digest.parse::<Digest>().ok());
    match stored.filter(|stored| stored.algorithm() == expected.algorithm() && stored != expected) {
        None => Ok(()),
        Some(actual) => Err(Error::Damaged {
            path: url.path().to_owned(),
            expected: *expected,
            actual,
        }),
    }
}

#[cfg(test)]
mod tests;
