//! Webhooks: the `notifications` of registry:2, with queues that outlive the process.
//!
//! The way of an event: the registry reports it when the operation is done, and it becomes a record ([`subscriber`]);
//! a thread appends the record to the queue of each endpoint that wants it, and one worker for each endpoint posts the
//! queue in order ([`deliver`]), in the form that the endpoint asks for ([`envelope`], [`cloud_event`]).
//!
//! # What is promised
//!
//! The event of a push, a mount or a deletion is in the queue before the client has its answer, so no end of the
//! process loses it. Queues are synced about every second; a cut of power may lose the events since then, because a
//! sync of its own for each event would cost a push more than the push itself. The event of a pull is handed over
//! without waiting, so that reading costs nothing; the end of the process may lose those of the last milliseconds.
//! From the queue everything is delivered at least once, in order.

mod backoff;
mod client;
mod cloud_event;
mod deliver;
mod envelope;
mod metrics;
mod options;
mod record;
mod subscriber;
mod sync;

pub use metrics::EndpointMetrics;
pub use options::{Action, Endpoint, EndpointError, EventFormat, Url, WebhookOptions};

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use wharf_http::redact;
use wharf_storage::spool::{Spool, SpoolName, Spools};
use wharf_workers::{Handle, Supervisor};

use self::{
    client::Client,
    deliver::Delivery,
    metrics::Counters,
    record::{Record, Source},
    sync::Syncing,
};

/// Kibibytes of events that are on their way to the queues.
const IN_FLIGHT_KIB: u32 = 8 << 10;

/// How long the queue of an endpoint is kept after it was removed from the configuration.
const KEEP_ABANDONED: Duration = Duration::from_secs(7 * 24 * 3600);

/// All endpoints with their queues and deliveries. Clones share them.
#[derive(Clone)]
pub struct Webhooks {
    shared: Arc<Shared>,
}

struct Shared {
    include_references: bool,
    source: Source,
    queues: Vec<Arc<Queue>>,
    jobs: mpsc::Sender<Job>,
    in_flight: Arc<Semaphore>,
    deliveries: Vec<Handle>,
}

/// One endpoint with the events that wait for it.
struct Queue {
    endpoint: Endpoint,
    spool: Arc<dyn Spool>,
    counters: Counters,
    has_events: Notify,
}

/// A job of the thread that writes events.
enum Job {
    Append {
        record: Vec<u8>,
        to: Vec<Arc<Queue>>,
        written: Option<oneshot::Sender<()>>,
        _room: OwnedSemaphorePermit,
    },
    /// Reports when all jobs before this one are done.
    Pass(oneshot::Sender<()>),
}

