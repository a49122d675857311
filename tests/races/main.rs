//! Requests that meet: whoever wins, nothing is ever mixed, torn or lost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "one test removes a repository behind the server's back"
)]

mod blobs;
mod repositories;
mod tags;

/// The tests run the real binary.
const LAUNCHER: &str = env!("CARGO_BIN_EXE_wharf");

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
