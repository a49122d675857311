//! Removes unfinished uploads that no client has touched for long, at intervals.

use std::{sync::Arc, time::Duration};

use tokio::time;
use wharf_registry::Registry;

use crate::config::Purge;

/// From the start to the first purge: the first requests come first.
const FIRST_PURGE: Duration = Duration::from_secs(15 * 60);

/// Purges for ever.
pub(super) async fn run(registry: Arc<Registry>, how: Purge) {
    time::sleep(FIRST_PURGE.min(how.interval)).await;
    loop {
        let purged = if how.is_dry {
            registry.abandoned_uploads(how.age).await
        } else {
            registry.purge_uploads(how.age).await
        };
        match purged {
            Ok(0) => {}
            Ok(uploads) if how.is_dry => {
                tracing::info!(uploads, "would forget unfinished uploads, but `dryrun` is set");
            }
            Ok(uploads) => tracing::info!(uploads, "forgot unfinished uploads"),
            Err(error) => tracing::error!(%error, "cannot look for unfinished uploads"),
        }
        time::sleep(how.interval).await;
    }
}
