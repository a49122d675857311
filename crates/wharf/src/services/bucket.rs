//! Watches the bucket of a server: tries what its store honours, says so in the log, and keeps the list of replicas.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{self, Instant},
};
use uuid::Uuid;
use wharf_http::ListenAddress;
use wharf_server::BucketMetrics;
use wharf_storage::{
    Storage,
    object::s3::{Finding, Mode, Report, S3, Severity},
    replicas::{INTERVAL, Presence, Replica, ReplicaState, host},
};
use wharf_workers::{Error, Supervisor, Unit, Work, Worker};

use super::store::Bucket;
use crate::version;

/// Pause after a presence could not be written.
const PAUSE: Duration = Duration::from_secs(10);

/// What is known of the bucket; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct BucketWatch {
    report: watch::Sender<Option<Report>>,
    replicas: watch::Sender<Vec<Replica>>,
    state: watch::Sender<ReplicaState>,
    /// Why this server must end.
    refusal: watch::Sender<Option<String>>,
    /// Names this server among the replicas.
    id: Uuid,
}

/// Tries what the store honours, once.
struct Probe {
    client: Arc<S3>,
    watch: BucketWatch,
    probed: Option<Result<Report, String>>,
}

/// Looks at the settings of a bucket that this server only reads.
struct Look {
    client: Arc<S3>,
}

/// Keeps the presence of this server, and the list of all.
struct Replicas {
    presence: Presence,
    watch: BucketWatch,
    report: watch::Receiver<Option<Report>>,
    state: watch::Receiver<ReplicaState>,
    is_alone: bool,
    next: Instant,
    /// Others were seen of which an operator was told.
    was_told: bool,
}

impl BucketWatch {
    /// Starts to look at the bucket. Nothing is written to one that is `read_only`.
    pub(super) fn start(
        supervisor: &Supervisor,
        bucket: Bucket,
        storage: &Arc<dyn Storage>,
        address: &ListenAddress,
        use_of_it: Use,
    ) -> Self {
        let own = Replica::this(host(), address.to_string(), version::VERSION);
        let watch = Self {
            report: watch::Sender::new(None),
            replicas: watch::Sender::new(Vec::new()),
            state: watch::Sender::new(ReplicaState::Starting),
            refusal: watch::Sender::new(None),
            id: own.id,
        };
        if use_of_it.is_read_only {
            if let Bucket::S3(client) = bucket {
                supervisor.spawn(Look { client });
            }
            return watch;
        }
        supervisor.spawn(Replicas {
            presence: Presence::new(Arc::clone(storage), own),
            report: watch.report.subscribe(),
            state: watch.state.subscribe(),
            watch: watch.clone(),
            is_alone: use_of_it.is_alone,
            next: Instant::now(),
            was_told: false,
        });
        match bucket {
            Bucket::S3(client) => {
                supervisor.spawn(Probe {
                    client,
                    watch: watch.clone(),
                    probed: None,
                });
            }
            Bucket::Cloud(abilities) => watch.know(Report {
                abilities,
                missing: Vec::new(),
                breaks: Vec::new(),
                findings: Vec::new(),
            }),
        }
        watch
    }

    /// Names this server among the replicas of the bucket, for as long as it runs.
    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// What the store honours is known from now on.
    fn know(&self, report: Report) {
        self.report.send_replace(Some(report));
        self.state.send_if_modified(|state| {
            let was_starting = *state == ReplicaState::Starting;
            if was_starting {
                *state = ReplicaState::Ready;
            }
            was_starting
        });
    }

    /// The metrics of the bucket.
    pub(super) fn metrics(&self) -> BucketMetrics {
        BucketMetrics {
            report: self.report.subscribe(),
            replicas: self.replicas.subscribe(),
        }
    }

    /// The server lets running requests finish, and then ends.
    pub(super) fn stopping(&self) {
        self.state.send_replace(ReplicaState::Stopping);
    }

