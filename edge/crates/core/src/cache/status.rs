//! `Cache-Status` (RFC 9211): what the cache did, and why.
//!
//! Place: appended to every answer that went through the cache.
//! Rule: what caches behind us said stays; nothing here tells what a page was made from.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The field.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went on to the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The cache is not for this request.
    Bypass,
    /// Not for this method.
    Method,
    /// Nothing lies under this address.
    UriMiss,
    /// What lies there was made for other requests.
    VaryMiss,
    /// What lies there is too old.
    Stale,
    /// The client wants it so.
    Request,
    /// Part of it was asked for.
    Partial,
}

impl Forward {
    /// The token of RFC 9211 section 2.2.
    pub fn as_str(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Stale => "stale",
            Forward::Request => "request",
            Forward::Partial => "partial",
        }
    }
}

/// What the cache did with one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Why it went on; none: it was answered from the cache.
    pub forward: Option<Forward>,
    /// What the app answered, where it differs from what is sent.
    pub forward_status: Option<u16>,
    /// The answer is kept.
    pub stored: bool,
    /// True: shared with another request. False: waited for one in vain.
    pub collapsed: Option<bool>,
    /// Seconds of freshness left.
    pub ttl_s: Option<i64>,
    /// A token that says more.
    pub detail: Option<&'static str>,
}

impl Status {
    /// Answered from the cache.
    pub fn hit(ttl_s: i64) -> Status {
        Status {
            ttl_s: Some(ttl_s),
            ..Status::default()
        }
    }

    /// Went on to the app.
    pub fn forwarded(why: Forward, detail: Option<&'static str>) -> Status {
        Status {
            forward: Some(why),
            detail,
            ..Status::default()
        }
    }

    /// The member that this cache adds.
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = "Mergepoint".to_owned();
        match self.forward {
            None => text.push_str("; hit"),
            Some(why) => text.extend(["; fwd=", why.as_str()]),
        }
        // Writing to memory cannot fail.
        if let Some(status) = self.forward_status {
            let _ = write!(text, "; fwd-status={status}");
        }
        if self.stored {
            text.push_str("; stored");
        }
        match self.collapsed {
            Some(true) => text.push_str("; collapsed"),
            Some(false) => text.push_str("; collapsed=?0"),
            None => {}
        }
        // How long what is kept has left; of what is not kept it says nothing.
        let kept = self.stored || self.forward.is_none();
        if let Some(ttl_s) = self.ttl_s.filter(|_| kept) {
            let _ = write!(text, "; ttl={ttl_s}");
        }
        if let Some(detail) = self.detail {
            text.extend(["; detail=", detail]);
        }
        text
    }

    /// Add it to an answer.
    pub fn mark(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.text()) {
            headers.append(CACHE_STATUS, value);
        }
    }
}
