//! A registry client, for the command line of wharf and against any registry.
//!
//! It finds credentials where docker keeps them ([`Credentials`]), speaks to a registry as docker does
//! ([`Client::connect`]): HTTPS first, plain HTTP only to loopback or when told to, answers Basic and
//! Bearer challenges, and lists and reads. Whatever it reads by digest is checked against that digest, and
//! whatever a server sends is bounded.

mod address;
mod challenge;
mod credentials;
mod error;
pub mod outgoing;
mod wire;

pub use address::{Address, AddressError, ImageName};
pub use credentials::{Credentials, CredentialsError, Login, Secret};
pub use error::{Error, Result};

use std::{collections::HashMap, path::PathBuf};

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use parking_lot::Mutex;
use wharf_oci::{Digest, Reference, media_type};

use wire::{Answer, Wire};

/// Bytes of a manifest, as registries limit them.
const MANIFEST_LIMIT: usize = 4 << 20;
/// Bytes of the configuration of an image: far more than real ones have.
const CONFIG_LIMIT: usize = 16 << 20;
/// Bytes of one page of a list.
const PAGE_LIMIT: usize = 32 << 20;
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
    /// Trust any certificate, and speak plain HTTP to servers that do not speak TLS.
    pub insecure: bool,
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
        self.list("/v2/_catalog", "repositories", "registry:catalog:*")
            .await
    }

    /// The tags of `repository`, in the registry's order.
    ///
    /// # Errors
    /// When there is no such repository, or the user may not see it.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        let scope = pull(repository);
        self.list(&format!("/v2/{repository}/tags/list"), "tags", &scope)
            .await
    }

    /// A manifest.
    ///
    /// # Errors
    /// When it does not exist, the user may not read it, or its bytes do not have its digest.
    pub async fn manifest(&self, repository: &str, reference: &Reference) -> Result<Manifest> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.get(&path, &pull(repository), MANIFEST_LIMIT).await?;
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(_) => announced(&answer)?.unwrap_or_else(|| Digest::sha256_of(&answer.body)),
        };
        check(&path, &digest, &answer.body)?;
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
        let path = format!("/v2/{repository}/blobs/{digest}");
        let answer = self.get(&path, &pull(repository), CONFIG_LIMIT).await?;
        check(&path, digest, &answer.body)?;
        Ok(answer.body)
    }

    /// All pages of a list.
    async fn list(&self, path: &str, member: &str, scope: &str) -> Result<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        let mut next = Some(format!("{path}?n={PAGE}"));
        while let Some(page) = next {
            let answer = self.get(&page, scope, PAGE_LIMIT).await?;
            let json: serde_json::Value =
                serde_json::from_slice(&answer.body).map_err(|_| Error::not_a_registry(&page, "no JSON"))?;
            let before = names.len();
            // Older registries say `null` for an empty list.
            let entries = json[member].as_array().into_iter().flatten();
            names.extend(entries.filter_map(|name| name.as_str().map(str::to_owned)));
            let link = answer.header(&header::LINK).and_then(wire::next_page);
            // A page without new names ends the list: the pages of a faulty registry may form a circle.
            next = link.filter(|_| names.len() > before);
        }
        Ok(names)
    }

    async fn get(&self, path: &str, scope: &str, limit: usize) -> Result<Answer> {
        let known = self.authorizations.lock().get(scope).cloned();
        let answer = self.send(path, known.as_ref(), limit).await?;
        if answer.status != http::StatusCode::UNAUTHORIZED {
            return answer.successful(path);
        }
        let authorization =
            challenge::answer(&self.wire, &self.credentials, &self.host, &answer, scope).await?;
        let again = self.send(path, Some(&authorization), limit).await?;
        if again.status == http::StatusCode::UNAUTHORIZED {
            let user = self
                .credentials
                .for_host(&self.host)
                .await?
                .map(|found| found.user);
            return Err(Error::Unauthorized {
                host: self.host.clone(),
                user,
            });
        }
        self.authorizations.lock().insert(scope.to_owned(), authorization);
        again.successful(path)
    }

    async fn send(&self, path: &str, authorization: Option<&HeaderValue>, limit: usize) -> Result<Answer> {
        let mut request = self.wire.request(Method::GET, path)?;
        for accept in ACCEPT {
            request = request.header(header::ACCEPT, accept);
        }
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        Answer::read(request, limit).await
    }
}

fn pull(repository: &str) -> String {
    format!("repository:{repository}:pull")
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
