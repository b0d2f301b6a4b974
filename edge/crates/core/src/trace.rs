//! Request id and W3C trace context.
//!
//! Place: called once per request, after `forwarded` has said whether the peer is trusted.
//! Rule: what is sent on is always well formed; a stranger cannot choose a request id.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::digits::{ascii, push_hex};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Longest request id taken over from a trusted proxy.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// A position in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub parent_id: u64,
    /// The caller records it.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`; later versions may be longer.
    pub fn parse(text: &str) -> Option<TraceContext> {
        let mut parts = text.splitn(4, '-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let parent_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let last = parts.next()?;
        let flags = match last.split_once('-') {
            Some((flags, _)) if version > 0 => flags,
            Some(_) => return None,
            None => last,
        };
        let flags = hex(flags, 2)?;
        let valid = version != 0xff && trace_id != 0 && parent_id != 0;
        valid.then_some(TraceContext {
            trace_id,
            parent_id,
            sampled: flags & 1 == 1,
        })
    }

    /// The `traceparent` value, version 00.
    pub fn render(&self) -> String {
        ascii(55, |text| {
            text.extend_from_slice(b"00-");
            push_hex(text, self.trace_id, 32);
            text.push(b'-');
            push_hex(text, self.parent_id.into(), 16);
            text.extend_from_slice(if self.sampled { b"-01" } else { b"-00" });
        })
    }
}

/// Exactly `digits` lower-case hex digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if fits {
        u128::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

/// Sets X-Request-Id and returns it: a trusted peer's if well formed, else `fresh` (128 random bits) in hex.
pub fn set_request_id(headers: &mut HeaderMap, trusted: bool, fresh: u128) -> String {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    let kept = match (given.next(), given.next()) {
        (Some(value), None) if trusted => value
            .to_str()
            .ok()
            .filter(|text| is_request_id(text))
            .map(str::to_owned),
        _ => None,
    };
    let id = kept.unwrap_or_else(|| ascii(32, |id| push_hex(id, fresh, 32)));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, value);
    }
    id
}

fn is_request_id(text: &str) -> bool {
    let plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=')
    };
    !text.is_empty() && text.len() <= REQUEST_ID_BYTES_MAX && text.bytes().all(plain)
}

/// Sets traceparent to a child of the caller's, or to a new trace, and returns it.
///
/// `fresh_trace` and `fresh_span` are random; a zero is replaced by one, since zero means "invalid".
pub fn set_trace(headers: &mut HeaderMap, fresh_trace: u128, fresh_span: u64) -> TraceContext {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let caller = match (given.next(), given.next()) {
        (Some(value), None) => value.to_str().ok().and_then(TraceContext::parse),
        _ => None,
    };
    let context = match caller {
        Some(caller) => TraceContext {
            parent_id: fresh_span.max(1),
            ..caller
        },
        None => {
            headers.remove(TRACESTATE);
            TraceContext {
                trace_id: fresh_trace.max(1),
                parent_id: fresh_span.max(1),
                sampled: false,
            }
        }
    };
    if let Ok(value) = HeaderValue::from_str(&context.render()) {
        headers.insert(TRACEPARENT, value);
    }
    context
}
