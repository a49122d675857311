//! Starts workers, stops them, sets their pace, and reports their status.

use std::{iter, sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{self, Instant},
};

use crate::{
    pace::Pace,
    runner::{Runner, Switches},
    status::{Record, WorkerStatus},
    worker::Worker,
};

/// Runs workers, each on a task of its own. Clones are the same supervisor.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    workers: Arc<parking_lot::Mutex<Vec<Handle>>>,
}

/// One running worker. Clones are the same worker; dropping them stops nothing.
#[derive(Debug, Clone)]
pub struct Handle {
    record: Arc<Record>,
    switches: Arc<Switches>,
    /// The task of the worker, until it was stopped.
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Supervisor {
    /// Starts `worker`. Must be called on a tokio runtime. Of several workers with one name, the second and all later
    /// ones get a number, so that each has a name of its own.
    pub fn spawn(&self, worker: impl Worker) -> Handle {
        let mut workers = self.workers.lock();
        let name = unused(&worker.name(), &workers);
        let record = Arc::new(Record::new(name.clone()));
        let switches = Arc::new(Switches::default());
        let runner = Runner::new(name, Arc::clone(&record), Arc::clone(&switches));
        let handle = Handle {
            record,
            switches,
            task: Arc::new(Mutex::new(Some(tokio::spawn(runner.run(worker))))),
        };
        workers.push(handle.clone());
        handle
    }

    /// The status of every worker, in the order of their start.
    pub fn statuses(&self) -> Vec<WorkerStatus> {
        self.workers.lock().iter().map(Handle::status).collect()
    }

    /// Sets the pace of the worker called `name`, and returns whether there is one.
    pub fn set_pace(&self, name: &str, pace: Pace) -> bool {
        let workers = self.workers.lock();
        let named = workers.iter().find(|worker| worker.record.has_name(name));
        named.map(|worker| worker.set_pace(pace)).is_some()
    }

    /// Stops all workers at once, as [`Handle::stop`] does, within one `deadline` for all. Returns the names of the
    /// workers that had to be aborted.
    pub async fn stop(&self, deadline: Duration) -> Vec<String> {
        let until = Instant::now() + deadline;
        let workers = self.workers.lock().clone();
        workers.iter().for_each(Handle::ask_to_stop);
        let mut aborted = Vec::new();
        for worker in workers {
            if !worker.ended_by(until, deadline).await {
                aborted.push(worker.status().name);
            }
        }
        aborted
    }
}

impl Handle {
    /// What the worker is doing.
    pub fn status(&self) -> WorkerStatus {
        self.record.read()
    }

    /// Sets how fast the worker may go.
    pub fn set_pace(&self, pace: Pace) {
        self.switches.pace.send_replace(pace);
    }

    /// Stops the worker: lets the running unit finish, then [`drain`](Worker::drain), and aborts both when `deadline`
    /// has passed. Returns whether the worker ended in time.
    pub async fn stop(&self, deadline: Duration) -> bool {
        self.ask_to_stop();
        self.ended_by(Instant::now() + deadline, deadline).await
    }

    fn ask_to_stop(&self) {
        self.switches.stopping.send_replace(true);
    }

    async fn ended_by(&self, until: Instant, deadline: Duration) -> bool {
        let mut slot = self.task.lock().await;
        let Some(task) = slot.as_mut() else {
            return true;
        };
        let is_in_time = time::timeout_at(until, &mut *task).await.is_ok();
        if !is_in_time {
            // Not awaited: a worker that blocks its thread cannot be made to end earlier.
            task.abort();
            self.record
                .aborted(format!("aborted: it did not stop within {deadline:?}"));
        }
        *slot = None;
        is_in_time
    }
}

/// `name`, with a number if one of `workers` has it already.
fn unused(name: &str, workers: &[Handle]) -> String {
    let is_used = |name: &str| workers.iter().any(|worker| worker.record.has_name(name));
    let numbered = (2_usize..).map(|number| format!("{name} {number}"));
    let mut names = iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !is_used(name)).unwrap_or_default()
}
