//! How a request body ends.
//!
//! Place: part of `strict`.
//! Rule: at most one statement about the length, and only in the one plain spelling.

use http::header::{self, HeaderMap, HeaderValue};
use http::Version;

use super::{is_h1, Head, Refusal};

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the HTTP/2 stream; there may be none.
    Stream,
}

impl Framing {
    /// The length if it is known before the body is read.
    pub fn length(&self) -> Option<u64> {
        match self {
            Framing::None => Some(0),
            Framing::Length(length) => Some(*length),
            Framing::Chunked | Framing::Stream => None,
        }
    }
}

/// Most digits of a length: one less than `u64::MAX` has, so that no length overflows.
const LENGTH_DIGITS_MAX: usize = 19;

pub(super) fn framing(head: Head<'_>) -> Result<Framing, Refusal> {
    let length = length(head.headers)?;
    let encoded = head.headers.contains_key(header::TRANSFER_ENCODING);
    if encoded && length.is_some() {
        return Err(Refusal::bad(
            "edge.framing_double",
            "The request has both Content-Length and Transfer-Encoding.",
        ));
    }
    if encoded && is_h1(head.version) {
        return chunked(head);
    }
    Ok(match length {
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None if is_h1(head.version) => Framing::None,
        None => Framing::Stream,
    })
}

fn chunked(head: Head<'_>) -> Result<Framing, Refusal> {
    if head.version < Version::HTTP_11 {
        return Err(Refusal::bad(
            "edge.transfer_encoding",
            "Transfer-Encoding does not exist in HTTP/1.0.",
        ));
    }
    let mut values = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    match (values.next(), values.next()) {
        (Some(value), None) if plain(value) => Ok(Framing::Chunked),
        _ => Err(Refusal::bad(
            "edge.transfer_encoding",
            "The only transfer encoding this server knows is a single chunked.",
        )),
    }
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let invalid = || {
        Refusal::bad(
            "edge.content_length",
            "Content-Length is not one plain number.",
        )
    };
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digits = value.as_bytes();
    let plain = !digits.is_empty()
        && digits.len() <= LENGTH_DIGITS_MAX
        && digits.iter().all(u8::is_ascii_digit);
    if values.next().is_some() || !plain {
        return Err(invalid());
    }
    let number = value.to_str().ok().and_then(|digits| digits.parse().ok());
    number.map(Some).ok_or_else(invalid)
}
