//! What a worker's failures and recoveries change, and who is told.
//!
//! Place: attempt.rs, proxy.rs, reply.rs, pool/probe.rs -> [trouble] -> core's health, the event stream
//! Rule:  every change is an event; the pool is pumped whenever a slot comes back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mergepoint_edge_core::health::Change;
use serde_json::json;

use crate::clock::moment;
use crate::edge::Edge;
use crate::flight::Flight;
use crate::pool::line::Line;
use crate::pool::place::Place;
use crate::pool::probe;
use crate::upstream::endpoint::Endpoint;

/// A request went well.
pub fn succeeded(edge: &Edge, place: &Place) {
    if place.endpoint.is_troubled() {
        recovered(edge, &place.line, place.slot, &place.endpoint);
    }
}

/// A request or probe went well after failures.
pub fn recovered(edge: &Edge, line: &Line, slot: u32, endpoint: &Endpoint) {
    if line.succeeded(endpoint, moment()) == Some(Change::Recovered) {
        tell(edge, "slot_recovered", line, slot, endpoint, None);
    }
}

/// A request failed through the worker.
pub fn failed(edge: &Edge, place: &Place, reason: &str) {
    blame(edge, &place.line, place.slot, &place.endpoint, reason);
}

/// A request or probe failed through the worker.
pub fn blame(edge: &Edge, line: &Line, slot: u32, endpoint: &Endpoint, reason: &str) {
    if let Some(Change::Ejected { .. }) = line.failed(endpoint, moment()) {
        line.metrics.ejections.inc();
        tell(edge, "slot_ejected", line, slot, endpoint, Some(reason));
    }
}

/// Nobody accepts connections at the address: it gets no requests until somebody does.
pub fn unreachable(edge: &Arc<Edge>, place: &Place, error: &io::Error) {
    failed(edge, place, &format!("no connection: {error}"));
    if place.endpoint.set_down(true) {
        probe::revive(edge, &place.line, &place.endpoint);
    }
}

/// A request overran its time: its worker is stuck in part, so others are preferred until it is replaced.
pub fn late(edge: &Edge, place: &Place, flight: &Flight, after: Duration) {
    place.endpoint.suspect();
    place.line.metrics.timeouts.inc();
    edge.announce(&json!({
        "event": "request_timeout",
        "app": &*place.line.app,
        "slot": place.slot,
        "address": place.endpoint.address.to_string(),
        "request_id": flight.request_id,
        "method": flight.method.as_str(),
        "path": flight.path,
        "after_s": after.as_secs_f64(),
    }));
}

fn tell(
    edge: &Edge,
    event: &str,
    line: &Line,
    slot: u32,
    endpoint: &Endpoint,
    reason: Option<&str>,
) {
    let mut told = json!({
        "event": event, "app": &*line.app, "slot": slot, "address": endpoint.address.to_string(),
    });
    if let Some(reason) = reason {
        told["reason"] = reason.into();
    }
    edge.announce(&told);
}
