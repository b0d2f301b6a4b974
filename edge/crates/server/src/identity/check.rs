//! Checking a credential: remembered, or asked of accounts once for all who bring it.
//!
//! Place: prove.rs -> [check] -> core's known credentials, once.rs, call.rs
//! Rule:  a credential is written into the question to accounts and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use mergepoint_edge_core::identity::credentials::Credential;
use mergepoint_edge_core::identity::feed::Checked;
use mergepoint_edge_core::identity::known_credentials::{CredentialHash, Known};
use mergepoint_edge_core::identity::Claims;
use serde::Deserialize;
use serde_json::json;

use super::call::{self, Said};
use super::prove::Asking;
use crate::clock::unix_s;
use crate::edge::{Edge, Loaded};

/// Longest time for which somebody who tried too often is refused without asking.
const BUSY_KEPT_S_MAX: f64 = 5.0;

/// How long accounts is not asked again for a credential after it gave no answer.
const UNAVAILABLE_KEPT: Duration = Duration::from_secs(1);

/// What a credential is worth.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It proves this.
    Proven(Arc<Claims>),
    /// It is wrong.
    Refused,
    /// Wrong ones came too often; when to come back.
    TooMany(f64),
    /// Accounts cannot be asked.
    Unavailable,
}

/// What the answer of accounts to a check with 429 says.
#[derive(Deserialize)]
struct Busy {
    retry_after_s: f64,
}

/// What a credential is worth now.
pub async fn check(asking: &Asking<'_>, credential: &Credential) -> Outcome {
    let gate = &asking.edge.gate;
    let known = gate.credentials(|known| {
        let hash = known.hash(credential);
        let found = match known.get(&hash, unix_s()) {
            // Its owner may be somebody else by now, or nobody.
            Known::Proven(claims) if gate.is_revoked(&claims) => {
                known.forget(&hash);
                Known::Unknown
            }
            found => found,
        };
        (hash, found)
    });
    let hash = match known {
        None => return Outcome::Unavailable,
        Some((_, Known::Proven(claims))) => return Outcome::Proven(claims),
        Some((_, Known::Refused)) => return Outcome::Refused,
        Some((hash, Known::Unknown)) => hash,
    };
    let good = |outcome: &Outcome| match outcome {
        Outcome::Proven(claims) => !gate.is_revoked(claims),
        _ => true,
    };
    let work = || {
        let question = json!({
            "scheme": credential.scheme.as_str(),
            "user": credential.user,
            "secret": credential.secret,
            "address": asking.address(),
            "agent": asking.agent(),
            "request_id": asking.request_id,
        });
        let request_id = asking.request_id.to_owned();
        let (edge, loaded) = (Arc::clone(asking.edge), Arc::clone(asking.loaded));
        async move { ask(&edge, &loaded, hash, &question.to_string(), &request_id).await }
    };
    let outcome = gate.checks.ask(hash, good, kept, work).await;
    outcome.unwrap_or(Outcome::Unavailable)
}

fn kept(outcome: &Outcome) -> Duration {
    match outcome {
        // The known credentials keep these, by the bounds of the snapshot.
        Outcome::Proven(_) | Outcome::Refused => Duration::ZERO,
        Outcome::TooMany(retry_after_s) => {
            Duration::try_from_secs_f64(retry_after_s.min(BUSY_KEPT_S_MAX)).unwrap_or_default()
        }
        Outcome::Unavailable => UNAVAILABLE_KEPT,
    }
}

async fn ask(
    edge: &Arc<Edge>,
    loaded: &Loaded,
    hash: CredentialHash,
    question: &str,
    request_id: &str,
) -> Outcome {
    let gate = &edge.gate;
    gate.counts.checks.inc();
    let asked = (question.as_bytes(), request_id);
    let outcome = match call::post(edge, loaded, &gate.check_calls, "check", asked).await {
        Err(error) => Err(error.to_string()),
        Ok(said) => judged(edge, hash, &said),
    };
    outcome.unwrap_or_else(|why| {
        gate.trouble(&why);
        Outcome::Unavailable
    })
}

fn judged(edge: &Edge, hash: CredentialHash, said: &Said) -> Result<Outcome, String> {
    let now_s = unix_s();
    match said.status {
        StatusCode::OK => {
            let told = Checked::parse(&said.body);
            let told = told.map_err(|why| format!("edge/check: claims that are none: {why}"))?;
            let claims = Arc::new(told.claims);
            let proven = Arc::clone(&claims);
            edge.gate
                .credentials(|known| known.prove(hash, proven, told.expires_s, now_s));
            Ok(Outcome::Proven(claims))
        }
        StatusCode::UNAUTHORIZED => {
            edge.gate.credentials(|known| known.refuse(hash, now_s));
            Ok(Outcome::Refused)
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let busy: Result<Busy, _> = serde_json::from_slice(&said.body);
            let retry_after_s = busy.map_or(1.0, |busy| busy.retry_after_s);
            Ok(Outcome::TooMany(retry_after_s))
        }
        status => Err(format!("edge/check: accounts answered {}", status.as_u16())),
    }
}
