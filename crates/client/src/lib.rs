//! A registry client, for the command line of wharf and against any registry.
//!
//! It finds credentials where docker keeps them ([`Credentials`]), speaks to a registry as docker does
//! ([`Client::connect`]): HTTPS first, plain HTTP only to loopback or when told to, answers Basic and
//! Bearer challenges, and lists and reads. Whatever it reads by digest is checked against that digest, and
//! whatever a server sends is bounded.
//!
//! It trusts no server further than it must. Credentials go to the registry that was named, and to the token server that
//! this registry names, over TLS unless the registry itself speaks plain HTTP. No redirect carries them on, no redirect
//! leaves TLS, and an exception from the checks of certificates holds for one host.

mod address;
mod administration;
mod authorization;
mod certificates;
mod challenge;
pub mod control;
mod credentials;
mod deletion;
mod error;
#[cfg(test)]
mod fake;
mod fallback;
mod lists;
mod logins;
mod names;
pub mod outgoing;
mod passed;
mod patience;
mod probe;
mod problem;
mod push;
mod referrers;
mod site;
mod stream;
mod text;
mod tokens;
pub mod transfer;
mod unreachable;
pub mod upstream;
mod verify;
mod wire;

pub use address::{Address, AddressError, ImageName};
pub use administration::AdministrationError;
pub use credentials::{Credentials, CredentialsError, Found, Login, NOT_FOUND, Secret, TOKEN_USER, stored};
pub use deletion::Deleted;
pub use error::{Error, Result};
pub use patience::Notices;
pub use probe::{Abilities, Gate};
pub use push::{PushedManifest, Upload};
pub use stream::{Blob, BlobReader};
pub use text::{printable, printable_json};
pub use verify::Verified;

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use wharf_oci::{Digest, Reference, media_type};

use authorization::Authorization;
use lists::{PAGE_LIMIT, Pages};
use logins::Logins;
use tokens::Tokens;
use wire::{Answer, Wire};

/// Bytes of a manifest, as registries limit them.
const MANIFEST_LIMIT: usize = 4 << 20;
/// Bytes of the configuration of an image: far more than real ones have.
const CONFIG_LIMIT: usize = 16 << 20;

/// Media types of all kinds of manifests.
const ACCEPT: [&str; 5] = [
    media_type::OCI_INDEX,
    media_type::OCI_MANIFEST,
    media_type::DOCKER_MANIFEST_LIST,
    media_type::DOCKER_MANIFEST,
    "*/*",
];

/// Options of a connection to a registry.
#[derive(Debug, Default)]
pub struct Options {
    /// Credentials to log in with.
    pub credentials: Credentials,
    /// Certificates of authorities to trust beside the system's, in PEM.
    pub authorities: Vec<PathBuf>,
    /// Trust any certificate of the registry's host, and speak plain HTTP to it when it does not speak TLS. Other servers,
    /// such as its token server, are not exempt.
    pub insecure: bool,
    /// Where it is said that the client waits for the registry.
    pub notices: Notices,
}

/// A connection to a registry that has answered.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    logins: Logins,
    host: String,
    tokens: Tokens,
}

/// A manifest as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Media type by the registry's `Content-Type`.
    pub media_type: String,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Bytes as they are stored.
    pub bytes: Bytes,
}

/// The pages of a list of a registry.
struct Asked<'a> {
    client: &'a Client,
    target: &'a Target,
}

/// What is asked of a registry.
#[derive(Debug)]
struct Target {
    path: String,
    /// Scope of the token that it needs.
    scope: String,
    /// Repository that it belongs to; files of credentials may name one.
    repository: Option<String>,
}

impl Client {
    /// Finds out which protocol the registry at `address` speaks.
    ///
    /// # Errors
    /// When no server answers there, or a server that is not a registry.
    pub async fn connect(address: &Address, options: Options) -> Result<Self> {
        let wire = Wire::connect(address, &options).await?;
        let host = address.host().to_owned();
        Ok(Self::over(wire, host, Logins::Stored(options.credentials)))
    }

    /// A client that asks over `wire`, with the credentials that `logins` has for `host`.
    fn over(wire: Wire, host: String, logins: Logins) -> Self {
        Self {
            wire,
            logins,
            host,
            tokens: Tokens::default(),
        }
    }

    /// The names of all repositories that the user may see, in the registry's order.
    ///
    /// # Errors
    /// When the registry refuses, as some do for their catalogue.
    pub async fn repositories(&self) -> Result<Vec<String>> {
        self.list(&Target::catalog(), "repositories", usize::MAX).await
    }

    /// The names of the first page of [`repositories`](Self::repositories).
    ///
    /// # Errors
    /// The same.
    pub async fn first_repositories(&self) -> Result<Vec<String>> {
        self.list(&Target::catalog(), "repositories", 1).await
    }

