//! The headers of a file: what it is, how long it stays true, which part of it this is.
//!
//! Place:  files -> [describe]
//! Rule:   pure; a browser is never left to guess a type.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use mergepoint_edge_core::accept::Encoding;
use mergepoint_edge_core::files::Version;
use mergepoint_edge_core::range::Span;
use mergepoint_edge_core::snapshot::StaticFiles;

use super::locate::Opened;
use super::send::Segment;
use crate::compress::add_vary;

/// Without a rule of its own an app's file is asked for again each time, at the price of a 304.
const CACHE_CONTROL_DEFAULT: &str = "no-cache";

/// What a cache needs to know, in a 304 as in a 200.
pub(super) fn caching(
    headers: &mut HeaderMap,
    app: &StaticFiles,
    file: &Opened,
    version: &Version,
) {
    let rule = app
        .cache_control
        .as_deref()
        .unwrap_or(CACHE_CONTROL_DEFAULT);
    set(headers, header::CACHE_CONTROL, rule);
    set(headers, header::ETAG, &version.etag);
    set(headers, header::LAST_MODIFIED, &version.last_modified());
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if file.varies {
        add_vary(headers);
    }
}

/// What the content is.
pub(super) fn content(headers: &mut HeaderMap, file: &Opened) {
    set(headers, header::CONTENT_TYPE, &content_type(&file.name));
    if file.encoding != Encoding::Identity {
        set(headers, header::CONTENT_ENCODING, file.encoding.as_str());
    }
}

/// Which part this is, or that there is no such part.
pub(super) fn content_range(headers: &mut HeaderMap, range: &str) {
    set(headers, header::CONTENT_RANGE, range);
}

/// Several parts, each with its own small head; changes the content type.
pub(super) fn multipart(headers: &mut HeaderMap, spans: &[Span], size: u64) -> Vec<Segment> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or("application/octet-stream").to_owned();
    // Nothing in a file can foresee it.
    let random = RandomState::new();
    let boundary = format!(
        "part-{:016x}{:016x}",
        random.hash_one(1),
        random.hash_one(2)
    );
    let mut segments = Vec::with_capacity(spans.len() * 2 + 1);
    for (at, span) in spans.iter().enumerate() {
        let line = if at == 0 { "" } else { "\r\n" };
        let range = span.content_range(size);
        let head =
            format!("{line}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n");
        segments.push(Segment::Text(head.into()));
        segments.push(Segment::Bytes(*span));
    }
    segments.push(Segment::Text(format!("\r\n--{boundary}--\r\n").into()));
    set(
        headers,
        header::CONTENT_TYPE,
        &format!("multipart/byteranges; boundary={boundary}"),
    );
    segments
}

/// The type of a file by its name; text is UTF-8.
fn content_type(name: &Path) -> String {
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let kind = kind.essence_str();
    let textual = kind.starts_with("text/") || matches!(kind, "application/javascript");
    if textual {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_owned()
    }
}

/// Values here are our own text; one that is no header value (a cache rule with a line end, which
/// the snapshot refuses) is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
