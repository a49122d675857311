//! What an attempt of a request has in common for all stores: bounds on silence, and what an answer or an error says.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, header::RETRY_AFTER};
use http_body::{Body, Frame, SizeHint};
use object_store::client::{HttpError, HttpErrorKind, HttpResponseBody};
use tokio::time::{Sleep, sleep};

/// How long the store asks to wait.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An error with all of its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
}

/// A body that fails when nothing comes for too long.
pub(super) struct Watched<F> {
    body: HttpResponseBody,
    received: F,
    longest: Duration,
    /// Ends when nothing has come for too long; there is none while the body has something.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<F> Watched<F> {
    /// `body`, which fails when nothing comes for `longest`. `received` is told how many bytes have come.
    pub(super) fn new(body: HttpResponseBody, longest: Duration, received: F) -> Self {
        Self {
            body,
            received,
            longest,
            silence: None,
        }
    }
}

impl<F: FnMut(usize) + Unpin> Body for Watched<F> {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.silence = None;
            if let Some(Ok(frame)) = &frame {
                (this.received)(frame.data_ref().map_or(0, Bytes::len));
            }
            return Poll::Ready(frame);
        }
        let longest = this.longest;
        let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(longest)));
        ready!(silence.as_mut().poll(context));
        Poll::Ready(Some(Err(silent("nothing more", longest))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The error of an attempt that got `what` for `longest`.
pub(super) fn silent(what: &str, longest: Duration) -> HttpError {
    let reason = format!("{what} from the store for {longest:?}");
    HttpError::new(HttpErrorKind::Timeout, Reason(reason))
}

/// A cause that is only a text.
#[derive(Debug)]
pub(super) struct Reason(pub(super) String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}
