//! No app receives a cookie of ours, none sets one, and none sets a cookie beyond its mount.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::forwarded::Scheme;
use mergepoint_edge_core::identity::cookies::{carried, forward, is_ours};
use mergepoint_edge_core::identity::set_cookie::confine;
use mergepoint_edge_core::snapshot::CookiePolicy;

fuzz_target!(|bytes: &[u8]| {
    let values: Vec<HeaderValue> = bytes
        .split(|b| *b == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let (mut asked, mut answered) = (HeaderMap::new(), HeaderMap::new());
    for value in values {
        asked.append("cookie", value.clone());
        answered.append("set-cookie", value);
    }
    forward(&mut asked, CookiePolicy::Confine);
    for scheme in [Scheme::Http, Scheme::Https] {
        assert!(!carried(&asked, scheme).any());
    }
    let once = asked.clone();
    forward(&mut asked, CookiePolicy::Confine);
    assert_eq!(asked, once);

    confine(&mut answered, "/m", CookiePolicy::Confine);
    for value in answered.get_all("set-cookie") {
        let mut parts = value.as_bytes().split(|b| *b == b';');
        let pair = parts.next().unwrap_or_default();
        let name = pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
        assert!(!is_ours(name));
        let paths: Vec<&[u8]> = parts
            .filter(|part| {
                let name = part.split(|b| *b == b'=').next().unwrap_or_default();
                name.trim_ascii().eq_ignore_ascii_case(b"path")
            })
            .collect();
        assert_eq!(paths.len(), 1);
        let at = paths[0].iter().position(|b| *b == b'=').unwrap_or_default();
        let path = paths[0][at + 1..].trim_ascii();
        assert!(path == b"/m" || path.starts_with(b"/m/"));
    }
});
