//! Runs of retention by the rules of the configuration, on a schedule: one repository at a time.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep_until};
use wharf_oci::RepoName;
use wharf_registry::{Deletion, Error, EveryTag, Lease, PullsOf as _, Registry, Result};
use wharf_workers::{Unit, Work, Worker};

use super::{Retention, RetentionSchedule, pulls::Snapshot, unread};
use crate::admin::{by_itself::delete_by_itself, shown::time, wire};

/// From the start of the server to the first run, at most: one that is restarted every day has one all the same.
const FIRST: Duration = Duration::from_secs(600);

/// How many repositories are named from which nothing went.
const REFUSED: usize = 100;

impl Retention {
    /// The worker that applies the rules of the configuration to the repositories of `registry`, as long as it holds `lease`.
    pub fn worker(
        &self,
        registry: Arc<Registry>,
        lease: Lease,
        schedule: RetentionSchedule,
    ) -> impl Worker + use<> {
        self.0.state.lock().applies = schedule.applies;
        self.next_run(schedule.interval.min(FIRST));
        RetentionWorker {
            retention: self.clone(),
            registry,
            lease,
            schedule,
            run: None,
        }
    }

    fn next_run(&self, pause: Duration) {
        let next = (Instant::now() + pause, SystemTime::now() + pause);
        self.0.state.lock().next = Some(next);
    }

    fn is_due(&self) -> bool {
        let state = self.0.state.lock();
        state.next.is_some_and(|(at, _)| at <= Instant::now())
    }
}

/// Applies the rules of the configuration.
struct RetentionWorker {
    retention: Retention,
    registry: Arc<Registry>,
    lease: Lease,
    schedule: RetentionSchedule,
    run: Option<Run>,
}

/// A run that has begun.
struct Run {
    started: SystemTime,
    pulls: Snapshot,
    /// Repositories that come next.
    names: VecDeque<RepoName>,
    /// The last name that was read from the store; `None` at first.
    last: Option<RepoName>,
    /// Whether the store has more names.
    more: bool,
    /// How many repositories nothing was taken from, because something was wrong.
    refused: usize,
    outcome: wire::EndedRetention,
}

/// What retention took, or would take.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    tags: usize,
    manifests: usize,
}

impl Worker for RetentionWorker {
    fn name(&self) -> String {
        "retention".to_owned()
    }

    async fn work(&mut self) -> Unit {
        if self.run.is_none() && !self.begin().await? {
            return Ok(Work::Idle);
        }
        let Some(run) = &mut self.run else {
            return Ok(Work::Idle);
        };
        if run.names.is_empty() && run.more {
            let (names, more) = self.registry.names_after(run.last.as_ref()).await?;
            run.last = names.last().cloned();
            (run.names, run.more) = (names.into(), more && run.last.is_some());
            return Ok(Work::Busy);
        }
        let Some(name) = run.names.pop_front() else {
            self.end();
            return Ok(Work::Busy);
        };
        if self.retention.0.policy.rules_of(&name).next().is_none() {
            return Ok(Work::Busy);
        }
        let pulls = run.pulls.pulls_of(&name);
        let taken = self.take(&name, pulls).await;
        if let Some(run) = &mut self.run {
            run.note(name, taken);
        }
        Ok(Work::Busy)
    }

    async fn wait(&mut self) {
        let next = self.retention.0.state.lock().next;
        match next {
            Some((at, _)) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    fn status(&self) -> String {
        match &self.run {
            None => String::new(),
            Some(run) => format!(
                "{} repositories, {} tags",
                run.outcome.repositories, run.outcome.tags
            ),
        }
    }
}

impl RetentionWorker {
    /// Begins a run, if one is due and no other replica does it.
    async fn begin(&mut self) -> Result<bool> {
        if !self.retention.is_due() {
            return Ok(false);
        }
        if !self.lease.hold().await? {
            self.retention.next_run(self.schedule.interval);
            return Ok(false);
        }
        let pulls = self
            .retention
            .0
            .pulls
            .for_policy(&self.retention.0.policy)
            .await?;
        self.retention.next_run(self.schedule.interval);
        self.retention.0.state.lock().is_running = true;
        self.run = Some(Run {
            started: SystemTime::now(),
            pulls,
            names: VecDeque::new(),
            last: None,
            more: true,
            refused: 0,
            outcome: wire::EndedRetention::default(),
        });
        Ok(true)
    }

    /// Applies the rules to one repository.
    async fn take(
        &mut self,
        name: &RepoName,
        pulls: Option<Arc<wharf_registry::retention::LastPulls>>,
    ) -> Result<Taken> {
        // Its loss is harmless: two replicas then take the same.
        self.lease.hold().await?;
        let deletion = Deletion::Retention {
            policy: Arc::clone(&self.retention.0.policy),
            pulls,
        };
        if !self.schedule.applies {
            return self.tell(name, &deletion).await;
        }
        let applied = delete_by_itself(&self.registry, "retention", name, &deletion).await?;
        let Some(applied) = applied else {
            return Ok(Taken::default());
        };
        let taken = Taken {
            tags: applied.tags.len(),
            manifests: applied.manifests.len(),
        };
        tracing::info!(
            repository = %name,
            tags = taken.tags,
            manifests = taken.manifests,
            deletion = applied.record.map(tracing::field::display),
            "retention has deleted"
        );
        Ok(taken)
    }

    /// Says in the log what the rules would take.
    async fn tell(&self, name: &RepoName, deletion: &Deletion) -> Result<Taken> {
        let plan = match self.registry.plan_deletion(name, deletion, &EveryTag).await {
            // Deleted meanwhile.
            Err(Error::NameUnknown { .. }) => return Ok(Taken::default()),
            other => other?,
        };
        if let Some(why) = plan.refused {
            return Err(Error::TooManyTags { why });
        }
        let taken = Taken {
            tags: plan.tags.len(),
            manifests: plan.manifests.len(),
        };
        if taken.tags + taken.manifests > 0 {
            tracing::info!(
                repository = %name,
                tags = taken.tags,
                manifests = taken.manifests,
                "retention would delete; `retention.apply: true` lets it"
            );
        }
        Ok(taken)
    }

    /// Notes the end of the run.
    fn end(&mut self) {
        let Some(run) = self.run.take() else { return };
        let mut outcome = run.outcome;
        outcome.started = time(run.started);
        outcome.ended = time(SystemTime::now());
        outcome.applied = self.schedule.applies;
        let mut state = self.retention.0.state.lock();
        state.is_running = false;
        state.totals.runs += 1;
        state.totals.refused = run.refused;
        if outcome.applied {
            state.totals.tags += outcome.tags;
            state.totals.manifests += outcome.manifests;
        }
        state.last = Some(outcome);
    }
}

impl Run {
    fn note(&mut self, name: RepoName, taken: Result<Taken>) {
        self.outcome.repositories += 1;
        match taken {
            Ok(taken) => {
                self.outcome.tags += taken.tags;
                self.outcome.manifests += taken.manifests;
            }
            Err(error) => {
                tracing::warn!(repository = %name, %error, "retention took nothing from a repository");
                self.refused += 1;
                if self.outcome.refused.len() < REFUSED {
                    self.outcome.refused.push(unread((name, error.to_string())));
                }
            }
        }
    }
}
