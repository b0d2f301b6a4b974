//! What has changed, and how far the sources have been read.
//!
//! Place: feed.rs writes -> [changes] <- serve.rs, fetch.rs ask
//! Rule:  one short lock; whoever holds it may take the store's, never the other way round.

use std::collections::BTreeMap;
use std::time::Duration;

use mergepoint_edge_core::cache::coherence::{Log, Source, Token};
use mergepoint_edge_core::Moment;
use parking_lot::{Mutex, MutexGuard};

/// Under the lock.
#[derive(Default)]
pub struct State {
    /// What changed, in order.
    pub log: Log,
    /// The sources that are followed, by name.
    pub sources: BTreeMap<String, Source>,
    /// Which hub counts; changes with its restart.
    pub hub: String,
    /// How long a reading counts.
    pub lease: Duration,
}

/// What has changed.
#[derive(Default)]
pub struct Changes(Mutex<State>);

/// Where a fill began.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    /// In the order of changes.
    pub token: Token,
    /// Every source was leased then (I4).
    pub leased: bool,
}

impl Changes {
    /// Take the lock.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Where a fill that is sent on now begins (I1).
    pub fn begin(&self, now: Moment) -> Began {
        let state = self.lock();
        Began {
            token: state.log.token(),
            leased: state.sources.values().all(|source| source.is_leased(now)),
        }
    }

    /// I4: what was made from these may be used now.
    pub fn is_leased(&self, sources: &[String], now: Moment) -> bool {
        if sources.is_empty() {
            return true;
        }
        let state = self.lock();
        let leased = |name: &String| {
            let source = state.sources.get(name);
            source.is_some_and(|source| source.is_leased(now))
        };
        sources.iter().all(leased)
    }
}
