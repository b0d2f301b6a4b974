//! A target has one spelling or is refused, and no path of a file leaves its root.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::files::relative_path;
use mergepoint_edge_core::target::NormalTarget;
use std::path::Component;

fuzz_target!(|raw: &str| {
    let Ok(target) = NormalTarget::parse(raw) else { return };
    assert!(target.to_string().is_ascii());
    assert_eq!(NormalTarget::parse(&target.to_string()).as_ref(), Ok(&target));
    if let Some(path) = relative_path(target.path.as_str()) {
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
    }
});
