//! Health checks, which run in the background, and their state, which each request reads.
//!
//! As in registry:2, a failing check takes the whole API down, also pulls that would have worked: the operator has
//! configured the check in order to take this server out of a load balancer. So no check exists that was not asked for.

mod probe;

pub use self::probe::{HttpProbe, Probe, Target};

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use wharf_http::{Exposition, Source};
use wharf_workers::{Error, Periodic, Worker};

use crate::metrics::HEALTH;

/// A health check; a `Check<Target>` is data only.
#[derive(Debug, Clone, PartialEq)]
pub struct Check<P = Probe> {
    /// Key in `/debug/health`, as in registry:2: `storagedriver_filesystem`, or the target of the check.
    pub name: String,
    /// The probe that is run.
    pub probe: P,
    /// Time between two probes, and before the first.
    pub interval: Duration,
    /// Number of probes in a row that must fail before the check does; 0 counts as 1.
    pub threshold: u32,
}

impl From<Check<Target>> for Check {
    fn from(check: Check<Target>) -> Self {
        Self {
            name: check.name,
            probe: Probe::Target(check.probe),
            interval: check.interval,
            threshold: check.threshold,
        }
    }
}

/// The state of all checks.
pub struct Health {
    checks: Vec<Watched>,
    failing: AtomicUsize,
}

struct Watched {
    check: Check,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Reason of the failure; `None`: the check does not fail.
    why: Option<String>,
}

impl Health {
    /// All is well until a check has run.
    pub fn new(checks: Vec<Check>) -> Self {
        let watched = |check| Watched {
            check,
            state: Mutex::default(),
        };
        Self {
            checks: checks.into_iter().map(watched).collect(),
            failing: AtomicUsize::new(0),
        }
    }

    /// The state of a server that cannot answer yet: the check `name` fails because of `why`, and does not run.
    pub fn waiting(name: &str, why: &str) -> Self {
        let health = Self::new(vec![Check {
            name: name.to_owned(),
            probe: Probe::Target(Target::File(PathBuf::new())),
            interval: Duration::MAX,
            threshold: 1,
        }]);
        for watched in &health.checks {
            lock(&watched.state).why = Some(why.to_owned());
        }
        health.failing.store(health.checks.len(), Relaxed);
        health
    }

    /// Whether no check fails.
    pub fn is_well(&self) -> bool {
        self.failing.load(Relaxed) == 0
    }

    /// The checks that fail, each with its reason.
    pub fn failing(&self) -> BTreeMap<&str, String> {
        let failing = self.checks.iter().filter_map(|watched| {
            let why = lock(&watched.state).why.clone()?;
            Some((watched.check.name.as_str(), why))
        });
        failing.collect()
    }

    /// A worker for each check, so that one that hangs delays no other. A worker fails as long as its check does.
    pub fn workers(self: &Arc<Self>) -> impl Iterator<Item = impl Worker> {
        (0..self.checks.len()).map(|index| {
            let health = Arc::clone(self);
            let Check { name, interval, .. } = &self.checks[index].check;
            let interval = *interval;
            Periodic::new(format!("health check {name}"), interval, interval, move || {
                let health = Arc::clone(&health);
                async move {
                    let looked = health.look(index).await;
                    looked.map_err(|why| Error::expected(why, interval))
                }
            })
        })
    }

    /// Looks once. The error is what this look has found; whether the check fails depends on those before as well.
    async fn look(&self, index: usize) -> Result<String, String> {
        let Watched { check, state } = &self.checks[index];
        let result = check.probe.look().await;
        let mut state = lock(state);
        let was_failing = state.why.is_some();
        match &result {
            Ok(()) => *state = State::default(),
            Err(why) => {
                state.failures = state.failures.saturating_add(1);
                if state.failures >= check.threshold {
                    state.why = Some(why.clone());
                }
            }
        }
        // Under the lock of the check, so that the count cannot lag behind it.
        match (&state.why, was_failing) {
            (Some(why), false) => {
                self.failing.fetch_add(1, Relaxed);
                tracing::error!(
                    check = check.name, reason = %why,
                    "a health check fails; every request is answered with 503 until it does not"
                );
            }
            (None, true) => {
                self.failing.fetch_sub(1, Relaxed);
                tracing::info!(check = check.name, "a health check is well again");
            }
            (Some(_), true) | (None, false) => {}
        }
        result.map(|()| "the last look found all well".to_owned())
    }
}

