//! What is kept, and for how long: the cache of the site and of each app.
//!
//! Place: part of the snapshot's types.
//! Rule: mirrors section 7 of docs/reference/contracts.md, one struct for each object.

use serde::Deserialize;

use super::Address;
use crate::cache::control::{Hold, Scope};

/// The cache of the site.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Where the hub tells of changes; none in a site that names no database.
    pub feed: Option<Address>,
    /// Room for all answers.
    pub bytes_max: u64,
    /// Larger answers are not kept.
    pub entry_bytes_max: u64,
    /// How long a reading of the log counts.
    pub lease_s: f64,
    /// Between two readings.
    pub poll_s: f64,
    /// How long a request waits for one.
    pub call_s: f64,
    /// Clients are told the groups of an answer.
    pub expose: bool,
}

/// What of an app is kept without being told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// What HTTP's rules and the answer's own fields allow.
    Http,
    /// Beside that, answers made from known data.
    Auto,
}

/// The cache of one app.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppCache {
    /// What is kept.
    pub mode: CacheMode,
    /// For whom.
    pub scope: Scope,
    /// What an unsafe request's answer waits for.
    pub hold: Hold,
    /// How long an answer lives that does not say so itself.
    pub ttl_s: f64,
    /// How long an answer that is too old may stand in for an error.
    pub stale_s: f64,
    /// Includes are put together at the edge.
    pub fragments: bool,
    /// Cookies that are part of the key.
    pub cookies: Vec<String>,
}
