//! Byte ranges of RFC 9110 section 14.
//!
//! Place: part of the answer for a static file.
//! Rule: a client cannot make the edge send more than the file: many, overlapping or disordered ranges get all of it.

use http::header::{self, HeaderMap};

/// Most ranges of one request; with more, the whole file is sent.
pub const RANGES_MAX: usize = 16;

/// Bytes `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub first: u64,
    /// Last byte; not before `first`.
    pub last: u64,
}

impl Span {
    /// How many bytes; at least 1.
    pub fn length(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// The Content-Range field for a file of `size` bytes.
    pub fn content_range(&self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.first, self.last)
    }
}

/// What a Range field asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// Everything, because there is no valid Range field or the ranges are not worth obeying.
    All,
    /// These, in the order asked for, none touching another; never empty.
    Spans(Vec<Span>),
    /// Nothing that exists.
    Unsatisfiable,
}

/// The ranges asked for of a file of `size` bytes.
pub fn parse(headers: &HeaderMap, size: u64) -> Ranges {
    let mut values = headers.get_all(header::RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Ranges::All;
    };
    value
        .to_str()
        .map_or(Ranges::All, |text| parse_text(text, size))
}

/// The ranges of the text of a Range field.
pub fn parse_text(text: &str, size: u64) -> Ranges {
    let Some((unit, set)) = text.split_once('=') else {
        return Ranges::All;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranges::All;
    }
    let mut spans = Vec::new();
    let mut count = 0;
    for part in crate::cookie::list_tokens(set) {
        count += 1;
        let Some(range) = one(part, size) else {
            return Ranges::All;
        };
        if count > RANGES_MAX {
            return Ranges::All;
        }
        spans.extend(range);
    }
    match (count, spans.is_empty()) {
        (0, _) => Ranges::All,
        (_, true) => Ranges::Unsatisfiable,
        _ if overlap(&spans) => Ranges::All,
        _ => Ranges::Spans(spans),
    }
}

/// `None`: not a range. `Some(None)`: a range outside the file.
fn one(part: &str, size: u64) -> Option<Option<Span>> {
    let (first, last) = part.split_once('-')?;
    let (first, last) = (first.trim_end(), last.trim_start());
    if first.is_empty() {
        let suffix = number(last)?.min(size);
        return Some((suffix > 0).then(|| Span {
            first: size - suffix,
            last: size - 1,
        }));
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if last < first {
        return None;
    }
    Some((first < size).then(|| Span {
        first,
        last: last.min(size.saturating_sub(1)),
    }))
}

/// Digits only; more than fit mean "beyond every file".
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn overlap(spans: &[Span]) -> bool {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|span| span.first);
    sorted
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if b.first <= a.last))
}
