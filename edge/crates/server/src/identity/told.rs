//! What an app was told of its visitors, signed once for many requests.
//!
//! Place: edge.rs holds one per app and snapshot -> [told] -> core's issue
//! Rule:  signed for one app under one snapshot, because roles may mean something else in the next.

use std::collections::hash_map::RandomState;
use std::sync::Arc;

use http::header::HeaderValue;
use mergepoint_edge_core::identity::issue::{IssueError, Issuer};
use mergepoint_edge_core::identity::recent::Recent;
use mergepoint_edge_core::identity::{Claims, Roles};
use parking_lot::Mutex;

/// Signed identities kept for one app.
pub const TOLD_MAX: usize = 1_024;

/// How long one is used; it lives twice as long, so that an app may take its time.
pub const TOLD_S: f64 = 30.0;

/// The signed identities of one app's visitors.
pub struct Told(Mutex<Recent<usize, Signed, RandomState>>);

struct Signed {
    /// Held so that its address, which is the key, belongs to nobody else.
    _claims: Arc<Claims>,
    value: HeaderValue,
    until_s: f64,
}

impl Default for Told {
    fn default() -> Self {
        Told(Mutex::new(Recent::new(TOLD_MAX, RandomState::new())))
    }
}

impl Told {
    /// The value of `Mergepoint-Identity` of a visitor for `app`.
    ///
    /// # Errors
    /// It would be too long.
    pub fn tell(
        &self,
        issuer: &Issuer,
        claims: &Arc<Claims>,
        (roles, app): (&Roles, &str),
        now_s: f64,
    ) -> Result<HeaderValue, IssueError> {
        let key = Arc::as_ptr(claims) as usize;
        {
            let mut told = self.0.lock();
            if let Some(signed) = told.get(&key).filter(|signed| now_s < signed.until_s) {
                return Ok(signed.value.clone());
            }
        }
        let token = issuer.issue(claims, roles, app, now_s)?;
        let mut value = HeaderValue::from_str(&token).map_err(|_| IssueError::TooLong)?;
        value.set_sensitive(true);
        // A proof about to end is told anew when it has ended.
        let until_s = match now_s < claims.exp {
            true => claims.exp.min(now_s + TOLD_S),
            false => now_s,
        };
        let signed = Signed {
            _claims: Arc::clone(claims),
            value: value.clone(),
            until_s,
        };
        self.0.lock().put(key, signed);
        Ok(value)
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

    #[test]
    fn one_signature_serves_half_a_minute_and_never_beyond_the_session() {
        let (issuer, told, claims, roles) = (issuer(), Told::default(), claims(), Roles::new());
        let at = |now_s| told.tell(&issuer, &claims, (&roles, "app"), now_s).unwrap();
        let first = at(1001.0);
        assert_eq!(at(1030.0), first);
        let second = at(1031.5);
        assert_ne!(second, first);
        let last = at(1590.0);
        assert_eq!(at(1599.0), last);
        assert_ne!(at(1601.0), last, "only held up from here on");
    }

    #[test]
    fn another_visitor_is_told_apart() {
        let (issuer, told, roles) = (issuer(), Told::default(), Roles::new());
        let (ada, mut bob) = (claims(), (*claims()).clone());
        bob.user = "bob".to_owned();
        let bob = Arc::new(bob);
        let tell = |claims| told.tell(&issuer, claims, (&roles, "app"), 1001.0).unwrap();
        assert_ne!(tell(&ada), tell(&bob));
        assert_eq!(tell(&ada), tell(&ada));
    }
}
