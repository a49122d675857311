//! Concurrent requests: whichever wins, no content is ever mixed, torn or lost.

mod blobs;
mod repositories;
mod tags;

use std::future::Future;

/// Runs all of them at once, on all threads, and gives their results in order.
async fn at_once<F>(tasks: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        // A panic in a task is the failure of the test.
        results.push(
            task.await
                .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic())),
        );
    }
    results
}
