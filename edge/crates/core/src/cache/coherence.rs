//! What the edge knows of changes: the rules that keep an old answer from being taken for a new one.
//!
//! Place: the rules I1 to I12 of docs/decisions/0013-cache-protocol.md, as functions; the server feeds them.
//! Rule: whatever is forgotten counts as changed.

use std::collections::HashMap;
use std::time::Duration;

use super::feed::{Pulled, Tables};
use super::tags::{self, Tag};
use crate::Moment;

/// Most tags whose last change is remembered; beyond, all are forgotten, and fills that began before are refused.
pub const REMEMBERED_MAX: usize = 65_536;

/// Where a fill began, in the order of what this edge applied (I1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(u64);

/// What has changed, in the order in which this edge heard of it.
#[derive(Debug, Default)]
pub struct Log {
    position: u64,
    floor: u64,
    last: HashMap<Tag, u64>,
    flushed: HashMap<String, u64>,
}

impl Log {
    /// Where a fill that begins now begins; taken before the request is sent on (I1).
    pub fn token(&self) -> Token {
        Token(self.position)
    }

    /// These have changed.
    pub fn record<'a>(&mut self, changed: impl IntoIterator<Item = &'a str>) {
        self.position += 1;
        if self.last.len() >= REMEMBERED_MAX {
            self.last.clear();
            self.floor = self.position;
        }
        for tag in changed {
            self.last.insert(tag.into(), self.position);
        }
    }

    /// All of a source may have changed (I7, I8).
    pub fn flush(&mut self, source: &str) {
        self.position += 1;
        self.flushed.insert(source.to_owned(), self.position);
    }

    /// Everything may have changed.
    pub fn flush_all(&mut self) {
        self.position += 1;
        self.floor = self.position;
    }

    /// Nothing that an answer was made from has changed since its fill began (I1, I2).
    pub fn permits<'a>(&self, token: Token, mut made_from: impl Iterator<Item = &'a Tag>) -> bool {
        let Token(began) = token;
        let unchanged = |tag: &str| self.last.get(tag).is_none_or(|at| *at <= began);
        began >= self.floor
            && made_from.all(|tag| {
                let flushed = tags::source(tag).and_then(|source| self.flushed.get(source));
                unchanged(tag)
                    && tags::star(tag).is_none_or(|star| unchanged(&star))
                    && flushed.is_none_or(|at| *at <= began)
            })
    }
}

/// How far the changes of one source have been applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Source {
    epoch: Option<String>,
    cursor: Option<String>,
    at: u64,
    generation: u64,
    until: Option<Moment>,
    pulled: Option<Moment>,
    tables: Tables,
}

/// The state of a source when something was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    epoch: Option<String>,
    generation: u64,
    sent: Moment,
}

/// What becomes of an answer of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its tags have changed.
    Changed,
    /// All of the source may have changed.
    Flush,
    /// It is older than what was applied, or belongs to another state: nothing is done (I6).
    Dropped,
}

impl Source {
    /// What the hub is told of it.
    pub fn place(&self) -> (Option<&str>, Option<&str>) {
        (self.epoch.as_deref(), self.cursor.as_deref())
    }

    /// The tag by which a change would be told that concerns an answer tagged `tag`; none when none would be (I12).
    pub fn told_by(&self, tag: &Tag) -> Option<Tag> {
        let (name, rest) = tag.split_once('/')?;
        let (table, row) = rest.split_once(':').unwrap_or((rest, ""));
        let columns = self.tables.get(table)?;
        let column = row.split('=').next().unwrap_or("");
        match row.is_empty() || columns.iter().any(|known| known == column) {
            true => Some(Tag::clone(tag)),
            false => Some(format!("{name}/{table}").into()),
        }
    }

    /// Its epoch, once it was read.
    pub fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }

    /// How often it was flushed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The hub's count of what was applied.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The hub counts anew, because it is another one.
    pub fn hub_changed(&mut self) {
        self.at = 0;
    }

    /// Its state, for a request sent at `now`.
    pub fn asked(&self, now: Moment) -> Asked {
        Asked {
            epoch: self.epoch.clone(),
            generation: self.generation,
            sent: now,
        }
    }

    /// Take in what the hub answered to `asked`.
    pub fn answered(&mut self, asked: &Asked, pulled: &Pulled, lease: Duration) -> Outcome {
        let stands = self.generation == asked.generation && self.epoch == asked.epoch;
        if !stands || !self.is_newer(pulled) {
            return Outcome::Dropped;
        }
        let until = lease_end(asked.sent, lease, pulled.lease_left_s);
        let outcome = self.take(pulled);
        // A lease never becomes shorter by an answer: each was true when it was given.
        self.until = self.until.max(Some(until));
        self.pulled = self.pulled.max(Some(asked.sent));
        outcome
    }

    /// Take in what the hub says unasked, for the writer of somebody else's edge.
    pub fn told(&mut self, pulled: &Pulled) -> Outcome {
        match self.is_newer(pulled) {
            true => self.take(pulled),
            false => Outcome::Dropped,
        }
    }

    /// It was read later than what was applied; with one hub, that is what `at` says (I6).
    fn is_newer(&self, pulled: &Pulled) -> bool {
        pulled.at > self.at || self.epoch.is_none()
    }

    /// I4: what was read of it counts at `now`.
    pub fn is_leased(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Time left of the lease.
    pub fn lease_left(&self, now: Moment) -> Duration {
        self.until
            .map_or(Duration::ZERO, |until| until.saturating_sub(now))
    }

    /// Time since the last successful pull was sent.
    pub fn age(&self, now: Moment) -> Option<Duration> {
        self.pulled.map(|pulled| now.saturating_sub(pulled))
    }

    fn take(&mut self, pulled: &Pulled) -> Outcome {
        let known = self.epoch.as_deref() == Some(pulled.epoch.as_str());
        let first = self.epoch.is_none();
        if let Some(tables) = &pulled.tables {
            self.tables.clone_from(tables);
        }
        self.epoch = Some(pulled.epoch.clone());
        self.cursor = Some(pulled.cursor.clone());
        self.at = pulled.at;
        if pulled.flush || !known && !first {
            self.generation += 1;
            return Outcome::Flush;
        }
        Outcome::Changed
    }
}

/// When what was read for a question sent at `sent` counts no longer: both the hub's lease and ours count from when the
/// question was sent, and the shorter one ends first (I4).
pub fn lease_end(sent: Moment, lease: Duration, left_s: f64) -> Moment {
    let left = Duration::try_from_secs_f64(left_s).unwrap_or_default();
    sent + lease.min(left)
}
