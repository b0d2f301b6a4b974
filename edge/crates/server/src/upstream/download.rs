//! An answer's body on its way from a worker, one piece at a time, at the client's pace.
//!
//! Place: attempt.rs -> [download] -> answer.rs -> hyper
//! Rule:  holds one read buffer; the worker is read only when the client wants more. The rest of an upload
//!        that is still under way moves along with it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::ask::Sending;
use super::framing::{Framing, FramingError, Step};
use super::link::Link;
use super::upload::Upload;
use crate::body::BoxError;

/// Largest body that is copied out of the read buffer.
const COPIED_BYTES_MAX: usize = 4096;

/// The answer ended before its body did.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The worker closed or reset the connection.
    #[error("the worker stopped in the middle of its answer: {0}")]
    Closed(io::Error),
    /// The worker was silent.
    #[error("the worker sent no part of its answer for {0:?}")]
    Idle(Duration),
    /// The worker's framing is invalid.
    #[error(transparent)]
    Framing(#[from] FramingError),
}

/// What happens with the link and the place of a request when its body ends.
pub trait Release: Send + Unpin + 'static {
    /// The body is complete; `link` may serve again.
    fn reuse(&mut self, link: Link);
    /// The body failed through the worker.
    fn failed(&mut self, error: &DownloadError);
}

/// The body of an answer.
pub struct Download<R: Release> {
    link: Option<Link>,
    framing: Framing,
    reusable: bool,
    sending: Sending,
    upload: Upload,
    idle: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    release: Option<R>,
    /// It is told one turn later, so that what was delivered before is on its way when the connection is cut.
    broken: Option<DownloadError>,
}

impl<R: Release> Download<R> {
    /// The body that follows an answer's head on `link`.
    pub fn new(
        link: Link,
        (framing, reusable): (Framing, bool),
        (sending, upload): (Sending, Upload),
        idle: Duration,
        release: R,
    ) -> Download<R> {
        let link = Some(link);
        Download {
            link,
            framing,
            reusable,
            sending,
            upload,
            idle,
            silence: None,
            release: Some(release),
            broken: None,
        }
    }

    /// The whole body, if it has arrived already: then the link is free before the client has read a byte.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        let link = self.link.as_mut()?;
        let whole = match self.framing {
            Framing::Done | Framing::Length(0) => Bytes::new(),
            Framing::Length(length) if length <= link.buffer.len() as u64 => {
                taken(&mut link.buffer, usize::try_from(length).unwrap_or(0))
            }
            _ => return None,
        };
        self.framing = Framing::Done;
        self.finish();
        Some(whole)
    }

    fn finish(&mut self) {
        let (Some(link), Some(mut release)) = (self.link.take(), self.release.take()) else {
            return;
        };
        if self.reusable && self.sending.is_complete() && link.buffer.is_empty() {
            release.reuse(link);
        }
    }

    fn fail(&mut self, error: DownloadError) -> BoxError {
        self.link = None;
        if let Some(mut release) = self.release.take() {
            release.failed(&error);
        }
        error.into()
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, DownloadError>>> {
        loop {
            let Some(link) = self.link.as_mut() else {
                return Poll::Ready(None);
            };
            match self.framing.step(&mut link.buffer) {
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Step::More) => {}
            }
            let read = match link.poll_fill(cx) {
                Poll::Ready(read) => read,
                Poll::Pending => return self.poll_silence(cx).map(|error| Some(Err(error))),
            };
            self.silence = None;
            match read {
                Ok(0) if self.framing.may_close() => return Poll::Ready(None),
                Ok(0) => {
                    return Poll::Ready(Some(Err(DownloadError::Closed(
                        io::ErrorKind::UnexpectedEof.into(),
                    ))))
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(DownloadError::Closed(error)))),
            }
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<DownloadError> {
        let idle = self.idle;
        let timer = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + idle)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(DownloadError::Idle(idle))
    }
}

/// The first bytes of a buffer. Few of them are copied: then the buffer stays one piece and is used again, which costs
/// less than another.
fn taken(buffer: &mut BytesMut, length: usize) -> Bytes {
    if length > COPIED_BYTES_MAX {
        return buffer.split_to(length).freeze();
    }
    let copy = Bytes::copy_from_slice(&buffer[..length]);
    buffer.advance(length);
    copy
}

impl<R: Release> Body for Download<R> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(this.fail(error))));
        }
        if let Some(link) = this.link.as_mut() {
            if !this.sending.is_complete()
                && this.sending.drive(cx, link, &mut this.upload).is_err()
            {
                // The client's upload failed while it reads the answer: it may still want the rest.
                this.reusable = false;
            }
        }
        match ready!(this.poll_data(cx)) {
            Some(Ok(data)) => {
                if matches!(this.framing, Framing::Done) {
                    this.finish();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Err(error)) => {
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                this.finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.link.is_none() || matches!(self.framing, Framing::Done | Framing::Length(0))
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Length(left) => SizeHint::with_exact(left),
            Framing::Done => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}
