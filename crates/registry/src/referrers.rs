//! The referrers of a manifest: found in the tree, not in a separate index that could go stale.
//!
//! A manifest with a `subject` that some older registry stored is a referrer too, whether or not its client also kept
//! the fallback tag (`sha256-<hex>`) of the spec's "Referrers Tag Schema". So what such a tag lists, as far
//! as the spec wants it listed (it is in the repository and has a valid `subject`), is part of the answer.

use wharf_budget::Permit;
use wharf_oci::{Descriptor, Digest, RepoName};
use wharf_storage::layout;

use crate::{
    error::Result,
    registry::Registry,
    tree::{
        graph::{Graph, Referrer},
        parallel::{PARALLEL, in_parallel},
    },
};

/// About how many bytes of descriptors one page holds: an answer is itself an index, and clients read those
/// up to 4 MiB.
const PAGE_BYTES: usize = 3 << 20;

/// How many referrers are looked up at once.
const AT_ONCE: usize = 4 * PARALLEL;

/// How many times the size of a page it takes to make it: facts, descriptors, and their text.
const EXPANSION: usize = 4;

/// A page of fewer bytes is not charged to the budget.
const FREE: usize = 64 << 10;

/// Some of the manifests that refer to another one.
#[derive(Debug, Default)]
pub struct ReferrersPage {
    /// Descriptors of the referrers, in ascending order of their digests.
    pub descriptors: Vec<Descriptor>,
    /// Whether there are more after the last one.
    pub more: bool,
    /// What making the page is charged to the budget, until it is dropped with the page.
    _charge: Option<Permit>,
}

impl Registry {
    /// The manifests of `name` whose `subject` is `subject`, of `artifact_type` if that is given, after the digest `after`.
    /// An unknown repository or subject has none: that is no error (spec end-12a).
    ///
    /// # Errors
    ///
    /// [`Error::Busy`](crate::Error::Busy) and [`Error::Exhausted`](crate::Error::Exhausted) when too many such requests run; errors of the store.
    pub async fn referrers(
        &self,
        name: &RepoName,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
    ) -> Result<ReferrersPage> {
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        let mut page = ReferrersPage {
            _charge: self.charge(&graph, subject, after)?,
            ..ReferrersPage::default()
        };
        let (mut bytes, mut last) = (0, after.copied());
        loop {
            let candidates = some_after(&graph, subject, last.as_ref());
            let Some(end) = candidates.last() else {
                return Ok(page);
            };
            last = Some(end.digest);
            let referrers = candidates
                .iter()
                .map(|candidate| self.referrer(name, &candidate.digest));
            let referrers = in_parallel(referrers).await?;
            for (candidate, descriptor) in candidates.iter().zip(referrers) {
                let Some(descriptor) = descriptor else { continue };
                if artifact_type.is_some_and(|wanted| descriptor.artifact_type.as_deref() != Some(wanted)) {
                    continue;
                }
                bytes += candidate.entry_size;
                if bytes > PAGE_BYTES && !page.descriptors.is_empty() {
                    page.more = true;
                    return Ok(page);
                }
                page.descriptors.push(descriptor);
            }
        }
    }

    /// Charges the page after `after` to the budget, unless it is small.
    fn charge(&self, graph: &Graph, subject: &Digest, after: Option<&Digest>) -> Result<Option<Permit>> {
        let sizes = graph
            .referrers(subject, after)
            .map(|referrer| referrer.entry_size);
        let size = sizes.sum::<usize>().min(PAGE_BYTES);
        if size <= FREE {
            return Ok(None);
        }
        Ok(Some(self.budget().bodies.take(EXPANSION * size)?))
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

/// The next referrers after the digest `after`: some, and no more than fill a page, because each may be large.
fn some_after(graph: &Graph, subject: &Digest, after: Option<&Digest>) -> Vec<Referrer> {
    let mut bytes = 0;
    let fits = |referrer: &Referrer| {
        let is_first = bytes == 0;
        bytes += referrer.entry_size;
        is_first || bytes <= PAGE_BYTES
    };
    graph
        .referrers(subject, after)
        .take_while(fits)
        .take(AT_ONCE)
        .collect()
}
