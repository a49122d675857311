//! The metrics of the workers beside requests.

use wharf_http::{Exposition, Source, number};
use wharf_workers::{State, Supervisor};

use super::table::{WORKER_FAILURES, WORKER_STATE, WORKER_UNITS};

/// The states and counters of a supervisor's workers.
#[derive(Debug)]
pub struct WorkerMetrics(
    /// The supervisor.
    pub Supervisor,
);

impl Source for WorkerMetrics {
    fn write(&self, page: &mut Exposition) {
        let workers = self.0.statuses();
        let mut states = page.family(&WORKER_STATE);
        for worker in &workers {
            for state in State::ALL {
                let is_current = f64::from(u8::from(worker.state == state));
                states.value(&[state.as_str(), &worker.name], is_current);
            }
        }
        let mut units = page.family(&WORKER_UNITS);
        for worker in &workers {
            units.value(&[&worker.name], number(worker.units));
        }
        let mut failures = page.family(&WORKER_FAILURES);
        for worker in &workers {
            failures.value(&[&worker.name], number(worker.failures));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time;
    use wharf_workers::Periodic;

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn each_worker_has_its_state_and_its_counters() {
        let supervisor = Supervisor::default();
        let hour = Duration::from_secs(3600);
        let run = async || Ok(String::new());
        supervisor.spawn(Periodic::new("now", Duration::ZERO, hour, run));
        supervisor.spawn(Periodic::new("fail", Duration::ZERO, hour, async || {
            Err("no".into())
        }));
        let is_run = |supervisor: &Supervisor| {
            let statuses = supervisor.statuses();
            statuses[0].state == State::Idle && statuses[0].units == 1 && statuses[1].state == State::Failed
        };
        while !is_run(&supervisor) {
            time::sleep(Duration::from_millis(1)).await;
        }
        let page = Metrics::new().with(WorkerMetrics(supervisor)).page();
        for line in [
            "wharf_worker_state{state=\"idle\",worker=\"now\"} 1",
            "wharf_worker_state{state=\"busy\",worker=\"now\"} 0",
            "wharf_worker_state{state=\"failed\",worker=\"fail\"} 1",
            "wharf_worker_units_total{worker=\"now\"} 1",
            "wharf_worker_units_total{worker=\"fail\"} 0",
            "wharf_worker_failures_total{worker=\"fail\"} 1",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is not in\n{page}"
            );
        }
    }
}
