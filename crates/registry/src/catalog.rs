//! The catalogue: every repository that can be read, sorted, in pages, read from the tree.

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
    /// [`show_empty_repositories`](crate::Options::show_empty_repositories), and so are those that the process has no
    /// right to read: [`unreadable_repositories`](Self::unreadable_repositories) names them.
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
        let walk = repositories::by_name(Arc::clone(&self.storage), last, Arc::clone(&self.tree.unreadable))
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

    /// The repositories that were met and could not be read, for lack of a right: some of them, in ascending order.
    pub fn unreadable_repositories(&self) -> Vec<Box<str>> {
        self.tree.unreadable.names()
    }

    /// The name of `repository` if the catalogue lists it.
    async fn listed(&self, repository: layout::Repository) -> Result<Option<RepoName>> {
        let Ok(name) = repository.path().parse::<RepoName>() else {
            return Ok(None);
        };
        match self.has_listed_content(&name).await {
            Err(error) if self.tree.unreadable.explains(name.as_str(), &error) => Ok(None),
            Err(error) => Err(error),
            Ok(is_listed) => {
                self.tree.unreadable.is_readable(name.as_str());
                Ok(is_listed.then_some(name))
            }
        }
    }

    async fn has_listed_content(&self, name: &RepoName) -> Result<bool> {
        if self.options.show_empty_repositories {
            Ok(exists(&*self.storage, &layout::manifests(name)).await?
                || exists(&*self.storage, &layout::layers(name)).await?)
        } else {
            let first = PageRequest {
                n: Some(1),
                last: None,
            };
            let tags = self.shown_tags(name, &first).await?;
            Ok(tags.is_some_and(|tags| !tags.names.is_empty()))
        }
    }
}
