//! Where an answer's body ends, and its bytes without the framing.
//!
//! Place: upstream/answer.rs -> [framing]; fed with whatever was read from the worker
//! Rule:  no I/O; memory is what the caller's buffer holds, never a whole body.

use bytes::{Buf, Bytes, BytesMut};

/// Longest chunk-size line, extension included; real ones have under ten bytes.
const CHUNK_LINE_BYTES_MAX: usize = 4096;

/// Trailers are read past and dropped; more than this is an attack.
const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// How the rest of a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Nothing more follows.
    Done,
    /// So many bytes follow.
    Length(u64),
    /// Chunks follow.
    Chunked(Chunk),
    /// Everything until the worker closes.
    UntilClose,
}

/// Place within a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// Before a size line.
    Size,
    /// So many bytes of this chunk are missing.
    Data(u64),
    /// Before the line end that follows the data.
    DataEnd,
    /// After the last chunk; so many trailer bytes were dropped.
    Trailers(usize),
}

/// What one step of decoding found.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A piece of the body.
    Data(Bytes),
    /// The buffer holds no whole next step: read more.
    More,
    /// The body is complete.
    End,
}

/// The worker's framing is broken; its connection cannot be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A chunk size that is not hexadecimal, too large or ends without CR LF.
    #[error("the worker sent an invalid chunk size")]
    ChunkSize,
    /// A chunk that does not end with CR LF.
    #[error("the worker sent a chunk longer than announced")]
    ChunkEnd,
    /// Trailers beyond the bound.
    #[error("the worker sent more than {TRAILER_BYTES_MAX} bytes of trailers")]
    Trailers,
}

impl Framing {
    /// Take the next piece from `buffer`.
    ///
    /// # Errors
    /// The framing is invalid; what was delivered before stands.
    pub fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, FramingError> {
        match self {
            Framing::Done => Ok(Step::End),
            Framing::UntilClose if buffer.is_empty() => Ok(Step::More),
            Framing::UntilClose => Ok(Step::Data(buffer.split().freeze())),
            Framing::Length(0) => self.end(),
            Framing::Length(_) if buffer.is_empty() => Ok(Step::More),
            Framing::Length(left) => {
                let data = take(buffer, left);
                if *left == 0 {
                    *self = Framing::Done;
                }
                Ok(Step::Data(data))
            }
            Framing::Chunked(_) => self.chunk_step(buffer),
        }
    }

    /// Whether the body is complete if the worker closes now.
    pub fn may_close(self) -> bool {
        matches!(
            self,
            Framing::Done | Framing::UntilClose | Framing::Length(0)
        )
    }

    fn end(&mut self) -> Result<Step, FramingError> {
        *self = Framing::Done;
        Ok(Step::End)
    }

    fn chunk_step(&mut self, buffer: &mut BytesMut) -> Result<Step, FramingError> {
        loop {
            let Framing::Chunked(place) = self else {
                return self.end();
            };
            match place {
                Chunk::Size => match size_line(buffer)? {
                    None => return Ok(Step::More),
                    Some(0) => *place = Chunk::Trailers(0),
                    Some(size) => *place = Chunk::Data(size),
                },
                Chunk::Data(_) if buffer.is_empty() => return Ok(Step::More),
                Chunk::Data(left) => {
                    let data = take(buffer, left);
                    if *left == 0 {
                        *place = Chunk::DataEnd;
                    }
                    return Ok(Step::Data(data));
                }
                Chunk::DataEnd => match line_end(buffer)? {
                    false => return Ok(Step::More),
                    true => *place = Chunk::Size,
                },
                Chunk::Trailers(dropped) => match trailer_line(buffer, dropped)? {
                    Trailer::Partial => return Ok(Step::More),
                    Trailer::Dropped => {}
                    Trailer::Last => return self.end(),
                },
            }
        }
    }
}

fn take(buffer: &mut BytesMut, left: &mut u64) -> Bytes {
    let length = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    *left -= length as u64;
    buffer.split_to(length).freeze()
}

/// The size of the next chunk, or none while its line is incomplete.
fn size_line(buffer: &mut BytesMut) -> Result<Option<u64>, FramingError> {
    let Some(end) = buffer.iter().position(|&byte| byte == b'\n') else {
        return if buffer.len() > CHUNK_LINE_BYTES_MAX {
            Err(FramingError::ChunkSize)
        } else {
            Ok(None)
        };
    };
    if end == 0 || buffer[end - 1] != b'\r' || end > CHUNK_LINE_BYTES_MAX {
        return Err(FramingError::ChunkSize);
    }
    let line = &buffer[..end - 1];
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    // 15 digits stay below 2^60, far beyond any body and safe to add.
    let rest_is_extension = matches!(line.get(digits), None | Some(b';' | b' ' | b'\t'));
    if digits == 0 || digits > 15 || !rest_is_extension {
        return Err(FramingError::ChunkSize);
    }
    let size = line[..digits].iter().fold(0u64, |size, &byte| {
        (size << 4) | u64::from(char::from(byte).to_digit(16).unwrap_or(0))
    });
    buffer.advance(end + 1);
    Ok(Some(size))
}

