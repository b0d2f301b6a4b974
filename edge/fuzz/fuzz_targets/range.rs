//! No Range field makes the edge send more than the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::range::{parse_text, Ranges, Span, RANGES_MAX};

fuzz_target!(|input: (u64, &str)| {
    let (size, text) = input;
    if let Ranges::Spans(spans) = parse_text(text, size) {
        assert!(!spans.is_empty() && spans.len() <= RANGES_MAX);
        assert!(spans.iter().all(|span| span.first <= span.last && span.last < size));
        assert!(spans.iter().map(Span::length).sum::<u64>() <= size);
    }
});
