//! Whatever an answer says, it is kept no longer than it says, and its tags are tags.
#![no_main]

use http::header::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::cache::control::DELTA_S_MAX;
use mergepoint_edge_core::cache::feed::Line;
use mergepoint_edge_core::cache::said::{MadeFrom, Said};
use mergepoint_edge_core::cache::tags::{is_tag, TAGS_MAX};
use mergepoint_edge_core::cache::vary::Chosen;

const NAMES: [&str; 9] = [
    "cache-control",
    "cdn-cache-control",
    "mergepoint-cache-control",
    "x-mergepoint-tags",
    "cache-groups",
    "cache-group-invalidation",
    "surrogate-key",
    "vary",
    "cookie",
];

fuzz_target!(|input: Vec<(u8, &[u8])>| {
    let mut headers = HeaderMap::new();
    for (name, value) in &input {
        let _ = Line::parse(value);
        let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    if let Some(chosen) = Chosen::new(&headers, &headers) {
        assert!(chosen.matches(&headers));
    }
    let said = Said::take(&mut headers, "app", false);
    let times = [said.directives.max_age_s, said.directives.s_maxage_s];
    assert!(times.into_iter().flatten().all(|seconds| seconds <= DELTA_S_MAX));
    if let MadeFrom::Tags(tags) = &said.made_from {
        assert!(tags.len() <= TAGS_MAX && tags.iter().all(|tag| is_tag(tag)));
    }
    assert!(!headers.contains_key("x-mergepoint-tags"));
});
