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
mod certificates;
mod challenge;
pub mod control;
mod credentials;
mod deletion;
mod error;
#[cfg(test)]
mod fake;
mod fallback;
mod lifetimes;
mod names;
pub mod outgoing;
mod patience;
mod probe;
mod problem;
mod push;
mod referrers;
mod site;
mod stream;
mod text;
pub mod transfer;
mod unreachable;
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

use std::{collections::HashMap, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use wharf_oci::{Digest, Reference, media_type};

use names::{Names, Rejected};
use wire::{Answer, Wire};

/// Bytes of a manifest, as registries limit them.
const MANIFEST_LIMIT: usize = 4 << 20;
/// Bytes of the configuration of an image: far more than real ones have.
const CONFIG_LIMIT: usize = 16 << 20;
/// Bytes of one page of a list: some registries send all tags of a repository at once.
const PAGE_LIMIT: usize = 16 << 20;
/// Entries that are asked for at a time.
const PAGE: usize = 1000;

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
    credentials: Credentials,
    host: String,
    /// `Authorization` headers by the scope that they are for.
    authorizations: Mutex<HashMap<String, HeaderValue>>,
}

/// A manifest as it is stored.
#[derive(Debug)]
pub struct Manifest {
    /// Media type by the registry's `Content-Type`.
    pub media_type: String,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Bytes as they are stored.
    pub bytes: Bytes,
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
        Ok(Self {
            wire,
            host: address.host().to_owned(),
            credentials: options.credentials,
            authorizations: Mutex::default(),
        })
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
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(_) => announced(&answer)?.unwrap_or_else(|| Digest::sha256_of(&answer.body)),
        };
        check(&target.path, &digest, &answer.body)?;
        Ok(Manifest {
            media_type: answer
                .header(&header::CONTENT_TYPE)
                .unwrap_or_default()
                .to_owned(),
            digest,
            bytes: answer.body,
        })
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
        let mut names = Names::default();
        let mut next = Some(format!("{}?n={PAGE}", target.path));
        // A page that was guessed: a full one named no next page.
        let mut is_guess = false;
        let mut count = 0;
        while let Some(page) = next
            && count < pages
        {
            count += 1;
            let before = names.len();
            let rejected = |rejected: Rejected, entries| match rejected {
                Rejected::NotJson => Error::not_a_registry(&page, "no JSON with a list of names"),
                Rejected::Full => Error::Endless {
                    path: target.path.clone(),
                    entries,
                },
            };
            let is_new = names.may_ask_for(&page).map_err(|why| rejected(why, before))?;
            if !is_new {
                return Err(Error::not_a_registry(
                    &page,
                    "the pages of its list form a circle",
                ));
            }
            let answer = match self.get(target, &page, PAGE_LIMIT).await {
                // A registry without such pages has sent all; one that is busy or fails may have more.
                Err(Error::Refused { status, .. }) if is_guess && error::is_unsupported(status) => break,
                answer => answer?,
            };
            let taken = names.take(&answer.body, member);
            taken.map_err(|why| rejected(why, names.len()))?;
            // A page without names ends the list, whatever it links to.
            if names.len() == before {
                break;
            }
            // A registry that does not know `last` has sent names that came before.
            if is_guess && names.repeats_from(before) {
                names.truncate(before);
                break;
            }
            next = self.wire.next_page(&page, &answer)?;
            is_guess = next.is_none() && names.len() - before == PAGE;
            if is_guess {
                next = names.last().map(|last| {
                    let last = utf8_percent_encode(last, NON_ALPHANUMERIC);
                    format!("{}?n={PAGE}&last={last}", target.path)
                });
            }
        }
        Ok(names.into_vec())
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
        let answer = self.send(path, self.known_login(target), limit).await?;
        if answer.status != http::StatusCode::UNAUTHORIZED {
            return answer.successful(path);
        }
        let (authorization, user) = self.log_in(target, &answer).await?;
        let again = self.send(path, Some(authorization.clone()), limit).await?;
        if again.status == http::StatusCode::UNAUTHORIZED {
            return Err(self.refused_again(&authorization, user, target, &again));
        }
        self.authorizations
            .lock()
            .insert(target.scope.clone(), authorization);
        again.successful(path)
    }

    /// The `Authorization` that was good for `target` before, unless it has ended: without one, the registry refuses at once and
    /// names its token server.
    fn known_login(&self, target: &Target) -> Option<HeaderValue> {
        let known = self.authorizations.lock().get(&target.scope).cloned();
        known.filter(|authorization| self.wire.lifetimes.is_good(authorization))
    }

    /// The `Authorization` for `target` that `refusal` asks for, and the user that it is for.
    async fn log_in(&self, target: &Target, refusal: &Answer) -> Result<(HeaderValue, Option<String>)> {
        let login = self
            .credentials
            .find(&self.host, target.repository.as_deref())
            .await?;
        let user = login.as_ref().map(|login| login.user.clone());
        match challenge::answer(&self.wire, login, refusal, &target.scope).await? {
            Some(authorization) => Ok((authorization, user)),
            None => Err(Error::Unauthorized {
                host: self.host.clone(),
                user,
            }),
        }
    }

    /// Why a request is refused that carried `authorization`: with a token, the token server has accepted the login, and
    /// has given fewer rights.
    fn refused_again(
        &self,
        authorization: &HeaderValue,
        user: Option<String>,
        target: &Target,
        refusal: &Answer,
    ) -> Error {
        let host = self.host.clone();
        if !authorization.as_bytes().starts_with(b"Bearer ") {
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
        let mut headers = HeaderMap::new();
        for accept in ACCEPT {
            headers.append(header::ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        self.wire.get_patiently(path, &headers, limit).await
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

/// The digest in the header of the answer, if there is one.
fn announced(answer: &Answer) -> Result<Option<Digest>> {
    let name = http::HeaderName::from_static("docker-content-digest");
    let Some(text) = answer.header(&name) else {
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
    use crate::fake::{Fake, Reply};

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
