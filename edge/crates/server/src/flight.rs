//! Requests under way: what the `inflight` verb shows and what a drain waits for.
//!
//! Place: exchange.rs enters each request -> [flight] -> steering.rs, drain.rs
//! Rule:  one short lock per request in and out; a flight leaves when it is dropped.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;

use http::Method;
use parking_lot::Mutex;
use serde_json::{json, Value};
use slab::Slab;
use tokio::sync::Notify;

/// Most requests listed by the `inflight` verb.
const LISTED_MAX: usize = 1_000;

/// Longest path kept for the list.
const PATH_BYTES_MAX: usize = 1024;

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Being checked and routed.
    Routing,
    /// In line for a slot.
    Queued,
    /// Sent to a worker.
    Waiting,
    /// The answer goes to the client.
    Answering,
    /// A tunnel.
    Tunnel,
}

const PHASES: [&str; 5] = ["routing", "queued", "waiting", "answering", "tunnel"];

/// What is known of a request under way.
#[derive(Debug)]
pub struct Flight {
    /// `X-Request-Id`.
    pub request_id: String,
    /// The app it was routed to.
    pub app: Arc<str>,
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: String,
    started: Instant,
    phase: AtomicU8,
    /// Slot plus one; 0 for none.
    slot: std::sync::atomic::AtomicU32,
}

impl Flight {
    /// A request that begins now.
    pub fn new(request_id: &str, app: Arc<str>, method: &Method, path: &str) -> Flight {
        let path = path.get(..PATH_BYTES_MAX).unwrap_or(path).to_owned();
        Flight {
            request_id: request_id.to_owned(),
            app,
            method: method.clone(),
            path,
            started: Instant::now(),
            phase: AtomicU8::new(Phase::Routing as u8),
            slot: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// Where it is now.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// The slot that has it.
    pub fn at_slot(&self, slot: u32) {
        self.slot.store(slot.saturating_add(1), Relaxed);
    }

    /// The slot that had it last.
    pub fn slot(&self) -> Option<u32> {
        self.slot.load(Relaxed).checked_sub(1)
    }

    fn describe(&self) -> Value {
        json!({
            "request_id": self.request_id,
            "app": &*self.app,
            "slot": self.slot(),
            "method": self.method.as_str(),
            "path": self.path,
            "age_s": self.started.elapsed().as_secs_f64(),
            "phase": PHASES.get(usize::from(self.phase.load(Relaxed))),
        })
    }
}

/// All requests under way.
#[derive(Debug, Default)]
pub struct Flights {
    flying: Mutex<Slab<Arc<Flight>>>,
    landed: Notify,
}

impl Flights {
    /// Enter a request; it leaves with `leave`.
    pub fn enter(&self, flight: Arc<Flight>) -> usize {
        self.flying.lock().insert(flight)
    }

    /// A request has ended.
    pub fn leave(&self, key: usize) {
        let mut flying = self.flying.lock();
        flying.try_remove(key);
        if flying.is_empty() {
            self.landed.notify_waiters();
        }
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.flying.lock().len()
    }

    /// Nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wait until nothing is under way.
    pub async fn all_landed(&self) {
        loop {
            let landed = self.landed.notified();
            tokio::pin!(landed);
            landed.as_mut().enable();
            if self.is_empty() {
                return;
            }
            landed.await;
        }
    }

    /// The list of the `inflight` verb, oldest first.
    pub fn list(&self) -> Value {
        let mut all: Vec<Arc<Flight>> = self
            .flying
            .lock()
            .iter()
            .map(|(_, flight)| Arc::clone(flight))
            .collect();
        all.sort_by_key(|flight| flight.started);
        all.iter()
            .take(LISTED_MAX)
            .map(|flight| flight.describe())
            .collect()
    }
}
