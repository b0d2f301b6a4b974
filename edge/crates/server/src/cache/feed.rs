//! The line to the hub, which tells what has changed in the databases.
//!
//! Place: serving.rs starts `follow` -> [feed] -> changes.rs; section 7 of docs/reference/contracts.md
//! Rule:  one connection; an answer counts only for what was asked before it was sent; whoever waits is told at once
//!        when the line breaks.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

use mergepoint_edge_core::snapshot::Address;
use mergepoint_edge_core::Moment;
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::clock::{moment, seconds};
use crate::edge::Edge;

mod line;
mod session;

/// Requests that wait for the hub at once; more are told that it cannot be asked.
const WAITING_MAX: usize = 4_096;

/// After the line broke.
const PAUSE: Duration = Duration::from_millis(100);

/// Between two attempts at a barrier.
const BARRIER_PAUSE: Duration = Duration::from_millis(20);

/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What the hub is asked for, and who waits for it.
enum Call {
    /// Read now. True: every source was.
    Pull(oneshot::Sender<bool>),
    /// Let every edge read now. True: all have.
    Barrier(oneshot::Sender<bool>),
}

/// The line to the hub.
pub struct Feed {
    calls: mpsc::Sender<Call>,
    receiver: Mutex<Option<mpsc::Receiver<Call>>>,
    connected: AtomicBool,
    used: AtomicU64,
}

impl Default for Feed {
    fn default() -> Self {
        let (calls, receiver) = mpsc::channel(WAITING_MAX);
        Feed {
            calls,
            receiver: Mutex::new(Some(receiver)),
            connected: AtomicBool::new(false),
            used: AtomicU64::new(0),
        }
    }
}

impl Feed {
    /// Something that was made from a database was asked for.
    pub fn is_used(&self, now: Moment) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.used.store(now.max(1), Relaxed);
    }

    /// Such a thing was asked for within `span`.
    fn was_used(&self, now: Moment, span: Duration) -> bool {
        let used = self.used.load(Relaxed);
        used > 0 && now.saturating_sub(Duration::from_millis(used)) <= span
    }

    /// Have the sources read now; true when all were, false when that takes longer than `call` or cannot be had.
    pub async fn pull(&self, call: Duration) -> bool {
        let (done, told) = oneshot::channel();
        if !self.connected.load(Relaxed) || self.calls.try_send(Call::Pull(done)).is_err() {
            return false;
        }
        matches!(tokio::time::timeout(call, told).await, Ok(Ok(true)))
    }

    /// Wait until every edge has read what was committed before now, or until nothing that was read before now counts
    /// any longer (I3).
    pub async fn barrier(&self, lease: Duration) {
        let end = tokio::time::Instant::now() + lease;
        while tokio::time::Instant::now() < end {
            let (done, told) = oneshot::channel();
            if self.connected.load(Relaxed) && self.calls.try_send(Call::Barrier(done)).is_ok() {
                if let Ok(Ok(true)) = tokio::time::timeout_at(end, told).await {
                    return;
                }
            }
            // Asked again: what was lost or dropped may be had the next time.
            let again = tokio::time::Instant::now() + BARRIER_PAUSE;
            tokio::time::sleep_until(again.min(end)).await;
        }
    }
}

/// Follow the hub for ever, in whatever snapshot is in force.
pub async fn follow(edge: Arc<Edge>) {
    let mut pause = PAUSE;
    loop {
        let Some((kept, path)) = wanted(&edge) else {
            tokio::select! {
                () = edge.cache_changed.notified() => {}
                () = tokio::time::sleep(PAUSE_MAX) => {}
            }
            continue;
        };
        let Some(mut calls) = kept.feed.receiver.lock().take() else {
            return;
        };
        match UnixStream::connect(&path).await {
            Ok(stream) => {
                let wants = || wanted(&edge).is_some_and(|(_, now)| *now == *path);
                let began = moment();
                let ended = session::run(&kept, stream, &mut calls, wants).await;
                kept.feed.connected.store(false, Relaxed);
                if let Err(why) = ended {
                    eprintln!("mergepoint-edge: cache: {why}");
                }
                if moment().saturating_sub(began) > PAUSE_MAX {
                    pause = PAUSE;
                }
            }
            Err(error) => told_once(&path, &error, pause == PAUSE),
        }
        // Nobody is kept waiting for a line that is not there.
        while calls.try_recv().is_ok() {}
        *kept.feed.receiver.lock() = Some(calls);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn told_once(path: &Path, error: &std::io::Error, first: bool) {
    if first {
        let path = path.display();
        eprintln!("mergepoint-edge: cache: the hub cannot be asked at {path}: {error}");
    }
}

/// Where the hub listens, as the snapshot in force says.
fn wanted(edge: &Edge) -> Option<(Arc<super::Kept>, std::path::PathBuf)> {
    let loaded = edge.loaded();
    let settings = loaded.snapshot.cache.as_ref()?;
    let kept = loaded.cache.as_ref()?;
    match &settings.feed {
        Some(Address::Unix(path)) => Some((Arc::clone(kept), path.clone())),
        _ => None,
    }
}

/// A length of time the hub named, within reason.
fn told_s(value: f64, or: f64) -> Duration {
    seconds(if value > 0.0 && value < 3600.0 {
        value
    } else {
        or
    })
}
