//! What is answered for a static file, before a byte of it is read.
//!
//! Place: the server opens files and asks this module which, and with which status.
//! Rule: a path never leaves its root; conditions are judged in the order of RFC 9110 section 13.2.2.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap};
use http::Method;
use percent_encoding::percent_decode_str;

use crate::range::{self, Ranges};

/// The only hidden directory that is served: certificates are proven through it.
pub const WELL_KNOWN: &str = ".well-known";

/// A path relative to the root; `None` if nothing may be served under it (answer 404).
///
/// `rest` is the path under the mount, in normal form. Hidden files, encoded slashes, control bytes and text that is not
/// UTF-8 name nothing. A final slash asks for a directory and is left out here; see `asks_for_directory`.
pub fn relative_path(rest: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        let hidden = name.starts_with('.') && name != WELL_KNOWN;
        if hidden || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
            return None;
        }
        path.push(name.as_ref());
    }
    Some(path)
}

/// Whether a path asks for a directory: it is the mount itself, or ends with a slash.
pub fn asks_for_directory(rest: &str) -> bool {
    rest.is_empty() || rest.ends_with('/')
}

/// The version of a file that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Strong, with quotes.
    pub etag: String,
    /// Whole seconds.
    pub modified: SystemTime,
    /// Whether `modified` is so old that a later change must have shown a different second.
    settled: bool,
}

impl Version {
    /// The version of a file by its size and its time in nanoseconds; `encoding` tells representations apart.
    pub fn new(size: u64, modified: SystemTime, now: SystemTime, encoding: &str) -> Version {
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let dash = if encoding.is_empty() { "" } else { "-" };
        Version {
            etag: format!("\"{:x}-{size:x}{dash}{encoding}\"", since.as_nanos()),
            modified: UNIX_EPOCH + Duration::from_secs(since.as_secs()),
            settled: now
                .duration_since(modified)
                .is_ok_and(|age| age >= Duration::from_secs(2)),
        }
    }

    /// The Last-Modified field.
    pub fn last_modified(&self) -> String {
        httpdate::fmt_http_date(self.modified)
    }
}

/// How a request for an existing file is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200 with all of it.
    Whole,
    /// 206 with these bytes.
    Part(Vec<range::Span>),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416 with `Content-Range: bytes */size`.
    Unsatisfiable,
}

/// Judges conditions and ranges of a GET or HEAD.
pub fn answer(method: &Method, headers: &HeaderMap, version: &Version, size: u64) -> Answer {
    if !precondition_holds(headers, version) {
        return Answer::PreconditionFailed;
    }
    if is_unchanged(headers, version) {
        return Answer::NotModified;
    }
    // Ranges are defined for GET alone.
    if *method != Method::GET || !if_range_holds(headers, version) {
        return Answer::Whole;
    }
    match range::parse(headers, size) {
        Ranges::All => Answer::Whole,
        Ranges::Spans(spans) => Answer::Part(spans),
        Ranges::Unsatisfiable => Answer::Unsatisfiable,
    }
}

/// If-Match, or without it If-Unmodified-Since.
fn precondition_holds(headers: &HeaderMap, version: &Version) -> bool {
    if headers.contains_key(header::IF_MATCH) {
        return names_etag(headers, &header::IF_MATCH, |tag| tag == version.etag);
    }
    match date(headers, &header::IF_UNMODIFIED_SINCE) {
        Some(since) => version.modified <= since,
        None => true,
    }
}

/// If-None-Match, or without it If-Modified-Since.
fn is_unchanged(headers: &HeaderMap, version: &Version) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        let weak = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == version.etag;
        return names_etag(headers, &header::IF_NONE_MATCH, weak);
    }
    date(headers, &header::IF_MODIFIED_SINCE).is_some_and(|since| version.modified <= since)
}

/// A date counts only if it is exactly ours and strong: the file was not changed within the same second.
fn if_range_holds(headers: &HeaderMap, version: &Version) -> bool {
    let mut values = headers.get_all(header::IF_RANGE).iter();
    let Some(value) = values.next() else {
        return true;
    };
    let Ok(text) = value.to_str() else {
        return false;
    };
    if values.next().is_some() {
        return false;
    }
    if text.starts_with('"') {
        return text == version.etag;
    }
    version.settled && httpdate::parse_http_date(text).is_ok_and(|at| at == version.modified)
}

fn names_etag(headers: &HeaderMap, name: &header::HeaderName, fits: impl Fn(&str) -> bool) -> bool {
    let texts = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    // An entity tag may hold a comma only inside its quotes, and ours hold none.
    texts
        .flat_map(crate::cookie::list_tokens)
        .any(|tag| tag == "*" || fits(tag))
}

fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => httpdate::parse_http_date(value.to_str().ok()?).ok(),
        _ => None,
    }
}
