//! The catalogue: every repository that can be read, sorted, in pages, read from the tree.

use std::sync::Arc;

use wharf_oci::{PageRequest, RepoName, is_referrers_tag};
use wharf_storage::Listed;

use crate::{
    error::Result,
    registry::Registry,
    tree::tags::{NamePage, is_tag},
};

/// How many names are asked of the store at once.
const PAGE: usize = 1000;

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
        let mut after: Box<str> = page.last.as_deref().unwrap_or_default().into();
        let mut limit = wanted.min(PAGE);
        loop {
            let walked = self.storage.repositories(self.listed(), &after, limit).await?;
            let end = walked.names.last().filter(|_| walked.more).cloned();
            self.tree
                .unreadable
                .passed(&after, end.as_deref(), walked.unreadable);
            let names = walked.names.into_iter();
            found
                .names
                .extend(names.filter(|name| name.parse::<RepoName>().is_ok()));
            found.more = walked.more || found.names.len() > wanted;
            found.names.truncate(wanted);
            match end {
                Some(end) if found.names.len() < wanted => after = end,
                _ => return Ok(found),
            }
            // Directories whose names no repository has may be most of the store.
            limit = PAGE;
        }
    }

    /// Which repositories the catalogue lists.
    fn listed(&self) -> Listed {
        match (self.options.show_empty_repositories, self.options.referrers_tags) {
            (true, _) => Listed::WithContent,
            (false, true) => Listed::Tagged(|tag| is_tag(tag) && !is_referrers_tag(tag)),
            (false, false) => Listed::Tagged(is_tag),
        }
    }

    /// The repositories that were met and could not be read, for lack of a right: some of them, in ascending order.
    pub fn unreadable_repositories(&self) -> Vec<Box<str>> {
        self.tree.unreadable.names()
    }
}
