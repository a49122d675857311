//! Deleting manifests and tags by the standard API, which registries take up in different ways.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use uuid::Uuid;
use wharf_oci::{Digest, Reference, Tag};

use crate::{Client, Error, Result, Target};

/// The answer to a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, maybe by another request.
    Gone,
    /// The registry cannot delete it so, or deleting is switched off there.
    Unsupported(StatusCode),
}

impl Client {
    /// Deletes a manifest by its digest, which takes its tags along, or a tag alone where the registry can do that.
    ///
    /// # Errors
    /// When the user may not delete, or the registry fails.
    pub async fn delete_manifest(&self, repository: &str, reference: &Reference) -> Result<Deleted> {
        if let Some(answer) = self.ask_to_delete(repository, reference).await? {
            return Ok(answer);
        }
        // Registries also answer so where they have no such deletion at all.
        let still_there = self.manifest_digest(repository, reference).await?;
        Ok(still_there.map_or(Deleted::Gone, |_| Deleted::Unsupported(StatusCode::NOT_FOUND)))
    }

    /// The answer of the registry to a deletion; `None`: it says that there is nothing of that name.
    async fn ask_to_delete(&self, repository: &str, reference: &Reference) -> Result<Option<Deleted>> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let scope = format!("repository:{repository}:pull,delete");
        let target = Target::new(path, scope, Some(repository.to_owned()));
        let url = self.wire.url(&target.path)?;
        let answer = self.change(&target, Method::DELETE, &url, HeaderMap::new(), Bytes::new());
        let answer = answer.await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status @ (StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED) => Ok(Some(Deleted::Unsupported(status))),
            _ => answer.successful(&target.path).map(|_| Some(Deleted::Gone)),
        }
    }

    /// Whether the registry deletes at all from a repository: it is asked to delete a manifest that there is none of.
    ///
    /// # Errors
    /// When the user may not delete, or the registry fails.
    pub async fn deletes(&self, repository: &str) -> Result<bool> {
        let nothing = Reference::Digest(unknown_digest());
        let answer = self.ask_to_delete(repository, &nothing).await?;
        Ok(!matches!(answer, Some(Deleted::Unsupported(_))))
    }

    /// Whether the registry deletes a tag alone: it is asked to delete one that there is none of. Many only delete by digest.
    ///
    /// # Errors
    /// When the user may not delete, or the registry fails.
    pub async fn deletes_tags(&self, repository: &str) -> Result<bool> {
        let text = format!("wharf-probe-{}", Uuid::new_v4().simple());
        let tag: Tag = text
            .parse()
            .map_err(|_| Error::not_a_registry(&text, "it is no tag"))?;
        let answer = self.ask_to_delete(repository, &Reference::Tag(tag)).await?;
        Ok(!matches!(answer, Some(Deleted::Unsupported(_))))
    }
}

/// A digest that no content has.
pub(crate) fn unknown_digest() -> Digest {
    Digest::sha256_of(Uuid::new_v4().as_bytes())
}
