//! One control connection: lines in, answers out in whatever order they are ready, events if asked.
//!
//! Place:  control -> [connection] -> verbs, line
//! Rule:   bounded: one line in memory, `REQUESTS_MAX` at work, `ANSWERS_WAITING_MAX` unsent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

use super::line::{self, answer, refusal, Verb};
use super::socket::send_with;
use super::verbs::{perform, Outgoing};
use super::{ControlTarget, EVENTS_WAITING_MAX, LINE_BYTES_MAX};

/// Requests of one connection at work at once; further lines stay in the socket.
const REQUESTS_MAX: usize = 64;
/// Finished lines that wait for the client to read.
const ANSWERS_WAITING_MAX: usize = 8;
/// How often a subscriber that does not read is looked at.
const LAG_LOOK: Duration = Duration::from_millis(500);

/// Serve one client until it leaves, breaks a rule, or reads too slowly for its events.
pub(super) async fn serve(stream: UnixStream, target: Arc<dyn ControlTarget>) -> io::Result<()> {
    let (read, write) = stream.into_split();
    let (out, waiting) = mpsc::channel(ANSWERS_WAITING_MAX);
    // The first fault of either side ends both; a client that only stopped sending still gets its answers.
    tokio::try_join!(take_requests(read, target, out), send_lines(write, waiting))?;
    Ok(())
}

async fn take_requests(
    read: OwnedReadHalf,
    target: Arc<dyn ControlTarget>,
    out: mpsc::Sender<Outgoing>,
) -> io::Result<()> {
    let mut lines = BufReader::new(read);
    let mut at_work: JoinSet<io::Result<()>> = JoinSet::new();
    let mut events: Option<broadcast::Receiver<Arc<str>>> = None;
    let mut text = Vec::new();
    loop {
        tokio::select! {
            done = at_work.join_next(), if !at_work.is_empty() => finished(done)?,
            event = next_event(&mut events) => pass_on(&out, &event?, &events).await?,
            // `text` keeps what was read when another branch wins.
            found = read_line(&mut lines, &mut text), if at_work.len() < REQUESTS_MAX => match found? {
                Line::Whole => {
                    let line = std::mem::take(&mut text);
                    if !begin(&line, &target, &out, &mut at_work, &mut events).await? {
                        break;
                    }
                }
                Line::TooLong => {
                    let fault = line::invalid(format!("a line is longer than {LINE_BYTES_MAX} bytes"));
                    send(&out, refusal(Value::Null, &fault).into()).await?;
                    break;
                }
                Line::End => break,
            },
        }
    }
    while let Some(done) = at_work.join_next().await {
        finished(Some(done))?;
    }
    Ok(())
}

/// Take up one line; false when it is no control request and the connection must end.
///
/// Whoever talks another protocol was led here: lines of an HTTP request that another user aimed at this socket
/// must not be searched for commands.
async fn begin(
    text: &[u8],
    target: &Arc<dyn ControlTarget>,
    out: &mpsc::Sender<Outgoing>,
    at_work: &mut JoinSet<io::Result<()>>,
    events: &mut Option<broadcast::Receiver<Arc<str>>>,
) -> io::Result<bool> {
    match line::parse(text) {
        Err((id, fault)) => {
            let is_request = !id.is_null();
            send(out, refusal(id, &fault).into()).await?;
            Ok(is_request)
        }
        Ok((id, Verb::Subscribe)) => {
            // Subscribed before the answer, so that nothing after the answer is missed.
            *events = Some(target.subscribe());
            send(out, answer(id, Map::new()).into()).await?;
            Ok(true)
        }
        Ok((id, verb)) => {
            let (target, out) = (Arc::clone(target), out.clone());
            at_work.spawn(async move { send(&out, perform(target, id, verb).await).await });
            Ok(true)
        }
    }
}

fn finished(done: Option<Result<io::Result<()>, tokio::task::JoinError>>) -> io::Result<()> {
    match done {
        Some(Ok(result)) => result,
        Some(Err(fault)) => Err(io::Error::other(fault)),
        None => Ok(()),
    }
}

async fn send(out: &mpsc::Sender<Outgoing>, line: Outgoing) -> io::Result<()> {
    out.send(line)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
}

async fn next_event(events: &mut Option<broadcast::Receiver<Arc<str>>>) -> io::Result<Arc<str>> {
    match events {
        None => std::future::pending().await,
        Some(receiver) => receiver.recv().await.map_err(|fault| match fault {
            broadcast::error::RecvError::Lagged(_) => too_slow(),
            broadcast::error::RecvError::Closed => io::Error::other("the edge is ending"),
        }),
    }
}

/// Pass one event to the client; an error once it has left `EVENTS_WAITING_MAX` more unread.
async fn pass_on(
    out: &mpsc::Sender<Outgoing>,
    event: &str,
    events: &Option<broadcast::Receiver<Arc<str>>>,
) -> io::Result<()> {
    let mut line = String::with_capacity(event.len() + 1);
    line.push_str(event);
    line.push('\n');
    loop {
        match tokio::time::timeout(LAG_LOOK, out.reserve()).await {
            Ok(Ok(place)) => {
                place.send(bytes::Bytes::from(line).into());
                return Ok(());
            }
            Ok(Err(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(_)
                if events
                    .as_ref()
                    .is_some_and(|them| them.len() >= EVENTS_WAITING_MAX) =>
            {
                return Err(too_slow());
            }
            Err(_) => {}
        }
    }
}

fn too_slow() -> io::Error {
    io::Error::other("the subscriber reads too slowly")
}

#[derive(Debug, PartialEq)]
enum Line {
    Whole,
    TooLong,
    End,
}

/// Read up to a newline into `text`, without it; safe to drop and call again.
async fn read_line(from: &mut (impl AsyncBufRead + Unpin), text: &mut Vec<u8>) -> io::Result<Line> {
    loop {
        let ready = from.fill_buf().await?;
        if ready.is_empty() {
            return Ok(Line::End);
        }
        let (part, used, whole) = match ready.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&ready[..at], at + 1, true),
            None => (ready, ready.len(), false),
        };
        if text.len() + part.len() > LINE_BYTES_MAX {
            return Ok(Line::TooLong);
        }
        text.extend_from_slice(part);
        from.consume(used);
        if whole {
            return Ok(Line::Whole);
        }
    }
}

async fn send_lines(
    mut write: OwnedWriteHalf,
    mut waiting: mpsc::Receiver<Outgoing>,
) -> io::Result<()> {
    while let Some(next) = waiting.recv().await {
        let mut rest = next.line.as_ref();
        if !next.descriptors.is_empty() {
            let sent = send_with(write.as_ref(), rest, &next.descriptors).await?;
            rest = &rest[sent..];
        }
        write.write_all(rest).await?;
    }
    Ok(())
}
