//! The clocks of the process.
//!
//! Place: everything that decides by time -> [clock]
//! Rule:  monotonic, counted from the first question, which main asks at the start; but for dates of others.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mergepoint_edge_core::Moment;

fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// Now, as the decisions of `mergepoint-edge-core` want it.
pub fn moment() -> Moment {
    start().elapsed()
}

/// A point of time, as the decisions of `mergepoint-edge-core` want it; what was before the first question is 0.
pub fn moment_of(at: Instant) -> Moment {
    at.saturating_duration_since(start())
}

/// Now in milliseconds; never 0, so that 0 can mean "not".
pub fn now_ms() -> u64 {
    u64::try_from(start().elapsed().as_millis())
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}

/// Now in Unix seconds, for what others have dated: tokens and revocations.
pub fn unix_s() -> f64 {
    unix_s_of(SystemTime::now())
}

/// A point of time in Unix seconds; 0 for one before 1970.
pub fn unix_s_of(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// A length of time from a setting; what no clock can hold is for ever.
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
}
