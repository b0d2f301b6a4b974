//! Heads on the worker's side: a request to bytes, bytes to an answer's head.
//!
//! Place: upstream/link.rs -> [head]
//! Rule:  no I/O. What is written was checked before (`http` types hold no line ends);
//!        what is read is believed only as far as framing goes.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::framing::{Chunk, Framing};

/// Fields in one answer.
const HEADERS_MAX: usize = 128;

/// Bytes of one answer's head.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How the length of a request body is told to the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// No body and no word of it.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What a worker answered, before its body.
#[derive(Debug)]
pub struct AnswerHead {
    /// The final status, or 101.
    pub status: StatusCode,
    /// All fields, uncleaned.
    pub headers: HeaderMap,
    /// How the body ends.
    pub framing: Framing,
    /// The connection may serve another request after this body.
    pub reusable: bool,
}

/// The answer's head cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not HTTP/1.
    #[error("the worker's answer is not valid HTTP/1")]
    Syntax,
    /// Larger than the bound.
    #[error("the head of the worker's answer is larger than {HEAD_BYTES_MAX} bytes or {HEADERS_MAX} fields")]
    TooLarge,
    /// Lengths that contradict each other.
    #[error("the worker's answer has an ambiguous length")]
    Length,
}

/// Write a request's head. `target` is its path and query; framing fields in `headers` are skipped
/// in favour of `announced`. `written` are more fields, which stand there as `fields` wrote them.
pub fn encode(
    out: &mut BytesMut,
    method: &Method,
    (path, query): (&str, Option<&str>),
    (headers, written): (&HeaderMap, &[u8]),
    announced: Announced,
) {
    let target_bytes = path.len() + query.map_or(0, str::len);
    out.reserve(64 + target_bytes + headers.len() * 48 + written.len());
    out.extend_from_slice(method.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        out.extend_from_slice(b"?");
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in headers {
        if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
            field(out, name, value.as_bytes());
        }
    }
    out.extend_from_slice(written);
    match announced {
        Announced::None => {}
        Announced::Length(length) => {
            field(out, &header::CONTENT_LENGTH, length.to_string().as_bytes())
        }
        Announced::Chunked => field(out, &header::TRANSFER_ENCODING, b"chunked"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Write fields as they stand in a head, each with its line end.
pub fn fields(out: &mut BytesMut, headers: &HeaderMap) {
    for (name, value) in headers {
        field(out, name, value.as_bytes());
    }
}

fn field(out: &mut BytesMut, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Take the final answer's head from `buffer`, past any 1xx but 101; none while it is incomplete.
///
/// # Errors
/// The head is broken or too large.
pub fn decode(buffer: &mut BytesMut, method: &Method) -> Result<Option<AnswerHead>, HeadError> {
    loop {
        let Some(answer) = decode_one(buffer, method)? else {
            return Ok(None);
        };
        let interim =
            answer.status.is_informational() && answer.status != StatusCode::SWITCHING_PROTOCOLS;
        if !interim {
            return Ok(Some(answer));
        }
    }
}

fn decode_one(buffer: &mut BytesMut, method: &Method) -> Result<Option<AnswerHead>, HeadError> {
    if buffer.is_empty() {
        return Ok(None);
    }
    // Left unset: filling room for all fields took longer than parsing the few there are.
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if buffer.len() >= HEAD_BYTES_MAX => {
            return Err(HeadError::TooLarge)
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(_) => return Err(HeadError::Syntax),
    };
    let status = parsed
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(HeadError::Syntax)?;
    let http11 = parsed.version == Some(1);
    // Copied, so that the read buffer stays one piece and serves the next answer too.
    let head = Bytes::copy_from_slice(&buffer[..length]);
    let start = buffer.as_ptr() as usize;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len() + 4);
    for found in parsed.headers.iter() {
        let name = HeaderName::from_bytes(found.name.as_bytes()).map_err(|_| HeadError::Syntax)?;
        let at = found.value.as_ptr() as usize - start;
        let value = head.slice(at..at + found.value.len());
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| HeadError::Syntax)?;
        headers.append(name, value);
    }
    buffer.advance(length);
    let (framing, framed_well) = framing_of(status, &headers, method, http11)?;
    let reusable = framed_well && framing != Framing::UntilClose && keeps_alive(&headers, http11);
    Ok(Some(AnswerHead {
        status,
        headers,
        framing,
        reusable,
    }))
}

/// RFC 9112 section 6.3, and whether the framing leaves the connection usable.
fn framing_of(
    status: StatusCode,
    headers: &HeaderMap,
    method: &Method,
    http11: bool,
) -> Result<(Framing, bool), HeadError> {
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    let bodiless = *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    if bodiless {
        return Ok((Framing::Done, true));
    }
    if coded {
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let chunked = codings
            .next()
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !chunked || codings.next().is_some() || !http11 {
            return Err(HeadError::Length);
        }
        // Chunked wins over a length beside it, but such a worker is not asked twice on one connection.
        let alone = !headers.contains_key(header::CONTENT_LENGTH);
        return Ok((Framing::Chunked(Chunk::Size), alone));
    }
    match content_length(headers)? {
        Some(length) => Ok((Framing::Length(length), true)),
        None => Ok((Framing::UntilClose, false)),
    }
}

/// The one agreed `Content-Length`.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut agreed = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let digits = value.as_bytes();
        if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(HeadError::Length);
        }
        let length = digits
            .iter()
            .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if agreed.is_some_and(|earlier| earlier != length) {
            return Err(HeadError::Length);
        }
        agreed = Some(length);
    }
    Ok(agreed)
}