    /// The tags of `repository`, in the registry's order.
    ///
    /// # Errors
    /// When there is no such repository, or the user may not see it.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        let target = Target::pull(repository, "tags/list");
        self.list(&target, "tags", usize::MAX).await
    }

    /// The tags of a repository that is pushed to; `None`: there is no such repository. Some registries answer only a client that may
    /// push whether there is one.
    ///
    /// # Errors
    /// When the user may not see it.
    pub async fn pushed_tags(&self, repository: &str) -> Result<Option<Vec<String>>> {
        let is_absent = |error: &Error| matches!(error, Error::Refused { status, .. } if *status == http::StatusCode::NOT_FOUND);
        let listed = match self.tags(repository).await {
            Err(error) if error.is_denied() => {
                let target = Target::push(repository, None).at(format!("/v2/{repository}/tags/list"));
                self.list(&target, "tags", usize::MAX).await
            }
            listed => listed,
        };
        match listed {
            Err(error) if is_absent(&error) => Ok(None),
            listed => listed.map(Some),
        }
    }

    /// The first page of [`tags`](Self::tags).
    ///
    /// # Errors
    /// The same.
    pub async fn first_tags(&self, repository: &str) -> Result<Vec<String>> {
        let target = Target::pull(repository, "tags/list");
        self.list(&target, "tags", 1).await
    }

    /// A manifest.
    ///
    /// # Errors
    /// When it does not exist, the user may not read it, or its bytes do not have its digest.
    pub async fn manifest(&self, repository: &str, reference: &Reference) -> Result<Manifest> {
        let target = Target::pull(repository, &format!("manifests/{reference}"));
        let answer = self.get(&target, &target.path, MANIFEST_LIMIT).await?;
        Manifest::of(&target.path, reference, answer)
    }

    /// A small blob, such as the configuration of an image.
    ///
    /// # Errors
    /// The errors of [`manifest`](Self::manifest), and when it has more than 16 MiB.
    pub async fn small_blob(&self, repository: &str, digest: &Digest) -> Result<Bytes> {
        let target = Target::pull(repository, &format!("blobs/{digest}"));
        let answer = self.get(&target, &target.path, CONFIG_LIMIT).await?;
        check(&target.path, digest, &answer.body)?;
        Ok(answer.body)
    }

    /// The pages of a list, at most so many.
    async fn list(&self, target: &Target, member: &str, pages: usize) -> Result<Vec<String>> {
        let asked = Asked { client: self, target };
        lists::names(&asked, &target.path, member, pages).await
    }

    /// A refresh token for `login`: for its password, or in place of its refresh token, then for `lifetime` at most if the registry
    /// can do that. `None`: the credentials are refused, or there is no token server that gives refresh tokens.
    ///
    /// # Errors
    /// When the registry, or its token server, does not answer as one.
    pub async fn refresh_token(&self, login: &Login, lifetime: Option<Duration>) -> Result<Option<String>> {
        let answer = self.send("/v2/", None, PAGE_LIMIT).await?;
        match answer.status {
            http::StatusCode::UNAUTHORIZED => {
                challenge::refresh_token(&self.wire, login, &answer, lifetime).await
            }
            _ => Ok(None),
        }
    }

    /// Gets `path`, the one of `target` or a further page of it, and logs in when the registry requires that.
    async fn get(&self, target: &Target, path: &str, limit: usize) -> Result<Answer> {
        self.ask(target, path, limit).await?.successful(path)
    }

    /// The same, whatever the status of the answer is after the login.
    async fn ask(&self, target: &Target, path: &str, limit: usize) -> Result<Answer> {
        let known = self.tokens.known(&target.scope);
        let answer = self.send(path, known.clone(), limit).await?;
        if answer.status != http::StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let authorization = self.log_in(target, known.as_ref(), &answer).await?;
        let again = self.send(path, Some(authorization.header.clone()), limit).await?;
        if again.status == http::StatusCode::UNAUTHORIZED {
            return Err(self.refused_again(authorization, target, &again).await);
        }
        Ok(again)
    }

    /// The authorization for `target` that `refusal` asks for, when the one that the request had was `refused`.
    async fn log_in(
        &self,
        target: &Target,
        refused: Option<&HeaderValue>,
        refusal: &Answer,
    ) -> Result<Authorization> {
        // Logins are rare, and their state is large.
        let log_in = Box::pin(async {
            let login = self.logins.find(&self.host, target.repository.as_deref()).await?;
            let user = login.as_ref().map(|login| login.user.clone());
            match challenge::answer(&self.wire, login, refusal, &target.scope).await? {
                Some(authorization) => Ok(authorization.of(user)),
                None => {
                    self.logins.refused().await;
                    let host = self.host.clone();
                    Err(Error::Unauthorized { host, user })
                }
            }
        });
        self.tokens.logged_in(&target.scope, refused, log_in).await
    }

    /// Why a request is refused that carried `authorization`: with a token, the token server has accepted the login, and
    /// has given fewer rights.
    async fn refused_again(&self, authorization: Authorization, target: &Target, refusal: &Answer) -> Error {
        let Authorization { header, user, .. } = authorization;
        self.tokens.forget(&target.scope, &header);
        let host = self.host.clone();
        if !header.as_bytes().starts_with(b"Bearer ") {
            self.logins.refused().await;
            return Error::Unauthorized { host, user };
        }
        match challenge::calls_token_invalid(refusal) {
            true => Error::not_a_registry(
                &target.path,
                "it does not accept a token of its own token server; do their clocks and keys agree?",
            ),
            false => Error::MissingRight {
                host,
                user,
                scope: target.scope.clone(),
            },
        }
    }

    async fn send(&self, path: &str, authorization: Option<HeaderValue>, limit: usize) -> Result<Answer> {
        let mut headers = accepted();
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        self.wire.get_patiently(path, &headers, limit).await
    }
}