fn line_end(buffer: &mut BytesMut) -> Result<bool, FramingError> {
    match buffer.as_ref() {
        [] | [b'\r'] => Ok(false),
        [b'\r', b'\n', ..] => {
            buffer.advance(2);
            Ok(true)
        }
        _ => Err(FramingError::ChunkEnd),
    }
}

enum Trailer {
    Partial,
    Dropped,
    Last,
}

fn trailer_line(buffer: &mut BytesMut, dropped: &mut usize) -> Result<Trailer, FramingError> {
    let line = buffer.iter().position(|&byte| byte == b'\n');
    let held = line.map_or(buffer.len(), |end| end + 1);
    if *dropped + held > TRAILER_BYTES_MAX {
        return Err(FramingError::Trailers);
    }
    let Some(end) = line else {
        return Ok(Trailer::Partial);
    };
    let last = buffer[..end] == *b"\r" || end == 0;
    *dropped += held;
    buffer.advance(held);
    Ok(if last {
        Trailer::Last
    } else {
        Trailer::Dropped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(
        mut framing: Framing,
        pieces: &[&[u8]],
    ) -> (Vec<u8>, Result<bool, FramingError>, BytesMut) {
        let mut buffer = BytesMut::new();
        let mut body = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match framing.step(&mut buffer) {
                    Ok(Step::Data(data)) => body.extend_from_slice(&data),
                    Ok(Step::More) => break,
                    Ok(Step::End) => return (body, Ok(true), buffer),
                    Err(error) => return (body, Err(error), buffer),
                }
            }
        }
        (body, Ok(false), buffer)
    }

    const CHUNKED: Framing = Framing::Chunked(Chunk::Size);
    const BODY: &[u8] = b"4;note=1\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\nNEXT";

    #[test]
    fn chunks_are_joined_and_trailers_dropped() {
        let (body, done, rest) = decode(CHUNKED, &[BODY]);
        assert_eq!((body.as_slice(), done), (&b"Wikipedia"[..], Ok(true)));
        assert_eq!(rest.as_ref(), b"NEXT");
    }

    #[test]
    fn chunks_survive_any_split_of_the_bytes() {
        let single: Vec<&[u8]> = BODY.chunks(1).collect();
        let (body, done, _) = decode(CHUNKED, &single);
        assert_eq!((body.as_slice(), done), (&b"Wikipedia"[..], Ok(true)));
        for cut in 0..BODY.len() {
            let (body, done, _) = decode(CHUNKED, &[&BODY[..cut], &BODY[cut..]]);
            assert_eq!(
                (body.as_slice(), done),
                (&b"Wikipedia"[..], Ok(true)),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_length_takes_no_byte_too_many() {
        let (body, done, rest) = decode(Framing::Length(3), &[b"ab", b"cd"]);
        assert_eq!((body.as_slice(), done), (&b"abc"[..], Ok(true)));
        assert_eq!(rest.as_ref(), b"d");
    }

    #[test]
    fn invalid_chunk_sizes_are_refused() {
        for bad in [
            &b"\r\n"[..],
            b"x\r\n",
            b"+4\r\n",
            b"4\n",
            b"fffffffffffffffff\r\n",
            b"4 4 4x",
            b"4,\r\n",
        ] {
            let (_, done, _) = decode(CHUNKED, &[bad, &[b'0'; CHUNK_LINE_BYTES_MAX]]);
            assert_eq!(done, Err(FramingError::ChunkSize), "{bad:?}");
        }
        let (_, done, _) = decode(CHUNKED, &[b"2\r\nabc\r\n"]);
        assert_eq!(done, Err(FramingError::ChunkEnd));
    }

    #[test]
    fn endless_trailers_are_refused() {
        let flood = vec![b'a'; TRAILER_BYTES_MAX + 1];
        let (_, done, _) = decode(CHUNKED, &[b"0\r\n", &flood]);
        assert_eq!(done, Err(FramingError::Trailers));
    }

    #[test]
    fn only_complete_bodies_may_end_with_the_connection() {
        assert!(Framing::UntilClose.may_close());
        assert!(Framing::Done.may_close());
        assert!(!Framing::Length(1).may_close());
        assert!(!CHUNKED.may_close());
    }
}
