//! Which manifests a repository has, of those that a list shows.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use wharf_oci::{Digest, RepoName};
use wharf_storage::layout;

use crate::{
    error::Result,
    registry::Registry,
    tree::{
        link,
        parallel::{PARALLEL, in_jobs},
        scan::{PAGE, below, named},
    },
};

impl Registry {
    /// Those of `digests` that `name` has as manifests.
    ///
    /// On a bucket their links are listed, as long as a listing costs no more than to look at each of them.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn present(&self, name: &RepoName, digests: Vec<Digest>) -> Result<HashSet<Digest>> {
        let mut present = HashSet::new();
        let unknown = match self.storage.is_shared() {
            true => self.listed_links(name, digests, &mut present).await?,
            false => digests,
        };
        let links = Arc::clone(&self.tree.links);
        let name = name.clone();
        let found = in_jobs(unknown, move |digest| {
            let (links, link) = (Arc::clone(&links), layout::revision_link(&name, &digest));
            async move { Ok(links.target(&link).await?.map(|_| digest)) }
        });
        present.extend(found.await?.into_iter().flatten());
        Ok(present)
    }

    /// Lists the links of manifests. Those of which that tells that they are links go into `present`; the digests of which it tells nothing are
    /// returned.
    async fn listed_links(
        &self,
        name: &RepoName,
        digests: Vec<Digest>,
        present: &mut HashSet<Digest>,
    ) -> Result<Vec<Digest>> {
        let keys = digests
            .iter()
            .map(|digest| (layout::revision_link(name, digest), *digest));
        let mut unknown: BTreeMap<_, Digest> = keys
            .map(|(key, digest)| (key.as_str().to_owned(), digest))
            .collect();
        let directory = layout::revisions(name);
        let (mut to_read, mut after) = (Vec::new(), None);
        // So many links can be read in the time of one page.
        for _ in 0..unknown.len() / PARALLEL {
            let page = self.storage.scan(&directory, after.as_ref(), PAGE).await?;
            let Some(last) = page.objects.last().map(|object| object.key.clone()) else {
                return Ok(to_read);
            };
            let rest = match page.more {
                true => unknown.split_off(last.as_str()),
                false => BTreeMap::new(),
            };
            for object in &page.objects {
                let digest = below(&directory, &object.key).and_then(named);
                let Some(digest) = digest.filter(|_| {
                    unknown.contains_key(object.key.as_str()) || rest.contains_key(object.key.as_str())
                }) else {
                    continue;
                };
                match link::told(object.stat.version.as_ref(), [&digest]) {
                    Some(_) => _ = present.insert(digest),
                    None => to_read.push(digest),
                }
            }
            unknown = rest;
            unknown.remove(last.as_str());
            if unknown.is_empty() {
                break;
            }
            after = Some(last);
        }
        to_read.extend(unknown.into_values());
        Ok(to_read)
    }
}
