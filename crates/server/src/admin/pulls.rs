//! How often images were pulled, and when last, as far as that is counted.

use std::{fmt, sync::Arc};

use wharf_activity::{AllPulls, Pulls, RepositoryPulls};
use wharf_oci::RepoName;
use wharf_registry::Result;
use wharf_storage::Objects;

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

    /// The pulls of the repository `name`; `None`: they are not counted.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn of(&self, name: &RepoName) -> Result<Option<RepositoryPulls>> {
        Ok(match self {
            Self::Counting(pulls) => Some(pulls.of(name).await?),
            _ => {
                let all = self.all().await?;
                all.map(|mut all| all.repositories.remove(name.as_str()).unwrap_or_default())
            }
        })
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
