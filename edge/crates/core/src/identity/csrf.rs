//! Whether a request that a browser sent with our cookies was meant by the site itself.
//!
//! Place: after the guard's path was routed, before a request that changes something reaches an app.
//! Rule: the browser's own words decide, `Sec-Fetch-Site` before `Origin`; a request with neither is no browser's.

use http::header::{self, HeaderMap, HeaderName};
use http::Method;

use crate::forwarded::Scheme;
use crate::host::Host;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What matters of a request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The fields.
    pub headers: &'a HeaderMap,
    /// It asks for a WebSocket.
    pub websocket: bool,
    /// The visitor's scheme.
    pub scheme: Scheme,
    /// The visitor's host and port.
    pub host: &'a Host,
    /// It carries any cookie of ours, good or not.
    pub by_cookie: bool,
    /// It goes to accounts, where logging in itself must not be done for somebody.
    pub to_accounts: bool,
    /// `guard::is_csrf_exempt` of its path.
    pub exempt: bool,
}

/// Whether a request needs a proof of origin and has none: then it is answered with 403 `csrf.origin`.
pub fn is_from_elsewhere(asked: &Asked<'_>) -> bool {
    needs_proof(asked) && !proves_origin(asked)
}

/// GET, HEAD and OPTIONS change nothing (RFC 9110 section 9.2.1); TRACE is never let in.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn needs_proof(asked: &Asked<'_>) -> bool {
    let unsafe_method = !is_safe(asked.method);
    if asked.to_accounts && unsafe_method {
        return true;
    }
    // An exemption is for calls of other programs, and none of those opens a WebSocket with a visitor's cookie.
    asked.by_cookie && (asked.websocket || (unsafe_method && !asked.exempt))
}

fn proves_origin(asked: &Asked<'_>) -> bool {
    let mut sites = asked.headers.get_all(SEC_FETCH_SITE).iter();
    if let Some(site) = sites.next() {
        return sites.next().is_none() && matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let mut origins = asked.headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => origin.to_str().is_ok_and(|origin| is_own(origin, asked)),
        (Some(_), Some(_)) => false,
    }
}

/// `scheme://host` or `scheme://host:port`, and the same as the visitor's; `null` is nobody's.
fn is_own(origin: &str, asked: &Asked<'_>) -> bool {
    let rest = origin
        .strip_prefix(asked.scheme.as_str())
        .and_then(|rest| rest.strip_prefix("://"));
    let Some(Ok(host)) = rest.map(Host::parse) else {
        return false;
    };
    let default = asked.scheme.default_port();
    host.name() == asked.host.name() && host.port_or(default) == asked.host.port_or(default)
}
