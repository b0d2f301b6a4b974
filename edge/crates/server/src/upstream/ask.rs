//! One attempt: send a request over a link while listening for the head of the answer.
//!
//! Place: attempt.rs -> [ask] -> link.rs, upload.rs, head.rs
//! Rule:  an answer that comes before the body is sent is an answer; a worker that stops reading may still
//!        have answered, so a failed write never hides what it said.

use std::future::{poll_fn, Future};
use std::io;
use std::pin::{pin, Pin};
use std::task::{ready, Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, Sleep};

use super::head::{self, Announced, AnswerHead, HeadError};
use super::link::Link;
use super::upload::{Upload, UploadError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The client's side failed.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The worker closed or reset the connection before a whole head.
    #[error("the worker closed the connection: {error}")]
    Closed {
        /// Some byte of the request was handed to the kernel.
        sent: bool,
        /// Some byte of an answer arrived.
        answered: bool,
        /// What the kernel said.
        error: io::Error,
    },
    /// The answer is not usable.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The worker became suspect before it said anything, and the request goes elsewhere.
    #[error("the worker is suspect and the request goes elsewhere")]
    Moved,
    /// No answer within the request limit, counted from the last progress of the upload.
    #[error("no answer within {0:?}")]
    Late(Duration),
}

/// What remains to be sent of one attempt.
#[derive(Debug)]
pub struct Sending {
    head: BytesMut,
    piece: Bytes,
    chunked: bool,
    /// A chunk was begun, so its line end is due.
    within_chunk: bool,
    stage: Stage,
    sent: bool,
    /// When the kernel took the last bytes.
    progress: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Complete,
    Broken,
}

impl Sending {
    /// Send `head`, then the upload framed as announced.
    pub fn new(head: BytesMut, announced: Announced) -> Sending {
        Sending {
            head,
            piece: Bytes::new(),
            chunked: announced == Announced::Chunked,
            within_chunk: false,
            stage: Stage::Open,
            sent: false,
            progress: Instant::now(),
        }
    }

    /// Everything was handed to the kernel.
    pub fn is_complete(&self) -> bool {
        self.stage == Stage::Complete && self.head.is_empty() && self.piece.is_empty()
    }

    /// Send what can be sent now; pending work wakes the task.
    ///
    /// # Errors
    /// The upload failed. A worker that does not read is no error here.
    pub fn drive(
        &mut self,
        cx: &mut Context<'_>,
        link: &mut Link,
        upload: &mut Upload,
    ) -> Result<(), UploadError> {
        loop {
            let more = self.fill(cx, upload)?;
            while self.stage != Stage::Broken && !(self.head.is_empty() && self.piece.is_empty()) {
                match link.poll_write(cx, &self.head, &self.piece) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(written)) => self.advance(written),
                    Poll::Ready(Err(_)) => self.stage = Stage::Broken,
                }
            }
            if !more || self.stage != Stage::Open {
                return Ok(());
            }
        }
    }

    /// Take the next piece of the body if there is room; false when none is to be had now.
    fn fill(&mut self, cx: &mut Context<'_>, upload: &mut Upload) -> Result<bool, UploadError> {
        if self.stage != Stage::Open || !self.piece.is_empty() {
            return Ok(true);
        }
        match upload.poll_next(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Some(piece)) => {
                self.begin(piece?);
                Ok(true)
            }
            Poll::Ready(None) => {
                self.finish();
                Ok(true)
            }
        }
    }

    fn begin(&mut self, piece: Bytes) {
        if self.chunked {
            let end = if self.within_chunk { "\r\n" } else { "" };
            self.head
                .extend_from_slice(format!("{end}{:x}\r\n", piece.len()).as_bytes());
            self.within_chunk = true;
        }
        self.piece = piece;
    }

    fn finish(&mut self) {
        if self.chunked {
            let end: &[u8] = if self.within_chunk {
                b"\r\n0\r\n\r\n"
            } else {
                b"0\r\n\r\n"
            };
            self.head.extend_from_slice(end);
        }
        self.stage = Stage::Complete;
    }

    fn advance(&mut self, written: usize) {
        self.sent = true;
        if !self.piece.is_empty() {
            self.progress = Instant::now();
        }
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        self.piece.advance(written - of_head);
    }
}

/// What is known of the worker that is asked.
pub struct Doubt<'a, F> {
    /// The worker becomes suspect.
    pub suspected: Notified<'a>,
    /// Whether the request goes elsewhere then; told whether its body can be sent again.
    pub leaves: F,
}

/// Send, and wait for the head of the answer for at most `limit`; `doubt` may end the wait before the first byte of it.
///
/// # Errors
/// See `AskError`; the link is of no further use after any of them.
pub async fn ask(
    link: &mut Link,
    sending: &mut Sending,
    upload: &mut Upload,
    method: &Method,
    limit: Duration,
    doubt: Doubt<'_, impl FnMut(bool) -> bool>,
) -> Result<AnswerHead, AskError> {
    let Doubt {
        suspected,
        mut leaves,
    } = doubt;
    let mut suspected = pin!(suspected);
    let mut doubted = false;
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        let asked = poll_ask(cx, link, sending, upload, method);
        if asked.is_ready() {
            return asked;
        }
        if !doubted && suspected.as_mut().poll(cx).is_ready() {
            doubted = true;
            if link.buffer.is_empty() && leaves(upload.can_replay()) {
                return Poll::Ready(Err(AskError::Moved));
            }
        }
        let timer = timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(sending.progress + limit)));
        while timer.as_mut().poll(cx).is_ready() {
            if sending.progress + limit <= Instant::now() {
                return Poll::Ready(Err(AskError::Late(limit)));
            }
            timer.as_mut().reset(sending.progress + limit);
        }
        Poll::Pending
    })
    .await
}

fn poll_ask(
    cx: &mut Context<'_>,
    link: &mut Link,
    sending: &mut Sending,
    upload: &mut Upload,
    method: &Method,
) -> Poll<Result<AnswerHead, AskError>> {
    sending.drive(cx, link, upload)?;
    loop {
        let error = match ready!(link.poll_fill(cx)) {
            Ok(0) => io::Error::new(io::ErrorKind::UnexpectedEof, "end of stream"),
            Err(error) => error,
            Ok(_) => match head::decode(&mut link.buffer, method)? {
                Some(answer) => return Poll::Ready(Ok(answer)),
                None => continue,
            },
        };
        let answered = !link.buffer.is_empty();
        return Poll::Ready(Err(AskError::Closed {
            sent: sending.sent,
            answered,
            error,
        }));
    }
}
