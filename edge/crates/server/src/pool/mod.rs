//! Places at workers: who gets one, who waits, who is told to come back.
//!
//! Place: exchange.rs -> [pool] -> upstream/endpoint.rs; decisions in `mergepoint-edge-core`
//! Rule:  a place is a value: whoever drops it frees it, and the next in line gets it in the same instant.

pub mod line;
mod order;
pub mod place;
pub mod probe;
