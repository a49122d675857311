//! How often images were pulled, and when last, as far as that is counted.

use std::{collections::HashMap, fmt, sync::Arc};

use wharf_activity::{AllPulls, Counted, PullCount, Pulls, RepositoryPulls};
use wharf_message::Sentence;
use wharf_oci::RepoName;
use wharf_registry::Result;
use wharf_storage::Objects;

use crate::words::Unknown;

/// Where the counts of pulls are.
#[derive(Clone, Default)]
pub enum PullCounts {
    /// There are none, because there is no activity log.
    #[default]
    None,
    /// This process counts.
    Counting(Pulls),
    /// Other processes have written them in this store.
    Written(Arc<dyn Objects>),
}

impl PullCounts {
    /// The pulls of all repositories; `None`: they are not counted.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn all(&self) -> Result<Option<AllPulls>> {
        Ok(match self {
            Self::None => None,
            Self::Counting(pulls) => Some(pulls.all().await?),
            Self::Written(objects) => Some(Pulls::written(&**objects).await?),
        })
    }

    /// The pulls of `tags` and `digests` of the repository `name`, and why they are left out: they cannot all be read. Where they are not
    /// counted there is neither.
    pub(super) async fn of(
        &self,
        name: &RepoName,
        tags: &[&str],
        digests: &[&str],
    ) -> (Option<Counted<RepositoryPulls>>, Option<Sentence>) {
        told(match self {
            Self::None => Ok(None),
            Self::Counting(pulls) => pulls.of(name, tags, digests).await.map(Some),
            Self::Written(objects) => Pulls::written(&**objects).await.map(|mut all| {
                let pulls = all.repositories.remove(name.as_str());
                Some(counted(&all, pulls.unwrap_or_default()))
            }),
        })
    }

    /// As [`of`](Self::of), the pulls of each of `names` in all. Those without any are left out.
    pub(super) async fn totals(
        &self,
        names: &[&RepoName],
    ) -> (Option<Counted<HashMap<RepoName, PullCount>>>, Option<Sentence>) {
        told(match self {
            Self::None => Ok(None),
            Self::Counting(pulls) => pulls.totals(names).await.map(Some),
            Self::Written(objects) => Pulls::written(&**objects).await.map(|all| {
                let total = |name: &RepoName| Some(all.repositories.get(name.as_str())?.total);
                let totals = names
                    .iter()
                    .filter_map(|name| Some(((*name).clone(), total(name)?)));
                Some(counted(&all, totals.collect()))
            }),
        })
    }
}

/// Some of the counts of `all`.
fn counted<T>(all: &AllPulls, counts: T) -> Counted<T> {
    Counted {
        counts,
        is_complete: all.is_complete,
        has_forgotten: all.has_forgotten,
    }
}

/// Pulls that were read, or the reason why not. A list without pulls is worth more than none, and than one with wrong ones.
fn told<T>(read: wharf_storage::Result<Option<Counted<T>>>) -> (Option<Counted<T>>, Option<Sentence>) {
    match read {
        Ok(Some(pulls)) if !pulls.is_complete => (None, Some(Unknown::SomePulls.into())),
        Ok(pulls) => (pulls, None),
        Err(error) => {
            tracing::warn!(%error, "the counts of pulls cannot be read; a list is shown without them");
            (None, Some(Unknown::Pulls.into()))
        }
    }
}

impl fmt::Debug for PullCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Counting(_) => "Counting",
            Self::Written(_) => "Written",
        })
    }
}

#[cfg(test)]
mod tests {
    use wharf_storage::{
        Operation, Put,
        faulty::{Fault, Faulty},
        layout,
        object::ObjectStorage,
    };

    use super::*;

    #[tokio::test]
    async fn pulls_that_cannot_be_read_are_left_out_with_the_reason() {
        let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
        let pulls = PullCounts::Written(Arc::clone(&faulty) as Arc<dyn Objects>);
        let name: RepoName = "app".parse().unwrap();
        faulty.inject(Fault::permission_denied().on(Operation::Scan));
        let (read, problem) = pulls.of(&name, &["1.0"], &[]).await;
        assert!(read.is_none() && problem.unwrap().contains("left out"));
        let (read, problem) = pulls.totals(&[&name]).await;
        assert!(read.is_none() && problem.unwrap().contains("left out"));
        faulty.heal();
        let (read, problem) = pulls.of(&name, &["1.0"], &[]).await;
        let nothing = Counted {
            is_complete: true,
            ..Counted::default()
        };
        assert_eq!((read, problem), (Some(nothing), None));
        assert_eq!(PullCounts::None.totals(&[&name]).await, (None, None));
    }

    /// A replica may have counted pulls though its counts cannot be understood.
    #[tokio::test]
    async fn pulls_of_which_some_cannot_be_understood_are_left_out_with_the_reason() {
        let objects: Arc<dyn Objects> = Arc::new(ObjectStorage::in_memory());
        let name: RepoName = "app".parse().unwrap();
        let pulls = PullCounts::Written(Arc::clone(&objects));
        let stranger = Put::new(layout::pulls().join("stranger").unwrap(), "later form");
        objects.publish(&[stranger]).await.unwrap();
        let (read, problem) = pulls.of(&name, &["1.0"], &[]).await;
        assert!(read.is_none() && problem.unwrap().contains("left out"));
        let (read, problem) = pulls.totals(&[&name]).await;
        assert!(read.is_none() && problem.unwrap().contains("left out"));
    }
}
