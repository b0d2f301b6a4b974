//! No text but the one made for a slot verifies.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::snapshot::Secret;
use mergepoint_edge_core::{cookie, sticky};

fuzz_target!(|bytes: &[u8]| {
    let secret = Secret::from_bytes(&[7; 32]);
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(slot) = sticky::verify(&secret, "app", text) {
            assert_eq!(sticky::value(&secret, "app", slot), text);
        }
    }
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    headers.insert("cookie", value);
    let _ = sticky::from_request(&secret, "app", &headers);
    cookie::remove(&mut headers, "__mp_app");
    assert_eq!(cookie::get(&headers, "__mp_app"), None);
});
