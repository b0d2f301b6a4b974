//! What accounts has ended before its time.
//!
//! Place: fed by `edge/feed`, asked for every proof of every request.
//! Rule: never forgets a revocation that could still matter; where there are too many to keep apart, all older proofs
//! end.

use std::collections::HashMap;

use super::claims::Claims;
use super::feed::{Feed, Revocation, RevocationKind};
use crate::snapshot::Identity;
use crate::Moment;

/// Accounts repeats a revocation for so long, and no proof outlives it.
pub const KEEP_S: f64 = 3_600.0;
/// How often what has passed is swept out.
const SWEEP_EVERY_S: f64 = 60.0;

/// What became of one answer of the feed.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// Taken; these are new, and what lives under them is to be closed.
    Taken(Vec<Revocation>),
    /// It stands behind what is known and does not say why; the next question asks for everything.
    Behind,
}

/// The revocations in force. Times in Unix seconds, but for `Moment`s.
#[derive(Debug)]
pub struct Revocations {
    max: usize,
    epoch: Option<String>,
    position: u64,
    read_at: Option<Moment>,
    swept_at_s: f64,
    overflows: u64,
    site: Option<Entry>,
    sessions: HashMap<String, Entry>,
    subjects: HashMap<String, Entry>,
    tokens: HashMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    before_s: f64,
    until_s: f64,
}

impl Entry {
    fn join(&mut self, other: Entry) {
        self.before_s = self.before_s.max(other.before_s);
        self.until_s = self.until_s.max(other.until_s);
    }
}

impl Revocations {
    /// None yet, of at most `max` ids: `revocations_max` of the snapshot.
    pub fn new(max: usize) -> Revocations {
        Revocations {
            max: max.max(1),
            epoch: None,
            position: 0,
            read_at: None,
            swept_at_s: 0.0,
            overflows: 0,
            site: None,
            sessions: HashMap::new(),
            subjects: HashMap::new(),
            tokens: HashMap::new(),
        }
    }

    /// Keep at most so many ids from now on; nothing is forgotten.
    pub fn set_max(&mut self, max: usize) {
        self.max = max.max(1);
    }

    /// The epoch to ask the feed with; none at first.
    pub fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }

    /// The last position applied.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Ids that are kept.
    pub fn len(&self) -> usize {
        self.sessions.len() + self.subjects.len() + self.tokens.len()
    }

    /// Whether no single id is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often there were too many to keep apart.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// Time since the feed was read; none if it never was.
    pub fn age(&self, now: Moment) -> Option<Moment> {
        self.read_at.map(|at| now.saturating_sub(at))
    }

    /// Whether what is known is recent enough to prove anybody: read within `stale_s`, or within the time that one
    /// regular reading takes where `stale_s` is shorter.
    pub fn is_ready(&self, now: Moment, identity: &Identity) -> bool {
        let most_s = identity.stale_s.max(identity.poll_s + identity.call_s);
        self.age(now).is_some_and(|age| age.as_secs_f64() <= most_s)
    }

    /// Takes an answer of the feed, as a whole. An answer that comes twice changes nothing.
    pub fn apply(&mut self, feed: &Feed, now: Moment, now_s: f64) -> Applied {
        let whole = feed.reset || self.epoch.as_deref() != Some(feed.epoch.as_str());
        if !whole && feed.position < self.position {
            self.epoch = None;
            self.position = 0;
            return Applied::Behind;
        }
        if whole {
            self.forget();
            self.epoch = Some(feed.epoch.clone());
        }
        self.sweep(now_s);
        let mut new = Vec::new();
        for revocation in &feed.revocations {
            if !whole && revocation.position <= self.position {
                continue;
            }
            self.insert(revocation, now_s);
            new.push(revocation.clone());
        }
        self.position = feed.position;
        self.read_at = Some(now);
        Applied::Taken(new)
    }

    /// Whether a proof has been ended.
    pub fn ends(&self, claims: &Claims) -> bool {
        let ended = |entry: Option<&Entry>| entry.is_some_and(|entry| claims.iat < entry.before_s);
        ended(self.site.as_ref())
            || (!self.sessions.is_empty() && ended(self.sessions.get(&claims.sid)))
            || (!self.subjects.is_empty() && ended(self.subjects.get(&claims.sub)))
            || claims
                .token
                .as_ref()
                .is_some_and(|token| ended(self.tokens.get(token)))
    }

    fn insert(&mut self, revocation: &Revocation, now_s: f64) {
        let entry = Entry {
            before_s: revocation.before,
            until_s: revocation.before.max(revocation.at) + KEEP_S,
        };
        if entry.until_s <= now_s {
            return;
        }
        let full = self.len() >= self.max;
        let table = match revocation.kind {
            RevocationKind::Site => return self.join_site(entry),
            RevocationKind::Session => &mut self.sessions,
            RevocationKind::Subject => &mut self.subjects,
            RevocationKind::Token => &mut self.tokens,
        };
        match table.get_mut(&revocation.id) {
            Some(known) => known.join(entry),
            None if full => self.collapse(entry),
            None => drop(table.insert(revocation.id.clone(), entry)),
        }
    }

    fn join_site(&mut self, entry: Entry) {
        self.site.get_or_insert(entry).join(entry);
    }

    /// More than can be kept: everything issued before the latest of them ends, so nothing ended comes to life again.
    /// Whoever's session still stands is refreshed at the next request.
    fn collapse(&mut self, entry: Entry) {
        self.overflows += 1;
        self.join_site(entry);
        let tables = [&mut self.sessions, &mut self.subjects, &mut self.tokens];
        for kept in tables.into_iter().flat_map(HashMap::drain) {
            self.site.get_or_insert(entry).join(kept.1);
        }
    }

    fn sweep(&mut self, now_s: f64) {
        if (now_s - self.swept_at_s).abs() < SWEEP_EVERY_S {
            return;
        }
        self.swept_at_s = now_s;
        self.site = self.site.filter(|entry| entry.until_s > now_s);
        for table in [&mut self.sessions, &mut self.subjects, &mut self.tokens] {
            table.retain(|_, entry| entry.until_s > now_s);
        }
    }

    fn forget(&mut self) {
        self.position = 0;
        self.site = None;
        self.sessions.clear();
        self.subjects.clear();
        self.tokens.clear();
    }
}