/// Why the endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A queue cannot be opened.
    #[error(transparent)]
    Storage(#[from] wharf_storage::Error),
    /// An endpoint cannot be used.
    #[error("the notification endpoint `{name}` cannot be used")]
    Endpoint {
        /// Name of the endpoint.
        name: String,
        /// Reason why it cannot be used.
        source: EndpointError,
    },
    /// The thread that writes events cannot be started.
    #[error("cannot start to write events")]
    Thread(#[from] std::io::Error),
}

impl Webhooks {
    /// Opens the queues, and starts to deliver their events: `supervisor` runs a worker for each endpoint. Events name
    /// `source`, `host:port` of this server, as their origin. `None` when there is no endpoint. Must be called on a
    /// tokio runtime; blocks while it reads the queues.
    ///
    /// # Errors
    ///
    /// When a queue cannot be opened, or an endpoint needs TLS and there is no certificate authority to trust.
    pub fn start(
        options: WebhookOptions,
        source: String,
        spools: &dyn Spools,
        supervisor: &Supervisor,
    ) -> Result<Option<Self>, WebhookError> {
        let names = names(&options.endpoints);
        report_abandoned(spools, &names);
        let endpoints: Vec<_> = options
            .endpoints
            .into_iter()
            .zip(names)
            .filter(|(endpoint, _)| !endpoint.is_disabled)
            .collect();
        if endpoints.is_empty() {
            return Ok(None);
        }
        let mut deliveries = Vec::new();
        let mut queues = Vec::new();
        for (endpoint, name) in endpoints {
            let client = Client::new(&endpoint).map_err(|source| WebhookError::Endpoint {
                name: endpoint.name.clone(),
                source,
            })?;
            let spool = spools.open(&name, endpoint.queue)?;
            let queue = Arc::new(Queue {
                endpoint,
                spool,
                counters: Counters::default(),
                has_events: Notify::new(),
            });
            deliveries.push(Delivery::new(Arc::clone(&queue), client));
            queues.push(queue);
        }
        let (jobs, todo) = mpsc::channel();
        let is_dirty = Arc::new(Notify::new());
        let syncing = Syncing::new(queues.clone(), Arc::clone(&is_dirty));
        thread::Builder::new()
            .name("events".to_owned())
            .stack_size(256 << 10)
            .spawn(move || write_all(&todo, &is_dirty))?;
        supervisor.spawn(syncing);
        let shared = Shared {
            include_references: options.include_references,
            source: Source::new(source),
            queues,
            jobs,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize)),
            deliveries: deliveries
                .into_iter()
                .map(|delivery| supervisor.spawn(delivery))
                .collect(),
        };
        Ok(Some(Self {
            shared: Arc::new(shared),
        }))
    }

    /// The counters of each endpoint.
    pub fn metrics(&self) -> Vec<EndpointMetrics> {
        let queues = self.shared.queues.iter();
        queues
            .map(|queue| queue.counters.read(&queue.endpoint.name, queue.spool.len()))
            .collect()
    }

    /// Delivers what endpoints take at once, for at most `patience`; the rest stays in the queues.
    pub async fn finish(&self, patience: Duration) {
        let shared = &self.shared;
        let (passed, has_passed) = oneshot::channel();
        if shared.jobs.send(Job::Pass(passed)).is_ok() {
            // An error means that the thread has ended; there is nothing to wait for then.
            _ = has_passed.await;
        }
        join_all(shared.deliveries.iter().map(|delivery| delivery.stop(patience))).await;
        for queue in &shared.queues {
            queue.sync().await;
            let (events, endpoint) = (queue.spool.len(), &queue.endpoint.name);
            match (events, queue.spool.is_durable()) {
                (0, _) => {}
                (_, true) => tracing::info!(endpoint, events, "events wait on the disk for the next start"),
                (_, false) => tracing::warn!(endpoint, events, "events are lost with the memory they are in"),
            }
        }
    }

    /// Appends an event to the queues; returns when no end of the process can lose it.
    async fn tell(&self, record: &Record) {
        let Some((record, to)) = self.prepare(record) else {
            return;
        };
        let (written, is_written) = oneshot::channel();
        // The semaphore is never closed.
        if let Ok(room) = Arc::clone(&self.shared.in_flight)
            .acquire_many_owned(room_for(&record))
            .await
        {
            self.append(record, to, Some(written), room);
            // An error means that the thread has ended, which it has logged.
            _ = is_written.await;
        }
    }

    /// Appends an event to the queues without waiting. It may be dropped under a load that the disk cannot follow.
    fn tell_soon(&self, record: &Record) {
        let Some((record, to)) = self.prepare(record) else {
            return;
        };
        match Arc::clone(&self.shared.in_flight).try_acquire_many_owned(room_for(&record)) {
            Ok(room) => self.append(record, to, None, room),
            Err(_full) => to
                .iter()
                .for_each(|queue| queue.dropped(1, "pulls come faster than the disk takes their events")),
        }
    }

    /// The bytes of a record, and the queues of the endpoints that want it. `None`: no endpoint wants it.
    fn prepare(&self, record: &Record) -> Option<(Vec<u8>, Vec<Arc<Queue>>)> {
        let wanted = |queue: &&Arc<Queue>| {
            queue
                .endpoint
                .wants(record.action, record.target.media_type.as_deref())
        };
        let to: Vec<_> = self.shared.queues.iter().filter(wanted).cloned().collect();
        if to.is_empty() {
            return None;
        }
        to.iter().for_each(|queue| queue.counters.came_in());
        Some((record.to_bytes(), to))
    }

    fn append(
        &self,
        record: Vec<u8>,
        to: Vec<Arc<Queue>>,
        written: Option<oneshot::Sender<()>>,
        room: OwnedSemaphorePermit,
    ) {
        let job = Job::Append {
            record,
            to,
            written,
            _room: room,
        };
        if let Err(mpsc::SendError(Job::Append { to, .. })) = self.shared.jobs.send(job) {
            to.iter()
                .for_each(|queue| queue.dropped(1, "the thread that writes them has ended"));
        }
    }
}

