//! When a request may be tried again, and how often in all.
//!
//! Place: asked after a failed attempt; one budget per app.
//! Rule: a worker never sees a request twice that could have had an effect the first time, and retries never turn a
//! failing app into a flood.

use http::Method;

use crate::snapshot::Retry;
use crate::Moment;

/// Tokens are kept for this long; older unused ones are lost.
pub const BUDGET_WINDOW_S: f64 = 10.0;

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No connection to the worker.
    ConnectFailed,
    /// The connection died before a byte of the request was written.
    NotSent,
    /// Some of the request was sent, nothing of the answer came.
    NoAnswer,
    /// Some of the answer came, or it went to the client.
    Answering,
}

/// Whether a second attempt is harmless.
///
/// `body_kept`: there is no body, or all of it is in memory still, so that it can be sent again. `attempts` counts those
/// made so far. Ask the budget only after this said yes.
pub fn may_retry(
    rules: &Retry,
    method: &Method,
    progress: Progress,
    body_kept: bool,
    attempts: u32,
) -> bool {
    if attempts >= rules.attempts_max || !body_kept {
        return false;
    }
    match progress {
        Progress::ConnectFailed | Progress::NotSent => true,
        Progress::NoAnswer => method.is_idempotent(),
        Progress::Answering => false,
    }
}

/// Token bucket: every request puts `ratio` in, time puts `min_per_s` in, every retry takes 1 out.
#[derive(Debug, Clone)]
pub struct Budget {
    ratio: f64,
    min_per_s: f64,
    tokens: f64,
    refilled: Moment,
}

impl Budget {
    /// A full bucket.
    pub fn new(rules: &Retry, now: Moment) -> Budget {
        let mut budget = Budget {
            ratio: rules.budget_ratio,
            min_per_s: rules.budget_min_per_s,
            tokens: 0.0,
            refilled: now,
        };
        budget.tokens = budget.capacity();
        budget
    }

    /// Takes over new rules and keeps what is in the bucket.
    pub fn set_rules(&mut self, rules: &Retry) {
        self.ratio = rules.budget_ratio;
        self.min_per_s = rules.budget_min_per_s;
        self.tokens = self.tokens.min(self.capacity());
    }

    /// Counts a first attempt.
    pub fn count_request(&mut self) {
        self.tokens = (self.tokens + self.ratio).min(self.capacity());
    }

    /// Takes a token for a retry; `false` when there is none.
    pub fn try_spend(&mut self, now: Moment) -> bool {
        let elapsed_s = now.saturating_sub(self.refilled).as_secs_f64();
        self.refilled = self.refilled.max(now);
        self.tokens = (self.tokens + elapsed_s * self.min_per_s).min(self.capacity());
        let fits = self.tokens >= 1.0;
        if fits {
            self.tokens -= 1.0;
        }
        fits
    }

    /// A quiet app may keep what time brings in the window, at least one token unless retries are off.
    fn capacity(&self) -> f64 {
        if self.ratio <= 0.0 && self.min_per_s <= 0.0 {
            return 0.0;
        }
        (self.min_per_s * BUDGET_WINDOW_S)
            .max(10.0 * self.ratio)
            .max(1.0)
    }
}
