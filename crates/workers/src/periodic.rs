//! A worker that does the same job at intervals.

use std::time::Duration;

use tokio::time::{self, Instant};

use crate::worker::{Error, Unit, Work, Worker};

/// A worker that does one job at intervals. The interval is between the end of one run and the start of the next; a
/// run that failed is tried again when the pause after the failure is over. The job returns what the run did, in a few
/// words, which are the worker's status until the next run.
#[derive(Debug)]
pub struct Periodic<F> {
    name: String,
    interval: Duration,
    next: Instant,
    job: F,
    outcome: String,
}

impl<F, Run> Periodic<F>
where
    F: FnMut() -> Run + Send + 'static,
    Run: Future<Output = Result<String, Error>> + Send,
{
    /// Does `job` at intervals, for the first time after the pause `first`.
    pub fn new(name: impl Into<String>, first: Duration, interval: Duration, job: F) -> Self {
        Self {
            name: name.into(),
            interval,
            next: Instant::now() + first,
            job,
            outcome: String::new(),
        }
    }
}

impl<F, Run> Worker for Periodic<F>
where
    F: FnMut() -> Run + Send + 'static,
    Run: Future<Output = Result<String, Error>> + Send,
{
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn work(&mut self) -> Unit {
        if Instant::now() < self.next {
            return Ok(Work::Idle);
        }
        self.outcome = (self.job)().await?;
        self.next = Instant::now() + self.interval;
        Ok(Work::Busy)
    }

    async fn wait(&mut self) {
        time::sleep_until(self.next).await;
    }

    fn status(&self) -> String {
        self.outcome.clone()
    }
}
