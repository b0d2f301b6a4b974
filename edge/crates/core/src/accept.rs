//! What a client accepts: encodings and forms of an error page; and what is worth compressing.
//!
//! Place: asked when an answer's head is known.
//! Rule: nothing is compressed that the worker compressed, forbade to change, or sent in parts; a client that says
//! nothing gets identity.

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use crate::cookie::list_tokens;

/// Most elements of an Accept field that are looked at.
const ELEMENTS_MAX: usize = 64;

/// An encoding the edge can produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Brotli.
    Br,
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gzip,
    /// As it is.
    Identity,
}

impl Encoding {
    /// The name in Content-Encoding; `identity` is never sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Br => "br",
            Encoding::Zstd => "zstd",
            Encoding::Gzip => "gzip",
            Encoding::Identity => "identity",
        }
    }
}

/// The encoding the client likes best among `offered`; the order of `offered` breaks ties. Identity if none fits.
pub fn encoding(headers: &HeaderMap, offered: &[Encoding]) -> Encoding {
    let accepted = qualities(headers, &header::ACCEPT_ENCODING);
    let quality = |encoding: Encoding| {
        let named = |name: &str| {
            accepted
                .iter()
                .find(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, q)| *q)
        };
        let gzip_alias = || {
            if encoding == Encoding::Gzip {
                named("x-gzip")
            } else {
                None
            }
        };
        let wildcard = || {
            if encoding == Encoding::Identity {
                None
            } else {
                named("*")
            }
        };
        named(encoding.as_str())
            .or_else(gzip_alias)
            .or_else(wildcard)
    };
    let identity = quality(Encoding::Identity).unwrap_or(1);
    let mut best = (Encoding::Identity, 0);
    for &encoding in offered {
        let q = quality(encoding).unwrap_or(0);
        if encoding != Encoding::Identity && q > best.1 {
            best = (encoding, q);
        }
    }
    // A client that names identity with a higher quality wants it.
    let named_identity = accepted
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("identity"));
    if named_identity && identity > best.1 {
        return Encoding::Identity;
    }
    best.0
}

/// Elements and their quality in thousandths.
fn qualities<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<(&'a str, u16)> {
    let texts = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts
        .flat_map(list_tokens)
        .take(ELEMENTS_MAX)
        .map(element)
        .collect()
}

fn element(text: &str) -> (&str, u16) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or("");
    let quality = parts
        .filter_map(|part| part.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case("q"))
        .map_or(1000, |(_, q)| thousandths(q.trim()));
    (name, quality)
}

/// `0`, `0.123`, `1.000`; anything else counts as 0.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match whole {
        _ if !fits => 0,
        "1" if fraction.bytes().all(|b| b == b'0') => 1000,
        "0" => fraction
            .bytes()
            .zip([100, 10, 1])
            .map(|(digit, weight)| u16::from(digit - b'0') * weight)
            .sum(),
        _ => 0,
    }
}

/// What is known about an answer before its body.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Method of the request.
    pub method: &'a Method,
    /// Status of the answer.
    pub status: StatusCode,
    /// Fields of the answer.
    pub headers: &'a HeaderMap,
    /// Length of the body, if known.
    pub length: Option<u64>,
}

/// Whether compressing an answer is allowed and worth it. If it is, `Vary: Accept-Encoding` belongs to the answer even
/// when the client accepts nothing.
pub fn may_compress(reply: Reply<'_>, bytes_min: u64) -> bool {
    let headers = reply.headers;
    let bodiless = *reply.method == Method::HEAD
        || reply.status.is_informational()
        || matches!(
            reply.status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        );
    let partial =
        reply.status == StatusCode::PARTIAL_CONTENT || headers.contains_key(header::CONTENT_RANGE);
    let encoded = headers.contains_key(header::CONTENT_ENCODING);
    let small = reply.length.is_some_and(|length| length < bytes_min);
    !bodiless
        && !partial
        && !encoded
        && !small
        && !forbids_change(headers)
        && is_compressible(headers)
}

fn forbids_change(headers: &HeaderMap) -> bool {
    let texts = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts
        .flat_map(list_tokens)
        .any(|token| token.eq_ignore_ascii_case("no-transform"))
}

fn is_compressible(headers: &HeaderMap) -> bool {
    let Some(text) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    is_compressible_type(text)
}

/// Text and text-like types. `text/event-stream` is not: a compressor holds events back, and the few bytes saved are
/// not worth an event that comes late.
pub fn is_compressible_type(content_type: &str) -> bool {
    const TYPES: [&str; 17] = [
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/rtf",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/x-sh",
        "application/xml",
        "application/xhtml+xml",
        "application/yaml",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/svg+xml",
        "image/x-icon",
    ];
    let name = content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    if name == "text/event-stream" {
        return false;
    }
    name.starts_with("text/")
        || name.ends_with("+json")
        || name.ends_with("+xml")
        || TYPES.contains(&name.as_str())
}

/// The form of an error the edge makes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorForm {
    /// A page.
    Html,
    /// RFC 9457 problem details.
    Json,
    /// One line.
    Text,
}

/// The form a client can read: a page only for who asks for one, JSON for who asks for JSON, else one line.
pub fn error_form(headers: &HeaderMap) -> ErrorForm {
    let accepted = qualities(headers, &header::ACCEPT);
    let quality = |names: &[&str]| {
        let fits = |found: &str| names.iter().any(|name| found.eq_ignore_ascii_case(name));
        accepted
            .iter()
            .filter(|(found, _)| fits(found))
            .map(|(_, q)| *q)
            .max()
            .unwrap_or(0)
    };
    let html = quality(&["text/html", "application/xhtml+xml"]);
    let json = quality(&[
        "application/json",
        "application/problem+json",
        "application/*",
    ]);
    match (html, json) {
        (0, 0) => ErrorForm::Text,
        _ if json > html => ErrorForm::Json,
        _ => ErrorForm::Html,
    }
}