impl Queue {
    /// Counts events that the endpoint will never get, and logs so once until the queue was empty again.
    fn dropped(&self, events: u64, why: &str) {
        if self.counters.dropped(events) {
            let endpoint = &self.endpoint.name;
            tracing::error!(endpoint, why, "events are lost, and counted, from now on");
        }
    }

    async fn sync(self: &Arc<Self>) {
        let queue = Arc::clone(self);
        let synced = tokio::task::spawn_blocking(move || queue.spool.sync()).await;
        if let Ok(Err(error)) = synced {
            let endpoint = &self.endpoint.name;
            tracing::error!(endpoint, %error, "a cut of power may lose events");
        }
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.shared.queues.iter().map(|queue| &queue.endpoint);
        f.debug_list().entries(endpoints).finish()
    }
}

/// A queue belongs to the name of its endpoint, so that a corrected URL gets what waits. Where a name is missing the
/// URL stands for it, without its secrets, because the name is logged; and of several with one name each has its own.
fn names(endpoints: &[Endpoint]) -> Vec<SpoolName> {
    let mut taken = HashSet::new();
    let name = |endpoint: &Endpoint| {
        let text = match endpoint.name.as_str() {
            "" => redact::configured(endpoint.url.whole(), redact::REDACTED),
            name => name.into(),
        };
        let numbered = (2..).map(|number| SpoolName::of(&format!("{text}-{number}")));
        let mut names = std::iter::once(SpoolName::of(&text)).chain(numbered);
        names.find(|name| taken.insert(name.clone()))
    };
    endpoints.iter().filter_map(name).collect()
}

fn report_abandoned(spools: &dyn Spools, in_use: &[SpoolName]) {
    let cutoff = SystemTime::now()
        .checked_sub(KEEP_ABANDONED)
        .unwrap_or(SystemTime::UNIX_EPOCH);
    match spools.tidy(in_use, cutoff) {
        Ok(abandoned) => {
            for queue in abandoned {
                match queue.is_removed {
                    true => tracing::info!(
                        queue = queue.name,
                        "removed the events of an endpoint that is no longer configured"
                    ),
                    false => tracing::warn!(
                        queue = queue.name,
                        "events wait for an endpoint that is no longer configured; without it they go after 7 days"
                    ),
                }
            }
        }
        Err(error) => {
            tracing::warn!(%error, "cannot look for the events of endpoints that are no longer configured");
        }
    }
}

fn room_for(record: &[u8]) -> u32 {
    u32::try_from(record.len() / 1024 + 1)
        .unwrap_or(u32::MAX)
        .min(IN_FLIGHT_KIB)
}

/// Appends what comes to the queues, in order.
fn write_all(jobs: &mpsc::Receiver<Job>, is_dirty: &Notify) {
    for job in jobs {
        match job {
            Job::Append {
                record, to, written, ..
            } => {
                to.iter().for_each(|queue| write(queue, &record));
                is_dirty.notify_one();
                if let Some(written) = written {
                    // The request that waited may be over.
                    _ = written.send(());
                }
            }
            Job::Pass(passed) => _ = passed.send(()),
        }
    }
}

fn write(queue: &Queue, record: &[u8]) {
    match queue.spool.append(record) {
        Ok(0) => {}
        Ok(dropped) => queue.dropped(dropped, "the queue of events is full, and the oldest make room"),
        Err(error) => queue.dropped(1, &error.to_string()),
    }
    queue.has_events.notify_one();
}

#[cfg(test)]
mod tests;
