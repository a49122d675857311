//! Deleting manifests that no tag reaches, from all repositories, before a collection.

use std::{sync::Arc, time::Duration};

use wharf_oci::RepoName;
use wharf_registry::{Deletion, Registry, Result};

use super::by_itself::delete_by_itself;

/// Deletes manifests that no tag reaches.
#[derive(Debug)]
pub struct UntaggedManifests {
    /// The registry that loses them.
    pub registry: Arc<Registry>,
    /// How long a manifest must have been in its repository.
    pub min_age: Duration,
    /// How long a tag that was moved keeps what it pointed at before.
    pub keep_history: Duration,
}

impl UntaggedManifests {
    /// Deletes them from all repositories. One that cannot be read keeps what it has, and the log says so.
    ///
    /// # Errors
    ///
    /// When the repositories cannot be listed.
    pub(super) async fn delete(&self) -> Result<()> {
        let mut last: Option<RepoName> = None;
        loop {
            let (names, more) = self.registry.names_after(last.as_ref()).await?;
            for name in &names {
                if let Err(error) = self.delete_from(name).await {
                    tracing::warn!(repository = %name, %error, "manifests without a tag stay in a repository");
                }
            }
            last = names.last().cloned();
            if !more || last.is_none() {
                return Ok(());
            }
        }
    }

    async fn delete_from(&self, name: &RepoName) -> Result<()> {
        let deletion = Deletion::Untagged {
            min_age: self.min_age,
            keep_history: self.keep_history,
        };
        if let Some(applied) = delete_by_itself(&self.registry, "collector", name, &deletion).await? {
            tracing::info!(
                repository = %name,
                manifests = applied.manifests.len(),
                deletion = applied.record.map(tracing::field::display),
                "deleted manifests that no tag reaches"
            );
        }
        Ok(())
    }
}
