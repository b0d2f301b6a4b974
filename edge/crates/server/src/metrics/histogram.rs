//! How long requests took, in fixed buckets.
//!
//! Place:  metrics -> [histogram]
//! Rule:   one addition to one bucket and one to the sum for each observation; no lock.

use std::time::Duration;

use super::Counter;

/// Upper bounds of the buckets, in seconds; the last bucket, without bound, is not listed.
pub const BOUNDS_S: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS_S.len() + 1],
    sum_us: Counter,
}

impl Histogram {
    /// Count one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_S.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].inc();
        self.sum_us
            .add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Observations at or below each bound, then all of them.
    pub fn cumulative(&self) -> [u64; BOUNDS_S.len() + 1] {
        let mut total = 0;
        std::array::from_fn(|at| {
            total += self.buckets[at].get();
            total
        })
    }

    /// Sum of all durations, in seconds.
    pub fn sum_s(&self) -> f64 {
        // Precise to 53 bits: 285 years of microseconds.
        #[allow(clippy::cast_precision_loss)]
        let micros = self.sum_us.get() as f64;
        micros / 1e6
    }
}
