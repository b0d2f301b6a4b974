//! The body of an answer on its way to the client, with the record of its request.
//!
//! Place: exchange.rs -> [answer] -> hyper
//! Rule:  bytes pass unchanged; the request is over when the body is, or when the client has gone.

use std::pin::Pin;
use std::task::{ready, Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::body::{Body, BoxError};
use crate::record::Record;

/// A body that ends its request.
pub struct Answer {
    body: Body,
    record: Option<Box<Record>>,
}

impl Answer {
    /// `body`, for the request of `record`.
    pub fn new(body: Body, record: Box<Record>) -> Answer {
        Answer {
            body,
            record: Some(record),
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if let Some(record) = &mut self.record {
                    record.sent_bytes += bytes as u64;
                }
                if self.body.is_end_stream() {
                    self.record = None;
                }
            }
            Some(Err(_)) | None => self.record = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