    /// Waits until this server must end; why is in [`refusal`](Self::refusal).
    pub(crate) async fn refused(&self) {
        let mut refusal = self.refusal.subscribe();
        // The sender is in `self`.
        _ = refusal.wait_for(Option::is_some).await;
    }

    /// Why this server must end.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.refusal.borrow().clone()
    }
}

/// How this server uses the bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) is_read_only: bool,
    /// The operator makes sure that no other server uses it.
    pub(super) is_alone: bool,
}

impl Worker for Probe {
    fn name(&self) -> String {
        "bucket probe".to_owned()
    }

    async fn work(&mut self) -> Unit {
        let Some(probed) = self.probed.take() else {
            return Ok(Work::Idle);
        };
        let report = probed.map_err(|reason| format!("the bucket cannot be probed: {reason}"))?;
        tell(&report.findings);
        match report.missing.is_empty() {
            true => tracing::info!("the bucket was probed: {}", report.mode()),
            false => tracing::warn!(
                "the bucket was probed as far as its policy allows: {}",
                report.mode()
            ),
        }
        self.watch.know(report);
        Ok(Work::Done)
    }

    /// Takes seconds, and may be dropped when the server ends.
    async fn wait(&mut self) {
        self.probed = Some(self.client.probe().await);
    }

    async fn drain(&mut self) {
        self.client.end_probe().await;
    }
}

impl Worker for Look {
    fn name(&self) -> String {
        "bucket probe".to_owned()
    }

    async fn work(&mut self) -> Unit {
        tell(&self.client.look().await);
        Ok(Work::Done)
    }
}

impl Worker for Replicas {
    fn name(&self) -> String {
        "replica presence".to_owned()
    }

    async fn work(&mut self) -> Unit {
        let state = *self.state.borrow_and_update();
        let report = self.report.borrow_and_update().clone();
        if Instant::now() < self.next && state == self.presence.own().state {
            return Ok(Work::Idle);
        }
        let replicas = self.presence.renew(state).await;
        let replicas = replicas.map_err(|error| {
            tracing::warn!(%error, "this server cannot be listed among the replicas");
            Error::expected(error.to_string(), PAUSE)
        })?;
        if let Some(report) = report {
            self.judge(&report, &replicas);
        }
        self.watch.replicas.send_replace(replicas);
        self.next = Instant::now() + INTERVAL;
        Ok(Work::Busy)
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = time::sleep_until(self.next) => {}
            // The sender is in `self.watch`.
            _ = self.state.changed() => {}
        }
    }

    async fn drain(&mut self) {
        if let Err(error) = self.presence.leave().await {
            tracing::debug!(%error, "this server stays listed among the replicas for five minutes");
        }
    }

    fn status(&self) -> String {
        format!("replicas: {}", self.watch.replicas.borrow().len())
    }
}

impl Replicas {
    /// Refuses to be one of several on a store that is not fit for several: the one that started first stays.
    fn judge(&mut self, report: &Report, replicas: &[Replica]) {
        if report.mode() != Mode::Alone {
            return;
        }
        let own = self.presence.own();
        let other = replicas.iter().find(|replica| replica.id != own.id);
        let is_first = replicas.first().is_some_and(|first| first.id == own.id);
        let reasons = report.reasons();
        let text = match other {
            None if self.is_alone => return,
            None => format!(
                "this store allows one server only, because {reasons}; a second one ends with an error, unless `storage.s3.alone` \
                 is true"
            ),
            Some(Replica { host, address, .. }) => format!(
                "`storage.s3`: another server, `{host}` at {address}, uses the bucket, and this store allows one only, because \
                 {reasons}; stop the other one, or set `storage.s3.alone: true` if it has ended"
            ),
        };
        if other.is_some() && !is_first && !self.is_alone {
            self.watch.refusal.send_replace(Some(text));
        } else if !self.was_told {
            self.was_told = true;
            tracing::warn!("{text}");
        }
    }
}

