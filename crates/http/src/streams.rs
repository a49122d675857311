//! The tasks of the streams of an HTTP/2 connection.

use std::sync::{Arc, Mutex, PoisonError};

use crate::end::End;

/// Runs the streams of one HTTP/2 connection, each as a task that can be ended from outside: dropping it resets the
/// stream.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    connection: Arc<End>,
    /// The end of the stream whose request was passed to the service last.
    next: Arc<Mutex<Option<Arc<End>>>>,
}

impl Streams {
    /// The streams of the connection that `connection` ends.
    pub(crate) fn new(connection: Arc<End>) -> Self {
        Self {
            connection,
            next: Arc::default(),
        }
    }

    /// The end of the stream that is executed next: hyper passes a request to the service, and at once its future to
    /// the executor.
    pub(crate) fn begin(&self) -> Arc<End> {
        let end = Arc::new(End::of_stream(Arc::clone(&self.connection)));
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&end));
        end
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let end = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        let end = end.unwrap_or_default();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stream => end.over(),
                () = end.asked() => {}
            }
        });
    }
}
