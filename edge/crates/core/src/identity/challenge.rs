//! What the edge answers when identity stands in the way.
//!
//! Place: after a guard, a credential or a proof of origin has failed; the table of section 5 of contracts.md.
//! Rule: a browser's visitor is led on or shown a page, a program is told; what a visitor sent comes back encoded only.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

/// Longest `next` of a redirect to the login; a longer one is left out and the visitor starts at the front.
pub const NEXT_BYTES_MAX: usize = 2048;
/// When to ask again for accounts.
pub const UNAVAILABLE_RETRY_S: u64 = 5;
/// Longest time a visitor is told to wait.
const RETRY_AFTER_S_MAX: f64 = 86_400.0;

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// A proof is needed and none was given.
    Required,
    /// Proven, but not allowed.
    Forbidden,
    /// The credential is wrong.
    Credential,
    /// Too many wrong credentials.
    TooMany {
        /// As accounts says.
        retry_after_s: f64,
    },
    /// A request of a browser that another site may have caused.
    Origin,
    /// Accounts cannot be asked.
    Unavailable,
}

/// The request that is answered.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The fields.
    pub headers: &'a HeaderMap,
    /// Path and query as they were routed.
    pub target: &'a str,
}

/// How to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Stable code, for the body, logs and metrics.
    pub code: &'static str,
    /// The body is a page for a person rather than a problem for a program; without meaning beside `location`.
    pub page: bool,
    /// Where to go instead.
    pub location: Option<HeaderValue>,
    /// Values of WWW-Authenticate.
    pub challenges: Vec<HeaderValue>,
    /// Value of Retry-After.
    pub retry_after_s: Option<u64>,
}

/// How to answer a request of a site whose accounts are mounted at `mount`.
pub fn answer(reason: Reason, asked: &Asked<'_>, site: &str, mount: &str) -> Answer {
    let page = is_navigation(asked.method, asked.headers);
    let mut answer = Answer {
        status: StatusCode::FORBIDDEN,
        code: "identity.forbidden",
        page,
        location: None,
        challenges: Vec::new(),
        retry_after_s: None,
    };
    let (status, code) = match reason {
        Reason::Required if page => (StatusCode::SEE_OTHER, "identity.required"),
        Reason::Required => (StatusCode::UNAUTHORIZED, "identity.required"),
        Reason::Forbidden => (StatusCode::FORBIDDEN, "identity.forbidden"),
        Reason::Credential => (StatusCode::UNAUTHORIZED, "identity.credential"),
        Reason::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "identity.too_many"),
        Reason::Origin => (StatusCode::FORBIDDEN, "csrf.origin"),
        Reason::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "identity.unavailable"),
    };
    answer.status = status;
    answer.code = code;
    answer.retry_after_s = retry_after(reason);
    if status == StatusCode::SEE_OTHER {
        answer.location = HeaderValue::from_str(&login(mount, asked.target)).ok();
    }
    if status == StatusCode::UNAUTHORIZED {
        answer.challenges = challenges(reason, asked.headers, site);
    }
    answer
}

/// Whether a person looks at the answer: the browser says so, or an old one asks for a page.
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode.as_bytes() == b"navigate",
        None => *method == Method::GET && !sends_fetch_metadata(headers) && accepts_html(headers),
    }
}

/// The address of the login that leads back to `target`; always on this host.
pub fn login(mount: &str, target: &str) -> String {
    let mut location = format!("{}/login", mount.trim_end_matches('/'));
    // `//name` would be another host to whoever redirects there.
    let next = target.trim_start_matches(['/', '\\']);
    let mut encoded = String::with_capacity(next.len() + 16);
    for byte in next.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    if encoded.len() < NEXT_BYTES_MAX {
        location.push_str("?next=/");
        location.push_str(&encoded);
    }
    location
}

fn retry_after(reason: Reason) -> Option<u64> {
    match reason {
        // Rounded up, for who comes back too early is refused again.
        Reason::TooMany { retry_after_s } => {
            Some(retry_after_s.ceil().clamp(1.0, RETRY_AFTER_S_MAX) as u64)
        }
        Reason::Unavailable => Some(UNAVAILABLE_RETRY_S),
        _ => None,
    }
}

/// `Basic` makes a browser open its own window, so scripts of a page are asked for `Bearer` alone; a 401 without any
/// challenge is not allowed (RFC 9110 section 15.5.2).
fn challenges(reason: Reason, headers: &HeaderMap, site: &str) -> Vec<HeaderValue> {
    let mut texts = Vec::with_capacity(2);
    if !sends_fetch_metadata(headers) {
        texts.push(format!("Basic realm=\"{site}\", charset=\"UTF-8\""));
    }
    let error = match reason {
        Reason::Credential => ", error=\"invalid_token\"",
        _ => "",
    };
    texts.push(format!("Bearer realm=\"{site}\"{error}"));
    texts
        .iter()
        .filter_map(|text| HeaderValue::from_str(text).ok())
        .collect()
}

fn sends_fetch_metadata(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("sec-fetch-"))
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(crate::cookie::list_tokens)
        .any(|range| {
            let name = range.split(';').next().unwrap_or("").trim_ascii();
            name.eq_ignore_ascii_case("text/html")
        })
}
