//! Bodies of answers, with an observer that follows them to their end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// An observer of the body of an answer. It is dropped when the answer is complete, or given up.
pub trait BodyObserver: Send + Unpin + 'static {
    /// Called when `bytes` of the body went to the connection.
    fn sent(&mut self, bytes: usize);

    /// The span of the application log in which the body is made.
    fn log_span(&self) -> &tracing::Span;
}

/// A body with its observer.
#[derive(Debug)]
pub struct ObservedBody<B, O> {
    body: B,
    observer: O,
}

impl<B, O> ObservedBody<B, O> {
    /// `body`, observed by `observer`.
    pub fn new(body: B, observer: O) -> Self {
        Self { body, observer }
    }
}

impl<B: Body<Data = Bytes> + Unpin, O: BodyObserver> Body for ObservedBody<B, O> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self { body, observer } = &mut *self;
        let frame = observer.log_span().in_scope(|| Pin::new(body).poll_frame(cx));
        let frame = ready!(frame);
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            observer.sent(bytes.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use http_body_util::{BodyExt as _, Full};

    use super::*;

    struct Counter(mpsc::Sender<usize>, tracing::Span);

    impl BodyObserver for Counter {
        fn sent(&mut self, bytes: usize) {
            self.0.send(bytes).unwrap();
        }

        fn log_span(&self) -> &tracing::Span {
            &self.1
        }
    }

    #[tokio::test]
    async fn an_observer_sees_every_byte_and_the_end() {
        let (sender, receiver) = mpsc::channel();
        let body = ObservedBody::new(
            Full::new(Bytes::from_static(b"abcde")),
            Counter(sender, tracing::Span::none()),
        );
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcde");
        assert_eq!(receiver.try_recv(), Ok(5));
        assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
