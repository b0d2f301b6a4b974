//! Files as bodies: read in pieces, each checked to be of the version that was promised.
//!
//! Place:  files -> [send] -> hyper
//! Rule:   one piece in memory; a file that changes while it is sent ends the connection, because
//!         half of one version and half of another is neither.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use mergepoint_edge_core::range::Span;

use super::locate::Opened;
use crate::body::{empty, full, Body, BoxError};

/// Read at once for one answer.
const PIECE_BYTES: u64 = 128 * 1024;

/// A part of a body.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Segment {
    /// Text between parts.
    Text(Bytes),
    /// Bytes of the file.
    Bytes(Span),
}

impl Segment {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Bytes(span) => span.length(),
        }
    }
}

/// All of a file.
pub(super) fn whole(mut opened: Opened) -> Body {
    if let Some(content) = opened.content.take() {
        return full(content);
    }
    match opened.size.checked_sub(1) {
        None => empty(),
        Some(last) => segments(opened, vec![Segment::Bytes(Span { first: 0, last })]),
    }
}

/// These segments, one after the other.
pub(super) fn segments(opened: Opened, segments: Vec<Segment>) -> Body {
    let Opened {
        file,
        size,
        modified,
        ..
    } = opened;
    let source = Arc::new(Source {
        file,
        size,
        modified,
    });
    let reading = Reading {
        source,
        segments: segments.into(),
    };
    let frames = stream::unfold(reading, |mut reading| async move {
        let piece = reading.next().await?;
        if piece.is_err() {
            reading.segments.clear();
        }
        Some((piece.map(Frame::data).map_err(BoxError::from), reading))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// An open file as it was when its head was written.
struct Source {
    file: File,
    size: u64,
    modified: SystemTime,
}

impl Source {
    fn read(&self, first: u64, bytes: usize) -> io::Result<Bytes> {
        let mut piece = vec![0; bytes];
        self.file.read_exact_at(&mut piece, first)?;
        // After the read: a change during it is then seen.
        let data = self.file.metadata()?;
        if data.len() != self.size || data.modified()? != self.modified {
            return Err(io::Error::other("the file changed while it was sent"));
        }
        Ok(piece.into())
    }
}

struct Reading {
    source: Arc<Source>,
    segments: VecDeque<Segment>,
}

impl Reading {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let span = match self.segments.pop_front()? {
            Segment::Text(text) => return Some(Ok(text)),
            Segment::Bytes(span) => span,
        };
        let bytes = span.length().min(PIECE_BYTES);
        let first = span.first + bytes;
        if first <= span.last {
            self.segments
                .push_front(Segment::Bytes(Span { first, ..span }));
        }
        let source = Arc::clone(&self.source);
        // `bytes` is at most PIECE_BYTES and fits everywhere.
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        let reading = tokio::task::spawn_blocking(move || source.read(span.first, length));
        Some(
            reading
                .await
                .unwrap_or_else(|fault| Err(io::Error::other(fault))),
        )
    }
}
