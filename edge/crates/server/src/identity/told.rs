//! What an app is told of its visitors, signed and written out once for many requests.
//!
//! Place: edge.rs holds one per app and snapshot -> [told] -> core's issue, core's remote; outgoing.rs writes it
//! Rule:  signed for one app under one snapshot, because roles may mean something else in the next.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use mergepoint_edge_core::identity::issue::{IssueError, Issuer};
use mergepoint_edge_core::identity::recent::Recent;
use mergepoint_edge_core::identity::{remote, Claims, Roles};
use mergepoint_edge_core::snapshot::Access;
use parking_lot::Mutex;

use crate::upstream::head;

/// Signed identities kept for one app.
pub const TOLD_MAX: usize = 1_024;

/// How long one is used; it lives twice as long, so that an app may take its time.
pub const TOLD_S: f64 = 30.0;

const IDENTITY: HeaderName = HeaderName::from_static("mergepoint-identity");

/// What is said of one visitor to one app.
pub struct Block {
    /// The plain fields.
    pub fields: HeaderMap,
    /// These and `Mergepoint-Identity`, as they stand in a request's head.
    pub encoded: Bytes,
}

/// Who is told.
pub struct Listener<'a> {
    /// Signs it.
    pub issuer: &'a Issuer,
    /// What roles grant.
    pub roles: &'a Roles,
    /// Under which names it wants to hear.
    pub access: &'a Access,
    /// Its name.
    pub app: &'a str,
}

/// What one app was told of its visitors.
pub struct Told(Mutex<Recent<usize, Kept, AddressHash>>);

#[derive(Clone)]
struct Kept {
    /// Held so that its address, which is the key, belongs to nobody else.
    _claims: Arc<Claims>,
    block: Arc<Block>,
    at_s: f64,
    until_s: f64,
}

impl Default for Told {
    fn default() -> Self {
        Told(Mutex::new(Recent::new(TOLD_MAX, AddressHash)))
    }
}

impl Told {
    /// What the app is told of a visitor now. An identity that is too long to be told is missing, and stderr says so.
    pub fn tell(&self, listener: &Listener<'_>, claims: &Arc<Claims>, now_s: f64) -> Arc<Block> {
        let key = Arc::as_ptr(claims) as usize;
        if let Some(kept) = self.0.lock().get(&key) {
            // A clock that was set back must not stretch it.
            if (kept.at_s..kept.until_s).contains(&now_s) {
                return Arc::clone(&kept.block);
            }
        }
        let block = Arc::new(listener.block(claims, now_s));
        // A proof about to end is told anew when it has ended, because then it is held up for longer.
        let until_s = match now_s < claims.exp {
            true => claims.exp.min(now_s + TOLD_S),
            false => now_s + TOLD_S,
        };
        let kept = Kept {
            _claims: Arc::clone(claims),
            block: Arc::clone(&block),
            at_s: now_s,
            until_s,
        };
        self.0.lock().put(key, kept);
        block
    }
}

impl Listener<'_> {
    fn block(&self, claims: &Claims, now_s: f64) -> Block {
        let mut fields = HeaderMap::new();
        remote::tell(&mut fields, self.access, claims);
        let mut encoded = BytesMut::new();
        head::fields(&mut encoded, &fields);
        match self.identity(claims, now_s) {
            Ok(signed) => head::fields(&mut encoded, &signed),
            Err(why) => eprintln!("mergepoint-edge: identity: {}: {why}", self.app),
        }
        Block {
            fields,
            encoded: encoded.freeze(),
        }
    }

    fn identity(&self, claims: &Claims, now_s: f64) -> Result<HeaderMap, IssueError> {
        let token = self.issuer.issue(claims, self.roles, self.app, now_s)?;
        let value = HeaderValue::from_str(&token).map_err(|_| IssueError::TooLong)?;
        Ok(HeaderMap::from_iter([(IDENTITY, value)]))
    }
}

/// Hashes addresses, which nobody outside chooses.
#[derive(Debug, Clone, Copy)]
struct AddressHash;

#[derive(Debug)]
struct Spread(u64);

impl BuildHasher for AddressHash {
    type Hasher = Spread;

