//! An encoding is chosen only if the client named it or everything.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::accept::{encoding, error_form, is_compressible_type, Encoding};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    headers.insert("accept", value.clone());
    headers.insert("accept-encoding", value);
    let chosen = encoding(&headers, &[Encoding::Br, Encoding::Zstd, Encoding::Gzip]);
    let named = |name: &str| bytes.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name.as_bytes()));
    assert!(chosen == Encoding::Identity || named(chosen.as_str()) || named("*"));
    let _ = error_form(&headers);
    let _ = std::str::from_utf8(bytes).map(is_compressible_type);
});
