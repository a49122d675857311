//! The tags at which clients keep lists of referrers for registries that keep none (distribution specification, "Unavailable
//! Referrers API").

use serde_json::json;
use wharf_oci::{Descriptor, Digest, Reference, media_type, referrers_tag};

use crate::{Client, Result};

impl Client {
    /// Adds `referrers` to the list of `subject` at its fallback tag.
    ///
    /// Two clients that do so at the same time overwrite each other's list, as with every client of such registries; to add
    /// the same again mends it.
    ///
    /// # Errors
    /// When the list cannot be read or written.
    pub async fn add_to_fallback(
        &self,
        repository: &str,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> Result<()> {
        let mut entries = self.fallback(repository, subject).await?;
        let is_new = |wanted: &&Descriptor| entries.iter().all(|known| known.digest != wanted.digest);
        let unlisted: Vec<Descriptor> = referrers.iter().filter(is_new).cloned().collect();
        if unlisted.is_empty() {
            return Ok(());
        }
        entries.extend(unlisted);
        let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
        let tag = Reference::Tag(referrers_tag(subject));
        let bytes = index.to_string().into();
        self.push_manifest(repository, &tag, media_type::OCI_INDEX, &bytes)
            .await?;
        Ok(())
    }
}
