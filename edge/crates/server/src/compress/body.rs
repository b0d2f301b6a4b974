//! A body that compresses another as it is read.
//!
//! Place:  compress -> [body] -> hyper
//! Rule:   one piece in, what it yields out; flushed whenever the app has nothing ready.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use super::encoder::Encoder;
use super::Place;
use crate::body::{Body, BoxError};

/// Compressed between two looks at the client, so that one large piece does not occupy a thread.
const STEP_BYTES: usize = 32 * 1024;

enum State {
    Streaming,
    /// The encoder has finished; trailers may remain.
    Ending(Option<HeaderMap>),
    Done,
}

pub(super) struct Compressed {
    inner: Body,
    encoder: Encoder,
    input: Bytes,
    /// The encoder holds bytes that the client has not seen.
    unflushed: bool,
    state: State,
    _place: Place,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl Compressed {
    pub(super) fn new(inner: Body, encoder: Encoder, place: Place) -> Self {
        let (input, state) = (Bytes::new(), State::Streaming);
        Self {
            inner,
            encoder,
            input,
            unflushed: false,
            state,
            _place: place,
        }
    }

    fn output(&mut self) -> Option<Frame<Bytes>> {
        let out = self.encoder.take();
        (!out.is_empty()).then(|| Frame::data(out.into()))
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BoxError> {
        self.encoder.finish()?;
        self.state = State::Ending(trailers);
        Ok(())
    }

    /// One step: true when there may be output, false when the app has to be waited for.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<bool, BoxError> {
        if !self.input.is_empty() {
            let piece = self.input.split_to(self.input.len().min(STEP_BYTES));
            self.encoder.write(&piece)?;
            self.unflushed = true;
            return Ok(true);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(frame)) => match frame?.into_data() {
                Ok(data) => self.input = data,
                Err(other) => self.finish(other.into_trailers().ok())?,
            },
            Poll::Ready(None) => self.finish(None)?,
            Poll::Pending if self.unflushed => {
                self.encoder.flush()?;
                self.unflushed = false;
            }
            Poll::Pending => return Ok(false),
        }
        Ok(true)
    }
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        loop {
            if let Some(frame) = self.output() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match &mut self.state {
                State::Streaming => {}
                State::Ending(trailers) => {
                    let trailers = trailers.take();
                    self.state = State::Done;
                    return Poll::Ready(trailers.map(|them| Ok(Frame::trailers(them))));
                }
                State::Done => return Poll::Ready(None),
            }
            match self.step(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(fault) => {
                    // What was put out is no whole page: the connection must not end as if it were.
                    self.state = State::Done;
                    return Poll::Ready(Some(Err(fault)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }
}
