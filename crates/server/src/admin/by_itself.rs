//! Deletions that workers make by themselves, without a client that has seen a plan.

use std::sync::Arc;

use wharf_oci::RepoName;
use wharf_registry::{Application, Applied, Deletion, Error, EveryTag, Origin, Registry, Result};

/// Deletes what `deletion` takes from `name` at this moment, in the name of `worker`. `None`: nothing went.
///
/// # Errors
///
/// As [`Registry::apply_deletion`], unless the repository is gone.
pub(super) async fn delete_by_itself(
    registry: &Registry,
    worker: &'static str,
    name: &RepoName,
    deletion: &Deletion,
) -> Result<Option<Applied>> {
    let caller = Arc::new(Origin::worker(worker));
    let applied = registry.apply_deletion(&caller, name, deletion, &EveryTag, Application::default());
    match applied.await {
        Ok(applied) => {
            let is_empty =
                applied.tags.is_empty() && applied.manifests.is_empty() && applied.record.is_none();
            Ok((!is_empty).then_some(applied))
        }
        // Deleted meanwhile.
        Err(Error::NameUnknown { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
