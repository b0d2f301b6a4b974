//! Renewing a session: one question to accounts for all requests that wait for it.
//!
//! Place: prove.rs -> [refresh] -> once.rs, call.rs
//! Rule:  shared between those who brought the same cookie, to the letter; a refresh is finished even if all who
//!        waited have gone.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use http::StatusCode;
use mergepoint_edge_core::forwarded::Scheme;
use mergepoint_edge_core::identity::feed::Refreshed;
use mergepoint_edge_core::identity::Claims;
use ring::digest::{digest, SHA256};
use serde_json::json;

use super::call;
use super::gate::RefreshHash;
use super::prove::Asking;
use crate::clock::unix_s;
use crate::edge::{Edge, Loaded};

/// How long a renewal answers requests that still bring the old token: those a browser sent before it had the new one.
const RENEWED_KEPT: Duration = Duration::from_secs(10);

/// How long a session that has ended is known to have.
const ENDED_KEPT: Duration = Duration::from_secs(5);

/// How long accounts is not asked again for a session after it gave no answer.
const UNAVAILABLE_KEPT: Duration = Duration::from_secs(1);

/// Cookies that one renewal may set.
const COOKIES_MAX: usize = 8;

/// Fields for the browser.
pub type Cookies = Arc<[HeaderValue]>;

/// What became of a session.
#[derive(Debug, Clone)]
pub enum Renewal {
    /// It stands, and this is true of its visitor now.
    Renewed(Arc<Claims>, Cookies),
    /// It has ended.
    Ended(Cookies),
    /// Accounts cannot be asked.
    Unavailable,
}

/// Ask what became of the session of a well-formed refresh cookie.
pub async fn refresh(asking: &Asking<'_>, cookie: &str) -> Renewal {
    let gate = &asking.edge.gate;
    let mut key: RefreshHash = [0; 32];
    key.copy_from_slice(digest(&SHA256, cookie.as_bytes()).as_ref());
    let good = |renewal: &Renewal| match renewal {
        Renewal::Renewed(claims, _) => !gate.is_revoked(claims),
        Renewal::Ended(_) | Renewal::Unavailable => true,
    };
    let work = || {
        let question = json!({
            "refresh": cookie,
            "address": asking.address(),
            "agent": asking.agent(),
            "secure": asking.checked.origin.scheme == Scheme::Https,
            "request_id": asking.request_id,
        });
        let request_id = asking.request_id.to_owned();
        let (edge, loaded) = (Arc::clone(asking.edge), Arc::clone(asking.loaded));
        async move { ask(&edge, &loaded, &question.to_string(), &request_id).await }
    };
    let renewal = gate.renewals.ask(key, good, kept, work).await;
    renewal.unwrap_or(Renewal::Unavailable)
}

fn kept(renewal: &Renewal) -> Duration {
    match renewal {
        Renewal::Renewed(..) => RENEWED_KEPT,
        Renewal::Ended(_) => ENDED_KEPT,
        Renewal::Unavailable => UNAVAILABLE_KEPT,
    }
}

async fn ask(edge: &Arc<Edge>, loaded: &Loaded, question: &str, request_id: &str) -> Renewal {
    let gate = &edge.gate;
    gate.counts.refreshes.inc();
    let asked = (question.as_bytes(), request_id);
    let renewal = match call::post(edge, loaded, &gate.renewal_calls, "refresh", asked).await {
        Err(error) => Err(error.to_string()),
        Ok(said) => match (said.status, Refreshed::parse(&said.body)) {
            (StatusCode::OK, Ok(told)) => renewed(edge, loaded, &told),
            (StatusCode::UNAUTHORIZED, Ok(told)) => Ok(Renewal::Ended(cookies(&told))),
            (StatusCode::OK | StatusCode::UNAUTHORIZED, Err(why)) => Err(why.to_owned()),
            (status, _) => Err(format!(
                "edge/refresh: accounts answered {}",
                status.as_u16()
            )),
        },
    };
    renewal.unwrap_or_else(|why| {
        gate.trouble(&why);
        Renewal::Unavailable
    })
}

fn renewed(edge: &Edge, loaded: &Loaded, told: &Refreshed) -> Result<Renewal, String> {
    let (Some(identity), Some(token)) = (&loaded.snapshot.identity, &told.token) else {
        return Err("edge/refresh: the answer has no token".to_owned());
    };
    let verified = edge
        .gate
        .verify(identity, &loaded.snapshot.site, token, unix_s());
    let claims =
        verified.map_err(|why| format!("edge/refresh: a token that is not ours: {why}"))?;
    Ok(Renewal::Renewed(claims, cookies(told)))
}

fn cookies(told: &Refreshed) -> Cookies {
    let fields = told.set_cookie.iter().take(COOKIES_MAX);
    let values = fields.filter_map(|field| {
        let mut value = HeaderValue::from_str(field).ok()?;
        value.set_sensitive(true);
        Some(value)
    });
    values.collect()
}