impl Pages for Asked<'_> {
    async fn page(&self, path: &str, limit: usize) -> Result<Answer> {
        self.client.get(self.target, path, limit).await
    }

    fn next_page(&self, page: &str, answer: &Answer) -> Result<Option<String>> {
        self.client.wire.next_page(page, answer)
    }
}

impl Manifest {
    /// The manifest that an answer is, if it has the digest that was asked for or announced.
    fn of(path: &str, reference: &Reference, answer: Answer) -> Result<Self> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(_) => {
                announced(&answer.headers)?.unwrap_or_else(|| Digest::sha256_of(&answer.body))
            }
        };
        check(path, &digest, &answer.body)?;
        let media_type = answer.header(&header::CONTENT_TYPE).unwrap_or_default();
        Ok(Self {
            media_type: media_type.to_owned(),
            digest,
            bytes: answer.body,
        })
    }
}

impl Target {
    fn new(path: String, scope: String, repository: Option<String>) -> Self {
        Self {
            path,
            scope,
            repository,
        }
    }

    fn catalog() -> Self {
        Self::new("/v2/_catalog".to_owned(), "registry:catalog:*".to_owned(), None)
    }

    fn pull(repository: &str, rest: &str) -> Self {
        Self::new(
            format!("/v2/{repository}/{rest}"),
            format!("repository:{repository}:pull"),
            Some(repository.to_owned()),
        )
    }
}

/// Headers that say which kinds of manifests may come.
fn accepted() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for accept in ACCEPT {
        headers.append(header::ACCEPT, HeaderValue::from_static(accept));
    }
    headers
}

/// The digest in the header of the answer, if there is one.
fn announced(headers: &HeaderMap) -> Result<Option<Digest>> {
    let text = headers.get("docker-content-digest");
    let Some(text) = text.and_then(|text| text.to_str().ok()) else {
        return Ok(None);
    };
    let digest = text.parse();
    digest
        .map(Some)
        .map_err(|_| Error::not_a_registry(text, "it announces a digest that is none"))
}

/// Checks that `bytes` have the digest that was asked for.
fn check(path: &str, expected: &Digest, bytes: &[u8]) -> Result<()> {
    let actual = Digest::of(expected.algorithm(), bytes);
    if actual == *expected {
        return Ok(());
    }
    Err(Error::Damaged {
        path: path.to_owned(),
        expected: *expected,
        actual,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fake::{Fake, Reply},
        lists::PAGE,
    };

    /// The number of tags of a registry that sends a full page without a link, and then this status.
    async fn tags_before(status: u16) -> Result<usize> {
        let fake = Fake::start(move |asked, _| match asked.path.contains("last=") {
            true => Reply::json(status, "{}").with("Retry-After", "0"),
            false => {
                let tags: Vec<String> = (0..PAGE).map(|tag| tag.to_string()).collect();
                Reply::json(200, &serde_json::json!({ "tags": tags }).to_string())
            }
        });
        let client = fake.client(Notices::default()).await;
        client.tags("app").await.map(|tags| tags.len())
    }

    #[tokio::test]
    async fn a_list_of_tags_that_breaks_off_is_an_error() {
        for status in [400, 404, 405] {
            assert_eq!(tags_before(status).await.unwrap(), PAGE, "{status}");
        }
        for status in [403, 429] {
            let error = tags_before(status).await.unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{status}: {error}");
        }
    }
}
