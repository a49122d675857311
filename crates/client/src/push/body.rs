//! The body of an upload: pieces of a blob, handed from its reader to the connection.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    Error, Result,
    stream::{Blob, Checked},
    wire::READ_TIMEOUT,
};

pub(super) enum Pumped {
    /// All of it was taken.
    All,
    /// The connection takes no more, and its answer says why.
    Refused,
}

/// Hands the rest of the blob to the connection, piece by piece.
pub(super) async fn pump<B: Blob>(
    blob: &mut Checked<'_, B>,
    sender: mpsc::Sender<std::result::Result<Bytes, Aborted>>,
    sent: &(dyn Fn(u64) + Sync),
) -> Result<Pumped> {
    loop {
        let piece = match blob.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(Pumped::All),
            Err(error) => {
                // The body breaks off, so the registry gets no whole blob.
                _ = sender.try_send(Err(Aborted));
                return Err(error);
            }
        };
        let length = piece.len() as u64;
        match timeout(READ_TIMEOUT, sender.send(Ok(piece))).await {
            Ok(Ok(())) => sent(length),
            Ok(Err(_closed)) => return Ok(Pumped::Refused),
            Err(_elapsed) => {
                return Err(Error::TimedOut {
                    url: "the registry".to_owned(),
                    reason: format!("it took no byte for {} seconds", READ_TIMEOUT.as_secs()),
                });
            }
        }
    }
}

/// The blob could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the blob could not be read to its end")]
pub(super) struct Aborted;

/// The body of a request: the pieces that come, of a length that is known before.
pub(super) struct Pieces {
    pub(super) receiver: mpsc::Receiver<std::result::Result<Bytes, Aborted>>,
    /// Bytes that are still to come.
    pub(super) left: u64,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Aborted>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        match self.receiver.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(piece))) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            // The reader ended too early.
            Poll::Ready(Some(Err(Aborted)) | None) => Poll::Ready(Some(Err(Aborted))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
