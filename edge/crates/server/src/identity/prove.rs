//! Whom a request proves: by its credential, by its session, or nobody.
//!
//! Place: admit.rs -> [prove] -> gate.rs, refresh.rs, check.rs
//! Rule:  a credential that was meant for us and is wrong is never ignored; a session that does not hold is nobody.

use std::sync::Arc;

use http::header::{self, HeaderMap};
use mergepoint_edge_core::identity::challenge::Reason;
use mergepoint_edge_core::identity::cookies::{refresh_session, Carried};
use mergepoint_edge_core::identity::credentials::{self, Given};
use mergepoint_edge_core::identity::{Claims, Freshness};
use mergepoint_edge_core::snapshot::Identity;
use mergepoint_edge_core::Moment;

use super::check::{check, Outcome};
use super::refresh::{refresh, Cookies, Renewal};
use crate::clock::unix_s;
use crate::edge::{Edge, Loaded};
use crate::exchange::Checked;

/// Longest `User-Agent` that accounts is told.
const AGENT_BYTES_MAX: usize = 512;

/// A request that is asked who sent it.
pub struct Asking<'a> {
    /// The running edge.
    pub edge: &'a Arc<Edge>,
    /// The snapshot it started under.
    pub loaded: &'a Arc<Loaded>,
    /// What that says of identity.
    pub identity: &'a Identity,
    /// What is known of the request.
    pub checked: &'a Checked,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// When it came, in Unix seconds.
    pub now_s: f64,
    /// When it came.
    pub now: Moment,
}

/// What a request proves.
#[derive(Debug, Default)]
pub struct Proof {
    /// Who was proven.
    pub visitor: Option<Arc<Claims>>,
    /// `Authorization` was meant for the edge.
    pub by_credential: bool,
    /// Nobody can be proven now, who otherwise might have been.
    pub unavailable: bool,
    /// Cookies for the answer, whatever it will be.
    pub cookies: Option<Cookies>,
    /// When this was so, in Unix seconds: accounts may have been asked meanwhile.
    pub at_s: f64,
}

impl Asking<'_> {
    /// The client's address; none behind a Unix socket.
    pub fn address(&self) -> Option<String> {
        self.checked.origin.client.map(|client| client.to_string())
    }

    /// What the client says it is, at most `AGENT_BYTES_MAX` of it.
    pub fn agent(&self) -> String {
        let agent = self.headers.get(header::USER_AGENT);
        let bytes = agent.map_or(&b""[..], |agent| agent.as_bytes());
        String::from_utf8_lossy(bytes.get(..AGENT_BYTES_MAX).unwrap_or(bytes)).into_owned()
    }

    fn refused(&self, reason: &'static str) {
        self.edge.gate.counts.refused(reason);
    }
}

/// Find out whom a request proves.
///
/// # Errors
/// The reason to refuse it whatever it asks for: a wrong credential.
pub async fn prove(asking: &Asking<'_>, carried: &Carried<'_>) -> Result<Proof, Reason> {
    let given = credentials::authorization(asking.headers);
    let ready =
        asking.loaded.issuer.is_some() && asking.edge.gate.is_ready(asking.identity, asking.now);
    match given {
        Given::Malformed => {
            asking.refused("credential");
            Err(Reason::Credential)
        }
        Given::Ours(_) if !ready => Ok(Proof {
            by_credential: true,
            unavailable: true,
            ..Proof::default()
        }),
        Given::Ours(credential) => by_credential(asking, check(asking, &credential).await),
        Given::Foreign | Given::Nothing if !ready => Ok(Proof {
            unavailable: true,
            ..Proof::default()
        }),
        Given::Foreign | Given::Nothing => Ok(by_session(asking, carried).await),
    }
}

fn by_credential(asking: &Asking<'_>, outcome: Outcome) -> Result<Proof, Reason> {
    let proof = Proof {
        by_credential: true,
        at_s: unix_s(),
        ..Proof::default()
    };
    match outcome {
        Outcome::Proven(claims) => Ok(Proof {
            visitor: Some(claims),
            ..proof
        }),
        Outcome::Refused => {
            asking.refused("credential");
            Err(Reason::Credential)
        }
        Outcome::TooMany(retry_after_s) => {
            asking.refused("too_many");
            Err(Reason::TooMany { retry_after_s })
        }
        Outcome::Unavailable => Ok(Proof {
            unavailable: true,
            ..proof
        }),
    }
}

async fn by_session(asking: &Asking<'_>, carried: &Carried<'_>) -> Proof {
    let held = carried
        .session
        .value()
        .and_then(|token| held(asking, token));
    let freshness = held.as_ref().map(|claims| {
        let identity = asking.identity;
        claims.freshness(asking.now_s, identity.refresh_before_s, identity.stale_s)
    });
    match freshness {
        Some(Freshness::Fresh) => Proof {
            visitor: held,
            at_s: asking.now_s,
            ..Proof::default()
        },
        _ => {
            let proof = by_refresh(asking, carried, held, freshness).await;
            Proof {
                at_s: unix_s(),
                ..proof
            }
        }
    }
}

/// What becomes of a visitor whose token is missing, wrong, or soon to end.
async fn by_refresh(
    asking: &Asking<'_>,
    carried: &Carried<'_>,
    held: Option<Arc<Claims>>,
    freshness: Option<Freshness>,
) -> Proof {
    let held = held.filter(|_| freshness != Some(Freshness::Ended));
    let cookie = carried.refresh.value();
    let cookie = cookie.filter(|cookie| refresh_session(cookie).is_some());
    // What is good without accounts waits for it only while it answers.
    let spare = held.is_some() && asking.edge.gate.is_troubled();
    match (freshness, cookie) {
        (Some(Freshness::Fresh | Freshness::Renew), None) => Proof {
            visitor: held,
            ..Proof::default()
        },
        (_, None) => Proof::default(),
        (_, Some(_)) if spare => without_accounts(held),
        (_, Some(cookie)) => match refresh(asking, cookie).await {
            Renewal::Renewed(claims, cookies) => Proof {
                visitor: Some(claims),
                cookies: Some(cookies),
                ..Proof::default()
            },
            Renewal::Ended(cookies) => {
                asking.refused("session_ended");
                Proof {
                    cookies: Some(cookies),
                    ..Proof::default()
                }
            }
            Renewal::Unavailable => without_accounts(held),
        },
    }
}

/// A token that was not revoked is held up for a while; without one nobody knows who this is.
fn without_accounts(held: Option<Arc<Claims>>) -> Proof {
    Proof {
        unavailable: held.is_none(),
        visitor: held,
        ..Proof::default()
    }
}

/// The claims of a token that is ours, was not revoked, and has not ended for good.
fn held(asking: &Asking<'_>, token: &str) -> Option<Arc<Claims>> {
    let gate = &asking.edge.gate;
    let site = &asking.loaded.snapshot.site;
    match gate.verify(asking.identity, site, token, asking.now_s) {
        Ok(claims) if gate.is_revoked(&claims) => {
            asking.refused("revoked");
            None
        }
        Ok(claims) => Some(claims),
        Err(why) => {
            asking.refused(why.as_str());
            None
        }
    }
}