/// The metrics of health checks.
#[derive(Debug)]
pub struct HealthMetrics(
    /// The checks.
    pub Arc<Health>,
);

impl Source for HealthMetrics {
    fn write(&self, page: &mut Exposition) {
        let failing = self.0.failing();
        let mut family = page.family(&HEALTH);
        for Watched { check, .. } in &self.0.checks {
            let fails = failing.contains_key(check.name.as_str());
            family.value(&[&check.name], f64::from(u8::from(fails)));
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("checks", &self.checks.len())
            .finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files that the checks look at")]
mod tests {
    use tokio::time;
    use wharf_workers::{Supervisor, WorkerStatus};

    use super::*;
    use crate::metrics::Metrics;

    fn file_check(path: &std::path::Path, threshold: u32) -> Check {
        Check {
            name: "down".to_owned(),
            probe: Probe::Target(Target::File(path.to_owned())),
            interval: Duration::from_millis(1),
            threshold,
        }
    }

    #[tokio::test]
    async fn a_check_fails_after_its_threshold_and_is_well_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("down");
        let health = Arc::new(Health::new(vec![file_check(&path, 3)]));
        std::fs::write(&path, "").unwrap();
        for _ in 0..2 {
            health.look(0).await.unwrap_err();
            assert!(health.is_well() && health.failing().is_empty());
        }
        health.look(0).await.unwrap_err();
        assert!(!health.is_well());
        assert!(health.failing()["down"].starts_with("file exists"), "{health:?}");
        let page = Metrics::new().with(HealthMetrics(Arc::clone(&health))).page();
        assert!(
            page.contains("wharf_health_check_failing{check=\"down\"} 1\n"),
            "{page}"
        );

        std::fs::remove_file(&path).unwrap();
        health.look(0).await.unwrap();
        assert!(health.is_well() && health.failing().is_empty());
        // The count starts anew.
        std::fs::write(&path, "").unwrap();
        health.look(0).await.unwrap_err();
        assert!(health.is_well());
    }

    #[test]
    fn a_server_that_waits_is_not_well() {
        let health = Health::waiting("storagedriver_filesystem", "locked");
        assert!(!health.is_well());
        assert_eq!(health.failing()["storagedriver_filesystem"], "locked");
    }

    #[tokio::test]
    async fn without_a_threshold_the_first_failure_counts() {
        let directory = tempfile::tempdir().unwrap();
        let health = Health::new(vec![
            file_check(directory.path(), 0),
            file_check(directory.path(), 1),
        ]);
        health.look(0).await.unwrap_err();
        health.look(1).await.unwrap_err();
        assert_eq!(health.failing.load(Relaxed), 2);
        health.look(0).await.unwrap_err();
        assert_eq!(health.failing.load(Relaxed), 2, "each counts once");
    }

    #[tokio::test]
    async fn the_worker_of_a_failing_check_shows_its_last_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("down");
        std::fs::write(&path, "").unwrap();
        let health = Arc::new(Health::new(vec![file_check(&path, 3), file_check(&path, 1)]));
        let supervisor = Supervisor::default();
        health.workers().for_each(|worker| _ = supervisor.spawn(worker));
        let until = async |is_reached: fn(&WorkerStatus) -> bool| {
            while !supervisor.statuses().iter().all(is_reached) {
                time::sleep(Duration::from_millis(1)).await;
            }
        };
        until(|status| status.failures > 9).await;
        assert_eq!(health.failing.load(Relaxed), 2);
        let statuses = supervisor.statuses();
        assert_eq!(statuses[0].name, "health check down");
        for status in &statuses {
            let error = status.last_error.as_deref().unwrap_or_default();
            assert!(error.starts_with("file exists"), "{status:?}");
            assert_eq!(status.units, 0);
        }
        std::fs::remove_file(&path).unwrap();
        until(|status| status.units > 0).await;
        assert!(health.is_well());
        assert!(supervisor.stop(Duration::from_secs(9)).await.is_empty());
    }
}
