//! Bodies of answers, with an observer that follows them to their end.

use std::{
    error::Error,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task;

/// How many bytes of a body may pass before other connections have their turn. A client that reads as fast as the
/// server sends would else keep a thread for as long as the runtime lets a task run, and the readiness of other
/// sockets would be noticed only then: of eight such clients some waited six times as long as others.
const TURN: usize = 1 << 20;

use crate::transfers::Holding;

type BoxError = Box<dyn Error + Send + Sync>;

/// An observer of the body of an answer. It is dropped when the answer is complete, or given up.
pub trait BodyObserver: Send + Unpin + 'static {
    /// Called when `bytes` of the body went to the connection.
    fn sent(&mut self, bytes: usize);

    /// The span of the application log in which the body is made.
    fn log_span(&self) -> &tracing::Span;
}

/// The content of an answer.
#[derive(Debug)]
enum Content<B> {
    /// The body that a surface made.
    Surface(B),
    /// A text of the transport, which is empty once it was sent.
    Text(&'static str),
}

/// A body with its observer.
#[derive(Debug)]
pub struct ObservedBody<B, O> {
    content: Content<B>,
    observer: O,
    /// Bytes since the last wait of this body.
    in_turn: usize,
    /// The memory of a body that is charged to the budget.
    holding: Option<Box<Holding>>,
}

impl<B, O> ObservedBody<B, O> {
    /// `body`, observed by `observer`.
    pub fn new(body: B, observer: O) -> Self {
        Self {
            content: Content::Surface(body),
            observer,
            in_turn: 0,
            holding: None,
        }
    }

    /// The body `text`, observed by `observer`.
    pub(crate) fn text(text: &'static str, observer: O) -> Self {
        Self {
            content: Content::Text(text),
            observer,
            in_turn: 0,
            holding: None,
        }
    }

    /// Charges the pieces of the body to the budget.
    pub(crate) fn charged(mut self, holding: Holding) -> Self {
        self.holding = Some(Box::new(holding));
        self
    }
}

impl<B, O> Body for ObservedBody<B, O>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
    O: BodyObserver,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self {
            content,
            observer,
            in_turn,
            holding,
        } = &mut *self;
        let body = match content {
            Content::Surface(body) => body,
            Content::Text(text) => {
                let text = std::mem::take(text);
                observer.sent(text.len());
                return Poll::Ready(
                    (!text.is_empty()).then(|| Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
                );
            }
        };
        if *in_turn >= TURN {
            *in_turn = 0;
            // Its first poll has the task woken after all tasks that are ready, and after a look at the sockets.
            if pin!(task::yield_now()).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        if let Some(holding) = holding
            && let Err(error) = ready!(holding.poll_permit(cx, body.size_hint().exact()))
        {
            tracing::info!(parent: observer.log_span(), %error, "an answer was cut: its client comes again");
            return Poll::Ready(Some(Err(error.into())));
        }
        let frame = observer.log_span().in_scope(|| Pin::new(body).poll_frame(cx));
        let Poll::Ready(frame) = frame else {
            *in_turn = 0;
            return Poll::Pending;
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        if let Some(bytes) = frame.data_ref() {
            *in_turn += bytes.len();
            observer.sent(bytes.len());
        }
        Poll::Ready(Some(Ok(match holding {
            Some(holding) => frame.map_data(|bytes| holding.hand_out(bytes)),
            None => frame,
        })))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Surface(body) => body.is_end_stream(),
            Content::Text(text) => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Surface(body) => body.size_hint(),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
        }
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

    /// A body of as many bytes as are asked for, always ready.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; TURN / 4])))))
        }
    }

    #[tokio::test]
    async fn a_body_that_is_always_ready_lets_other_tasks_have_their_turn() {
        let (sender, _receiver) = mpsc::channel();
        let mut body = ObservedBody::new(Endless, Counter(sender, tracing::Span::none()));
        let other = tokio::spawn(async {});
        for _ in 0..4 {
            assert!(body.frame().await.is_some());
        }
        assert!(!other.is_finished(), "the turn is not over");
        assert!(body.frame().await.is_some());
        assert!(other.is_finished(), "the other task had its turn");
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
