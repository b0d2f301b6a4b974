//! What the edge knows of people, over all snapshots.
//!
//! Place: edge.rs owns one -> [gate] <- feed.rs, prove.rs, refresh.rs, check.rs
//! Rule:  short locks, no I/O; a snapshot may change the bounds of what is remembered, never what was revoked.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use mergepoint_edge_core::identity::feed::Feed as Told;
use mergepoint_edge_core::identity::known_credentials::{CredentialHash, HASH_KEY_BYTES};
use mergepoint_edge_core::identity::refused_tokens::{RefusedTokens, REFUSED_MAX};
use mergepoint_edge_core::identity::revocations::Applied;
use mergepoint_edge_core::identity::token::{Expected, SESSION_TYPE};
use mergepoint_edge_core::identity::{
    Claims, Keys, KnownCredentials, Revocations, Sessions, TokenError,
};
use mergepoint_edge_core::snapshot::Identity;
use mergepoint_edge_core::Moment;
use parking_lot::{Mutex, RwLock};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;

use super::call::CALLS_MAX;
use super::check::Outcome;
use super::feed::Feed;
use super::live::Live;
use super::numbers::{Counts, Numbers};
use super::once::Once;
use super::refresh::Renewal;
use crate::clock::{moment, now_ms, unix_s};
use crate::random;

/// After accounts could not be asked, nobody waits for it who can do without.
const TROUBLE: Duration = Duration::from_secs(2);

/// A digest of a refresh cookie.
pub type RefreshHash = [u8; 32];

/// What the edge knows of people.
pub struct Gate {
    /// How far accounts has been read.
    pub feed: Feed,
    /// Tunnels and event streams of proven visitors.
    pub live: Arc<Live<Arc<Claims>>>,
    /// What only grows.
    pub counts: Counts,
    /// Refreshes under way.
    pub renewals: Arc<Once<RefreshHash, Renewal>>,
    /// Checks under way.
    pub checks: Arc<Once<CredentialHash, Outcome>>,
    /// Bounds the calls of refreshes, apart from checks: whoever tries out credentials delays nobody's session.
    pub renewal_calls: Semaphore,
    /// Bounds the calls of checks.
    pub check_calls: Semaphore,
    keys: ArcSwap<Keys>,
    revocations: RwLock<Revocations>,
    memory: ArcSwapOption<Memory>,
    troubled_at_ms: AtomicU64,
}

/// What may be forgotten: it is found again by asking or by computing.
struct Memory {
    bounds: (usize, usize, f64),
    sessions: Mutex<Sessions>,
    refused: Mutex<RefusedTokens>,
    credentials: Mutex<KnownCredentials>,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            feed: Feed::default(),
            live: Arc::default(),
            counts: Counts::default(),
            renewals: Arc::default(),
            checks: Arc::default(),
            renewal_calls: Semaphore::new(CALLS_MAX),
            check_calls: Semaphore::new(CALLS_MAX),
            keys: ArcSwap::default(),
            revocations: RwLock::new(Revocations::new(1)),
            memory: ArcSwapOption::empty(),
            troubled_at_ms: AtomicU64::new(0),
        }
    }
}

fn bounds(identity: &Identity) -> (usize, usize, f64) {
    (
        identity.sessions_max,
        identity.credentials_max,
        identity.credential_s,
    )
}

impl Memory {
    /// None when the system gives no random numbers; then no credential can be remembered, and nobody is proven.
    fn new(identity: &Identity) -> Option<Memory> {
        let random = SystemRandom::new();
        let mut key = [0; HASH_KEY_BYTES];
        random.fill(&mut key).ok()?;
        let credentials =
            KnownCredentials::new(identity.credentials_max, identity.credential_s, &key);
        random.fill(&mut key).ok()?;
        Some(Memory {
            bounds: bounds(identity),
            sessions: Mutex::new(Sessions::new(identity.sessions_max, random::bits64())),
            refused: Mutex::new(RefusedTokens::new(REFUSED_MAX, &key)),
            credentials: Mutex::new(credentials),
        })
    }

    fn forget_refusals(&self) {
        self.refused.lock().clear();
    }

    fn refusal(&self, token: &str, expected: &Expected<'_>) -> Option<TokenError> {
        self.refused.lock().get(token, expected)
    }
}

impl Gate {
    /// Take up the bounds of a snapshot.
    pub fn follow(&self, identity: &Identity) {
        self.revocations.write().set_max(identity.revocations_max);
        let kept = self.memory.load();
        let fits = kept
            .as_ref()
            .filter(|memory| memory.bounds == bounds(identity));
        match fits {
            Some(memory) => memory.forget_refusals(),
            None => self.memory.store(Memory::new(identity).map(Arc::new)),
        }
    }

    /// What the edge knows is recent enough to prove anybody.
    pub fn is_ready(&self, identity: &Identity, now: Moment) -> bool {
        let remembers = self.memory.load().is_some();
        remembers && self.revocations.read().is_ready(now, identity)
    }

    /// Accounts has told at least once what was revoked.
    pub fn was_read(&self) -> bool {
        self.revocations.read().age(moment()).is_some()
    }

