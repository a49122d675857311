//! The contract of everything that runs beside requests.

use std::time::Duration;

/// Why a unit of work failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    why: String,
    /// The pause that the worker asked for.
    pause: Option<Duration>,
}

/// The result of one unit of work.
pub type Unit = Result<Work, Error>;

/// What a worker wants after a unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A unit was done, and more may be waiting: call [`Worker::work`] again at once.
    Busy,
    /// A unit was done, or was put off: call [`Worker::work`] again after this pause.
    Throttled(Duration),
    /// There was nothing to do: call [`Worker::wait`].
    Idle,
    /// There is nothing to do, and there never will be: the worker ends.
    Done,
}

/// One job that runs beside requests, cut into units of work.
///
/// The worker owns its state; no other task changes it. A panic in one of these methods leaves the state as it was at
/// that moment, and the same worker is called again: a unit changes its state last, after what can fail.
pub trait Worker: Send + 'static {
    /// Name in logs, metrics and status: a few words in lower case, such as `upload purge`. Called once.
    fn name(&self) -> String;

    /// Does one unit of work: an upload, a request, a batch. Short units keep a stop short.
    ///
    /// # Errors
    /// When the unit failed and should be tried again later.
    fn work(&mut self) -> impl Future<Output = Unit> + Send;

    /// Completes when there may be something to do. May be dropped at any await point when the supervisor stops, so
    /// whatever it takes out of a queue must go straight into the worker, for [`drain`](Self::drain) to find.
    ///
    /// By default it never completes: an idle worker then waits for its end.
    fn wait(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Called once when the supervisor stops, after the last unit: writes or sends what would otherwise be lost.
    /// Cut off when the stop deadline has passed.
    fn drain(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Progress in free text, such as `3 of 17 repositories`; empty when there is none. Called after each unit.
    fn status(&self) -> String {
        String::new()
    }
}

impl Error {
    /// A failure that the worker expects: it has logged what the operator must know, and the next attempt comes after
    /// `pause`.
    pub fn expected(why: impl Into<String>, pause: Duration) -> Self {
        Self {
            why: why.into(),
            pause: Some(pause),
        }
    }

    /// The text of the error.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The pause that the worker asked for; `None`: the supervisor logs the failure and finds a pause.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.pause
    }
}

/// A failure that the worker does not expect.
impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Error {
    fn from(error: E) -> Self {
        Self {
            why: error.into().to_string(),
            pause: None,
        }
    }
}
