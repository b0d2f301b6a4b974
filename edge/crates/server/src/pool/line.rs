//! One app's line: its slots as they are now, and the requests that wait for one.
//!
//! Place: state.rs keeps one per app over all snapshots -> [line] -> core's admission, choose, health, retry
//! Rule:  every decision is taken under one short lock; nothing waits or does I/O inside it.

use std::sync::Arc;

use mergepoint_edge_core::admission::Offer;
use mergepoint_edge_core::choose::{Rules, Wish};
use mergepoint_edge_core::health::Change;
use mergepoint_edge_core::snapshot::{Address, Group, Pool, SlotState};
use mergepoint_edge_core::Moment;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::order::{patience, State, Waiter};
use crate::metrics::{AppMetrics, QueueDrop};
use crate::upstream::endpoint::Endpoint;

/// One slot of the snapshot in force, joined to its address.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Stable number.
    pub slot: u32,
    /// Takes new requests.
    pub ready: bool,
    /// Stable or canary.
    pub group: Group,
    /// Where it listens.
    pub endpoint: Arc<Endpoint>,
}

impl Slot {
    /// The release it runs, as the contract names it.
    pub fn group_name(&self) -> &'static str {
        match self.group {
            Group::Stable => "stable",
            Group::Canary => "canary",
        }
    }
}

/// What a line hands to who waited.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The slot.
    pub slot: u32,
    /// Its address; its load already counts this request.
    pub endpoint: Arc<Endpoint>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The queue is full, or the wait was too long.
    Busy,
    /// There is no slot, and the snapshot says why.
    Failed,
}

/// What happened on the attempt to enter.
pub enum Entry {
    /// A place at once.
    Granted(Grant),
    /// A ticket, and where the grant will arrive.
    Waits(u64, oneshot::Receiver<Result<Grant, Denied>>),
    /// No place and no room to wait.
    Denied(Denied),
}

/// The line of one app.
pub struct Line {
    /// Name of the app.
    pub app: Arc<str>,
    /// What happened so far.
    pub metrics: Arc<AppMetrics>,
    state: Mutex<State>,
}

impl Line {
    /// A line without slots.
    pub fn new(app: &str, pool: &Pool, metrics: Arc<AppMetrics>, now: Moment) -> Line {
        let state = State::new(pool, now);
        Line {
            app: app.into(),
            metrics,
            state: Mutex::new(state),
        }
    }

    /// Take over the slots and rules of a new snapshot; who waits is served if that made room.
    pub fn update(
        &self,
        pool: &Pool,
        endpoint: impl Fn(&Address) -> Option<Arc<Endpoint>>,
        now: Moment,
    ) {
        let joined = |slot: &mergepoint_edge_core::snapshot::Slot| {
            let (ready, group) = (slot.state == SlotState::Ready, slot.group);
            endpoint(&slot.address).map(|endpoint| Slot {
                slot: slot.slot,
                ready,
                group,
                endpoint,
            })
        };
        let slots: Vec<Slot> = pool.slots.iter().filter_map(joined).collect();
        let mut state = self.state.lock();
        state.rules = Rules::of(pool);
        state.failed = slots.is_empty() && pool.failure.is_some();
        state
            .waiting
            .set_bounds(pool.queue.length_max, patience(pool));
        state
            .health
            .update(&pool.health, slots.iter().map(|slot| slot.endpoint.id), now);
        state.budget.set_rules(&pool.retry);
        state.slots = slots;
        if state.failed {
            state.deny_all();
        }
        state.pump(now);
    }

    /// Ask for a place at a slot that is not among `tried`.
    pub fn enter(&self, wish: Wish, tried: &[u64], now: Moment) -> Entry {
        let mut state = self.state.lock();
        if let Some(grant) = state.place(&wish, tried, now) {
            return Entry::Granted(grant);
        }
        if state.failed {
            return Entry::Denied(Denied::Failed);
        }
        state.tickets += 1;
        let ticket = state.tickets;
        match state.waiting.offer(ticket, now) {
            Offer::Refused => {
                self.metrics.dropped(QueueDrop::Full);
                return Entry::Denied(Denied::Busy);
            }
            Offer::Displaced(older) => {
                state.deny(older, Denied::Busy);
            }
            Offer::Queued => {}
        }
        let (grant, granted) = oneshot::channel();
        state.waiters.insert(
            ticket,
            Waiter {
                wish,
                tried: tried.to_vec(),
                grant,
            },
        );
        Entry::Waits(ticket, granted)
    }

