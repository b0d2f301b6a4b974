//! One connection to a worker: its socket, and what was read but not yet understood.
//!
//! Place: upstream/pool.rs keeps idle ones -> [link] -> ask.rs and download.rs use one at a time
//! Rule:  a link that held anything unexpected is never used again.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::pin::Pin;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use mergepoint_edge_core::snapshot::Address;
use rustix::fs::{FileType, Mode, OFlags};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::head::{self, AnswerHead};

/// Room for one read: most answers fit in one, a stream does not hoard memory.
const READ_BYTES: usize = 16 * 1024;

/// A socket to a worker.
#[derive(Debug)]
pub enum Socket {
    /// A Unix socket.
    Unix(UnixStream),
    /// A TCP connection.
    Tcp(TcpStream),
}

/// A connection to a worker.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    /// Read but not consumed.
    pub buffer: BytesMut,
    /// It has answered before, so the worker may have closed it meanwhile.
    pub reused: bool,
}

impl Link {
    /// Connect within `limit`.
    ///
    /// # Errors
    /// Refused, unreachable, or `TimedOut`.
    pub async fn connect(address: &Address, limit: Duration) -> io::Result<Link> {
        let socket = tokio::time::timeout(limit, Socket::connect(address))
            .await
            .map_err(|_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no connection within {limit:?}"),
                )
            })??;
        Ok(Link {
            socket,
            buffer: BytesMut::new(),
            reused: false,
        })
    }

    /// Still open, with nothing unasked for waiting; costs no system call unless something happened.
    pub fn is_fresh(&mut self) -> bool {
        let mut probe = [0u8; 1];
        let read = match &self.socket {
            Socket::Unix(socket) => socket.try_read(&mut probe),
            Socket::Tcp(socket) => socket.try_read(&mut probe),
        };
        self.buffer.is_empty()
            && matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Read more into `buffer`; 0 means the worker closed.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 4 {
            self.buffer.reserve(READ_BYTES);
        }
        tokio_util::io::poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.buffer)
    }

    /// Write some of `head` and then `body`.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        body: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.socket);
        let written = if body.is_empty() {
            ready!(socket.poll_write(cx, head))?
        } else {
            ready!(socket.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]))?
        };
        match written {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(Ok(written)),
        }
    }

    /// Write all of `data`.
    ///
    /// # Errors
    /// The worker closed.
    pub async fn send(&mut self, data: &[u8]) -> io::Result<()> {
        self.socket.write_all(data).await
    }

    /// Wait for the head of an answer to a request that was sent.
    ///
    /// # Errors
    /// The worker closed, or its answer is no HTTP.
    pub async fn next_head(&mut self, method: &Method) -> io::Result<AnswerHead> {
        loop {
            if poll_fn(|cx| self.poll_fill(cx)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let decoded = head::decode(&mut self.buffer, method);
            if let Some(head) =
                decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            {
                return Ok(head);
            }
        }
    }

    /// The bare socket, for a tunnel; `buffer` holds what arrived early.
    pub fn into_parts(self) -> (Socket, BytesMut) {
        (self.socket, self.buffer)
    }
}

/// Connect to the socket that lies at `path` itself.
///
/// An app with a user of its own owns the directory of its socket and may put a symbolic link there; followed, it
/// would lead this process, which may be root, to any socket of the machine. The descriptor holds what was looked at.
async fn connect_socket(path: &Path) -> io::Result<UnixStream> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::open(path, flags, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
    if kind != FileType::Socket {
        return Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "what lies at the worker's address is no socket",
        ));
    }
    UnixStream::connect(format!("/proc/self/fd/{}", found.as_raw_fd())).await
}

impl Socket {
    async fn connect(address: &Address) -> io::Result<Socket> {
        match address {
            Address::Unix(path) => connect_socket(path).await.map(Socket::Unix),
            Address::Tcp(authority) => {
                let stream = TcpStream::connect(authority.as_str()).await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, data),
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, data),
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
