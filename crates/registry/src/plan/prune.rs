//! Plans of retention for many repositories, a page at a time.

use std::sync::Arc;

use wharf_oci::RepoName;
use wharf_storage::Listed;

use super::{Deletion, Plan, PlannedBytes, bytes::Loss};
use crate::{
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    retention::{LastPulls, Policy},
    tag_rights::TagRights,
};

/// How many names are asked of the store at once.
const NAMES: usize = 1000;

/// How many repositories a page has at most.
const REPOSITORIES: usize = 100;

/// How many verdicts about tags a page has before it ends.
const VERDICTS: usize = 20_000;

/// How many digests are kept in memory for the bytes of a page, before it ends.
const DIGESTS: usize = 200_000;

/// When images of repositories were pulled last.
pub trait PullsOf: Sync {
    /// The pulls of `name`; `None`: they are not counted.
    fn pulls_of(&self, name: &RepoName) -> Option<Arc<LastPulls>>;
}

/// A page of what retention would take from the repositories of a registry.
#[derive(Debug, Default)]
pub struct RetentionPage {
    /// One plan for each repository about which there are rules, in the order of their names. The bytes of each are those of the page
    /// that come free with it; several that share a blob count it each.
    pub plans: Vec<(Plan, u64)>,
    /// The bytes of all plans together.
    pub bytes: PlannedBytes,
    /// Repositories that could not be read, each with the reason. Nothing goes from them.
    pub unread: Vec<(RepoName, String)>,
    /// The repository with which the next page begins after; `None`: this page is the last.
    pub next: Option<RepoName>,
}

impl Registry {
    /// What `policy` would take from the repositories after `after`. Nothing changes.
    ///
    /// # Errors
    ///
    /// Errors of the store about all repositories; [`Error::Exhausted`] when others are planned for too long.
    pub async fn plan_retention(
        &self,
        policy: &Arc<Policy>,
        pulls: &dyn PullsOf,
        after: Option<&RepoName>,
        rights: &dyn TagRights,
    ) -> Result<RetentionPage> {
        let mut page = RetentionPage::default();
        let (mut losses, mut digests, mut verdicts) = (Vec::<Loss>::new(), 0, 0);
        let mut last = after.cloned();
        'names: loop {
            let (names, more) = self.names_after(last.as_ref()).await?;
            for name in names {
                let is_full = page.plans.len() >= REPOSITORIES || verdicts >= VERDICTS || digests >= DIGESTS;
                if is_full {
                    page.next = last;
                    break 'names;
                }
                if policy.rules_of(&name).next().is_some() {
                    let deletion = Deletion::Retention {
                        policy: Arc::clone(policy),
                        pulls: pulls.pulls_of(&name),
                    };
                    let planned = async {
                        let _turn = turn(&self.budget().plans).await?;
                        self.plan_and_loss(&name, &deletion, rights).await
                    };
                    match planned.await {
                        Ok((plan, loss)) => {
                            verdicts += plan.verdicts.len() + plan.history.len();
                            digests += loss.size();
                            losses.push(if plan.refused.is_some() {
                                loss.of_nothing()
                            } else {
                                loss
                            });
                            page.plans.push((plan, 0));
                        }
                        // Deleted meanwhile.
                        Err(Error::NameUnknown { .. }) => {}
                        Err(error) => page.unread.push((name.clone(), error.to_string())),
                    }
                }
                last = Some(name);
            }
            if !more || last.is_none() {
                break;
            }
        }
        let (bytes, of_each) = self.bytes_of(&losses).await?;
        page.bytes = bytes;
        for ((_, free), of_it) in page.plans.iter_mut().zip(of_each) {
            *free = of_it;
        }
        Ok(page)
    }

    /// Some names of repositories after `after`, and whether there are more.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn names_after(&self, after: Option<&RepoName>) -> Result<(Vec<RepoName>, bool)> {
        let mut after: Box<str> = after.map(RepoName::as_str).unwrap_or_default().into();
        loop {
            let page = self
                .storage
                .repositories(Listed::WithContent, &after, NAMES)
                .await?;
            let last = page.names.last().cloned();
            let names: Vec<RepoName> = page.names.iter().filter_map(|name| name.parse().ok()).collect();
            match last {
                // Directories whose names no repository has may be a whole page.
                Some(last) if names.is_empty() && page.more => after = last,
                _ => return Ok((names, page.more)),
            }
        }
    }
}
