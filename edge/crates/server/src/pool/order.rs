//! The order of one app's line: who gets which slot, under the line's lock.
//!
//! Place: line.rs -> [order] -> core's choose and admission
//! Rule:  no lock of its own, no I/O; a grant that nobody takes gives its place back at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mergepoint_edge_core::admission::{Reason, Waiting};
use mergepoint_edge_core::choose::{choose, Choice, Rules, SlotView, Wish};
use mergepoint_edge_core::health::PoolHealth;
use mergepoint_edge_core::retry::Budget;
use mergepoint_edge_core::snapshot::Pool;
use mergepoint_edge_core::Moment;
use tokio::sync::oneshot;

use super::line::{Denied, Grant, Slot};

/// One request in line.
pub(super) struct Waiter {
    pub(super) wish: Wish,
    pub(super) tried: Vec<u64>,
    pub(super) grant: oneshot::Sender<Result<Grant, Denied>>,
}

/// Everything under the lock of a line.
pub(super) struct State {
    pub(super) rules: Rules,
    pub(super) slots: Vec<Slot>,
    pub(super) failed: bool,
    pub(super) waiting: Waiting<u64>,
    pub(super) waiters: HashMap<u64, Waiter>,
    pub(super) tickets: u64,
    pub(super) views: Vec<SlotView>,
    pub(super) health: PoolHealth<u64>,
    pub(super) budget: Budget,
}

/// How long a request may wait.
pub(super) fn patience(pool: &Pool) -> Duration {
    Duration::try_from_secs_f64(pool.queue.wait_s).unwrap_or(Duration::MAX)
}

impl State {
    /// No slots and nobody in line.
    pub(super) fn new(pool: &Pool, now: Moment) -> State {
        State {
            rules: Rules::of(pool),
            slots: Vec::new(),
            failed: false,
            waiting: Waiting::new(pool.queue.length_max, patience(pool)),
            waiters: HashMap::new(),
            tickets: 0,
            views: Vec::new(),
            health: PoolHealth::new(&pool.health),
            budget: Budget::new(&pool.retry, now),
        }
    }

    /// A place now, first at slots above suspicion.
    pub(super) fn place(&mut self, wish: &Wish, tried: &[u64], now: Moment) -> Option<Grant> {
        let suspects = self.slots.iter().any(|slot| slot.endpoint.is_suspect());
        let others_left = self
            .slots
            .iter()
            .any(|slot| slot.ready && !tried.contains(&slot.endpoint.id));
        // A second attempt goes elsewhere, unless there is no elsewhere.
        let tried = if others_left { tried } else { &[] };
        let found = self.place_among(wish, tried, now, !suspects);
        if found.is_none() && suspects {
            return self.place_among(wish, tried, now, true);
        }
        found
    }

    fn place_among(
        &mut self,
        wish: &Wish,
        tried: &[u64],
        now: Moment,
        suspects: bool,
    ) -> Option<Grant> {
        let (slots, health) = (&self.slots, &self.health);
        self.views.clear();
        self.views.extend(slots.iter().map(|slot| SlotView {
            slot: slot.slot,
            usable: slot.ready
                && !slot.endpoint.is_down()
                && (suspects || !slot.endpoint.is_suspect())
                && !tried.contains(&slot.endpoint.id)
                && !health.is_ejected(&slot.endpoint.id, now),
            group: slot.group,
            in_flight: slot.endpoint.in_flight(),
        }));
        let Choice::Chosen(index) = choose(&self.views, &self.rules, wish) else {
            return None;
        };
        let slot = slots.get(index)?;
        slot.endpoint.occupy();
        Some(Grant {
            slot: slot.slot,
            endpoint: Arc::clone(&slot.endpoint),
        })
    }

    /// Some slot could take one more request.
    fn has_room(&self, now: Moment) -> bool {
        self.slots.iter().any(|slot| {
            slot.ready
                && !slot.endpoint.is_down()
                && slot.endpoint.in_flight() < self.rules.concurrency
                && !self.health.is_ejected(&slot.endpoint.id, now)
        })
    }

    /// Serve who waits until nobody can be served.
    pub(super) fn pump(&mut self, now: Moment) {
        let mut aside = Vec::new();
        let mut late = Vec::new();
        // Without room nobody is taken out of the line, so that its order stays.
        while self.has_room(now) {
            let Some(ticket) =
                self.waiting
                    .next(now, |_| true, |late_one, _: Reason| late.push(late_one))
            else {
                break;
            };
            let Some(waiter) = self.waiters.get(&ticket) else {
                continue;
            };
            let (wish, tried) = (waiter.wish, waiter.tried.clone());
            match self.place(&wish, &tried, now) {
                Some(grant) => self.grant(ticket, grant),
                // Bound to a slot that is full: others behind it may still be served.
                None => aside.push(ticket),
            }
        }
        for ticket in aside.into_iter().rev() {
            // There was room for it a moment ago.
            let _ = self.waiting.offer(ticket, now);
        }
        for ticket in late {
            self.deny(ticket, Denied::Busy);
        }
    }

    fn grant(&mut self, ticket: u64, grant: Grant) {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return;
        };
        if let Err(Ok(unwanted)) = waiter.grant.send(Ok(grant)) {
            unwanted.endpoint.vacate();
        }
    }

    pub(super) fn deny(&mut self, ticket: u64, why: Denied) {
        if let Some(waiter) = self.waiters.remove(&ticket) {
            // Who left already needs no answer.
            let _ = waiter.grant.send(Err(why));
        }
    }

    pub(super) fn deny_all(&mut self) {
        let tickets: Vec<u64> = self.waiters.keys().copied().collect();
        for ticket in tickets {
            self.waiting.remove(&ticket);
            self.deny(ticket, Denied::Failed);
        }
    }
}
