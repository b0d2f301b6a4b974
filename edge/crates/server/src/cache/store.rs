//! Room for answers, by key and by tag.
//!
//! Place: cache.rs holds one -> [store]
//! Rule:  bounded by bytes; a look-up takes a read lock of one shard and nothing else; whatever is inside is in the
//!        index of tags, too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::header::HeaderMap;
use mergepoint_edge_core::cache::key::Key;
use mergepoint_edge_core::cache::tags::Tag;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use super::entry::Entry;

/// Most variants of one address; the oldest leaves for a new one.
pub const VARIANTS_MAX: usize = 16;

/// What a key takes beside its text, about.
const KEY_BYTES: usize = 256;

/// Size of an answer for which the room for keys is made.
const USUAL_BYTES: u64 = 8 * 1024;

/// Last words about addresses that are no longer kept.
const REMEMBERED_MAX: usize = 1_024;

/// All variants under one key.
type Variants = Arc<[Arc<Entry>]>;

/// What lies under a key.
pub enum Found {
    /// Nothing.
    Nothing,
    /// Answers to other requests.
    Others,
    /// This.
    Entry(Arc<Entry>),
}

/// What became of an answer that is no longer kept.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// Its key.
    pub key: Key,
    /// Why.
    pub reason: &'static str,
    /// The tag that changed.
    pub tag: Option<Tag>,
    /// The source that said so.
    pub source: Option<String>,
    /// More of why, in a worker's words.
    pub detail: Option<String>,
    /// When, in Unix seconds.
    pub at: f64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Variants> for ByBytes {
    fn weight(&self, key: &Key, variants: &Variants) -> u64 {
        let bytes: usize = variants.iter().map(|entry| entry.weight()).sum();
        (bytes + key.len() + KEY_BYTES) as u64
    }
}

/// Gathers what had to leave for something else.
#[derive(Clone)]
struct Leaving;

impl Lifecycle<Key, Variants> for Leaving {
    type RequestState = Vec<(Key, Variants)>;

    fn on_evict(&self, state: &mut Self::RequestState, key: Key, variants: Variants) {
        state.push((key, variants));
    }
}

/// Room for answers.
pub struct Store {
    cache: Cache<Key, Variants, ByBytes, DefaultHashBuilder, Leaving>,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    by_tag: HashMap<Tag, HashSet<Key>>,
    last: HashMap<Key, Dropped>,
    order: std::collections::VecDeque<Key>,
    evicted: u64,
}

impl Store {
    /// Room for `bytes_max`; each shard has room for some of the largest.
    pub fn new(bytes_max: u64, entry_bytes_max: u64) -> Store {
        let shards = (bytes_max / entry_bytes_max.saturating_mul(8).max(1)).clamp(1, 16);
        let items = usize::try_from(bytes_max / USUAL_BYTES).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .weight_capacity(bytes_max)
            .estimated_items_capacity(items.clamp(1, 1 << 20))
            .build();
        let hasher = DefaultHashBuilder::default();
        let cache = match options {
            Ok(options) => Cache::with_options(options, ByBytes, hasher, Leaving),
            Err(_) => Cache::with(items, bytes_max, ByBytes, hasher, Leaving),
        };
        Store {
            cache,
            index: Mutex::default(),
        }
    }

    /// Other room; what does not fit any more leaves with the next answers.
    pub fn resize(&self, bytes_max: u64) {
        if self.cache.capacity() != bytes_max {
            self.cache.set_capacity(bytes_max);
        }
    }

    /// What lies under a key for a request.
    pub fn find(&self, key: &Key, request: &HeaderMap) -> Found {
        let Some(variants) = self.cache.get(key) else {
            return Found::Nothing;
        };
        // The newest first: of two that fit, it is the one to use (RFC 9111 section 4.1).
        let mut newest = variants.iter().rev();
        match newest.find(|entry| entry.plan.chosen.matches(request)) {
            Some(entry) => Found::Entry(Arc::clone(entry)),
            None => Found::Others,
        }
    }

    /// Keep an answer; it takes the place of the variant it was chosen like.
    pub fn put(&self, key: Key, entry: Arc<Entry>) {
        let mut index = self.index.lock();
        let old = self.cache.peek(&key);
        let others = old.iter().flat_map(|old| old.iter());
        let mut variants: Vec<Arc<Entry>> = others
            .filter(|other| other.plan.chosen != entry.plan.chosen)
            .cloned()
            .collect();
        if variants.len() >= VARIANTS_MAX {
            variants.remove(0);
        }
        variants.push(entry);
        if let Some(old) = &old {
            index.forget(&key, old);
        }
        let variants: Variants = variants.into();
        index.learn(&key, &variants);
        self.insert(&mut index, key, variants);
    }

