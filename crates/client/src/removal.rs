//! Deleting manifests, as the standard API does it: by digest, and with all tags that point there.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use wharf_oci::Digest;

use crate::{Client, Result, Target};

impl Client {
    /// Deletes a manifest; whether there was one. All tags that point at it go as well.
    ///
    /// # Errors
    /// When the registry refuses, as some do, or the user may not delete.
    pub async fn delete_manifest(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let target = Target::new(
            format!("/v2/{repository}/manifests/{digest}"),
            format!("repository:{repository}:pull,delete"),
            Some(repository.to_owned()),
        );
        let url = self.wire.url(&target.path)?;
        let answer = self
            .change(&target, Method::DELETE, &url, HeaderMap::new(), Bytes::new())
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        answer.successful(&target.path)?;
        Ok(true)
    }
}
