//! Syncs the queues of all endpoints soon after events came in.

use std::{mem, sync::Arc, time::Duration};

use tokio::{sync::Notify, time};
use wharf_workers::{Unit, Work, Worker};

use super::Queue;

/// How long what is in a queue may be unsynced.
const INTERVAL: Duration = Duration::from_secs(1);

/// Syncs queues.
pub(super) struct Syncing {
    queues: Vec<Arc<Queue>>,
    has_events: Arc<Notify>,
    is_due: bool,
}

impl Syncing {
    /// Syncs `queues` after `has_events` was notified.
    pub(super) fn new(queues: Vec<Arc<Queue>>, has_events: Arc<Notify>) -> Self {
        Self {
            queues,
            has_events,
            is_due: false,
        }
    }
}

impl Worker for Syncing {
    fn name(&self) -> String {
        "sync of event queues".to_owned()
    }

    async fn work(&mut self) -> Unit {
        if !mem::take(&mut self.is_due) {
            return Ok(Work::Idle);
        }
        for queue in &self.queues {
            if queue.spool.is_durable() {
                queue.sync().await;
            }
        }
        Ok(Work::Busy)
    }

    async fn wait(&mut self) {
        self.has_events.notified().await;
        time::sleep(INTERVAL).await;
        self.is_due = true;
    }
}
