//! What the client most likely meant when it names no manifest.

use wharf_oci::{Digest, RepoName};
use wharf_storage::layout;

use crate::{
    error::Result,
    registry::Registry,
    tag_rights::TagRights,
    tree::{
        parallel::{PARALLEL, in_parallel},
        tags::Pointer,
    },
};

/// How many manifests are searched for the one that a wrong digest belongs to.
const HINT_LIMIT: usize = 1000;

impl Registry {
    /// What the caller most likely wanted when `digest` is no manifest: older notes take the digest of the config for
    /// that of the image.
    pub(crate) async fn owner_of(
        &self,
        name: &RepoName,
        digest: &Digest,
        rights: &dyn TagRights,
    ) -> Result<Option<String>> {
        if !rights.may_see_repository() {
            return Ok(None);
        }
        let link = layout::layer_link(name, digest);
        if self.tree.links.target(&link).await?.is_none() {
            return Ok(None);
        }
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        let mut manifests = graph.digests();
        manifests.truncate(HINT_LIMIT);
        for manifests in manifests.chunks(PARALLEL) {
            let facts = in_parallel(manifests.iter().map(|digest| self.tree.manifests.facts(digest))).await?;
            for (manifest, facts) in manifests.iter().zip(facts) {
                let Some(facts) = facts else { continue };
                let is_config = facts.config.as_ref() == Some(digest);
                let is_part = is_config || facts.blobs().any(|blob| blob == digest);
                if !is_part || !self.has_revision(name, manifest).await? {
                    continue;
                }
                let role = if is_config { "config" } else { "layer" };
                let tags = self.tags_of(name, std::slice::from_ref(manifest)).await?;
                let tags = tags.get(manifest).map(Vec::as_slice).unwrap_or_default();
                let image = match tags.iter().find(|pointer| rights.may_see(&pointer.tag)) {
                    Some(Pointer { tag, .. }) => format!("`{name}:{tag}`"),
                    None => format!("an image of `{name}`"),
                };
                return Ok(Some(format!(
                    "that digest is a {role} of {image}; its manifest is `{manifest}`"
                )));
            }
        }
        Ok(Some(
            "that digest is a blob of this repository, not a manifest".to_owned(),
        ))
    }
}
