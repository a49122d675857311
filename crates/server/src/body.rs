//! The body of an answer: empty, bytes, or a stream of known length.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use wharf_storage::ByteStream;

/// The body of an answer.
pub(crate) enum Content {
    Empty,
    Full(Bytes),
    /// A stream with `remaining` bytes to send.
    Stream {
        stream: ByteStream,
        remaining: u64,
    },
}

/// A body whose length differs from the announced one. The connection is cut: a short body never looks complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Storage(#[from] wharf_storage::Error),
    #[error("the store returned {0} bytes less than announced")]
    Short(u64),
    #[error("the store returned more bytes than announced")]
    Long,
}

impl Content {
    /// Number of bytes to send.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Full(bytes) => bytes.len() as u64,
            Self::Stream { remaining, .. } => *remaining,
        }
    }
}

impl Content {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let (stream, remaining) = match self {
            Self::Empty => return Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                return Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)));
            }
            Self::Stream { remaining: 0, .. } => {
                *self = Self::Empty;
                return Poll::Ready(None);
            }
            Self::Stream { stream, remaining } => (stream, remaining),
        };
        let item = match ready!(stream.as_mut().poll_next(cx)) {
            None => Err(BodyError::Short(*remaining)),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(bytes)) => match remaining.checked_sub(bytes.len() as u64) {
                Some(left) => {
                    *remaining = left;
                    Ok(bytes)
                }
                None => Err(BodyError::Long),
            },
        };
        if let Err(error) = &item {
            tracing::error!(%error, "an answer was cut: the blob could not be read");
            *self = Self::Empty;
        }
        Poll::Ready(Some(item))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let item = ready!(self.poll_bytes(cx));
        Poll::Ready(item.map(|item| item.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt;
    use wharf_storage::{Error, ErrorKind};

    use super::*;

    fn streamed(items: Vec<Result<Bytes, Error>>, remaining: u64) -> Content {
        Content::Stream {
            stream: Box::pin(stream::iter(items)),
            remaining,
        }
    }

    async fn read(body: Content) -> Result<Bytes, BodyError> {
        body.collect().await.map(http_body_util::Collected::to_bytes)
    }

    #[tokio::test]
    async fn a_stream_that_keeps_its_word_is_whole() {
        let body = streamed(vec![Ok("abc".into()), Ok("de".into())], 5);
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(read(body).await.unwrap(), "abcde");
    }

    #[tokio::test]
    async fn a_stream_that_breaks_its_word_is_an_error() {
        assert!(matches!(
            read(streamed(vec![Ok("abc".into())], 5)).await,
            Err(BodyError::Short(2))
        ));
        assert!(matches!(
            read(streamed(vec![Ok("abcdef".into())], 5)).await,
            Err(BodyError::Long)
        ));
        let failing = streamed(
            vec![Ok("abc".into()), Err(Error::new(ErrorKind::Damaged, "read"))],
            5,
        );
        assert!(matches!(read(failing).await, Err(BodyError::Storage(_))));
    }
}
