//! The decisions of identity, each against its table and against anything at all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod challenge;
mod claims;
mod cookies;
mod credentials;
mod csrf;
mod feed;
mod guard;
mod issue;
mod memory;
mod refused_tokens;
mod remote;
mod revocations;
mod set_cookie;
mod snapshot;
mod snapshot_faults;
mod token;

use http::{HeaderMap, HeaderName, HeaderValue};
use mergepoint_edge_core::identity::Claims;
use serde_json::{json, Value};

/// A head of these fields, in this order.
fn head(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// All values of a field, in order.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let all = headers.get_all(name).iter();
    all.map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
        .collect()
}

/// The payload of a session token issued at 1,000 for 600 s, with other fields put in.
fn payload(other: Value) -> Value {
    let mut payload = json!({
        "iss": "mergepoint:acme", "aud": "acme", "sub": "u1", "sid": "s1", "iat": 1000, "exp": 1600,
        "auth_time": 990, "amr": ["pwd", "otp"], "kind": "person", "user": "ann", "name": "Ann Ä. Other",
        "email": "ann@example.org", "lang": "en", "roles": ["developer"], "groups": ["staff"]
    });
    for (name, value) in other.as_object().unwrap() {
        payload[name] = value.clone();
    }
    payload
}

fn claims(other: Value) -> Claims {
    serde_json::from_value(payload(other)).unwrap()
}