    /// Put variants in their place, and take what left for them out of the index.
    ///
    /// What lay under the same key leaves, too, when it is replaced; it must not take the tags of its successor along.
    fn insert(&self, index: &mut Index, key: Key, variants: Variants) {
        let mut leaving = Vec::new();
        self.cache
            .insert_with_lifecycle(key, variants, &mut leaving);
        for (key, variants) in leaving {
            index.forget(&key, &variants);
            if let Some(kept) = self.cache.peek(&key) {
                index.learn(&key, &kept);
                continue;
            }
            index.evicted += 1;
            index.remember(key, "evicted", None, None, None);
        }
    }

    /// Drop one answer, if it is still the one that is kept.
    pub fn drop_entry(&self, key: &Key, entry: &Arc<Entry>, reason: &'static str) {
        let mut index = self.index.lock();
        self.retain(&mut index, key, |kept| !Arc::ptr_eq(kept, entry));
        index.remember(Arc::clone(key), reason, None, None, None);
    }

    /// Note that an answer was not kept, and why.
    pub fn note(&self, key: &Key, reason: &'static str, detail: Option<String>) {
        let mut index = self.index.lock();
        let same = |last: &Dropped| last.reason == reason && last.detail == detail;
        if !index.last.get(key).is_some_and(same) {
            index.remember(Arc::clone(key), reason, None, None, detail);
        }
    }

    /// Drop everything that bears one of these tags.
    pub fn drop_tags<'a>(
        &self,
        tags: impl IntoIterator<Item = &'a str>,
        reason: &'static str,
        source: Option<&str>,
    ) -> Vec<Key> {
        let mut index = self.index.lock();
        let mut dropped = Vec::new();
        for tag in tags {
            let Some(keys) = index.by_tag.get(tag) else {
                continue;
            };
            let tag: Tag = tag.into();
            for key in keys.iter().cloned().collect::<Vec<_>>() {
                self.retain(&mut index, &key, |kept| !kept.handles.contains(&tag));
                let source = source.map(str::to_owned);
                index.remember(
                    Arc::clone(&key),
                    reason,
                    Some(Arc::clone(&tag)),
                    source,
                    None,
                );
                dropped.push(key);
            }
        }
        dropped
    }

    /// Drop everything whose key fits.
    pub fn drop_keys(&self, fits: impl Fn(&str) -> bool) -> usize {
        let mut index = self.index.lock();
        let keys: Vec<Key> = self.cache.iter().map(|(key, _)| key).collect();
        let mut dropped = 0;
        for key in keys.into_iter().filter(|key| fits(key)) {
            self.retain(&mut index, &key, |_| false);
            index.remember(key, "purged", None, None, None);
            dropped += 1;
        }
        dropped
    }

    /// Keys that fit, with what lies there.
    pub fn list(&self, fits: impl Fn(&str) -> bool) -> Vec<(Key, Vec<Arc<Entry>>)> {
        let all = self.cache.iter().filter(|(key, _)| fits(key));
        all.map(|(key, variants)| (key, variants.to_vec()))
            .collect()
    }

    /// What became of the last answers under keys that fit.
    pub fn last(&self, fits: impl Fn(&str) -> bool) -> Option<Dropped> {
        let index = self.index.lock();
        let newest = index.order.iter().rev().find(|key| fits(key))?;
        index.last.get(newest).cloned()
    }

    /// How many keys, how many bytes, and how many had to leave for others.
    pub fn size(&self) -> (usize, u64, u64) {
        let evicted = self.index.lock().evicted;
        (self.cache.len(), self.cache.weight(), evicted)
    }

    fn retain(&self, index: &mut Index, key: &Key, keep: impl Fn(&Arc<Entry>) -> bool) {
        let Some((key, old)) = self.cache.remove(key) else {
            return;
        };
        index.forget(&key, &old);
        let left: Vec<Arc<Entry>> = old.iter().filter(|entry| keep(entry)).cloned().collect();
        if left.is_empty() {
            return;
        }
        let left: Variants = left.into();
        index.learn(&key, &left);
        self.insert(index, key, left);
    }
}

impl Index {
    fn learn(&mut self, key: &Key, variants: &Variants) {
        for tag in variants.iter().flat_map(|entry| &entry.handles) {
            let keys = self.by_tag.entry(Arc::clone(tag)).or_default();
            keys.insert(Arc::clone(key));
        }
    }

    fn forget(&mut self, key: &Key, variants: &Variants) {
        for tag in variants.iter().flat_map(|entry| &entry.handles) {
            if let Some(keys) = self.by_tag.get_mut(tag) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_tag.remove(tag);
                }
            }
        }
    }

    fn remember(
        &mut self,
        key: Key,
        reason: &'static str,
        tag: Option<Tag>,
        source: Option<String>,
        detail: Option<String>,
    ) {
        if self.last.remove(&key).is_some() {
            self.order.retain(|known| *known != key);
        }
        if self.order.len() >= REMEMBERED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.last.remove(&oldest);
            }
        }
        let at = crate::clock::unix_s();
        let dropped = Dropped {
            key: Arc::clone(&key),
            reason,
            tag,
            source,
            detail,
            at,
        };
        self.order.push_back(Arc::clone(&key));
        self.last.insert(key, dropped);
    }
}

#[cfg(test)]
mod tests;
