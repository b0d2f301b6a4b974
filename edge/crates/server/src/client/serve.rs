//! One client connection from its first byte to its last: HTTP/1.1 or HTTP/2 over whatever carries it.
//!
//! Place: client/accept.rs spawns one task per connection -> [serve] -> exchange.rs, once per request
//! Rule:  every buffer has a bound; a command of the sweeper or the drain is obeyed at once.
//!
//! Memory of one connection at worst: HTTP/1: two buffers of `header_bytes_max` + 16 KiB; HTTP/2: 1 MiB of
//! flow-control window, 64 KiB per stream to send, one header list of `header_bytes_max`. An idle connection holds
//! its socket, hyper's two first buffers of 8 KiB and a few KiB of state.

use std::convert::Infallible;
use std::future::{poll_fn, Future};
use std::io;
use std::pin::{pin, Pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mergepoint_edge_core::snapshot::Limits;
use tokio::io::AsyncReadExt;

use super::connection::{Command, Connection};
use super::io::{ClientIo, Transport};
use crate::edge::Edge;
use crate::exchange;

/// The first bytes of HTTP/2 with prior knowledge.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Read at once while telling HTTP/2 from HTTP/1; part of every connection's task, so kept small.
const RECOGNISE_BYTES: usize = 256;

/// Room beside one head in each buffer of an HTTP/1 connection.
const BUFFER_BYTES: usize = 16 * 1024;

/// What one HTTP/2 stream may send before the edge has read it.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// What all streams of a connection may send before the edge has read it.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// What waits to be sent on one stream.
const STREAM_SEND_BYTES: usize = 64 * 1024;

/// Streams a client may reset before the edge has seen them (rapid reset).
const PENDING_RESETS_MAX: usize = 20;

/// Streams the edge resets for the client's faults before it closes the connection.
const FAULT_RESETS_MAX: usize = 64;

/// Silence after which an HTTP/2 client is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long it may take to give one.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What TLS agreed on, if TLS was spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// Nothing: look at the first bytes.
    Nothing,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Serve a connection until it ends.
///
/// # Errors
/// What ended it early; of interest to nobody but a debugger.
pub async fn serve(
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    mut transport: Transport,
    agreed: Agreed,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (http2, early) = match agreed {
        Agreed::Http1 => (false, Bytes::new()),
        Agreed::Http2 => (true, Bytes::new()),
        Agreed::Nothing => obeying(&connection, recognise(&mut transport))
            .await
            .unwrap_or(Ok((false, Bytes::new())))?,
    };
    let io = TokioIo::new(ClientIo::new(
        transport,
        early,
        Arc::clone(&connection),
        !http2,
    ));
    let limits = edge.loaded().snapshot.limits.clone();
    if http2 {
        connection.becomes_http2();
        drive_http2(edge, connection, io, &limits).await
    } else {
        drive_http1(edge, connection, io, &limits).await
    }
}

/// Whether the client speaks HTTP/2, and the bytes it took to tell.
async fn recognise(transport: &mut Transport) -> io::Result<(bool, Bytes)> {
    let mut early = Vec::new();
    let mut piece = [0u8; RECOGNISE_BYTES];
    loop {
        let read = transport.read(&mut piece).await?;
        early.extend_from_slice(&piece[..read]);
        let compared = early.len().min(PREFACE.len());
        let alike = early[..compared] == PREFACE[..compared];
        if read == 0 || !alike || compared == PREFACE.len() {
            return Ok((alike && compared == PREFACE.len(), early.into()));
        }
    }
}

/// Run `work` unless told to finish or abort before it is done.
async fn obeying<T>(connection: &Connection, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match connection.commanded(cx) {
        Command::Serve => work.as_mut().poll(cx).map(Some),
        Command::Finish | Command::Abort => Poll::Ready(None),
    })
    .await
}

type Io = TokioIo<ClientIo>;
type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn drive_http1(
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    io: Io,
    limits: &Limits,
) -> Ended {
    let (told, each) = (Arc::clone(&connection), Arc::clone(&connection));
    let service = service_fn(move |request| {
        let (edge, connection) = (Arc::clone(&edge), Arc::clone(&each));
        // In a box of its own, because hyper would keep room for it on every idle connection.
        Box::pin(
            async move { Ok::<_, Infallible>(exchange::answer(edge, connection, request).await) },
        )
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The sweeper keeps the time, because this one would also count the silence between requests.
        .header_read_timeout(None)
        .max_headers(limits.headers_max)
        .max_header_size(limits.header_bytes_max)
        // Not `pipeline_flush`: under it hyper takes in the whole body however slowly the client reads.
        .max_buf_size(limits.header_bytes_max + BUFFER_BYTES);
    let mut served = pin!(builder.serve_connection(io, service).with_upgrades());
    let mut farewell = Farewell::NotDue { look: true };
    poll_fn(|cx| {
        steer(cx, &told, &mut farewell, served.as_mut(), |served| {
            served.graceful_shutdown()
        })
    })
    .await
}

async fn drive_http2(
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    io: Io,
    limits: &Limits,
) -> Ended {
    let (told, each) = (Arc::clone(&connection), Arc::clone(&connection));
    let service = service_fn(move |request| {
        let (edge, connection) = (Arc::clone(&edge), Arc::clone(&each));
        // In a box of its own, because hyper would keep room for it on every idle connection.
        Box::pin(
            async move { Ok::<_, Infallible>(exchange::answer(edge, connection, request).await) },
        )
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(STREAM_SEND_BYTES)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(FAULT_RESETS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let mut served = pin!(builder.serve_connection(io, service));
    let mut farewell = Farewell::NotDue { look: false };
    poll_fn(|cx| {
        steer(cx, &told, &mut farewell, served.as_mut(), |served| {
            served.graceful_shutdown()
        })
    })
    .await
}

/// How far the command to finish has been obeyed.
enum Farewell {
    /// Not commanded yet; whether to look for a last request first.
    NotDue { look: bool },
    /// One turn of the reactor is awaited, so that a request that has arrived is seen before the end is said.
    Looking(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Said.
    Said,
}

/// Poll a connection and obey what it is told.
fn steer<C, E>(
    cx: &mut Context<'_>,
    told: &Connection,
    farewell: &mut Farewell,
    mut served: Pin<&mut C>,
    finish: impl FnOnce(Pin<&mut C>),
) -> Poll<Ended>
where
    C: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let command = told.commanded(cx);
    if command == Command::Abort {
        return Poll::Ready(Ok(()));
    }
    if let (Command::Finish, Farewell::NotDue { look }) = (command, &*farewell) {
        *farewell = if *look {
            Farewell::Looking(Box::pin(tokio::task::yield_now()))
        } else {
            finish(served.as_mut());
            return end_with(farewell, served, cx);
        };
    }
    if let Farewell::Looking(turn) = farewell {
        let looked = turn.as_mut().poll(cx);
        // Whatever has arrived is read here, and a request in it will still be answered.
        if let ended @ Poll::Ready(_) = served.as_mut().poll(cx) {
            return ended.map_err(Into::into);
        }
        if looked.is_pending() {
            return Poll::Pending;
        }
        finish(served.as_mut());
        return end_with(farewell, served, cx);
    }
    served.poll(cx).map_err(Into::into)
}

fn end_with<C, E>(farewell: &mut Farewell, served: Pin<&mut C>, cx: &mut Context<'_>) -> Poll<Ended>
where
    C: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    *farewell = Farewell::Said;
    served.poll(cx).map_err(Into::into)
}
