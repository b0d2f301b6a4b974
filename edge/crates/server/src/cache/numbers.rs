//! What the cache counts, and what it says of itself.
//!
//! Place: serve.rs, fetch.rs count -> [numbers] -> control verbs, metrics
//! Rule:  counting is one short lock or an atomic; reasons are words of a fixed set.

use std::collections::{BTreeMap, BTreeSet};

use mergepoint_edge_core::cache::key::Key;
use mergepoint_edge_core::snapshot::{App, Snapshot};
use parking_lot::Mutex;
use serde_json::{json, Map, Value};

use super::Kept;
use crate::clock::moment;
use crate::control::Purge;
use crate::metrics::Text;

/// What is counted of one app.
#[derive(Debug, Default, Clone)]
struct Counts {
    hits: u64,
    misses: u64,
    stored: u64,
    invalidated: u64,
}

/// What the cache counts.
#[derive(Debug, Default)]
pub struct Numbers {
    apps: Mutex<BTreeMap<String, Counts>>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    workers: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Numbers {
    /// Answered from the cache.
    pub fn hit(&self, app: &str) {
        self.count(app, |counts| counts.hits += 1);
    }

    /// Not found in the cache.
    pub fn miss(&self, app: &str) {
        self.count(app, |counts| counts.misses += 1);
    }

    /// Taken into the cache.
    pub fn stored(&self, app: &str) {
        self.count(app, |counts| counts.stored += 1);
    }

    /// Dropped because of a change.
    pub fn invalidated(&self, keys: &[Key]) {
        for key in keys {
            // A key begins with the app's name.
            let app = key.lines().next().unwrap_or("");
            self.count(app, |counts| counts.invalidated += 1);
        }
    }

    /// Not taken into the cache.
    pub fn refused(&self, why: &'static str) {
        *self.refused.lock().entry(why).or_default() += 1;
    }

    fn count(&self, app: &str, count: impl FnOnce(&mut Counts)) {
        let mut apps = self.apps.lock();
        match apps.get_mut(app) {
            Some(counts) => count(counts),
            None => count(apps.entry(app.to_owned()).or_default()),
        }
    }

    /// The apps that have workers they did not have before, or none of those they had.
    pub fn moved(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut known = self.workers.lock();
        let mut moved = Vec::new();
        for (name, app) in &snapshot.apps {
            let App::Pool(pool) = app else { continue };
            let slots = pool.slots.iter();
            let now: BTreeSet<String> = slots.map(|slot| slot.address.to_string()).collect();
            let before = known.insert(name.clone(), now.clone());
            if before.is_some_and(|before| !now.is_subset(&before)) {
                moved.push(name.clone());
            }
        }
        moved
    }
}

impl Kept {
    /// The answer to `cache_stats`.
    pub fn stats(&self) -> Value {
        let apps = self.numbers.apps.lock().clone();
        let sum = |pick: fn(&Counts) -> u64| apps.values().map(pick).sum::<u64>();
        let (entries, bytes, evicted) = self.store.size();
        let each = apps.iter().map(|(name, counts)| {
            let counts = json!({
                "hits": counts.hits, "misses": counts.misses,
                "stored": counts.stored, "invalidated": counts.invalidated,
            });
            (name.clone(), counts)
        });
        json!({
            "entries": entries,
            "bytes": bytes,
            "hits": sum(|c| c.hits),
            "misses": sum(|c| c.misses),
            "stored": sum(|c| c.stored),
            "evicted": evicted,
            "invalidated": sum(|c| c.invalidated),
            "refused": *self.numbers.refused.lock(),
            "sources": self.sources(),
            "apps": each.collect::<Map<String, Value>>(),
        })
    }

    fn sources(&self) -> Map<String, Value> {
        let now = moment();
        let state = self.changes.lock();
        let each = state.sources.iter().map(|(name, source)| {
            let told = json!({
                "epoch": source.epoch(),
                "age_s": source.age(now).map(|age| age.as_secs_f64()),
                "lease_left_s": source.lease_left(now).as_secs_f64(),
                "generation": source.generation(),
            });
            (name.clone(), told)
        });
        each.collect()
    }

