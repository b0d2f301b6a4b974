//! A WebSocket: bytes in both directions until one side ends, or both are silent for too long.
//!
//! Place: reply.rs after a worker's 101 -> [tunnel]
//! Rule:  holds no place for requests and at most two buffers; ends at the latest when the edge does.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mergepoint_edge_core::headers::strip_response;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::attempt::Answered;
use crate::body::{self, Body};
use crate::clock::{now_ms, seconds};
use crate::drain::Stage;
use crate::edge::Edge;
use crate::flight::Phase;
use crate::identity::frames::{Frames, CLOSE_POLICY};
use crate::identity::{self, Alive};
use crate::refuse::Refused;
use crate::reply::Context;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::link::Socket;

/// Buffer for each direction of a tunnel.
const BUFFER_BYTES: usize = 8 * 1024;

/// Tunnels to one worker.
const TUNNELS_MAX: u32 = 10_000;

/// How long a visitor whose proof was revoked may take to be told.
const FAREWELL_LIMIT: Duration = Duration::from_millis(100);

/// Counts a tunnel at its worker while it is open.
struct Opened(Arc<Endpoint>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.close_tunnel();
    }
}

/// Pass on a worker's 101 and join the two connections behind it.
///
/// # Errors
/// Nobody asked for it, or the worker holds too many.
pub fn begin(mut context: Context<'_>, answered: Answered) -> Result<Response<Body>, Refused> {
    let Some(upgrade) = context
        .checked
        .upgrade
        .take()
        .filter(|_| context.checked.accepted.websocket)
    else {
        return Err(Refused::bad_gateway(
            "The app's worker switched protocols without being asked.".to_owned(),
        ));
    };
    let Answered {
        place,
        link,
        mut head,
        ..
    } = answered;
    if place.endpoint.tunnels() >= TUNNELS_MAX {
        return Err(Refused::busy(1));
    }
    place.endpoint.open_tunnel();
    let opened = Opened(Arc::clone(&place.endpoint));
    drop(place);
    context.request.flight.enter(Phase::Tunnel);
    let bounds = Bounds {
        edge: Arc::clone(&context.request.edge),
        idle: seconds(context.request.app.settings.timeouts.tunnel_idle_s),
        alive: context.checked.enter_live(&context.request.edge)?,
        _opened: opened,
    };
    let (socket, early) = link.into_parts();
    let worker = Worker { socket, early };
    tokio::spawn(run(upgrade, worker, bounds));
    strip_response(&mut head.headers);
    let request = context.request;
    let headers = &mut head.headers;
    identity::confine(
        &request.edge,
        context.loaded,
        &request.app,
        context.found,
        headers,
    );
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers
        .insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    head.headers
        .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = head.headers;
    Ok(response)
}

/// What ends a tunnel from outside.
struct Bounds {
    edge: Arc<Edge>,
    idle: Duration,
    /// Of a proven visitor.
    alive: Option<Alive>,
    _opened: Opened,
}

async fn run(upgrade: OnUpgrade, worker: Worker, bounds: Bounds) {
    let Ok(client) = upgrade.await else { return };
    let touched = Arc::new(AtomicU64::new(now_ms()));
    let mut client = Touching {
        inner: TokioIo::new(client),
        touched: Arc::clone(&touched),
        // Where nothing can be revoked nobody needs to know where frames end.
        frames: bounds.alive.as_ref().map(|_| Frames::default()),
    };
    let mut worker = Touching {
        inner: worker,
        touched: Arc::clone(&touched),
        frames: None,
    };
    let revoked = async {
        match &bounds.alive {
            Some(alive) => alive.revoked().await,
            None => std::future::pending().await,
        }
    };
    let farewell = tokio::select! {
        // Whatever ended it, both sides are closed by being dropped.
        _ = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut worker, BUFFER_BYTES, BUFFER_BYTES) => false,
        () = silence(&touched, bounds.idle) => false,
        () = bounds.edge.drain.reached(Stage::Stopped) => false,
        () = revoked => true,
    };
    drop(worker);
    if farewell && client.frames.as_ref().is_some_and(Frames::is_between) {
        // A client that takes nothing is told nothing.
        let told = async {
            client.inner.write_all(&CLOSE_POLICY).await?;
            client.inner.flush().await
        };
        let _ = tokio::time::timeout(FAREWELL_LIMIT, told).await;
    }
}

/// Wait until nothing has moved for `idle`.
async fn silence(touched: &AtomicU64, idle: Duration) {
    let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
    loop {
        let silent = now_ms().saturating_sub(touched.load(Relaxed));
        match idle_ms.checked_sub(silent) {
            None | Some(0) => return,
            Some(left) => tokio::time::sleep(Duration::from_millis(left)).await,
        }
    }
}

/// The worker's side: what came with the 101 first, then the socket.
struct Worker {
    socket: Socket,
    early: BytesMut,
}

impl AsyncRead for Worker {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        let taken = this.early.len().min(buf.remaining());
        buf.put_slice(&this.early[..taken]);
        this.early.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Worker {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// Notes when bytes last moved, and where the frames written to it end.
struct Touching<T> {
    inner: T,
    touched: Arc<AtomicU64>,
    frames: Option<Frames>,
}

impl<T> Touching<T> {
    fn touch<R>(&self, result: Poll<R>) -> Poll<R> {
        if result.is_ready() {
            self.touched.store(now_ms(), Relaxed);
        }
        result
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Touching<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.touch(read)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Touching<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, data);
        if let (Some(frames), Poll::Ready(Ok(written))) = (&mut this.frames, &written) {
            frames.pass(data.get(..*written).unwrap_or_default());
        }
        this.touch(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
