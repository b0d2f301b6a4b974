//! All client connections: how many there may be, and which of them have been silent for too long.
//!
//! Place: client/accept.rs enters each -> [registry] -> sweep, drain
//! Rule:  at the bound the connection that was idle longest makes room; one that works is never closed for another.
//!
//! One sweeper looks at every connection a few times per timeout instead of a timer per connection, so a hot
//! connection pays nothing for its timeouts.

use std::sync::Arc;
use std::time::Duration;

use mergepoint_edge_core::snapshot::Limits;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

use super::connection::{Command, Connection};
use crate::clock::{now_ms, seconds};
use crate::drain::Drain;

/// Bounds of the sweeper's period.
const PERIOD_MS: (u64, u64) = (20, 1_000);

/// All open client connections.
#[derive(Debug, Default)]
pub struct Registry {
    open: Mutex<Slab<Arc<Connection>>>,
    left: Notify,
}

/// A connection's place in the registry; dropping it leaves.
pub struct Entered {
    registry: Arc<crate::edge::Edge>,
    key: usize,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let registry = &self.registry.connections;
        registry.open.lock().try_remove(self.key);
        self.registry.metrics.connections_open.dec();
        registry.left.notify_waiters();
    }
}

impl Registry {
    /// Enter a connection.
    pub fn enter(edge: &Arc<crate::edge::Edge>, connection: Arc<Connection>) -> Entered {
        edge.metrics.connections.inc();
        edge.metrics.connections_open.inc();
        let key = edge.connections.open.lock().insert(connection);
        Entered {
            registry: Arc::clone(edge),
            key,
        }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// None is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wait until fewer than `most` are open; the longest idle one is asked to leave.
    pub async fn room(&self, most: usize) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            let oldest = {
                let open = self.open.lock();
                if open.len() < most {
                    return;
                }
                let idle = open
                    .iter()
                    .filter_map(|(_, one)| Some((one.idle_since()?, one)));
                idle.min_by_key(|(since, _)| *since)
                    .map(|(_, one)| Arc::clone(one))
            };
            if let Some(oldest) = oldest {
                oldest.command(Command::Abort);
            }
            left.await;
        }
    }

    /// Wait until none is open; nobody is asked to leave.
    pub async fn all_left(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Tell every connection.
    pub fn command_all(&self, command: Command) {
        self.open
            .lock()
            .iter()
            .for_each(|(_, one)| one.command(command));
    }

    /// Close what has been silent for too long. While the edge drains, HTTP/2 clients are told at once, because its
    /// farewell loses nothing; an idle HTTP/1 connection is closed once the grace of the drain is over.
    pub fn sweep(&self, limits: &Limits, drain: &Drain) {
        let (draining, grace_over) = (drain.is_draining(), drain.is_grace_over());
        let now = now_ms();
        let over = |since: Option<u64>, limit_ms: u64| {
            since.is_some_and(|since| now.saturating_sub(since) > limit_ms)
        };
        let idle_ms = millis(limits.idle_timeout_s);
        let (header_ms, blocked_ms) = (
            millis(limits.header_timeout_s),
            millis(limits.body_idle_timeout_s),
        );
        for (_, one) in self.open.lock().iter() {
            if over(one.head_since(), header_ms) || over(one.blocked_since(), blocked_ms) {
                one.command(Command::Abort);
            } else if over(one.idle_since(), idle_ms)
                || (grace_over && one.idle_since().is_some())
                || (draining && one.is_http2())
            {
                one.command(Command::Finish);
            }
        }
    }

    /// How often to sweep so that no timeout is overrun by more than a quarter.
    pub fn sweep_period(limits: &Limits) -> Duration {
        let shortest = limits
            .header_timeout_s
            .min(limits.idle_timeout_s)
            .min(limits.body_idle_timeout_s);
        Duration::from_millis((millis(shortest) / 4).clamp(PERIOD_MS.0, PERIOD_MS.1))
    }
}

fn millis(limit_s: f64) -> u64 {
    u64::try_from(seconds(limit_s).as_millis()).unwrap_or(u64::MAX)
}
