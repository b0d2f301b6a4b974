//! A bounded map that forgets what was not asked for in a while.
//!
//! Place: under `sessions` and `credentials` of what the edge remembers.
//! Rule: two generations; when the younger is full it becomes the older, and the older is dropped. So each operation
//! costs one or two look-ups, and what is in use survives.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// At most `max` entries.
#[derive(Debug)]
pub struct Recent<K, V, S> {
    max: usize,
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
}

impl<K: Eq + Hash, V, S: BuildHasher + Clone> Recent<K, V, S> {
    /// None yet.
    pub fn new(max: usize, hasher: S) -> Recent<K, V, S> {
        Recent {
            max: max.max(1),
            young: HashMap::with_hasher(hasher.clone()),
            old: HashMap::with_hasher(hasher),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An entry, which is thereby young again.
    pub fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.put(key, value);
        }
        self.young.get(key)
    }

    /// A copy of an entry, which is thereby young again; for the usual case, in which it is young, in one look-up.
    pub fn copy<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        V: Clone,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.put(key, value.clone());
        Some(value)
    }

    /// Remembers an entry, in place of an earlier one of the same key.
    pub fn put(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= (self.max / 2).max(1) && !self.young.contains_key(&key) {
            let hasher = self.young.hasher().clone();
            self.old = std::mem::replace(&mut self.young, HashMap::with_hasher(hasher));
            if self.max == 1 {
                self.old.clear();
            }
        }
        self.young.insert(key, value);
    }

    /// Forgets an entry.
    pub fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
