//! The way out: stop accepting, finish, leave.
//!
//! Place: signals.rs and the control channel start it -> [drain] -> accept loops, requests, main
//! Rule:  it goes one way only: serving, draining, stopped.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock::now_ms;

/// Silence that a kept-alive client is granted from the begin of a drain on: whoever still uses a connection sends its
/// next request within it and learns from the answer to go elsewhere. Closing at once would race with that request.
const IDLE_GRACE: Duration = Duration::from_secs(5);

/// How far the way out has been walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Requests are taken.
    Serving,
    /// Only what was begun is finished.
    Draining,
    /// End now.
    Stopped,
}

/// The stage of this process.
#[derive(Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
    draining: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    /// When silent connections are closed, in milliseconds of the process clock.
    grace_ends_ms: AtomicU64,
}

impl Default for Drain {
    fn default() -> Self {
        let stage = watch::channel(Stage::Serving).0;
        Drain {
            stage,
            draining: AtomicBool::new(false),
            deadline: Mutex::new(None),
            grace_ends_ms: AtomicU64::new(u64::MAX),
        }
    }
}

impl Drain {
    /// Begin to drain; an earlier deadline stays in force.
    pub fn begin(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut kept = self.deadline.lock();
        *kept = Some(kept.map_or(deadline, |earlier| earlier.min(deadline)));
        // Half of a short limit, so that silent connections are closed in order before the rest is cut off.
        let grace = u64::try_from(IDLE_GRACE.min(limit / 2).as_millis()).unwrap_or(u64::MAX);
        self.grace_ends_ms
            .fetch_min(now_ms().saturating_add(grace), Relaxed);
        self.draining.store(true, Relaxed);
        self.stage.send_if_modified(|stage| {
            let news = *stage < Stage::Draining;
            *stage = (*stage).max(Stage::Draining);
            news
        });
    }

    /// End now.
    pub fn stop(&self) {
        self.draining.store(true, Relaxed);
        self.stage.send_replace(Stage::Stopped);
    }

    /// No new connections, no keep-alive.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Silent connections have had their time to speak.
    pub fn is_grace_over(&self) -> bool {
        now_ms() >= self.grace_ends_ms.load(Relaxed)
    }

    /// When what is left is cut off; none while serving.
    pub fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock()
    }

    /// Wait for a stage or a later one.
    pub async fn reached(&self, wanted: Stage) {
        let mut stage = self.stage.subscribe();
        // The sender lives as long as `self`, so this ends only with the stage.
        let _ = stage.wait_for(|stage| *stage >= wanted).await;
    }
}
