//! No bytes are a token; and whatever the holder of a key signs is read without harm.
#![no_main]

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::identity::token::{Expected, Keys, SESSION_TYPE};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const HEADER: &str = r#"{"alg":"EdDSA","typ":"mps+jwt","kid":"k"}"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(&[7; 32]) else { return };
    let Ok(x) = pair.public_key().as_ref().try_into() else { return };
    let keys = Keys::new([("k", x, f64::MAX)]);
    let expected = Expected {
        typ: SESSION_TYPE,
        issuer: "i",
        audience: "a",
        now_s: 1100.0,
        skew_s: 30.0,
        stale_s: 900.0,
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(keys.verify(text, &expected).is_err());
    }
    // The first byte tells whether the rest is the header or the payload of what is signed.
    let Some((which, text)) = bytes.split_first() else { return };
    let (header, payload) = if *which == 0 { (text, &b"{}"[..]) } else { (HEADER.as_bytes(), text) };
    let start = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(start.as_bytes()));
    if let Ok(claims) = keys.verify(&format!("{start}.{signature}"), &expected) {
        assert!(!claims.sub.is_empty() && !claims.sid.is_empty());
        assert!(claims.iat <= 1130.0 && claims.exp > 200.0 && claims.exp - claims.iat <= 1800.0);
        assert!(claims.user.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()));
    }
});
