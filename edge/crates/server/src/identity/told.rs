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