    /// A ticket is no longer wanted: its client has gone.
    pub fn leave(&self, ticket: u64, now: Moment) {
        let mut state = self.state.lock();
        state.waiters.remove(&ticket);
        state.waiting.left(&ticket, now);
    }

    /// A place became free, or time has passed: serve who waits.
    pub fn pump(&self, now: Moment) {
        self.state.lock().pump(now);
    }

    /// Free a place and hand it on.
    pub fn vacate(&self, endpoint: &Endpoint, now: Moment) {
        endpoint.vacate();
        let mut state = self.state.lock();
        if !state.waiters.is_empty() {
            state.pump(now);
        }
    }

    /// A request or probe failed through the worker.
    pub fn failed(&self, endpoint: &Endpoint, now: Moment) -> Option<Change> {
        endpoint.count_failure();
        self.state.lock().health.failed(&endpoint.id, now)
    }

    /// A request or probe went well.
    pub fn succeeded(&self, endpoint: &Endpoint, now: Moment) -> Option<Change> {
        let mut state = self.state.lock();
        let change = state.health.succeeded(&endpoint.id, now);
        if !state.health.is_ejected(&endpoint.id, now) {
            endpoint.is_well();
        }
        if change.is_some() {
            state.pump(now);
        }
        change
    }

    /// More than half of all places are free, so that one may be given to a slow client.
    pub fn is_calm(&self) -> bool {
        let state = self.state.lock();
        let ready = state.slots.iter().filter(|slot| slot.ready);
        let (places, held) = ready.fold((0u64, 0u64), |(places, held), slot| {
            (
                places + u64::from(state.rules.concurrency),
                held + u64::from(slot.endpoint.in_flight()),
            )
        });
        held * 2 < places
    }

    /// Counts a first attempt for the retry budget.
    pub fn count_request(&self) {
        self.state.lock().budget.count_request();
    }

    /// A token for a second attempt.
    pub fn may_spend_retry(&self, now: Moment) -> bool {
        self.state.lock().budget.try_spend(now)
    }

    /// Slots that are due for a probe. One whose places are all taken is judged by its requests instead: the probe
    /// would only wait behind them.
    pub fn due_probes(&self, now: Moment) -> Vec<(u32, Arc<Endpoint>)> {
        let mut state = self.state.lock();
        let due = state.health.due_probes(now);
        let found = state
            .slots
            .iter()
            .filter(|slot| due.contains(&slot.endpoint.id))
            .filter(|slot| slot.endpoint.in_flight() < state.rules.concurrency);
        found
            .map(|slot| (slot.slot, Arc::clone(&slot.endpoint)))
            .collect()
    }

    /// Whether a status is a good answer to a probe.
    pub fn is_good_status(&self, status: u16) -> bool {
        self.state.lock().health.is_good_status(status)
    }

    /// Seconds after which a place is likely.
    pub fn retry_after_s(&self) -> u64 {
        self.state.lock().waiting.retry_after_s()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// The slots, and whether each is ejected.
    pub fn slots(&self, now: Moment) -> Vec<(Slot, bool)> {
        let state = self.state.lock();
        let ejected = |slot: &Slot| state.health.is_ejected(&slot.endpoint.id, now);
        state
            .slots
            .iter()
            .map(|slot| (slot.clone(), ejected(slot)))
            .collect()
    }

    /// A slot other than the one at `endpoint` takes requests and is above suspicion.
    pub fn has_sound_slot_beside(&self, endpoint: u64, now: Moment) -> bool {
        let state = self.state.lock();
        state.slots.iter().any(|slot| {
            slot.ready
                && slot.endpoint.id != endpoint
                && !slot.endpoint.is_down()
                && !slot.endpoint.is_suspect()
                && !state.health.is_ejected(&slot.endpoint.id, now)
        })
    }

    /// At least one slot takes requests.
    pub fn has_ready_slot(&self) -> bool {
        self.state
            .lock()
            .slots
            .iter()
            .any(|slot| slot.ready && !slot.endpoint.is_down())
    }
}
