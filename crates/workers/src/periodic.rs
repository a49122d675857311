//! A worker that does the same job at intervals.

use std::time::Duration;

use tokio::time::{self, Instant};

use crate::worker::{Error, Unit, Work, Worker};

/// A worker that does one job at intervals. The interval is between the end of one run and the start of the next; a
/// run that failed is tried again when the supervisor's pause is over.
#[derive(Debug)]
pub struct Periodic<F> {
    name: String,
    interval: Duration,
    next: Instant,
    job: F,
}

impl<F, Run> Periodic<F>
where
    F: FnMut() -> Run + Send + 'static,
    Run: Future<Output = Result<(), Error>> + Send,
{
    /// Does `job` at intervals, for the first time after the pause `first`.
    pub fn new(name: impl Into<String>, first: Duration, interval: Duration, job: F) -> Self {
        Self {
            name: name.into(),
            interval,
            next: Instant::now() + first,
            job,
        }
    }
}

impl<F, Run> Worker for Periodic<F>
where
    F: FnMut() -> Run + Send + 'static,
    Run: Future<Output = Result<(), Error>> + Send,
{
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn work(&mut self) -> Unit {
        if Instant::now() < self.next {
            return Ok(Work::Idle);
        }
        (self.job)().await?;
        self.next = Instant::now() + self.interval;
        Ok(Work::Busy)
    }

    async fn wait(&mut self) {
        time::sleep_until(self.next).await;
    }
}
