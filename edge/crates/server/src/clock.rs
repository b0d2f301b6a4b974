//! The one clock of the process.
//!
//! Place: everything that decides by time -> [clock]
//! Rule:  monotonic; counted from the first question, which main asks at the start.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mergepoint_edge_core::Moment;

fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// Now, as the decisions of `mergepoint-edge-core` want it.
pub fn moment() -> Moment {
    start().elapsed()
}

/// Now in milliseconds; never 0, so that 0 can mean "not".
pub fn now_ms() -> u64 {
    u64::try_from(start().elapsed().as_millis())
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}

/// A length of time from a setting; what no clock can hold is for ever.
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
}