fn keeps_alive(headers: &HeaderMap, http11: bool) -> bool {
    let says = |token: &str| {
        headers.get_all(header::CONNECTION).iter().any(|value| {
            value
                .as_bytes()
                .split(|&byte| byte == b',')
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        })
    };
    if http11 {
        !headers.contains_key(header::CONNECTION) || !says("close")
    } else {
        says("keep-alive")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(method: &Method, text: &str) -> Result<Option<AnswerHead>, HeadError> {
        decode(&mut BytesMut::from(text), method)
    }

    fn get(text: &str) -> AnswerHead {
        answer(&Method::GET, text).unwrap().unwrap()
    }

    #[test]
    fn a_request_is_written_with_one_framing() {
        let mut out = BytesMut::new();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("a"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("9"));
        encode(
            &mut out,
            &Method::POST,
            ("/x", Some("y")),
            (&headers, b"remote-user: ann\r\n"),
            Announced::Chunked,
        );
        assert_eq!(
            out.as_ref(),
            b"POST /x?y HTTP/1.1\r\nhost: a\r\nremote-user: ann\r\ntransfer-encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn a_head_is_taken_whole_or_not_at_all() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        for cut in 0..text.len() {
            assert!(
                answer(&Method::GET, &text[..cut]).unwrap().is_none(),
                "cut at {cut}"
            );
        }
        let head = get(text);
        assert_eq!((head.framing, head.reusable), (Framing::Length(2), true));
    }

    #[test]
    fn fields_keep_their_values_and_the_body_stays_in_the_buffer() {
        let text = "HTTP/1.1 200 OK\r\nA: one\r\nEmpty:\r\nBlank:  \r\nA:two \r\nContent-Length: 4\r\n\r\nbody";
        let mut buffer = BytesMut::from(text);
        let head = decode(&mut buffer, &Method::GET).unwrap().unwrap();
        let values = |name| -> Vec<&[u8]> {
            let all = head.headers.get_all(name).iter();
            all.map(HeaderValue::as_bytes).collect()
        };
        assert_eq!(values("a"), [b"one", b"two"]);
        assert_eq!(
            (values("empty"), values("blank")),
            (vec![&b""[..]], vec![&b""[..]])
        );
        assert_eq!(buffer.as_ref(), b"body");
    }

    #[test]
    fn interim_answers_are_read_past() {
        let head = get("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n");
        assert_eq!((head.status.as_u16(), head.framing), (204, Framing::Done));
    }

    #[test]
    fn bodies_that_cannot_exist_are_not_awaited() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(
            answer(&Method::HEAD, text).unwrap().unwrap().framing,
            Framing::Done
        );
        assert_eq!(
            get("HTTP/1.1 304 N\r\nContent-Length: 7\r\n\r\n").framing,
            Framing::Done
        );
        assert_eq!(
            get("HTTP/1.1 101 Up\r\nUpgrade: websocket\r\n\r\n").framing,
            Framing::Done
        );
    }

    #[test]
    fn contradicting_lengths_are_refused() {
        for bad in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: ",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, chunked",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{bad}\r\n\r\n");
            assert!(answer(&Method::GET, &text).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_well_framed_connections_are_used_again() {
        assert!(!get("HTTP/1.1 200 OK\r\n\r\n").reusable);
        assert!(
            !get("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n").reusable
        );
        assert!(!get("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").reusable);
        assert!(
            get("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n").reusable
        );
        let both =
            get("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(
            (both.framing, both.reusable),
            (Framing::Chunked(Chunk::Size), false)
        );
    }

    #[test]
    fn endless_heads_are_refused() {
        let flood = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(HEAD_BYTES_MAX));
        assert_eq!(
            answer(&Method::GET, &flood).unwrap_err(),
            HeadError::TooLarge
        );
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "a: b\r\n".repeat(HEADERS_MAX + 1)
        );
        assert_eq!(
            answer(&Method::GET, &many).unwrap_err(),
            HeadError::TooLarge
        );
    }
}
