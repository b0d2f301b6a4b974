//! Session tokens that were verified before.
//!
//! Place: asked before `token::Keys::verify`, told after it; the server keeps it behind a lock.
//! Rule: knows whole texts only, never a part of one. Whether a proof was revoked since is for `revocations` to say.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::claims::Claims;
use super::recent::Recent;

/// Bytes at the end of a token that make its hash: a part of its signature, which differs where anything differs.
const TAIL_BYTES: usize = 32;

/// The end stands beside the claims, so that a look-up reads nothing else of them.
#[derive(Debug, Clone)]
struct Known {
    exp_s: f64,
    claims: Arc<Claims>,
}

/// Verified tokens.
#[derive(Debug)]
pub struct Sessions {
    known: Recent<Box<str>, Known, TailHash>,
}

impl Sessions {
    /// None yet, of at most `max`: `sessions_max` of the snapshot. The seed is random and the process's own.
    pub fn new(max: usize, seed: u64) -> Sessions {
        Sessions {
            known: Recent::new(max, TailHash(seed)),
        }
    }

    /// The claims of a token that was verified before and has not ended for good.
    pub fn get(&mut self, token: &str, now_s: f64, stale_s: f64) -> Option<Arc<Claims>> {
        let known = self.known.copy(token)?;
        if known.exp_s + stale_s <= now_s {
            self.known.remove(token);
            return None;
        }
        Some(known.claims)
    }

    /// Remembers a token that was just verified.
    pub fn put(&mut self, token: &str, claims: Arc<Claims>) {
        let exp_s = claims.exp;
        self.known.put(token.into(), Known { exp_s, claims });
    }

    /// Forgets everything: for when a key that verified is no longer among the keys.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// Only what was verified is ever kept, so nobody can fill the table with texts of one hash.
#[derive(Debug, Clone)]
struct TailHash(u64);

impl BuildHasher for TailHash {
    type Hasher = Tail;

    fn build_hasher(&self) -> Tail {
        Tail(self.0)
    }
}

struct Tail(u64);

impl Hasher for Tail {
    fn write(&mut self, bytes: &[u8]) {
        let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        self.0 = xxh3_64_with_seed(tail, self.0);
    }

    /// A text ends with this byte for the sake of tuples; it tells nothing.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
