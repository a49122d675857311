//! The byte stream of a connection: a TCP or unix socket, plain or under TLS, with counters of its activity.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::net::RecvFlags;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::server::TlsStream;

use crate::activity::Activity;

/// A connection as the kernel gives it.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Waits for bytes, and copies the first ones without consuming them. 0: the client has disconnected.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.peek(buffer).await,
            Self::Unix(stream) => {
                let peek = || Ok(rustix::net::recv(stream, &mut *buffer, RecvFlags::PEEK)?.1);
                stream.async_io(Interest::READABLE, peek).await
            }
        }
    }
}

/// A socket that counts its reads and writes.
///
/// It counts below TLS: what matters is whether the client sends and takes bytes, not how many of them are already
/// deciphered, or still wait in a buffer to be sent.
#[derive(Debug)]
pub(crate) struct WatchedSocket {
    socket: Socket,
    activity: Arc<Activity>,
}

impl WatchedSocket {
    pub(crate) fn new(socket: Socket, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }

    fn note_write(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(_)) => self.activity.wrote(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.write_blocked(),
        }
        result
    }
}

/// The stream below HTTP.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(WatchedSocket),
    Tls(Box<TlsStream<WatchedSocket>>),
}

/// Passes a call on to the value in the enum, pinned.
macro_rules! each {
    ($kind:ident::{$first:ident, $second:ident}, $value:expr, $inner:ident => $call:expr) => {
        match $value {
            $kind::$first(inner) => {
                let $inner = Pin::new(inner);
                $call
            }
            $kind::$second(inner) => {
                let $inner = Pin::new(inner);
                $call
            }
        }
    };
}

impl AsyncRead for WatchedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(each!(Socket::{Tcp, Unix}, &mut self.socket, socket => socket.poll_read(cx, buffer)))?;
        self.activity.read();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = each!(Socket::{Tcp, Unix}, &mut self.socket, socket => socket.poll_write(cx, bytes));
        self.note_write(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result =
            each!(Socket::{Tcp, Unix}, &mut self.socket, socket => socket.poll_write_vectored(cx, bytes));
        self.note_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(Socket::{Tcp, Unix}, &mut self.socket, socket => socket.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(Socket::{Tcp, Unix}, &mut self.socket, socket => socket.poll_shutdown(cx))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(Stream::{Plain, Tls}, &mut *self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(Stream::{Plain, Tls}, &mut *self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(Stream::{Plain, Tls}, &mut *self, stream => stream.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(Stream::{Plain, Tls}, &mut *self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(Stream::{Plain, Tls}, &mut *self, stream => stream.poll_shutdown(cx))
    }
}
