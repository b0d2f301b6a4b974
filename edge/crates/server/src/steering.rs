//! What the control channel can see and do.
//!
//! Place: control.rs -> [steering] -> edge.rs
//! Rule:  a snapshot is checked before anything of it takes effect; numbers are read, never reset.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use mergepoint_edge_core::snapshot::{Address, Snapshot};
use parking_lot::Mutex;
use serde_json::{json, Map, Value};
use tokio::sync::broadcast;

use crate::cache::Kept;
use crate::clock::moment;
use crate::control::{ControlError, ControlTarget, Purge};
use crate::edge::{Edge, Kind};
use crate::metrics::{rss_bytes, AppMetrics};
use crate::pool::line::{Line, Slot};

/// The control channel's view of the edge.
pub struct Steering {
    edge: Arc<Edge>,
    listeners: Mutex<Vec<(String, OwnedFd)>>,
}

impl Steering {
    /// A view of `edge` that can hand out duplicates of `listeners`.
    pub fn new(edge: Arc<Edge>, listeners: Vec<(String, OwnedFd)>) -> Steering {
        Steering {
            edge,
            listeners: Mutex::new(listeners),
        }
    }

    fn kept(&self) -> Result<Arc<Kept>, ControlError> {
        let none = || {
            ControlError::new(
                "edge.cache_off",
                "this site has no cache: see [cache] of the manifest",
            )
        };
        self.edge.loaded().cache.clone().ok_or_else(none)
    }

    /// Keep no listener open any longer.
    pub fn close_listeners(&self) {
        self.listeners.lock().clear();
    }
}

impl ControlTarget for Steering {
    fn apply(&self, snapshot: Bytes) -> BoxFuture<'_, Result<u64, ControlError>> {
        async move {
            let invalid = |message: String| ControlError::new("edge.snapshot_invalid", message);
            // A large snapshot takes milliseconds to parse: requests go on meanwhile where there is another thread.
            let parsed = tokio::task::spawn_blocking(move || Snapshot::parse(&snapshot)).await;
            let snapshot = parsed
                .map_err(|error| invalid(error.to_string()))?
                .map_err(|error| invalid(error.to_string()))?;
            self.edge
                .apply(snapshot)
                .map_err(|error| ControlError::new(error.code(), error.to_string()))
        }
        .boxed()
    }

    fn await_drained<'a>(&'a self, address: &'a str, timeout: Duration) -> BoxFuture<'a, usize> {
        async move {
            let endpoint = address
                .parse::<Address>()
                .ok()
                .and_then(|address| self.edge.endpoint(&address));
            match endpoint {
                Some(endpoint) => endpoint.drained(timeout).await,
                // Unknown addresses hold nothing.
                None => 0,
            }
        }
        .boxed()
    }

    fn stats(&self) -> Value {
        let loaded = self.edge.loaded();
        let mut apps = Map::new();
        for (name, member) in &loaded.apps {
            let metrics = &member.metrics;
            let stats = match &member.kind {
                Kind::Pool(pool) => app_stats(metrics, Some(&pool.line)),
                Kind::Static(_) | Kind::Redirect(_) => app_stats(metrics, None),
            };
            apps.insert(name.clone(), stats);
        }
        json!({
            "generation": loaded.snapshot.generation,
            "uptime_s": self.edge.metrics.uptime().as_secs_f64(),
            "connections": self.edge.connections.len(),
            "rss_bytes": rss_bytes().unwrap_or(0),
            "apps": apps,
            "identity": self.edge.identity_numbers().map(|numbers| numbers.json()),
        })
    }

    fn inflight(&self) -> Value {
        self.edge.flights.list()
    }

    fn metrics(&self) -> String {
        self.edge.exposition()
    }

    fn drain(&self, timeout: Duration) {
        self.edge.drain.begin(timeout);
    }

    fn listeners(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let listeners = self.listeners.lock();
        listeners
            .iter()
            .map(|(name, descriptor)| Ok((name.clone(), descriptor.try_clone()?)))
            .collect()
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<str>> {
        self.edge.events.subscribe()
    }

    fn cache_stats(&self) -> Result<Value, ControlError> {
        Ok(self.kept()?.stats())
    }

    fn cache_why(&self, url: &str) -> Result<Value, ControlError> {
        Ok(self.kept()?.why(url))
    }

    fn cache_purge(&self, purge: &Purge) -> Result<usize, ControlError> {
        Ok(self.kept()?.purge(purge))
    }

    fn ping(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "generation": self.edge.loaded().snapshot.generation,
        })
    }
}

fn app_stats(metrics: &AppMetrics, line: Option<&Arc<Line>>) -> Value {
    let mut slots = Map::new();
    for (slot, ejected) in line.map(|line| line.slots(moment())).unwrap_or_default() {
        slots.insert(slot.slot.to_string(), slot_stats(&slot, ejected));
    }
    json!({
        "requests": metrics.requests(),
        "errors": metrics.errors(),
        "queue": line.map_or(0, |line| line.waiting()),
        "queue_dropped": metrics.queue_dropped(),
        "timeouts": metrics.timeouts.get(),
        "in_flight": metrics.in_flight.get(),
        "retries": metrics.retries.get(),
        "slots": slots,
    })
}

fn slot_stats(slot: &Slot, ejected: bool) -> Value {
    let endpoint = &slot.endpoint;
    json!({
        "address": endpoint.address.to_string(),
        "group": slot.group_name(),
        "state": if slot.ready { "ready" } else { "draining" },
        "in_flight": endpoint.held(),
        "requests": endpoint.requests(),
        "failures": endpoint.failures(),
        "errors": endpoint.errors(),
        "ejected": ejected || endpoint.is_down(),
        "latency_ms_ewma": endpoint.latency_ms(),
    })
}