    /// The answer to `cache_why`: what is kept for an address, or what became of it last.
    pub fn why(&self, url: &str) -> Value {
        let found = self.store.list(|key| address(key) == url);
        let now = moment();
        let last = self.store.last(|key| address(key) == url).map(|dropped| {
            json!({
                "at": dropped.at, "reason": dropped.reason,
                "tag": dropped.tag.as_deref(), "source": dropped.source, "detail": dropped.detail,
            })
        });
        let newest = found
            .iter()
            .flat_map(|(key, all)| all.iter().map(move |e| (key, e)));
        let newest = newest.max_by_key(|(_, entry)| entry.plan.life.since);
        match newest {
            Some((key, entry)) => json!({
                "key": &**key,
                "stored": true,
                "age_s": entry.plan.life.age_at(now).as_secs_f64(),
                "tags": entry.plan.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(),
                "vary": entry.plan.chosen.names().collect::<Vec<_>>(),
                "last": last,
            }),
            None => json!({
                "key": null, "stored": false, "age_s": null, "tags": [], "vary": [], "last": last,
            }),
        }
    }

    /// Drop what is named, as if it had changed; how much was there.
    pub fn purge(&self, purge: &Purge) -> usize {
        let key = |fits: &dyn Fn(&str) -> bool| {
            let mut changes = self.changes.lock();
            // What is under way was asked for before, too.
            changes.log.flush_all();
            self.store.drop_keys(|key| fits(address(key)))
        };
        match purge {
            Purge::Tags(tags) => {
                let tags = tags.iter().map(String::as_str);
                self.drop_tags(tags, "purged", None)
            }
            Purge::Url(url) => key(&|address| address == url),
            Purge::Prefix(prefix) => key(&|address| address.starts_with(prefix.as_str())),
            Purge::All => key(&|_| true),
        }
    }

    /// Every number as Prometheus text.
    pub fn exposition(&self) -> String {
        let mut text = Text::default();
        let (entries, bytes, evicted) = self.store.size();
        text.family("cache_entries", "gauge", "Answers that are kept.");
        text.sample("cache_entries", &[], entries);
        text.family("cache_bytes", "gauge", "What they take.");
        text.sample("cache_bytes", &[], bytes);
        text.family(
            "cache_evicted_total",
            "counter",
            "Answers that left for others.",
        );
        text.sample("cache_evicted_total", &[], evicted);
        let apps = self.numbers.apps.lock().clone();
        type Family = (&'static str, &'static str, fn(&Counts) -> u64);
        let families: [Family; 4] = [
            (
                "cache_hits_total",
                "Requests answered from the cache.",
                |c| c.hits,
            ),
            (
                "cache_misses_total",
                "Requests that went on to the app.",
                |c| c.misses,
            ),
            ("cache_stored_total", "Answers taken into the cache.", |c| {
                c.stored
            }),
            (
                "cache_invalidated_total",
                "Answers dropped because of a change.",
                |c| c.invalidated,
            ),
        ];
        for (name, help, pick) in families {
            text.family(name, "counter", help);
            for (app, counts) in &apps {
                text.sample(name, &[("app", app)], pick(counts));
            }
        }
        text.family(
            "cache_refused_total",
            "counter",
            "Answers not taken, by reason.",
        );
        for (why, count) in self.numbers.refused.lock().iter() {
            text.sample("cache_refused_total", &[("reason", why)], *count);
        }
        text.family(
            "cache_lease_seconds",
            "gauge",
            "How long changes count as read.",
        );
        let now = moment();
        for (name, source) in &self.changes.lock().sources {
            let left = source.lease_left(now).as_secs_f64();
            text.sample("cache_lease_seconds", &[("source", name)], left);
        }
        text.finish()
    }
}

/// The address in a key: its second line.
pub fn address(key: &str) -> &str {
    key.lines().nth(1).unwrap_or("")
}
