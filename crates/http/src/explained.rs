//! The text of an answer that hyper makes by itself, without one.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the answer of hyper to a request with too many headers begins.
const TOO_LARGE: &[u8] = b"HTTP/1.1 431 ";

/// The answer in its place: the same with a body. Surfaces never answer 431.
const EXPLAINED: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 68\r\nConnection: close\r\n\r\n\
    The request has more than 100 headers, or more than 64 KiB of them.\n";

/// A stream whose first answer gets a text if it has none. Only the first: what is written later may be part of a body,
/// which must not be taken for the head of an answer.
#[derive(Debug)]
pub(crate) struct Explained<S> {
    stream: S,
    has_written: bool,
}

impl<S> Explained<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            has_written: false,
        }
    }
}

impl<S: AsyncWrite + Unpin> Explained<S> {
    /// Writes the explained answer in place of `bytes` if these are the answer without a text. The whole of it fits into
    /// the empty buffer of a socket.
    fn poll_explain(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.has_written || !bytes.starts_with(TOO_LARGE) {
            self.has_written = true;
            return None;
        }
        Some(self.poll_write_explained(cx).map_ok(|()| bytes.len()))
    }

    fn poll_write_explained(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_write(cx, EXPLAINED))?;
        self.has_written = true;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_explain(cx, bytes) {
            Some(explained) => explained,
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bytes.first().map_or(&[][..], |slice| slice);
        match self.poll_explain(cx, first) {
            Some(explained) => explained,
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn written(parts: &[&[u8]]) -> Vec<u8> {
        let mut stream = Explained::new(Vec::new());
        for part in parts {
            stream.write_all(part).await.unwrap();
        }
        stream.stream
    }

    #[tokio::test]
    async fn only_the_first_answer_is_explained() {
        let bare: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(written(&[bare]).await, EXPLAINED);
        let head: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(written(&[head, bare]).await, [head, bare].concat());
    }

    #[test]
    fn the_length_of_the_text_is_right() {
        let text = std::str::from_utf8(EXPLAINED).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
