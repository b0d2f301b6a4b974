//! Only a well-formed token is asked about, and nothing that begins like one reaches an app as foreign.
#![no_main]

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::identity::credentials::{authorization, is_api_token, Given};

fn judged(value: &[u8]) -> Option<Given> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_bytes(value).ok()?);
    let given = authorization(&headers);
    if let Given::Ours(credential) = &given {
        assert!(is_api_token(&credential.secret));
        assert!(!credential.user.chars().any(char::is_control));
        assert_eq!(credential.id().len(), 12);
    }
    Some(given)
}

fuzz_target!(|bytes: &[u8]| {
    let _ = judged(bytes);
    let pair = format!("Basic {}", STANDARD.encode(bytes));
    let begins = bytes.iter().position(|b| *b == b':').and_then(|at| bytes.get(at + 1..));
    if begins.is_some_and(|password| password.starts_with(b"mpt_")) {
        assert_ne!(judged(pair.as_bytes()), Some(Given::Foreign));
    } else {
        assert_eq!(judged(pair.as_bytes()), Some(Given::Foreign));
    }
});
