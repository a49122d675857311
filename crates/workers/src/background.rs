//! Threads of low priority, for work beside requests that computes.
//!
//! A task that computes, or makes many short system calls, takes its turns from the tasks of requests if they share a thread, and
//! a full core from them if it has threads of its own. These threads have a low priority: while requests need the processor each gets
//! about a quarter of the share of a thread of theirs, and otherwise all of it. A lock that one of them holds while it waits for the processor delays a request; so
//! the priority is not the lowest.

use std::{future::Future, io};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};

/// The priority of the threads, of 1 to 19, the lowest. Measured with pushes that keep one core busy (row `push-collecting` of the
/// benchmark): with 3 a collection makes the slowest hundredth of them half as slow again, with 5 a quarter, with 10 nothing, and then it
/// takes a hundred times longer.
const NICE: i32 = 6;

/// Threads of low priority, with tasks, timers and blocking work of their own. They end when this is dropped, with the work that they
/// run.
#[derive(Debug)]
pub struct Background {
    threads: Handle,
    /// `None` once it ends
    runtime: Option<Runtime>,
}

impl Background {
    /// Starts as many threads as there are cores.
    ///
    /// # Errors
    ///
    /// When the operating system gives no thread.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("background")
            .on_thread_start(|| lower_priority(NICE))
            .enable_all()
            .build()?;
        Ok(Self {
            threads: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Runs `work`, and what it spawns, on these threads. It ends with the future that is returned.
    ///
    /// # Panics
    ///
    /// If `work` panics.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let mut task = Task(self.threads.spawn(work));
        match (&mut task.0).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Nothing else ends it: the threads are there as long as this is.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be a thread of another runtime that drops it, which must not wait.
            runtime.shutdown_background();
        }
    }
}

/// Ends with the future that waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lowers the priority of the calling thread to `nice`, of 1 to 19, the lowest. On Linux a priority belongs to a thread, not to its
/// process.
pub fn lower_priority(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice) {
        tracing::debug!(%error, "cannot lower the priority of a thread");
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::oneshot, task::spawn_blocking};

    use super::*;

    fn priority() -> i32 {
        rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()
    }

    #[tokio::test]
    async fn work_and_its_blocking_parts_run_at_low_priority() {
        let background = Background::start().unwrap();
        let work = async { (priority(), spawn_blocking(priority).await.unwrap()) };
        assert_eq!(background.run(work).await, (NICE, NICE));
        assert_ne!(priority(), NICE);
    }

    #[tokio::test]
    async fn work_ends_with_the_future_that_waits_for_it() {
        let background = Background::start().unwrap();
        let (alive, ended) = oneshot::channel::<()>();
        let (begins, begun) = oneshot::channel();
        let work = async move {
            begins.send(()).unwrap();
            std::future::pending::<()>().await;
            drop(alive);
        };
        {
            let mut running = Box::pin(background.run(work));
            tokio::select! {
                _ = &mut running => panic!("it never ends by itself"),
                begun = begun => begun.unwrap(),
            }
        }
        ended.await.unwrap_err();
    }
}
