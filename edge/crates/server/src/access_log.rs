//! The access log: one line for each request, written by a thread of its own.
//!
//! Place:  data path -> [access_log] -> stdout
//! Rule:   never blocks a request and never grows: what finds no room is dropped and counted.

mod clock;
mod line;
mod redact;
mod writer;

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{sync_channel, SyncSender, TrySendError};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::metrics::Counter;

pub(crate) use redact::confidential;

/// Lines that may wait for the writer.
pub const LINES_WAITING_MAX: usize = 8192;
/// Bytes that may wait for the writer.
pub const BYTES_WAITING_MAX: usize = 8 * 1024 * 1024;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// The combined log format, with our own fields behind it.
    Combined,
}

/// What is known of a request once it has been answered. Texts are the client's own bytes; the
/// line escapes, shortens and redacts them.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// When its head arrived.
    pub at: SystemTime,
    /// The client, after trusted proxies were taken into account.
    pub peer: Option<IpAddr>,
    /// The name of who was proven.
    pub user: Option<&'a str>,
    /// `GET`.
    pub method: &'a str,
    /// `Host` as it was routed.
    pub host: &'a str,
    /// Path as it came.
    pub path: &'a str,
    /// Query without its question mark.
    pub query: Option<&'a str>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'a str,
    /// Of the answer; 499 when the client left before it.
    pub status: u16,
    /// Bytes of the answer's body that were sent.
    pub sent_bytes: u64,
    /// Bytes of the request's body that arrived.
    pub received_bytes: u64,
    /// The app that answered, if the request reached one.
    pub app: Option<&'a str>,
    /// Its slot.
    pub slot: Option<u32>,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// The trace id of `traceparent`.
    pub trace_id: Option<u128>,
    /// From the head to the last byte of the answer.
    pub duration: Duration,
    /// Of that, the wait for the worker's head.
    pub upstream: Option<Duration>,
    /// `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// `Referer`.
    pub referer: Option<&'a [u8]>,
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The queue to the writer; cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog {
    queue: SyncSender<Message>,
    waiting_bytes: Arc<AtomicUsize>,
    dropped: Arc<Counter>,
}

impl AccessLog {
    /// A log on stdout that counts what it drops in `dropped`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn stdout(dropped: Arc<Counter>) -> io::Result<Self> {
        Self::new(io::stdout(), dropped)
    }

    /// A log on any sink.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(sink: impl Write + Send + 'static, dropped: Arc<Counter>) -> io::Result<Self> {
        let (queue, lines) = sync_channel(LINES_WAITING_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let (waiting, lost) = (Arc::clone(&waiting_bytes), Arc::clone(&dropped));
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer::write_lines(sink, &lines, &waiting, &lost))?;
        Ok(Self {
            queue,
            waiting_bytes,
            dropped,
        })
    }

    /// Log one request, or drop and count it when the writer is behind.
    pub fn log(&self, format: Format, entry: &Entry<'_>) {
        let waiting = self.waiting_bytes.load(Ordering::Relaxed);
        if waiting >= BYTES_WAITING_MAX {
            return self.dropped.inc();
        }
        let line = line::format(format, entry);
        let bytes = line.len();
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Message::Line(line))
        {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.inc();
        }
    }

    /// Wait until every line logged so far has been written; false when `timeout` comes first.
    ///
    /// Blocks its thread: for the end of the process.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = std::time::Instant::now() + timeout;
        let (done, wait) = sync_channel(1);
        let mut message = Message::Flush(done);
        loop {
            match self.queue.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => message = back,
            }
            if std::time::Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        wait.recv_timeout(left).is_ok()
    }
}

#[cfg(test)]
mod tests;
