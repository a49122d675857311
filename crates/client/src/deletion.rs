//! Deleting manifests and tags by the standard API, which registries take up in different ways.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use uuid::Uuid;
use wharf_oci::{Digest, Reference, Tag};

use crate::{Client, Error, Result, Target};

/// The answer to a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// There is nothing of that name, or not any more.
    Absent,
    /// The registry cannot delete it so, or deleting is switched off there.
    Unsupported(StatusCode),
}

impl Client {
    /// Deletes a manifest by its digest, which takes its tags along, or a tag alone where the registry can do that.
    ///
    /// # Errors
    /// When the user may not delete, or the registry fails.
    pub async fn delete_manifest(&self, repository: &str, reference: &Reference) -> Result<Deleted> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let scope = format!("repository:{repository}:pull,delete");
        let target = Target::new(path, scope, Some(repository.to_owned()));
        let url = self.wire.url(&target.path)?;
        let answer = self.change(&target, Method::DELETE, &url, HeaderMap::new(), Bytes::new());
        let answer = answer.await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(Deleted::Absent),
            status @ (StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED) => Ok(Deleted::Unsupported(status)),
            _ => answer.successful(&target.path).map(|_| Deleted::Gone),
        }
    }

    /// Whether the registry deletes at all from a repository: it is asked to delete a manifest that there is none of.
    ///
    /// # Errors
    /// When the user may not delete, or the registry fails.
    pub async fn deletes(&self, repository: &str) -> Result<bool> {
        let nothing = Reference::Digest(unknown_digest());
        let answer = self.delete_manifest(repository, &nothing).await?;
        Ok(!matches!(answer, Deleted::Unsupported(_)))
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
        let answer = self.delete_manifest(repository, &Reference::Tag(tag)).await?;
        Ok(!matches!(answer, Deleted::Unsupported(_)))
    }
}

/// A digest that no content has.
pub(crate) fn unknown_digest() -> Digest {
    Digest::sha256_of(Uuid::new_v4().as_bytes())
}
