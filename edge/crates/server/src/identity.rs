//! Who asks: proven at the edge before any app hears of a request, told to apps in words of the edge.
//!
//! Place: exchange.rs -> [identity] -> proxy.rs, files.rs; decisions in `mergepoint-edge-core::identity`
//! Rule:  a site without identity pays a look at one `Option`; nothing secret is ever written down.

pub mod admit;
pub mod answer;
pub mod call;
pub mod check;
pub mod feed;
pub mod frames;
pub mod gate;
pub mod live;
pub mod numbers;
pub mod once;
pub mod prove;
pub mod refresh;
pub mod refusal;
pub mod told;

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{request::Parts, Method, Response, StatusCode};
use mergepoint_edge_core::identity::{set_cookie, Claims};
use mergepoint_edge_core::router::Match;

use crate::body::{self, Body};
use crate::edge::{Edge, Loaded, PoolApp};
use crate::exchange::Checked;
use crate::refuse::Refused;

/// A live connection of a proven visitor.
pub type Alive = live::Alive<Arc<Claims>>;

/// Where the public keys of the edge lie, on every host.
pub const KEYS_PATH: &str = "/.well-known/mergepoint/jwks.json";

/// How far accounts has come; its answer waits until the edge has come as far.
const FEED: HeaderName = HeaderName::from_static("mergepoint-feed");

impl Checked {
    /// Enter a connection that outlives this moment; none for a visitor who was not proven.
    ///
    /// # Errors
    /// There are too many of them.
    pub fn enter_live(&self, edge: &Edge) -> Result<Option<Alive>, Refused> {
        let Some(visitor) = &self.visitor else {
            return Ok(None);
        };
        let gate = &edge.gate;
        let entered = gate.live.enter(Arc::clone(visitor));
        let alive = entered.ok_or_else(|| Refused::busy(1))?;
        // Entered first, asked afterwards: a revocation in between ends it as well.
        if gate.is_revoked(visitor) {
            alive.end();
        }
        Ok(Some(alive))
    }
}

/// The answer to a request for the keys of the edge; none when it asks for something else.
pub fn keys(loaded: &Loaded, parts: &Parts, path: &str) -> Option<Response<Body>> {
    let issuer = loaded.issuer.as_ref()?;
    if path != KEYS_PATH {
        return None;
    }
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let mut response = Response::new(match reads {
        true => body::full(issuer.jwks().to_owned()),
        false => body::empty(),
    });
    let headers = response.headers_mut();
    if reads {
        let kind = HeaderValue::from_static("application/jwk-set+json");
        headers.insert(header::CONTENT_TYPE, kind);
        // As long as accounts and the edge wait before a new key signs.
        let life = HeaderValue::from_static("public, max-age=5");
        headers.insert(header::CACHE_CONTROL, life);
    } else {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    }
    Some(response)
}

/// Hold an answer of accounts until what it changed is in force here.
pub async fn hold(edge: &Edge, loaded: &Loaded, app: &str, headers: &HeaderMap) {
    if !is_accounts(loaded, app) {
        return;
    }
    let told = headers.get(FEED).and_then(|value| value.to_str().ok());
    if let Some(position) = told.and_then(|text| text.parse().ok()) {
        edge.gate.feed.hold(position).await;
    }
}

/// Take from an app's answer what is accounts' alone, and keep its cookies below its mount.
pub fn confine(
    edge: &Edge,
    loaded: &Loaded,
    app: &PoolApp,
    found: &Match<'_>,
    headers: &mut HeaderMap,
) {
    let Some(access) = &app.settings.access else {
        return;
    };
    if is_accounts(loaded, found.app) {
        return;
    }
    let removed = set_cookie::confine(headers, found.prefix, access.cookies);
    if removed != set_cookie::Removed::default() {
        edge.gate.counts.refused("set_cookie");
    }
}

/// Whether this is the app that knows people.
fn is_accounts(loaded: &Loaded, app: &str) -> bool {
    loaded
        .snapshot
        .identity
        .as_ref()
        .is_some_and(|identity| identity.app == app)
}
