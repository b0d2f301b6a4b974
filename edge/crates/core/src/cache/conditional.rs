//! Validators: asking the app whether a kept answer still holds, and answering clients who ask us.
//!
//! Place: RFC 9110 section 13, RFC 9111 sections 3.2 and 4.3; called by the server around a kept answer.
//! Rule: a 304 changes fields, never the body it stands for.

use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::freshness::date_of;

/// Fields by which a client makes its request conditional.
pub const CONDITIONS: [HeaderName; 5] = [
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
];

/// Ask for `stored` again, instead of whatever the client asked: the app answers 304 when it still holds. False when
/// it has no validator.
pub fn ask_again(request: &mut HeaderMap, stored: &HeaderMap) -> bool {
    for name in CONDITIONS {
        request.remove(name);
    }
    request.remove(header::RANGE);
    let tag = stored.get(header::ETAG);
    let date = stored.get(header::LAST_MODIFIED);
    if let Some(tag) = tag {
        request.insert(header::IF_NONE_MATCH, tag.clone());
    }
    if let Some(date) = date {
        request.insert(header::IF_MODIFIED_SINCE, date.clone());
    }
    tag.is_some() || date.is_some()
}

/// The client has this answer already: 304 (RFC 9110 section 13.2.2, for GET and HEAD).
pub fn is_not_modified(request: &HeaderMap, stored: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        return names(request, stored.get(header::ETAG));
    }
    let since = date_of(request, &header::IF_MODIFIED_SINCE);
    // Without a date of its last change, one that was made before cannot have changed since (RFC 9110 section 13.1.3).
    let changed =
        date_of(stored, &header::LAST_MODIFIED).or_else(|| date_of(stored, &header::DATE));
    matches!((since, changed), (Some(since), Some(changed)) if changed <= since)
}

/// A `Range` counts for this answer (`If-Range`, RFC 9110 section 13.1.5).
pub fn range_counts(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(condition) = request.get(header::IF_RANGE) else {
        return true;
    };
    let text = condition.as_bytes();
    if text.starts_with(b"\"") {
        let tag = stored.get(header::ETAG);
        return tag.is_some_and(|tag| tag.as_bytes() == text);
    }
    let date: Option<SystemTime> = date_of(request, &header::IF_RANGE);
    date.is_some() && date == date_of(stored, &header::LAST_MODIFIED)
}

/// Bring the fields of a kept answer up to date with those of a 304 (RFC 9111 section 3.2).
pub fn update(stored: &mut HeaderMap, fresh: &HeaderMap) {
    for name in fresh.keys() {
        if describes_body(name) {
            continue;
        }
        stored.remove(name);
        for value in fresh.get_all(name) {
            stored.append(name.clone(), value.clone());
        }
    }
    // The age of the old one ends with it.
    if !fresh.contains_key(header::AGE) {
        stored.remove(header::AGE);
    }
}

/// A 304 says nothing of these, because it comes without the body they describe.
fn describes_body(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONTENT_LENGTH
            | header::CONTENT_ENCODING
            | header::CONTENT_RANGE
            | header::SET_COOKIE
    )
}

/// Fields of a kept answer that go out with a 304 (RFC 9110 section 15.4.5).
pub fn not_modified(stored: &HeaderMap) -> HeaderMap {
    const KEPT: [HeaderName; 7] = [
        header::CACHE_CONTROL,
        header::CONTENT_LOCATION,
        header::DATE,
        header::ETAG,
        header::EXPIRES,
        header::LAST_MODIFIED,
        header::VARY,
    ];
    let mut out = HeaderMap::with_capacity(KEPT.len() + 3);
    for name in KEPT {
        for value in stored.get_all(&name) {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

/// A strong tag made of the body itself.
pub fn tag_of(body: &[u8]) -> Option<HeaderValue> {
    let mut text = Vec::with_capacity(36);
    text.push(b'"');
    crate::digits::push_hex(&mut text, xxhash_rust::xxh3::xxh3_128(body), 32);
    text.push(b'"');
    HeaderValue::from_bytes(&text).ok()
}

/// Whether `If-None-Match` names a tag, compared weakly (RFC 9110 section 13.1.2).
fn names(request: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let tag = tag.map(|tag| opaque(tag.as_bytes()));
    let listed = request.get_all(header::IF_NONE_MATCH).iter();
    listed
        .flat_map(|value| tags(value.as_bytes()))
        .any(|listed| listed == b"*" || tag.as_deref().is_some_and(|tag| opaque(listed) == tag))
}

/// The members of a list of tags; commas inside quotes part nothing.
fn tags(text: &[u8]) -> Vec<&[u8]> {
    let mut quoted = false;
    let parts = text.split(|byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    parts
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
        .collect()
}
