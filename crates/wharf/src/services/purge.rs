//! Removes unfinished uploads that no client has touched for long, at intervals.

use std::{sync::Arc, time::Duration};

use wharf_registry::Registry;
use wharf_workers::{Error, Periodic, Worker};

use crate::config::Purge;

/// From the start to the first purge: the first requests come first.
const FIRST_PURGE: Duration = Duration::from_secs(15 * 60);

/// The worker that purges `registry`.
pub(super) fn worker(registry: Arc<Registry>, how: Purge) -> impl Worker {
    let first = FIRST_PURGE.min(how.interval);
    Periodic::new("upload purge", first, how.interval, move || {
        purge(Arc::clone(&registry), how)
    })
}

/// Purges once, and says what was done.
async fn purge(registry: Arc<Registry>, how: Purge) -> Result<String, Error> {
    let purged = if how.is_dry {
        registry.abandoned_uploads(how.age).await
    } else {
        registry.purge_uploads(how.age).await
    };
    let uploads = purged.map_err(|error| {
        tracing::error!(%error, "cannot look for unfinished uploads");
        Error::expected(error.to_string(), how.interval)
    })?;
    match (uploads, how.is_dry) {
        (0, _) => {}
        (_, true) => tracing::info!(uploads, "would remove unfinished uploads, but `dryrun` is set"),
        (_, false) => tracing::info!(uploads, "removed unfinished uploads"),
    }
    Ok(match how.is_dry {
        true => format!("unfinished uploads that the last run would have removed: {uploads}"),
        false => format!("unfinished uploads that the last run removed: {uploads}"),
    })
}

#[cfg(test)]
mod tests {
    use tokio::time;
    use wharf_registry::Options;
    use wharf_storage::object::ObjectStorage;
    use wharf_workers::{State, Supervisor};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn the_worker_shows_its_last_run() {
        let registry = Registry::new(Arc::new(ObjectStorage::in_memory()), Options::default());
        let how = Purge {
            age: HOUR,
            interval: 2 * HOUR,
            is_dry: false,
        };
        let purge = Supervisor::default().spawn(worker(Arc::new(registry), how));
        for (after, units) in [(FIRST_PURGE / 2, 0), (FIRST_PURGE, 1), (HOUR, 1), (HOUR, 2)] {
            time::sleep(after).await;
            let status = purge.status();
            assert_eq!((status.state, status.units), (State::Idle, units), "{status:?}");
        }
        assert_eq!(
            purge.status().detail,
            "unfinished uploads that the last run removed: 0"
        );
    }
}
