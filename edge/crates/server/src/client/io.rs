//! The socket of a client as hyper sees it: plain or TLS, watched, with stalled writes noticed.
//!
//! Place: client/serve.rs builds one per connection -> [io] -> hyper
//! Rule:  bytes pass unchanged.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use super::connection::Connection;

/// How bytes reach the client.
pub enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A client's socket.
pub struct ClientIo {
    transport: Transport,
    /// Read while the protocol was being recognised; given out first.
    early: Bytes,
    connection: Arc<Connection>,
    /// HTTP/1: every byte is shown to the watcher.
    watched: bool,
    closing: Closing,
}

/// How far the end of a connection has come.
enum Closing {
    /// Not begun.
    Open,
    /// We have said our last word and listen to the client's.
    Lingering {
        limit: Pin<Box<Sleep>>,
        dropped: usize,
    },
    /// Over.
    Closed,
}

/// How long the rest of what a client still sends is read and dropped. Closing at once would make the kernel
/// send a reset, and that erases an answer the client has not read yet.
const LINGER: Duration = Duration::from_secs(1);

/// The same for a client that speaks something else altogether: it waits for the end, not for an answer.
const LINGER_ALIEN: Duration = Duration::from_millis(50);

/// Most bytes read and dropped at the end.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

impl ClientIo {
    /// The socket of `connection`; `early` was read from it before.
    pub fn new(
        transport: Transport,
        early: Bytes,
        connection: Arc<Connection>,
        watched: bool,
    ) -> ClientIo {
        ClientIo {
            transport,
            early,
            connection,
            watched,
            closing: Closing::Open,
        }
    }

    /// Read and drop until the client closes, or a bound is reached.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Closing::Lingering { limit, dropped } = &mut self.closing else {
            return Poll::Ready(Ok(()));
        };
        let mut scratch = [MaybeUninit::uninit(); 4096];
        while *dropped < LINGER_BYTES_MAX {
            let mut piece = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.transport).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    *dropped += piece.filled().len()
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(limit.as_mut().poll(cx));
                    break;
                }
            }
        }
        self.closing = Closing::Closed;
        Poll::Ready(Ok(()))
    }

    fn note<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.connection.wrote(result.is_pending());
        result
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = if this.early.is_empty() {
            Pin::new(&mut this.transport).poll_read(cx, buf)
        } else {
            let taken = this.early.len().min(buf.remaining());
            buf.put_slice(&this.early[..taken]);
            this.early.advance(taken);
            Poll::Ready(Ok(()))
        };
        if this.watched && matches!(read, Poll::Ready(Ok(()))) {
            this.connection.received(&buf.filled()[before..]);
        }
        read
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.transport).poll_write(cx, data);
        this.note(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.transport).poll_write_vectored(cx, data);
        this.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &this.transport {
            // Sockets have nothing to flush.
            Transport::Tcp(_) | Transport::Unix(_) => Poll::Ready(Ok(())),
            Transport::Tls(_) => {
                let flushed = Pin::new(&mut this.transport).poll_flush(cx);
                this.note(flushed)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.closing, Closing::Open) {
            let closed = Pin::new(&mut this.transport).poll_shutdown(cx);
            ready!(this.note(closed))?;
            let alien = this.watched && this.connection.is_alien();
            let limit = Box::pin(tokio::time::sleep(if alien {
                LINGER_ALIEN
            } else {
                LINGER
            }));
            this.closing = Closing::Lingering { limit, dropped: 0 };
        }
        this.poll_linger(cx)
    }
}

/// Run the same call on whichever transport it is.
macro_rules! each {
    ($self:expr, $method:ident $(, $argument:expr)*) => {
        match $self.get_mut() {
            Transport::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Transport::Unix(stream) => Pin::new(stream).$method($($argument),*),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, poll_read, cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, poll_write, cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, poll_write_vectored, cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Transport::Tcp(stream) => stream.is_write_vectored(),
            Transport::Unix(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, poll_shutdown, cx)
    }
}
