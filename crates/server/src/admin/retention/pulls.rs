//! When images were pulled last, for rules that ask for it.

use std::{sync::Arc, time::SystemTime};

use wharf_activity::AllPulls;
use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::{
    PullsOf, Result,
    retention::{LastPulls, Policy},
};

use crate::admin::pulls::PullCounts;

impl PullCounts {
    /// What the rules of `policy` need to know of pulls.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn for_policy(&self, policy: &Policy) -> Result<Snapshot> {
        if !policy.needs_pulls() {
            return Ok(Snapshot(None));
        }
        Ok(Snapshot(self.all().await?))
    }
}

/// The counts of all repositories at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot(Option<AllPulls>);

impl PullsOf for Snapshot {
    fn pulls_of(&self, name: &RepoName) -> Option<Arc<LastPulls>> {
        let all = self.0.as_ref()?;
        let mut last = LastPulls {
            since: SystemTime::from(all.since?),
            tags: std::collections::HashMap::new(),
            digests: std::collections::HashMap::new(),
        };
        if let Some(pulls) = all.repositories.get(name.as_str()) {
            let tags = pulls
                .tags
                .iter()
                .filter_map(|(tag, count)| Some((tag.parse::<Tag>().ok()?, count.last.into())));
            last.tags.extend(tags);
            let digests = pulls.digests.iter();
            let digests = digests
                .filter_map(|(digest, count)| Some((digest.parse::<Digest>().ok()?, count.last.into())));
            last.digests.extend(digests);
        }
        Some(Arc::new(last))
    }
}
