//! The catalogue: every repository, sorted, in pages, read from the tree.

use std::{pin::pin, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _};
use wharf_oci::{PageRequest, RepoName};
use wharf_storage::layout::{self, InTree as _};

use crate::{
    error::Result,
    registry::Registry,
    tree::{directory::exists, repositories, tags::NamePage},
};

/// How many directories are looked into while the walk goes on. The walk lists each of them one after the other, so more
/// would not end sooner, and at the end of a page they are looked into in vain.
const AHEAD: usize = 4;

impl Registry {
    /// The repositories after `page.last`: `page.n` of them, or all. Those without a tag are left out, unless
    /// [`show_empty_repositories`](crate::Options::show_empty_repositories).
    ///
    /// Requests for the same page share a walk, one that starts after each of them came: what a client knows to
    /// be there when it asks is in its answer.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn catalog(&self, page: &PageRequest) -> Result<Arc<NamePage>> {
        self.catalog_rounds.share(page, || self.walk_catalog(page)).await
    }

    async fn walk_catalog(&self, page: &PageRequest) -> Result<NamePage> {
        let wanted = page.n.unwrap_or(usize::MAX);
        let mut found = NamePage::default();
        if wanted == 0 {
            return Ok(found);
        }
        let last = page.last.as_deref().unwrap_or("");
        let walk = repositories::by_name(Arc::clone(&self.storage), last)
            .map_ok(|repository| self.listed(repository))
            .try_buffered(AHEAD);
        let mut walk = pin!(walk);
        while let Some(name) = walk.next().await.transpose()? {
            let Some(name) = name else { continue };
            if found.names.len() == wanted {
                found.more = true;
                break;
            }
            found.names.push(name.as_str().into());
        }
        Ok(found)
    }

    /// The name of `repository` if the catalogue lists it.
    async fn listed(&self, repository: layout::Repository) -> Result<Option<RepoName>> {
        let Ok(name) = repository.path().parse::<RepoName>() else {
            return Ok(None);
        };
        let is_listed = if self.options.show_empty_repositories {
            exists(&*self.storage, &layout::manifests(&name)).await?
                || exists(&*self.storage, &layout::layers(&name)).await?
        } else {
            let first = PageRequest {
                n: Some(1),
                last: None,
            };
            let tags = self.tree.tags.page(&name, &first).await?;
            tags.is_some_and(|tags| !tags.names.is_empty())
        };
        Ok(is_listed.then_some(name))
    }
}
