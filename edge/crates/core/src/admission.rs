//! Who waits for a slot, who is next, and who is told to come back.
//!
//! Place: one `Waiting` per app; the server keeps the connection of a ticket, this keeps the order.
//! Rule: calm queues are fair (first come, first served), however busy. A queue whose oldest has waited too long serves
//! the newest first: those who waited longest have mostly gone, and answering them would keep everybody late. Nobody
//! waits longer than its patience.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;

/// A queue whose oldest has waited this long, or a quarter of the patience if that is less, is saturated. A queue that is
/// never empty but moves is not: turned round, it would starve the few who wait for the sake of nobody.
pub const CALM_MAX: Duration = Duration::from_millis(500);
/// When at least this share of the tickets that leave the queue leave it unserved, their wait is the clients' patience;
/// fewer are single people who changed their mind.
const LEAVERS_SHARE_MIN: f64 = 0.25;
/// Weight of the newest ticket to leave the queue in the running share and wait of the leavers.
const LEAVER_WEIGHT: f64 = 0.1;
/// Bounds of Retry-After.
const RETRY_AFTER_S: (u64, u64) = (1, 60);
/// Weight of the newest gap between two admissions in the running mean.
const GAP_WEIGHT: f64 = 0.1;

/// Why a ticket left without a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It waited as long as it may.
    Patience,
    /// A newer request took its place in a full, saturated queue.
    Displaced,
    /// Its client has gone.
    Gone,
}

/// What the server says about a ticket whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It gets the slot.
    Served,
    /// It goes on waiting; the next one is asked.
    Later,
    /// Its client has gone.
    Gone,
}

/// What became of a request that asked for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer<T> {
    /// It waits.
    Queued,
    /// It waits in the place of another, which must be answered with 503.
    Displaced(T),
    /// There is no place; answer 503 with `Waiting::retry_after_s`.
    Refused,
}

#[derive(Debug, Clone, Copy)]
struct Entry<T> {
    ticket: T,
    arrived: Moment,
    expires: Moment,
}

/// The queue of one app.
#[derive(Debug)]
pub struct Waiting<T> {
    entries: VecDeque<Entry<T>>,
    length_max: usize,
    patience: Duration,
    admitted: Option<Moment>,
    gap_s: f64,
    leavers_share: f64,
    leavers_wait_s: f64,
}

impl<T: Copy + PartialEq> Waiting<T> {
    /// An empty queue.
    pub fn new(length_max: usize, patience: Duration) -> Waiting<T> {
        Waiting {
            entries: VecDeque::new(),
            length_max,
            patience,
            admitted: None,
            gap_s: 0.0,
            leavers_share: 0.0,
            leavers_wait_s: 0.0,
        }
    }

