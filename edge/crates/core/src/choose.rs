//! Which slot gets a request.
//!
//! Place: asked for every attempt; the server passes its live counters.
//! Rule: a slot that is not ready, ejected, tried already or full is never chosen. With a key, a slot that comes or goes
//! moves only its own keys, and no slot holds more than its bound.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::snapshot::{BalanceBy, Group, Pool};

/// One slot as the server sees it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotView {
    /// Stable number.
    pub slot: u32,
    /// Takes new requests: ready, not draining, not ejected, not tried before by this request.
    pub usable: bool,
    /// Stable or canary.
    pub group: Group,
    /// Requests it holds.
    pub in_flight: u32,
}

/// The rules of a pool, in the form the choice needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Most requests at once for one slot.
    pub concurrency: u32,
    /// With a key: a slot may hold this many times the average.
    pub load_factor: f64,
    /// With a key: a slot may always hold this many.
    pub load_floor: u32,
    /// Share of requests for the canary group.
    pub canary_share: f64,
}

impl Rules {
    /// The rules of a pool.
    pub fn of(pool: &Pool) -> Rules {
        Rules {
            concurrency: pool.concurrency.max(1),
            load_factor: pool.balance.load_factor,
            load_floor: pool.balance.load_floor,
            canary_share: pool.canary_share,
        }
    }

    /// Whether a pool hands out sticky cookies.
    pub fn is_sticky(pool: &Pool) -> bool {
        pool.balance.by == BalanceBy::Sticky
    }
}

/// What a request says about its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// The slot of a verified sticky cookie.
    pub sticky: Option<u32>,
    /// The affinity key.
    pub key: Option<u64>,
    /// Random bits for this request: break ties, draw the canary.
    pub random: u64,
}

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Choice {
    /// Index into the slots.
    Chosen(usize),
    /// Usable slots exist, each holds all it may: wait.
    Full,
    /// No slot is usable.
    NoneReady,
}

/// The slot for a request.
pub fn choose(slots: &[SlotView], rules: &Rules, wish: &Wish) -> Choice {
    if let Some(choice) = sticky(slots, rules, wish) {
        return choice;
    }
    if drawn_for_canary(rules, wish) {
        let canary = in_group(slots, rules, wish, Group::Canary);
        if matches!(canary, Choice::Chosen(_)) {
            return canary;
        }
    }
    // A canary without room passes its requests on; the accepted release never overflows into the one on trial.
    match in_group(slots, rules, wish, Group::Stable) {
        Choice::NoneReady => in_group(slots, rules, wish, Group::Canary),
        choice => choice,
    }
}

/// A sticky slot that is usable is waited for, because the session lives in its memory.
fn sticky(slots: &[SlotView], rules: &Rules, wish: &Wish) -> Option<Choice> {
    let slot = wish.sticky?;
    let index = slots
        .iter()
        .position(|view| view.usable && view.slot == slot)?;
    let room = slots.get(index)?.in_flight < rules.concurrency;
    Some(if room {
        Choice::Chosen(index)
    } else {
        Choice::Full
    })
}

/// The same key is always drawn alike, so that a visitor does not change between releases.
fn drawn_for_canary(rules: &Rules, wish: &Wish) -> bool {
    let bits = match wish.key {
        Some(key) => xxh3_64_with_seed(&key.to_le_bytes(), CANARY_SEED),
        None => xxh3_64_with_seed(&wish.random.to_le_bytes(), CANARY_SEED),
    };
    // 53 bits fit a double exactly.
    let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    unit < rules.canary_share
}

const CANARY_SEED: u64 = 0x6d70_6361_6e61_7279;

fn in_group(slots: &[SlotView], rules: &Rules, wish: &Wish, group: Group) -> Choice {
    let usable = |view: &&SlotView| view.usable && view.group == group;
    let count = slots.iter().filter(usable).count();
    if count == 0 {
        return Choice::NoneReady;
    }
    let found = match wish.key {
        Some(key) => {
            let held: u64 = slots
                .iter()
                .filter(usable)
                .map(|view| u64::from(view.in_flight))
                .sum();
            let bound = bound(rules, held, count);
            rendezvous(slots, group, key, bound)
                .or_else(|| rendezvous(slots, group, key, rules.concurrency))
        }
        None => least(slots, rules, group, wish.random),
    };
    found.map_or(Choice::Full, Choice::Chosen)
}

/// Most requests a slot may hold when `held` are spread over `count` slots and one more comes.
pub fn bound(rules: &Rules, held: u64, count: usize) -> u32 {
    let average = (held as f64 + 1.0) / count.max(1) as f64;
    let bound = (average * rules.load_factor.max(1.0)).ceil();
    // A float above the range of u32 becomes its maximum.
    (bound as u32)
        .max(rules.load_floor)
        .max(1)
        .min(rules.concurrency)
}

/// The slot with the highest score for the key among those below `bound`.
fn rendezvous(slots: &[SlotView], group: Group, key: u64, bound: u32) -> Option<usize> {
    slots
        .iter()
        .enumerate()
        .filter(|(_, view)| view.usable && view.group == group && view.in_flight < bound)
        .max_by_key(|(_, view)| (score(key, view.slot), view.slot))
        .map(|(index, _)| index)
}

/// How much a key belongs to a slot.
pub fn score(key: u64, slot: u32) -> u64 {
    xxh3_64_with_seed(&slot.to_le_bytes(), key)
}

fn least(slots: &[SlotView], rules: &Rules, group: Group, random: u64) -> Option<usize> {
    let fits =
        |view: &SlotView| view.usable && view.group == group && view.in_flight < rules.concurrency;
    let fewest = slots
        .iter()
        .filter(|view| fits(view))
        .map(|view| view.in_flight)
        .min()?;
    let ties = || {
        slots
            .iter()
            .enumerate()
            .filter(|(_, view)| fits(view) && view.in_flight == fewest)
    };
    let count = ties().count() as u64;
    let pick = usize::try_from(random % count.max(1)).unwrap_or(0);
    ties().nth(pick).map(|(index, _)| index)
}
