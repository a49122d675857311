//! Many small reads at once: bounded, in order, and fair to other tasks of the thread.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use futures_util::{FutureExt, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use tokio::task::{JoinError, JoinHandle};
use wharf_storage::{Error, ErrorKind};

/// How many reads of one request are under way at once. On a bucket each takes a round trip of milliseconds.
pub(crate) const PARALLEL: usize = 32;

/// How many jobs of [`in_jobs`] run at once: enough to keep a few threads and a slow disk busy.
const JOBS: usize = 8;

/// How many small reads one job makes. From the page cache of a file system each takes some microseconds.
const CHUNK: usize = 64;

/// After how many results a task yields its thread to other tasks: reads from the page cache never wait.
const TURN: usize = 16;

/// A read whose result will probably be needed once something else is known.
///
/// On a bucket, where every read has to wait, it gets under way meanwhile, and both take one round trip. On a
/// directory most reads do not wait: then it is made when its result is asked for, and not at all if it never is. Dropping
/// this ends the read, and gives back what it holds.
pub(crate) struct Ahead<'a, F: Future> {
    /// `None` once it has ended
    read: Pin<&'a mut Option<F>>,
    result: Option<F::Output>,
}

impl<'a, F: Future> Ahead<'a, F> {
    /// Does nothing yet.
    pub(crate) fn new(read: Pin<&'a mut Option<F>>) -> Self {
        Self { read, result: None }
    }

    /// Awaits `first`; while that waits, the read gets under way.
    pub(crate) async fn during<T>(&mut self, first: impl Future<Output = T>) -> T {
        let mut first = pin!(first);
        poll_fn(|context| {
            let polled = first.as_mut().poll(context);
            if polled.is_pending() {
                self.poll_read(context);
            }
            polled
        })
        .await
    }

    /// The result of the read, which is made now if it was not before.
    pub(crate) async fn result(mut self) -> F::Output {
        poll_fn(|context| {
            self.poll_read(context);
            self.result.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn poll_read(&mut self, context: &mut Context<'_>) {
        if let Some(read) = self.read.as_mut().as_pin_mut()
            && let Poll::Ready(result) = read.poll(context)
        {
            self.result = Some(result);
            self.read.set(None);
        }
    }
}

impl<F: Future> Drop for Ahead<'_, F> {
    fn drop(&mut self) {
        self.read.set(None);
    }
}

/// Runs `reads`, at most [`PARALLEL`] of them at once. The results come in the order of the reads; the first error ends
/// them all.
///
/// The types are erased here, because the compiler cannot prove of closures in the state of a future that the future
/// may move between threads.
///
/// # Errors
///
/// The first error, in the order of the reads.
pub(crate) fn in_parallel<'a, T, E, F>(
    reads: impl IntoIterator<Item = F, IntoIter: Send + 'a>,
) -> BoxFuture<'a, Result<Vec<T>, E>>
where
    T: Send + 'a,
    E: Send + 'a,
    F: Future<Output = Result<T, E>> + Send + 'a,
{
    let reads: Box<dyn Iterator<Item = BoxFuture<'a, Result<T, E>>> + Send + 'a> =
        Box::new(reads.into_iter().map(FutureExt::boxed));
    async move {
        let mut results = Vec::with_capacity(reads.size_hint().0);
        let mut running = stream::iter(reads).buffered(PARALLEL);
        while let Some(result) = running.next().await {
            results.push(result?);
            if results.len() % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(results)
    }
    .boxed()
}

/// Runs `read` for all of `items`, in tasks of their own that run on several threads; within a task as
/// [`in_parallel`] does. The results come in the order of the items.
///
/// # Errors
///
/// The first error, in the order of the items, and a task that did not end.
pub(crate) async fn in_jobs<T, R, F>(
    items: Vec<T>,
    read: impl Fn(T) -> F + Clone + Send + 'static,
) -> crate::error::Result<Vec<R>>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Future<Output = crate::error::Result<R>> + Send + 'static,
{
    if items.len() <= CHUNK {
        return in_parallel(items.into_iter().map(read)).await;
    }
    let mut jobs = stream::iter(chunks_of(CHUNK, items))
        .map(|chunk| Job(tokio::spawn(in_parallel(chunk.into_iter().map(read.clone())))))
        .buffered(JOBS)
        .map(|job| job.map_err(failed_job)?);
    let mut results = Vec::new();
    while let Some(done) = jobs.try_next().await? {
        results.extend(done);
    }
    Ok(results)
}

/// The `items`, in vectors of `size`.
pub(crate) fn chunks_of<T>(size: usize, items: Vec<T>) -> Vec<Vec<T>> {
    let mut items = items.into_iter();
    let chunks = std::iter::from_fn(|| {
        let chunk: Vec<T> = items.by_ref().take(size).collect();
        (!chunk.is_empty()).then_some(chunk)
    });
    chunks.collect()
}

/// A task that ends with the request that waits for it: what the request holds is not given back while the task goes on.
struct Job<T>(JoinHandle<T>);

impl<T> Future for Job<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context)
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `work`, which computes for longer than other tasks of the thread may wait, on a thread for such work.
///
/// # Errors
///
/// When it did not end.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(failed_job)
}

/// As [`in_background`], in a `turn` at such work: a request that is dropped meanwhile gives it back when the work ends, and
/// not before.
///
/// # Errors
///
/// When it did not end.
pub(crate) async fn in_turn<T: Send + 'static>(
    turn: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let in_turn = move || {
        let done = work();
        drop(turn);
        done
    };
    in_background(in_turn).await
}

/// The error of a task that panicked, or that was cancelled at the end of the process.
pub(crate) fn failed_job(error: JoinError) -> Error {
    Error::with_source(ErrorKind::Other, "read the tree: a task did not end", error)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::{pending, ready},
        time::Duration,
    };

    use tokio::{
        sync::mpsc,
        time::{Instant, sleep, timeout},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_jobs_of_a_request_that_is_dropped_end_with_it() {
        let (running, mut all_ended) = mpsc::channel::<()>(1);
        let read = move |_: usize| {
            let running = running.clone();
            async move {
                pending::<()>().await;
                drop(running);
                Ok(())
            }
        };
        let jobs = in_jobs((0..10 * CHUNK).collect(), read);
        timeout(Duration::from_secs(1), jobs).await.unwrap_err();
        let ended = timeout(Duration::from_secs(1), all_ended.recv()).await;
        assert_eq!(ended, Ok(None), "a job goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_goes_ahead_only_while_another_waits() {
        let start = Instant::now();
        let runs = Cell::new(0);
        let slow = || async {
            runs.set(runs.get() + 1);
            sleep(Duration::from_secs(1)).await;
            7
        };

        let read = pin!(Some(slow()));
        let mut ahead = Ahead::new(read);
        ahead.during(ready(())).await;
        assert_eq!(runs.get(), 0, "nothing waited");
        assert_eq!(ahead.result().await, 7);
        assert_eq!((runs.get(), start.elapsed().as_secs()), (1, 1));

        let read = pin!(Some(slow()));
        let mut ahead = Ahead::new(read);
        assert_eq!(ahead.during(slow()).await, 7);
        assert_eq!(ahead.result().await, 7);
        assert_eq!((runs.get(), start.elapsed().as_secs()), (3, 2), "both at once");

        let read = pin!(Some(sleep(Duration::from_secs(3))));
        let mut ahead = Ahead::new(read);
        ahead.during(slow()).await;
        drop(ahead);
        assert_eq!(
            start.elapsed().as_secs(),
            3,
            "it is not waited for when it is not needed"
        );
    }
}
