//! A request body on its way to a worker: counted, bounded, and kept for a second attempt while small.
//!
//! Place: hyper's incoming body -> [upload] -> upstream/ask.rs
//! Rule:  nothing is read before a worker is connected, so `Expect: 100-continue` waits for one;
//!        at most `kept_bytes_max` is held for a retry; trailers are dropped.

use std::collections::VecDeque;
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::head::Announced;

/// The client's side failed; no worker is to blame.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// More bytes than the app takes.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(u64),
    /// The client sent nothing for too long.
    #[error("the client sent no part of its body for {0:?}")]
    Idle(Duration),
    /// The client left or broke its framing.
    #[error("the client's body ended early: {0}")]
    Client(#[from] hyper::Error),
}

/// Received from a client before its request gets a place at a worker.
const AHEAD_BYTES: u64 = 64 * 1024;

/// A client that sends nothing for so long pauses.
const AHEAD_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of one upload.
#[derive(Debug, Clone, Copy)]
pub struct UploadBounds {
    /// Larger bodies end with `TooLarge`.
    pub bytes_max: u64,
    /// Larger bodies are not kept for another attempt.
    pub kept_bytes_max: u64,
    /// Longest silence of the client.
    pub idle: Duration,
}

/// A request body that is sent at least once.
#[derive(Debug)]
pub struct Upload {
    source: Option<Incoming>,
    announced: Announced,
    bounds: UploadBounds,
    received: Arc<AtomicU64>,
    /// Everything received so far; none once it grew too large.
    kept: Option<Vec<Bytes>>,
    replayed: usize,
    /// Received before a worker was there to take it, and not kept.
    ahead: VecDeque<Bytes>,
    silence: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    /// An upload of `body`, if there is one; its bytes are counted in `received`.
    pub fn new(body: Option<Incoming>, bounds: UploadBounds, received: Arc<AtomicU64>) -> Upload {
        let source = body.filter(|body| !body.is_end_stream());
        let announced = match source.as_ref().map(|body| body.size_hint().exact()) {
            None => Announced::None,
            Some(Some(length)) => Announced::Length(length),
            Some(None) => Announced::Chunked,
        };
        Upload {
            source,
            announced,
            bounds,
            received,
            kept: Some(Vec::new()),
            replayed: 0,
            ahead: VecDeque::new(),
            silence: None,
        }
    }

    /// How the worker is told the length. A request that came with `Content-Length: 0` says so again.
    pub fn announced(&self, says_zero: bool) -> Announced {
        match self.announced {
            Announced::None if says_zero => Announced::Length(0),
            announced => announced,
        }
    }

    /// The length is known and beyond the bound.
    pub fn is_too_large(&self) -> bool {
        matches!(self.announced, Announced::Length(length) if length > self.bounds.bytes_max)
    }

    /// Another attempt would send the same bytes.
    pub fn can_replay(&self) -> bool {
        self.kept.is_some()
    }

    /// Start again from the first byte.
    pub fn rewind(&mut self) {
        self.replayed = 0;
    }

    /// The next piece; none at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadError>>> {
        if let Some(piece) = self.kept.as_ref().and_then(|kept| kept.get(self.replayed)) {
            self.replayed += 1;
            return Poll::Ready(Some(Ok(piece.clone())));
        }
        if let Some(piece) = self.ahead.pop_front() {
            return Poll::Ready(Some(Ok(piece)));
        }
        let received = ready!(self.poll_receive(cx));
        // Kept pieces are counted as sent once they have been given out.
        self.replayed = self.kept.as_ref().map_or(0, Vec::len);
        Poll::Ready(received)
    }

    /// Receive before a worker is there to take it, so that a slow client does not occupy one: until the body is
    /// whole, `AHEAD_BYTES` have come, or the client pauses while `has_room`.
    ///
    /// # Errors
    /// The client's side failed.
    pub async fn receive_ahead(&mut self, has_room: impl Fn() -> bool) -> Result<(), UploadError> {
        while self.source.is_some() && self.received.load(Relaxed) < AHEAD_BYTES {
            let received =
                tokio::time::timeout(AHEAD_PAUSE, poll_fn(|cx| self.poll_receive(cx))).await;
            match received {
                Ok(Some(Ok(piece))) if self.kept.is_none() => self.ahead.push_back(piece),
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(error),
                Ok(None) => break,
                Err(_) if has_room() => break,
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// The next piece from the client.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadError>>> {
        loop {
            let Some(source) = self.source.as_mut() else {
                return Poll::Ready(None);
            };
            let frame = match Pin::new(source).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return self.poll_silence(cx).map(|error| Some(Err(error))),
            };
            self.silence = None;
            match frame {
                None => self.source = None,
                Some(Err(error)) => {
                    self.source = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
                // A frame that is not data holds trailers: dropped.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(self.receive(data))),
                    _ => {}
                },
            }
        }
    }

    fn receive(&mut self, data: Bytes) -> Result<Bytes, UploadError> {
        let received = self.received.fetch_add(data.len() as u64, Relaxed) + data.len() as u64;
        if received > self.bounds.bytes_max {
            self.source = None;
            return Err(UploadError::TooLarge(self.bounds.bytes_max));
        }
        if received > self.bounds.kept_bytes_max {
            // Too much for a second attempt; what no worker got yet still has its first before it.
            let unsent = self.kept.take().into_iter().flatten().skip(self.replayed);
            self.ahead.extend(unsent);
        }
        if let Some(kept) = &mut self.kept {
            kept.push(data.clone());
        }
        Ok(data)
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<UploadError> {
        let idle = self.bounds.idle;
        let timer = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + idle)));
        ready!(timer.as_mut().poll(cx));
        self.source = None;
        Poll::Ready(UploadError::Idle(idle))
    }
}
