//! Visitors over plain HTTP sent to https://, and told to stay there.
//!
//! Place: exchange.rs -> [encrypted]
//! Rule:  a certificate authority's challenge is answered where it was asked (RFC 8555, 8.3).

use http::header::{HeaderMap, HeaderValue, STRICT_TRANSPORT_SECURITY};
use http::{request::Parts, Response, StatusCode};
use mergepoint_edge_core::forwarded::Scheme;

use crate::body::Body;
use crate::exchange::{location, Checked};
use crate::refuse::Refused;

const CHALLENGES: &str = "/.well-known/acme-challenge/";
const USUAL_PORT: u16 = 443;

/// The way to https://, for a visitor who came over plain HTTP to a listener that sends them there.
pub fn sent_to_https(
    port: Option<u16>,
    checked: &Checked,
    parts: &Parts,
) -> Option<Result<Response<Body>, Refused>> {
    let port = port?;
    if checked.origin.scheme == Scheme::Https
        || checked.target.path.as_str().starts_with(CHALLENGES)
    {
        return None;
    }
    let host = checked.origin.host.name();
    let rest = parts.uri.path_and_query().map_or("/", |rest| rest.as_str());
    let to = match port {
        USUAL_PORT => format!("https://{host}{rest}"),
        port => format!("https://{host}:{port}{rest}"),
    };
    Some(location(StatusCode::PERMANENT_REDIRECT, &to))
}

/// Ask browsers to come by https:// alone for `hsts_s` seconds, unless the app has asked already.
pub fn insist(headers: &mut HeaderMap, hsts_s: u32) {
    if hsts_s == 0 || headers.contains_key(STRICT_TRANSPORT_SECURITY) {
        return;
    }
    if let Ok(value) = HeaderValue::try_from(format!("max-age={hsts_s}")) {
        headers.insert(STRICT_TRANSPORT_SECURITY, value);
    }
}