    /// The proof was ended.
    pub fn is_revoked(&self, claims: &Claims) -> bool {
        self.revocations.read().ends(claims)
    }

    /// The epoch and position to ask the feed with.
    pub fn place(&self) -> (String, u64) {
        let revocations = self.revocations.read();
        let epoch = revocations.epoch().unwrap_or_default().to_owned();
        (epoch, revocations.position())
    }

    /// Obey what accounts told to a reading that began at `begun`: keys, revocations, and the end of live connections.
    /// The position that is in force now.
    pub fn obey(&self, told: &Told, begun: Moment) -> u64 {
        self.take_keys(told.key_ring());
        let (applied, position) = {
            let mut revocations = self.revocations.write();
            let applied = revocations.apply(told, begun, unix_s());
            (applied, revocations.position())
        };
        if matches!(&applied, Applied::Taken(new) if !new.is_empty()) {
            self.forget_refusals();
            let revocations = self.revocations.read();
            self.live.end(|claims| revocations.ends(claims));
        }
        position
    }

    /// End every live connection when what is known became too old to prove anybody.
    pub fn doubt(&self, identity: &Identity) {
        if !self.is_ready(identity, moment()) {
            self.live.end(|_| true);
        }
    }

    fn take_keys(&self, keys: Keys) {
        if **self.keys.load() == keys {
            return;
        }
        self.keys.store(Arc::new(keys));
        // A key that is gone proves nobody any more, not even those it has proven.
        if let Some(memory) = &*self.memory.load() {
            memory.sessions.lock().clear();
            memory.forget_refusals();
        }
    }

    /// Whatever was refused is looked at again.
    fn forget_refusals(&self) {
        if let Some(memory) = &*self.memory.load() {
            memory.forget_refusals();
        }
    }

    /// The claims of a session token that is ours. Whether it was revoked, or is due to be renewed, is not said.
    ///
    /// # Errors
    /// Why it proves nobody.
    pub fn verify(
        &self,
        identity: &Identity,
        site: &str,
        token: &str,
        now_s: f64,
    ) -> Result<Arc<Claims>, TokenError> {
        let memory = self.memory.load();
        if let Some(memory) = &*memory {
            let known = memory.sessions.lock().get(token, now_s, identity.stale_s);
            if let Some(claims) = known {
                return Ok(claims);
            }
        }
        let expected = Expected {
            typ: SESSION_TYPE,
            issuer: &identity.issuer,
            audience: site,
            now_s,
            skew_s: identity.skew_s,
            stale_s: identity.stale_s,
        };
        if let Some(why) = memory.as_ref().and_then(|it| it.refusal(token, &expected)) {
            return Err(why);
        }
        let keys = self.keys.load();
        let claims = match keys.verify(token, &expected) {
            Ok(claims) => Arc::new(claims),
            Err(why) => {
                if let Some(memory) = &*memory {
                    let mut refused = memory.refused.lock();
                    // Under the lock that forgets when keys change: what other keys refused is not kept.
                    if Arc::ptr_eq(&keys, &self.keys.load()) {
                        refused.put(token, &expected, why);
                    }
                }
                return Err(why);
            }
        };
        if let Some(memory) = &*memory {
            memory.sessions.lock().put(token, Arc::clone(&claims));
            // Between the two steps a key may have gone; what it proved must not stay.
            if !Arc::ptr_eq(&keys, &self.keys.load()) {
                memory.sessions.lock().clear();
            }
        }
        Ok(claims)
    }

    /// Work with what is known of credentials; none when nothing can be remembered.
    pub fn credentials<T>(&self, with: impl FnOnce(&mut KnownCredentials) -> T) -> Option<T> {
        let memory = self.memory.load_full()?;
        let mut known = memory.credentials.lock();
        Some(with(&mut known))
    }

    /// Accounts could not be asked just now; said once for many.
    pub fn trouble(&self, why: &str) {
        if !self.is_troubled() {
            eprintln!("mergepoint-edge: identity: {why}");
        }
        self.troubled_at_ms.store(now_ms(), Relaxed);
    }

    /// Accounts could not be asked a moment ago.
    pub fn is_troubled(&self) -> bool {
        let at = self.troubled_at_ms.load(Relaxed);
        let since = u128::from(now_ms().saturating_sub(at));
        at != 0 && since < TROUBLE.as_millis()
    }

    /// All numbers of this moment.
    pub fn numbers(&self, identity: &Identity) -> Numbers {
        let (position, revoked, age) = {
            let revocations = self.revocations.read();
            let age = revocations.age(moment());
            (revocations.position(), revocations.len(), age)
        };
        let memory = self.memory.load();
        let memory = memory.as_ref();
        Numbers {
            ready: self.is_ready(identity, moment()),
            position,
            age_s: age.map(|age| age.as_secs_f64()),
            sessions: memory.map_or(0, |memory| memory.sessions.lock().len()),
            credentials: memory.map_or(0, |memory| memory.credentials.lock().len()),
            revocations: revoked,
            live: self.live.len(),
            refreshes: self.counts.refreshes.get(),
            checks: self.counts.checks.get(),
            refused: self.counts.refusals(),
        }
    }
}
