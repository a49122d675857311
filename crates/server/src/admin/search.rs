//! The search for images.

use wharf_oci::Tag;
use wharf_registry::{Registry, RepositorySight, Result, Search};

use super::wire;

/// What `search` finds of that which a client may see.
///
/// # Errors
///
/// As [`Registry::search`].
pub async fn search(
    registry: &Registry,
    search: Search<'_>,
    sight: &dyn RepositorySight,
) -> Result<wire::SearchPage> {
    let page = registry.search(search, sight).await?;
    let hits = page.hits.into_iter().map(|hit| wire::SearchHit {
        repository: hit.repository.to_string(),
        tag: hit.tag.as_ref().map(Tag::to_string),
        digest: hit.digest.map(|digest| digest.to_string()),
        matches: hit
            .matches
            .into_iter()
            .map(|found| wire::SearchMatch {
                within: found.within.as_str().to_owned(),
                text: found.text,
            })
            .collect(),
    });
    Ok(wire::SearchPage {
        hits: hits.collect(),
        next: page.next.map(|place| place.to_string()),
        incomplete: page.incomplete,
    })
}