    fn build_hasher(&self) -> Spread {
        Spread(0)
    }
}

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    /// The odd number nearest to 2^64 over the golden ratio spreads neighbours far apart.
    fn write_usize(&mut self, number: usize) {
        self.0 = (self.0 ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The product's low bits say little of an address, which ends in zeros.
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergepoint_edge_core::snapshot::Identity;

    fn issuer() -> Issuer {
        let identity: Identity = serde_json::from_value(serde_json::json!({
            "app": "accounts", "mount": "/a", "issuer": "mergepoint:test",
            "signing": {"kid": "e1", "seed": "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk="},
            "published": [], "refresh_before_s": 300.0, "stale_s": 900.0, "skew_s": 30.0,
            "poll_s": 0.5, "call_s": 2.0, "sessions_max": 9, "credentials_max": 9,
            "credential_s": 60.0, "revocations_max": 9, "roles": {}
        }))
        .unwrap();
        Issuer::new(&identity).unwrap()
    }

    fn claims() -> Arc<Claims> {
        let claims = serde_json::json!({
            "sub": "1", "sid": "s", "iat": 1000.0, "exp": 1600.0, "kind": "person", "user": "ada"
        });
        Arc::new(serde_json::from_value(claims).unwrap())
    }

    fn access() -> Access {
        serde_json::from_value(serde_json::json!({
            "require": ["user"], "guards": [], "csrf_exempt": [], "cookies": "confine",
            "headers": {"x-who": "user"}, "authorization": "consume"
        }))
        .unwrap()
    }

    /// What an app is told of each of these, one after the other.
    fn tell_all(asked: &[(&Arc<Claims>, f64)]) -> Vec<Bytes> {
        let (issuer, roles, access, told) = (issuer(), Roles::new(), access(), Told::default());
        let listener = Listener {
            issuer: &issuer,
            roles: &roles,
            access: &access,
            app: "app",
        };
        let each = asked.iter();
        each.map(|(claims, now_s)| told.tell(&listener, claims, *now_s).encoded.clone())
            .collect()
    }

    #[test]
    fn one_signature_serves_half_a_minute_and_never_beyond_the_session() {
        let ada = claims();
        let at_s = [
            1001.0, 1030.0, 1031.5, 1590.0, 1599.0, 1601.0, 1630.0, 1631.5,
        ];
        let told = tell_all(&at_s.map(|at_s| (&ada, at_s)));
        assert_eq!(told[1], told[0]);
        assert_ne!(told[2], told[1]);
        assert_eq!(told[4], told[3]);
        assert_ne!(told[5], told[4], "only held up from here on");
        assert_eq!(told[6], told[5]);
        assert_ne!(told[7], told[6]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stretch_a_signature() {
        let ada = claims();
        let told = tell_all(&[(&ada, 1500.0), (&ada, 1400.0), (&ada, 1401.0)]);
        assert_ne!(told[1], told[0]);
        assert_eq!(told[2], told[1]);
    }

    #[test]
    fn another_visitor_is_told_apart() {
        let (ada, mut bob) = (claims(), (*claims()).clone());
        bob.user = "bob".to_owned();
        let bob = Arc::new(bob);
        let told = tell_all(&[
            (&ada, 1001.0),
            (&bob, 1001.0),
            (&ada, 1002.0),
            (&bob, 1002.0),
        ]);
        assert_ne!(told[0], told[1]);
        assert_eq!((&told[2], &told[3]), (&told[0], &told[1]));
    }

    #[test]
    fn everything_an_app_is_told_is_written_out_as_whole_lines() {
        let ada = claims();
        let text = String::from_utf8(tell_all(&[(&ada, 1001.0)])[0].to_vec()).unwrap();
        let lines: Vec<&str> = text.split_inclusive("\r\n").collect();
        assert_eq!(lines[..2], ["remote-user: ada\r\n", "x-who: ada\r\n"]);
        assert!(lines[2].starts_with("mergepoint-identity: ey") && lines[2].ends_with("\r\n"));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn an_identity_that_is_too_long_is_missing_and_the_rest_is_told() {
        let mut ada = (*claims()).clone();
        ada.groups = vec!["g".repeat(20_000)];
        let ada = Arc::new(ada);
        let told = tell_all(&[(&ada, 1001.0)]);
        assert_eq!(told[0], "remote-user: ada\r\nx-who: ada\r\n");
    }

    #[test]
    fn neighbouring_addresses_are_spread_over_a_table() {
        let low = |address: usize| AddressHash.hash_one(address) & 1023;
        let places: std::collections::HashSet<u64> =
            (0..1024).map(|n| low(0x7f00_0000_0000 + n * 272)).collect();
        assert!(places.len() > 512, "{}", places.len());
    }
}
