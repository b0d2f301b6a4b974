//! The three encoders behind one face: bytes in, bytes out, nothing waits.
//!
//! Place:  compress.body -> [encoder] -> async-compression
//! Rule:   levels and windows are chosen for pages on the fly: about 1 MiB of state at most.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use async_compression::{brotli, zstd, Level};
use mergepoint_edge_core::accept::Encoding;
use tokio::io::AsyncWrite;

/// Brotli above this costs several times the time for a few percent.
const BROTLI_LEVEL: i32 = 4;
const BROTLI_WINDOW_LOG: i32 = 18;
const ZSTD_LEVEL: i32 = 3;
const ZSTD_WINDOW_LOG: u32 = 18;
const GZIP_LEVEL: i32 = 5;

/// An encoder that writes into memory.
pub(super) enum Encoder {
    Br(Box<BrotliEncoder<Vec<u8>>>),
    Zstd(Box<ZstdEncoder<Vec<u8>>>),
    Gzip(Box<GzipEncoder<Vec<u8>>>),
}

impl Encoder {
    /// An encoder; none for identity.
    pub(super) fn new(encoding: Encoding) -> Option<Self> {
        let out = Vec::new();
        Some(match encoding {
            Encoding::Br => {
                let params = brotli::EncoderParams::default()
                    .quality(Level::Precise(BROTLI_LEVEL))
                    .window_size(BROTLI_WINDOW_LOG);
                Self::Br(Box::new(BrotliEncoder::with_params(out, params)))
            }
            Encoding::Zstd => {
                let params = [zstd::CParameter::window_log(ZSTD_WINDOW_LOG)];
                let level = Level::Precise(ZSTD_LEVEL);
                Self::Zstd(Box::new(ZstdEncoder::with_quality_and_params(
                    out, level, &params,
                )))
            }
            Encoding::Gzip => Self::Gzip(Box::new(GzipEncoder::with_quality(
                out,
                Level::Precise(GZIP_LEVEL),
            ))),
            Encoding::Identity => return None,
        })
    }

    /// Take in all of `bytes`.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match ready(self.writer().poll_write(&mut context(), bytes))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                taken => bytes = &bytes[taken..],
            }
        }
        Ok(())
    }

    /// Put out everything taken in so far, so that the client can read it now.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        ready(self.writer().poll_flush(&mut context()))
    }

    /// Put out the rest and the end.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        ready(self.writer().poll_shutdown(&mut context()))
    }

    /// What has been put out since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Br(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        })
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        Pin::new(match self {
            Self::Br(encoder) => encoder.as_mut(),
            Self::Zstd(encoder) => encoder.as_mut(),
            Self::Gzip(encoder) => encoder.as_mut(),
        })
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Memory takes everything at once, so nothing is ever pending.
fn ready<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::Error::other("an encoder waited for memory")),
    }
}
