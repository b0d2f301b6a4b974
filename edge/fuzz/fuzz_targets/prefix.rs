//! An answer is repaired once, and a repaired reference begins and ends as it was.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::forwarded::Scheme;
use mergepoint_edge_core::host::Host;
use mergepoint_edge_core::prefix::{reference, repair, Mount, Site};

fuzz_target!(|bytes: &[u8]| {
    let Ok(host) = Host::parse("a.b") else { return };
    let Some(mount) = Mount::new("/m") else { return };
    let site = Site { scheme: Scheme::Http, host: &host };
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(new) = reference(text, mount, site) {
            let at = new.find("/m").unwrap_or_default();
            assert!(text.starts_with(&new[..at]) && new.ends_with(&text[at..]));
        }
    }
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    for name in ["location", "content-location", "refresh", "set-cookie"] {
        headers.insert(name, value.clone());
    }
    repair(&mut headers, mount, site);
    let once = headers.clone();
    repair(&mut headers, mount, site);
    assert_eq!(once, headers);
});
