//! The referrers of a manifest: found in the tree, not in a separate index that could go stale.
//!
//! A manifest with a `subject` that some older registry stored is a referrer too, whether or not its client also kept
//! the fallback tag (`sha256-<hex>`) of the spec's "Referrers Tag Schema". So what such a tag lists, as far
//! as the spec wants it listed (it is in the repository and has a valid `subject`), is part of the answer.

use wharf_oci::{Descriptor, Digest, RepoName};
use wharf_storage::layout;

use crate::{
    error::Result,
    registry::Registry,
    tree::parallel::{PARALLEL, in_parallel},
};

/// About how many bytes of descriptors one page holds: an answer is itself an index, and clients read those
/// up to 4 MiB.
const PAGE_BYTES: usize = 3 << 20;

/// Some of the manifests that refer to another one.
#[derive(Debug, Clone, Default)]
pub struct ReferrersPage {
    /// Descriptors of the referrers, in ascending order of their digests.
    pub descriptors: Vec<Descriptor>,
    /// Whether there are more after the last one.
    pub more: bool,
}

impl Registry {
    /// The manifests of `name` whose `subject` is `subject`, of `artifact_type` if that is given, after the digest `after`.
    /// An unknown repository or subject has none: that is no error (spec end-12a).
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn referrers(
        &self,
        name: &RepoName,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
    ) -> Result<ReferrersPage> {
        let mut page = ReferrersPage::default();
        let mut bytes = 0;
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        let mut candidates = graph.referrers(subject);
        candidates.retain(|digest| after.is_none_or(|after| digest > after));
        for candidates in candidates.chunks(4 * PARALLEL) {
            let referrers = in_parallel(candidates.iter().map(|digest| self.referrer(name, digest))).await?;
            for descriptor in referrers.into_iter().flatten() {
                if artifact_type.is_some_and(|wanted| descriptor.artifact_type.as_deref() != Some(wanted)) {
                    continue;
                }
                bytes += serialized_size(&descriptor);
                if bytes > PAGE_BYTES && !page.descriptors.is_empty() {
                    page.more = true;
                    return Ok(page);
                }
                page.descriptors.push(descriptor);
            }
        }
        Ok(page)
    }

    /// The entry of the manifest `digest` of `name` in the list of its subject's referrers.
    async fn referrer(&self, name: &RepoName, digest: &Digest) -> Result<Option<Descriptor>> {
        let link = layout::revision_link(name, digest);
        if self.tree.links.target(&link).await?.is_none() {
            return Ok(None);
        }
        let facts = self.tree.manifests.facts(digest).await?;
        Ok(facts.and_then(|facts| facts.referrer.as_deref().cloned()))
    }
}

/// Estimated size of a descriptor in an answer, never much too small.
fn serialized_size(descriptor: &Descriptor) -> usize {
    let annotations: usize = descriptor
        .annotations
        .iter()
        .flatten()
        .map(|(key, value)| key.len() + value.len() + 8)
        .sum();
    512 + annotations
}