fn tell(findings: &[Finding]) {
    for Finding { severity, text } in findings {
        match severity {
            Severity::Note => tracing::info!("{text}"),
            Severity::Warning => tracing::warn!("{text}"),
            Severity::Error => tracing::error!("{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use wharf_storage::object::{
        Abilities, ObjectStorage,
        s3::{Break, Operation},
    };

    use super::*;

    fn report(breaks: Vec<Break>) -> Report {
        Report {
            abilities: Abilities::UNKNOWN,
            missing: Vec::<Operation>::new(),
            breaks,
            findings: Vec::new(),
        }
    }

    fn watch() -> BucketWatch {
        BucketWatch {
            report: watch::Sender::new(None),
            replicas: watch::Sender::new(Vec::new()),
            state: watch::Sender::new(ReplicaState::Starting),
            refusal: watch::Sender::new(None),
            id: Uuid::nil(),
        }
    }

    /// A server at this port that started in this second.
    fn replica(
        storage: &Arc<dyn Storage>,
        port: u16,
        second: u8,
        is_alone: bool,
    ) -> (Supervisor, BucketWatch) {
        let watch = watch();
        let supervisor = Supervisor::default();
        let own = Replica {
            started: format!("2026-01-02T03:04:0{second}Z"),
            ..Replica::this("h".to_owned(), format!("127.0.0.1:{port}"), "1")
        };
        supervisor.spawn(Replicas {
            presence: Presence::new(Arc::clone(storage), own),
            report: watch.report.subscribe(),
            state: watch.state.subscribe(),
            watch: watch.clone(),
            is_alone,
            next: Instant::now(),
            was_told: false,
        });
        (supervisor, watch)
    }

    async fn seen(watch: &BucketWatch, count: usize) {
        let mut replicas = watch.replicas.subscribe();
        replicas
            .wait_for(|replicas| replicas.len() == count)
            .await
            .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_servers_the_later_one_ends_where_the_store_allows_one() {
        let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
        let (first, first_watch) = replica(&storage, 1, 1, false);
        seen(&first_watch, 1).await;
        let (_second, second_watch) = replica(&storage, 2, 2, false);
        let (_third, third_watch) = replica(&storage, 3, 3, true);
        seen(&first_watch, 3).await;
        for watch in [&first_watch, &second_watch, &third_watch] {
            watch.report.send_replace(Some(report(vec![Break::ExpiredUrl])));
            watch.state.send_replace(ReplicaState::Ready);
        }
        second_watch.refused().await;
        let reason = second_watch.refusal().unwrap();
        assert!(
            reason.contains("another server, `h` at 127.0.0.1:1, uses the bucket")
                && reason.contains("it obeys a signed DELETE after its time")
                && reason.contains("`storage.s3.alone: true`"),
            "{reason}"
        );
        time::sleep(INTERVAL * 2).await;
        assert_eq!(first_watch.refusal(), None);
        assert_eq!(third_watch.refusal(), None, "the operator says that it is alone");
        first.stop(INTERVAL).await;
        seen(&third_watch, 2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_of_servers_may_use_a_store_that_breaks_nothing() {
        let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
        let (_first, first) = replica(&storage, 1, 1, false);
        let (_second, second) = replica(&storage, 2, 2, false);
        for watch in [&first, &second] {
            watch.report.send_replace(Some(report(Vec::new())));
            watch.state.send_replace(ReplicaState::Ready);
        }
        let all_ready = |replicas: &Vec<Replica>| {
            replicas.len() == 2
                && replicas
                    .iter()
                    .all(|replica| replica.state == ReplicaState::Ready)
        };
        second.replicas.subscribe().wait_for(all_ready).await.unwrap();
        time::sleep(INTERVAL * 2).await;
        assert_eq!((first.refusal(), second.refusal()), (None, None));
        assert!(second.metrics().replicas.borrow().len() == 2);
    }
}
