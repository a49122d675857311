//! The body of an answer: empty, bytes, or a stream of known length.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use wharf_budget::{Exhausted, Permit, Share};
use wharf_http::RequestContext;
use wharf_storage::ByteStream;

/// Bytes in memory are sent in pieces of this size: what was handed over is no longer charged, so it must be little.
const PIECE: usize = 64 << 10;

/// The body of an answer.
pub(crate) enum Content {
    Empty,
    Full(Bytes),
    /// Bytes with the permit for what they take in memory until the client has taken them.
    Charged {
        bytes: Bytes,
        _permit: Permit,
    },
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
            Self::Full(bytes) | Self::Charged { bytes, .. } => bytes.len() as u64,
            Self::Stream { remaining, .. } => *remaining,
        }
    }

    /// Whether so many bytes of it are in memory that they are charged to the budget. Few are not: they are about as many
    /// as the connection itself takes.
    pub(crate) fn is_large(&self) -> bool {
        matches!(self, Self::Full(bytes) if bytes.len() > PIECE)
    }

    /// Charges what is in memory to `share` until it is sent, for the request of `context`.
    pub(crate) async fn charged(&mut self, context: &RequestContext, share: &Share) -> Result<(), Exhausted> {
        let length = usize::try_from(self.len()).unwrap_or(usize::MAX);
        let permit = context.room(share, length).await?;
        self.charge(permit);
        Ok(())
    }

    /// Keeps `permit` for what is in memory until it is sent, if it [is large](Self::is_large).
    fn charge(&mut self, permit: Permit) {
        if self.is_large()
            && let Self::Full(bytes) = self
        {
            let bytes = std::mem::take(bytes);
            *self = Self::Charged {
                bytes,
                _permit: permit,
            };
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let (stream, remaining) = match self {
            Self::Empty => return Poll::Ready(None),
            Self::Full(bytes) | Self::Charged { bytes, .. } => {
                let piece = bytes.split_to(bytes.len().min(PIECE));
                if bytes.is_empty() {
                    *self = Self::Empty;
                }
                return Poll::Ready((!piece.is_empty()).then_some(Ok(piece)));
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
    async fn many_bytes_are_charged_until_the_last_of_them_is_sent() {
        let share = Share::new("answers", 2 * PIECE);
        let (mut small, mut large) = (
            Content::Full("abc".into()),
            Content::Full(vec![7; PIECE + 1].into()),
        );
        for content in [&mut small, &mut large] {
            let amount = usize::try_from(content.len()).unwrap();
            content.charge(share.take(amount).unwrap());
        }
        assert_eq!(share.used(), PIECE + 1);
        let piece = large.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((piece.len(), large.len(), share.used()), (PIECE, 1, PIECE + 1));
        assert_eq!(read(large).await.unwrap().len(), 1);
        assert_eq!(share.used(), 0);
        assert_eq!(read(small).await.unwrap(), "abc");
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
