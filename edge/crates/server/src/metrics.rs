//! What the edge counts, and the Prometheus text it tells it in.
//!
//! Place:  data path -> [metrics] -> control channel, admin listener
//! Rule:   the hot path only adds to atomics; labels come from the snapshot and from fixed sets.
//!
//! A request takes the `Arc<AppMetrics>` of its app once, with its snapshot, and counts there.
//! An app that leaves the snapshot leaves the exposition; requests that still hold it count on unseen.

mod exposition;
mod histogram;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::RwLock;

pub(crate) use exposition::Text;
pub use histogram::{Histogram, BOUNDS_S};

/// Distinct refusal codes counted apart; any beyond are counted as `other`.
const REFUSAL_CODES_MAX: usize = 64;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Count one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Count `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn dec(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number now; never below zero, even between two threads' updates.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed).max(0)
    }

    /// One more until the returned guard is dropped.
    pub fn hold(self: &Arc<Self>) -> Held {
        self.inc();
        Held(Arc::clone(self))
    }
}

/// One unit of a gauge, given back when dropped.
#[derive(Debug)]
pub struct Held(Arc<Gauge>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Why a queued request was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueDrop {
    /// The queue was full.
    Full,
    /// The request waited longer than its patience.
    Patience,
    /// Its client left.
    ClientGone,
    /// No slot is left to wait for.
    NoSlot,
}

impl QueueDrop {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Full, "full"),
        (Self::Patience, "patience"),
        (Self::ClientGone, "client_gone"),
        (Self::NoSlot, "no_slot"),
    ];
}

/// How a TLS handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// Completed.
    Done,
    /// Refused by either side.
    Failed,
    /// Not completed in time.
    Timeout,
}

impl Handshake {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Timeout, "timeout"),
    ];
}

/// What is counted for one app.
#[derive(Debug, Default)]
pub struct AppMetrics {
    responses: [Counter; 6],
    durations: Histogram,
    queue_drops: [Counter; 4],
    /// Requests being answered.
    pub in_flight: Arc<Gauge>,
    /// Requests that wait for a slot.
    pub queue_length: Arc<Gauge>,
    /// Second attempts.
    pub retries: Counter,
    /// Requests over the request limit.
    pub timeouts: Counter,
    /// Slots taken out of use for their failures.
    pub ejections: Counter,
    /// Bytes of request bodies.
    pub received_bytes: Counter,
    /// Bytes of response bodies.
    pub sent_bytes: Counter,
}

impl AppMetrics {
    /// Count one answered request.
    pub fn answered(&self, status: StatusCode, duration: Duration) {
        let class = usize::from(status.as_u16() / 100);
        self.responses[if class < 6 { class } else { 0 }].inc();
        self.durations.observe(duration);
    }

    /// Count one request dropped from the queue.
    pub fn dropped(&self, why: QueueDrop) {
        self.queue_drops[why as usize].inc();
    }

    /// Requests answered so far.
    pub fn requests(&self) -> u64 {
        self.responses.iter().map(Counter::get).sum()
    }

    /// Requests answered with a 5xx so far.
    pub fn errors(&self) -> u64 {
        self.responses[5].get()
    }

    /// Requests dropped from the queue so far.
    pub fn queue_dropped(&self) -> u64 {
        self.queue_drops.iter().map(Counter::get).sum()
    }
}

/// Everything counted by one edge process.
#[derive(Debug)]
pub struct Metrics {
    started: Instant,
    apps: RwLock<BTreeMap<String, Arc<AppMetrics>>>,
    refusals: RwLock<BTreeMap<&'static str, Counter>>,
    handshakes: [Counter; 3],
    /// Open client connections.
    pub connections_open: Arc<Gauge>,
    /// Client connections accepted.
    pub connections: Counter,
    /// Access log lines that found no room.
    pub access_log_dropped: Arc<Counter>,
    /// The snapshot in force.
    pub generation: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            apps: RwLock::default(),
            refusals: RwLock::default(),
            handshakes: Default::default(),
            connections_open: Arc::default(),
            connections: Counter::default(),
            access_log_dropped: Arc::default(),
            generation: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Take up a snapshot: its generation, and exactly its apps. Counts of apps that stay are kept.
    pub fn follow<'a>(&self, generation: u64, names: impl IntoIterator<Item = &'a str>) {
        let mut apps = self.apps.write();
        let mut old = std::mem::take(&mut *apps);
        *apps = names
            .into_iter()
            .map(|name| (name.to_owned(), old.remove(name).unwrap_or_default()))
            .collect();
        let generation = i64::try_from(generation).unwrap_or(i64::MAX);
        self.generation.0.store(generation, Ordering::Relaxed);
    }

    /// The counters of an app of the snapshot; of none when the name is not in it.
    pub fn app(&self, name: &str) -> Option<Arc<AppMetrics>> {
        self.apps.read().get(name).cloned()
    }

    /// Count a request that was refused before it reached an app, under a stable code.
    pub fn refused(&self, code: &'static str) {
        if let Some(counter) = self.refusals.read().get(code) {
            return counter.inc();
        }
        let mut refusals = self.refusals.write();
        let known = refusals.contains_key(code) || refusals.len() < REFUSAL_CODES_MAX;
        refusals
            .entry(if known { code } else { "other" })
            .or_default()
            .inc();
    }

    /// Count a TLS handshake.
    pub fn handshake(&self, how: Handshake) {
        self.handshakes[how as usize].inc();
    }

    /// Time since the edge started.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The Prometheus text exposition, format 0.0.4.
    pub fn render(&self) -> String {
        exposition::render(self)
    }
}

/// Resident memory of this process; `None` where the kernel does not tell.
pub fn rss_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(resident * u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(test)]
mod tests;
