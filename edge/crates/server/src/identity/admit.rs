//! Whether a request passes, and what its app is told of who sent it.
//!
//! Place: exchange.rs, after routing -> [admit] -> prove.rs, core's guard and csrf; then the app
//! Rule:  proven, then guarded, then asked for its origin, then forwarded; nothing of a stopped request reaches an app.

use std::sync::Arc;

use http::header::{self, HeaderMap};
use http::{request::Parts, Response};
use mergepoint_edge_core::identity::challenge::Reason;
use mergepoint_edge_core::identity::{cookies, csrf, guard, remote, Claims, Verdict};
use mergepoint_edge_core::router::Match;
use mergepoint_edge_core::snapshot::{Access, AuthorizationPolicy, Identity};

use super::prove::{prove, Asking, Proof};
use super::refusal::{detail, forbidden, Stopped};
use super::told::{Block, Listener};
use crate::body::Body;
use crate::edge::{Edge, Kind, Loaded, Member};
use crate::exchange::Checked;
use crate::record::Record;
use crate::refuse::Refused;

/// What becomes of a request.
pub enum Admitted {
    /// It goes to its app; the answer may depend on who asked.
    Passes {
        /// Nobody unproven would have got it.
        guarded: bool,
    },
    /// It is answered already.
    Answered(Response<Body>),
}

/// Where a request was routed to, in a site that knows people.
struct Way<'a> {
    loaded: &'a Loaded,
    identity: &'a Identity,
    member: &'a Member,
    access: &'a Access,
    found: &'a Match<'a>,
}

/// Let a request pass to its app, or answer it.
///
/// # Errors
/// The refusal.
pub async fn admit(
    (edge, loaded): (&Arc<Edge>, &Arc<Loaded>),
    (member, found): (&Member, &Match<'_>),
    parts: &mut Parts,
    checked: &mut Checked,
    record: &mut Record,
) -> Result<Admitted, Refused> {
    let (Some(identity), Some(access)) = (&loaded.snapshot.identity, member.access()) else {
        return Ok(Admitted::Passes { guarded: false });
    };
    let way = Way {
        loaded,
        identity,
        member,
        access,
        found,
    };
    remote::strip(&mut parts.headers, access);
    let carried = cookies::carried(&parts.headers, checked.origin.scheme);
    let by_cookie = carried.any();
    let (now_s, now) = record.began();
    let asking = Asking {
        edge,
        loaded,
        identity,
        checked,
        headers: &parts.headers,
        request_id: &record.request_id,
        now_s,
        now,
    };
    let proven = prove(&asking, &carried).await;
    let stopped = match proven {
        Err(reason) => Err((reason, detail(reason).to_owned())),
        Ok(proof) => {
            record.session_cookies.clone_from(&proof.cookies);
            record.visitor.clone_from(&proof.visitor);
            match way.stops(&proof, checked, parts, by_cookie) {
                Some(why) => Err(why),
                None => Ok(proof),
            }
        }
    };
    let proof = match stopped {
        Ok(proof) => proof,
        Err((reason, detail)) => {
            let stopped = Stopped {
                loaded,
                checked,
                method: &parts.method,
                headers: &parts.headers,
            };
            return stopped.answer(reason, detail).map(Admitted::Answered);
        }
    };
    checked.told = way.forward(&proof, &mut parts.headers);
    checked.visitor = proof.visitor;
    Ok(Admitted::Passes {
        guarded: way.is_guarded(parts),
    })
}

impl Way<'_> {
    fn judge(&self, visitor: Option<&Claims>, parts: &Parts) -> Verdict<'_> {
        let method = parts.method.as_str();
        guard::judge(
            self.access,
            &self.identity.roles,
            visitor,
            method,
            &self.found.rest,
        )
    }

    /// Somebody unproven would not get this.
    fn is_guarded(&self, parts: &Parts) -> bool {
        // Asked for the edge's own answers alone: an app's are the app's business.
        !matches!(self.member.kind, Kind::Pool(_)) && self.judge(None, parts) != Verdict::Allowed
    }

    fn is_accounts(&self) -> bool {
        self.found.app == self.identity.app
    }

    /// Why a request may not pass, if so.
    fn stops(
        &self,
        proof: &Proof,
        checked: &Checked,
        parts: &Parts,
        by_cookie: bool,
    ) -> Option<(Reason, String)> {
        let visitor = proof.visitor.as_deref();
        let plain = |reason| Some((reason, detail(reason).to_owned()));
        match self.judge(visitor, parts) {
            Verdict::Allowed => {}
            Verdict::NeedsProof if proof.unavailable => return plain(Reason::Unavailable),
            Verdict::NeedsProof => return plain(Reason::Required),
            Verdict::Forbidden(terms) => {
                return Some((Reason::Forbidden, forbidden(terms, visitor)));
            }
        }
        let asked = csrf::Asked {
            method: &parts.method,
            headers: &parts.headers,
            websocket: checked.accepted.websocket,
            scheme: checked.origin.scheme,
            host: &checked.origin.host,
            by_cookie,
            to_accounts: self.is_accounts(),
            exempt: guard::is_csrf_exempt(self.access, &self.found.rest),
        };
        csrf::is_from_elsewhere(&asked)
            .then_some(Reason::Origin)
            .and_then(plain)
    }

    /// Take from a request what is not for its app; what is said to it of who sent it.
    fn forward(&self, proof: &Proof, headers: &mut HeaderMap) -> Option<Arc<Block>> {
        let Kind::Pool(pool) = &self.member.kind else {
            return None;
        };
        if !self.is_accounts() {
            cookies::forward(headers, self.access.cookies);
        }
        if proof.by_credential && self.access.authorization == AuthorizationPolicy::Consume {
            headers.remove(header::AUTHORIZATION);
        }
        let claims = proof.visitor.as_ref()?;
        let listener = Listener {
            issuer: self.loaded.issuer.as_ref()?,
            roles: &self.identity.roles,
            access: self.access,
            app: self.found.app,
        };
        Some(pool.told.tell(&listener, claims, proof.at_s))
    }
}