    /// Takes over new bounds. Who waits already never gets longer, so that patience ends in the order of arrival.
    pub fn set_bounds(&mut self, length_max: usize, patience: Duration) {
        self.length_max = length_max;
        self.patience = patience;
        for entry in &mut self.entries {
            entry.expires = entry.expires.min(entry.arrived.saturating_add(patience));
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the newest goes first.
    pub fn is_saturated(&self, now: Moment) -> bool {
        self.oldest_wait(now).is_some_and(|wait| wait > self.calm())
    }

    /// How long the oldest may wait before the newest goes first.
    fn calm(&self) -> Duration {
        let calm = CALM_MAX.min(self.patience / 4);
        if self.leavers_share < LEAVERS_SHARE_MIN {
            return calm;
        }
        // Whoever waits longer than half of what the leavers bore may be gone before the answer is there.
        calm.min(Duration::from_secs_f64(self.leavers_wait_s / 2.0))
    }

    /// Asks for a place.
    pub fn offer(&mut self, ticket: T, now: Moment) -> Offer<T> {
        let displaced = if self.entries.len() < self.length_max {
            None
        } else if self.length_max > 0 && self.is_saturated(now) {
            self.entries.pop_front().map(|entry| entry.ticket)
        } else {
            return Offer::Refused;
        };
        self.entries.push_back(Entry {
            ticket,
            arrived: now,
            expires: now.saturating_add(self.patience),
        });
        displaced.map_or(Offer::Queued, Offer::Displaced)
    }

    /// The next to get a slot. Tickets that are expired, or that `is_here` denies, are handed to `dropped` on the way.
    pub fn next(
        &mut self,
        now: Moment,
        mut is_here: impl FnMut(&T) -> bool,
        dropped: impl FnMut(T, Reason),
    ) -> Option<T> {
        let judge = |ticket: &T| {
            if is_here(ticket) {
                Standing::Served
            } else {
                Standing::Gone
            }
        };
        self.next_fitting(now, judge, dropped)
    }

    /// As `next`, but `judge` may also pass a ticket over, which then keeps its place: the slot it is bound to is full.
    /// The cost grows with the number passed over.
    pub fn next_fitting(
        &mut self,
        now: Moment,
        mut judge: impl FnMut(&T) -> Standing,
        mut dropped: impl FnMut(T, Reason),
    ) -> Option<T> {
        self.expire(now, &mut dropped);
        let newest_first = self.is_saturated(now);
        let mut passed_over = 0;
        let mut found = None;
        while passed_over < self.entries.len() && found.is_none() {
            let at = if newest_first {
                self.entries.len() - 1 - passed_over
            } else {
                passed_over
            };
            let Some(ticket) = self.entries.get(at).map(|entry| entry.ticket) else {
                break;
            };
            match judge(&ticket) {
                Standing::Later => passed_over += 1,
                Standing::Served => {
                    self.entries.remove(at);
                    self.measure(now);
                    found = Some(ticket);
                }
                Standing::Gone => {
                    self.entries.remove(at);
                    dropped(ticket, Reason::Gone);
                }
            }
        }
        self.settle();
        found
    }

    /// Hands every ticket whose patience is spent to `dropped`; call at `next_expiry`.
    pub fn expire(&mut self, now: Moment, mut dropped: impl FnMut(T, Reason)) {
        while let Some(entry) = self.entries.front().copied() {
            if now < entry.expires {
                break;
            }
            self.entries.pop_front();
            dropped(entry.ticket, Reason::Patience);
        }
        self.settle();
    }

    /// When the first patience ends.
    pub fn next_expiry(&self) -> Option<Moment> {
        self.entries.front().map(|entry| entry.expires)
    }

    /// How long the oldest has waited.
    pub fn oldest_wait(&self, now: Moment) -> Option<Duration> {
        self.entries
            .front()
            .map(|entry| now.saturating_sub(entry.arrived))
    }

    /// The client of a ticket has gone, which says how patient clients are; `false` if the ticket does not wait.
    pub fn left(&mut self, ticket: &T, now: Moment) -> bool {
        let found = self.entries.iter().find(|entry| entry.ticket == *ticket);
        if let Some(wait) = found.map(|entry| now.saturating_sub(entry.arrived)) {
            let weight = if self.leavers_wait_s > 0.0 {
                LEAVER_WEIGHT
            } else {
                1.0
            };
            self.leavers_share += LEAVER_WEIGHT * (1.0 - self.leavers_share);
            self.leavers_wait_s += weight * (wait.as_secs_f64() - self.leavers_wait_s);
        }
        self.remove(ticket)
    }

    /// Takes a ticket out for another reason; `false` if it does not wait.
    pub fn remove(&mut self, ticket: &T) -> bool {
        let at = self
            .entries
            .iter()
            .position(|entry| entry.ticket == *ticket);
        let found = at.and_then(|at| self.entries.remove(at)).is_some();
        self.settle();
        found
    }

    /// Whole seconds after which a place is likely: the time to serve all who wait, at the pace of late.
    pub fn retry_after_s(&self) -> u64 {
        let estimate = (self.gap_s * (self.entries.len() as f64 + 1.0)).ceil();
        // A float outside the range of u64 becomes its nearest end.
        (estimate as u64).clamp(RETRY_AFTER_S.0, RETRY_AFTER_S.1)
    }

    fn settle(&mut self) {
        if self.entries.is_empty() {
            // The gap to the next rush says nothing about the pace of the slots.
            self.admitted = None;
        }
    }

    fn measure(&mut self, now: Moment) {
        self.leavers_share -= LEAVER_WEIGHT * self.leavers_share;
        if let Some(last) = self.admitted.replace(now) {
            let gap_s = now.saturating_sub(last).as_secs_f64();
            self.gap_s += GAP_WEIGHT * (gap_s - self.gap_s);
        }
    }
}
