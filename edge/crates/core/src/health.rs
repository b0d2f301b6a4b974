//! Which slots are fit, judged by requests and probes.
//!
//! Place: one `PoolHealth` per app, keyed by whatever names an endpoint (the server uses the address).
//! Rule: a slot that fails `eject_after` times in a row rests, each time longer. At most half of a pool rests (of one
//! slot, none): when all fail alike the fault lies behind them, and resting them would turn errors into silence.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::snapshot::Health;
use crate::Moment;

/// Longest rest of a slot.
pub const EJECT_S_MAX: f64 = 60.0;
/// Ejections after which the rest grows no more.
const DOUBLINGS_MAX: u32 = 10;
/// A slot that was fit for this many first rests starts from the first rest again.
const FORGIVE_RESTS: u32 = 10;

/// What changed, for the event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The slot takes no requests until this moment at least.
    Ejected {
        /// End of the rest.
        until: Moment,
    },
    /// The slot takes requests again.
    Recovered,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    failures: u32,
    ejections: u32,
    resting_until: Option<Moment>,
    fit_since: Moment,
    probed: Option<Moment>,
}

/// The health of the endpoints of one app.
#[derive(Debug, Clone)]
pub struct PoolHealth<K> {
    rules: Health,
    states: HashMap<K, State>,
}

impl<K: Eq + Hash + Clone> PoolHealth<K> {
    /// Health of an app without endpoints.
    pub fn new(rules: &Health) -> PoolHealth<K> {
        PoolHealth {
            rules: rules.clone(),
            states: HashMap::new(),
        }
    }

    /// Takes over rules and endpoints of a new snapshot; endpoints that stay keep their state.
    pub fn update(&mut self, rules: &Health, endpoints: impl IntoIterator<Item = K>, now: Moment) {
        self.rules = rules.clone();
        let mut old = std::mem::take(&mut self.states);
        for key in endpoints {
            let fresh = State {
                fit_since: now,
                ..State::default()
            };
            let state = old.remove(&key).unwrap_or(fresh);
            self.states.insert(key, state);
        }
        self.release_excess(now);
    }

    /// When fit endpoints left, too many of those that stay may be resting: those whose rest ends first are called back.
    fn release_excess(&mut self, now: Moment) {
        let mut resting: Vec<(Option<Moment>, K)> = self
            .states
            .iter()
            .filter(|(key, _)| self.is_ejected(key, now))
            .map(|(key, state)| (state.resting_until, key.clone()))
            .collect();
        resting.sort_by_key(|(until, _)| *until);
        let excess = resting.len().saturating_sub(self.resting_max());
        for (_, key) in resting.into_iter().take(excess) {
            if let Some(state) = self.states.get_mut(&key) {
                *state = State {
                    failures: 0,
                    resting_until: None,
                    fit_since: now,
                    ..*state
                };
            }
        }
    }

    fn resting_max(&self) -> usize {
        self.states.len() / 2
    }

    /// Whether an endpoint takes no requests now. Unknown ones are fit.
    pub fn is_ejected(&self, key: &K, now: Moment) -> bool {
        let Some(until) = self.states.get(key).and_then(|state| state.resting_until) else {
            return false;
        };
        // With probes, only a good probe ends the rest.
        self.rules.path.is_some() || now < until
    }

    /// A request failed through the worker: no connection, a broken one, a time-out; not a status of the application.
    pub fn failed(&mut self, key: &K, now: Moment) -> Option<Change> {
        let room = self.may_eject_one_more(now);
        let first = Duration::try_from_secs_f64(self.rules.eject_s).unwrap_or_default();
        let after = self.rules.eject_after;
        let ejected = self.is_ejected(key, now);
        let state = self.states.get_mut(key)?;
        state.failures = state.failures.saturating_add(1);
        if after == 0 || state.failures < after || !(room || ejected) {
            return None;
        }
        if state.resting_until.is_some_and(|until| now < until) {
            return None;
        }
        if state.resting_until.is_none()
            && now.saturating_sub(state.fit_since) > first.saturating_mul(FORGIVE_RESTS)
        {
            state.ejections = 0;
        }
        let until = now.saturating_add(rest(first, state.ejections));
        state.ejections = state.ejections.saturating_add(1);
        state.resting_until = Some(until);
        (!ejected).then_some(Change::Ejected { until })
    }

    /// A probe failed. A slot that holds requests may be too busy to answer it, which is no fault: then the requests
    /// themselves judge the slot, by their own limits.
    pub fn probe_failed(&mut self, key: &K, in_flight: u32, now: Moment) -> Option<Change> {
        if in_flight > 0 && !self.is_ejected(key, now) {
            return None;
        }
        self.failed(key, now)
    }

    /// A request or probe went well. During a rest only a probe after its end counts.
    pub fn succeeded(&mut self, key: &K, now: Moment) -> Option<Change> {
        let state = self.states.get_mut(key)?;
        match state.resting_until {
            Some(until) if now < until => None,
            Some(_) => {
                *state = State {
                    failures: 0,
                    resting_until: None,
                    fit_since: now,
                    ..*state
                };
                Some(Change::Recovered)
            }
            None => {
                state.failures = 0;
                None
            }
        }
    }

    /// The endpoints to probe now; each is then due again after `interval_s`. Empty without a path.
    pub fn due_probes(&mut self, now: Moment) -> Vec<K> {
        if self.rules.path.is_none() {
            return Vec::new();
        }
        let interval = Duration::try_from_secs_f64(self.rules.interval_s).unwrap_or(Duration::MAX);
        let mut due = Vec::new();
        for (key, state) in &mut self.states {
            if state
                .probed
                .is_none_or(|at| now.saturating_sub(at) >= interval)
            {
                state.probed = Some(now);
                due.push(key.clone());
            }
        }
        due
    }

    /// Whether a probe's status is good.
    pub fn is_good_status(&self, status: u16) -> bool {
        (self.rules.status_min..=self.rules.status_max).contains(&status)
    }

    fn may_eject_one_more(&self, now: Moment) -> bool {
        let resting = self
            .states
            .keys()
            .filter(|key| self.is_ejected(key, now))
            .count();
        resting < self.resting_max()
    }
}

/// Doubles with every ejection.
fn rest(first: Duration, ejections: u32) -> Duration {
    let longest = Duration::from_secs_f64(EJECT_S_MAX).max(first);
    first
        .saturating_mul(1 << ejections.min(DOUBLINGS_MAX))
        .min(longest)
}
