//! Arbitrary heads.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};
use mergepoint_edge_core::strict::{Framing, Target};
use proptest::prelude::*;

use crate::request::Request;

fn any_field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = "(host|content-length|transfer-encoding|connection|upgrade|expect|te|x_y|x-a)";
    let value = prop_oneof![
        "(a|b:1|5|chunked|close, upgrade|websocket|100-continue|trailers|)"
            .prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    (name, value)
}

proptest! {
    #[test]
    fn whatever_is_let_in_is_unambiguous(
        method in "(GET|POST|OPTIONS|get|X)",
        uri in "(/|\\*|http://a/|//a|/%2e|/a\\?b|a:1|)",
        version in prop_oneof![Just(Version::HTTP_10), Just(Version::HTTP_11), Just(Version::HTTP_2)],
        fields in proptest::collection::vec(any_field(), 0..6),
    ) {
        let Ok(uri) = uri.parse::<Uri>() else { return Ok(()) };
        let mut request = Request { method: method.parse().unwrap(), uri, version, headers: HeaderMap::new() };
        for (name, value) in &fields {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                request.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
        }
        let headers = &request.headers;
        let count = |name: &str| headers.get_all(name).iter().count();
        if let Ok(accepted) = request.check() {
            prop_assert!(count("host") <= 1 && count("content-length") <= 1 && count("transfer-encoding") <= 1);
            prop_assert!(count("content-length") + count("transfer-encoding") <= 1);
            prop_assert!(version == Version::HTTP_2 || count("host") == 1);
            if count("transfer-encoding") == 1 {
                prop_assert!(version == Version::HTTP_11 && accepted.framing == Framing::Chunked);
            }
            if let Some(length) = headers.get("content-length") {
                let length: u64 = length.to_str().unwrap().parse().unwrap();
                prop_assert_eq!(accepted.framing.length(), Some(length));
            }
            prop_assert_eq!(accepted.target == Target::Server, method == "OPTIONS" && request.uri == "*");
        }
    }
}
