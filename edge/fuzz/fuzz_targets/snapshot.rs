//! Any bytes are a snapshot or are refused with a reason; what is accepted can be routed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mergepoint_edge_core::router::Router;
use mergepoint_edge_core::snapshot::Snapshot;

fuzz_target!(|bytes: &[u8]| match Snapshot::parse(bytes) {
    Ok(snapshot) => drop(Router::new(&snapshot)),
    Err(error) => assert!(!error.problems.is_empty()),
});
