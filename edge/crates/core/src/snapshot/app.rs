//! What answers under a mount: pools of workers, files, redirects.
//!
//! Place: part of the snapshot's types.
//! Rule: mirrors `apps` of section 1 of docs/reference/contracts.md, one struct for each object.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::{Access, Address, AppCache};

/// What answers under a mount.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum App {
    /// Workers reached over HTTP/1.1.
    Pool(Box<Pool>),
    /// Files of a directory.
    Static(StaticFiles),
    /// A fixed redirect.
    Redirect(Redirect),
}

/// Workers of one app.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Who removes the mount.
    pub prefix: PrefixMode,
    /// May be empty; then `failure` says why.
    pub slots: Vec<Slot>,
    /// Share of new requests that go to the canary group, 0 to 1.
    pub canary_share: f64,
    /// Requests at once for one slot.
    pub concurrency: u32,
    /// What happens when a client leaves before the response head.
    pub abandon: Abandon,
    /// Requests that wait for a slot.
    pub queue: Queue,
    /// How a slot is chosen.
    pub balance: Balance,
    /// Limits in time.
    pub timeouts: Timeouts,
    /// Second attempts.
    pub retry: Retry,
    /// Probes and ejection.
    pub health: Health,
    /// Larger request bodies are refused with 413; `null` in the document is no limit, here `u64::MAX`.
    #[serde(deserialize_with = "unlimited")]
    pub body_bytes_max: u64,
    /// The edge may compress answers.
    pub compress: bool,
    /// Why there is no slot.
    pub failure: Option<Failure>,
    /// None: no identity in this site.
    pub access: Option<Access>,
    /// None: nothing of it is kept.
    pub cache: Option<AppCache>,
}

/// Who removes the mount from the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrefixMode {
    /// The host shim in the worker.
    Host,
    /// The edge, which also repairs the answer.
    Strip,
    /// Nobody.
    Keep,
}

/// One worker address under a stable number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Stable over restarts.
    pub slot: u32,
    /// Where the worker listens.
    pub address: Address,
    /// Whether it takes new requests.
    pub state: SlotState,
    /// Stable or canary.
    pub group: Group,
}

/// Whether a slot takes new requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotState {
    /// It does.
    Ready,
    /// It finishes what it holds.
    Draining,
}

/// Which release a slot runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The accepted one.
    Stable,
    /// The one on trial.
    Canary,
}

/// What happens when a client leaves before the response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abandon {
    /// The slot stays occupied until the worker has answered.
    Finish,
    /// The upstream connection is closed.
    Cancel,
}

/// Requests that wait for a slot.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// 0: none waits.
    pub length_max: usize,
    /// Patience of one request.
    pub wait_s: f64,
}

/// How a slot is chosen.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// The rule.
    pub by: BalanceBy,
    /// Name of the header or cookie; empty otherwise.
    pub name: String,
    /// Path segments that make the key.
    pub segments: usize,
    /// A slot may hold this many times the average.
    pub load_factor: f64,
    /// A slot may always hold this many.
    pub load_floor: u32,
}

/// The rule of choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BalanceBy {
    /// Least in flight.
    Least,
    /// Rendezvous hashing of the first path segments under the mount.
    Path,
    /// Rendezvous hashing of a header.
    Header,
    /// Rendezvous hashing of a cookie.
    Cookie,
    /// A signed cookie names the slot.
    Sticky,
}

/// Limits in time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// To reach the worker.
    pub connect_s: f64,
    /// From the request sent to the response head.
    pub request_s: f64,
    /// Between two pieces of a response body.
    pub body_idle_s: f64,
    /// Of a silent tunnel.
    pub tunnel_idle_s: f64,
}

/// Second attempts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Retries per request, over time.
    pub budget_ratio: f64,
    /// Retries always allowed.
    pub budget_min_per_s: f64,
    /// Attempts of one request, the first included.
    pub attempts_max: u32,
    /// Larger bodies are not kept for a second attempt.
    pub body_bytes_max: u64,
}

/// Probes and ejection.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// None: no active probes.
    pub path: Option<String>,
    /// Sent with every probe.
    pub headers: BTreeMap<String, String>,
    /// Lowest good status.
    pub status_min: u16,
    /// Highest good status.
    pub status_max: u16,
    /// Between probes.
    pub interval_s: f64,
    /// Of one probe.
    pub timeout_s: f64,
    /// Failures in a row.
    pub eject_after: u32,
    /// First ejection; later ones grow.
    pub eject_s: f64,
}

/// Why an app has no slot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What happened.
    pub reason: String,
    /// File and line, if known.
    pub r#where: Option<String>,
    /// The next command, if known.
    pub next: Option<String>,
}

/// Files of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticFiles {
    /// Absolute.
    pub root: PathBuf,
    /// Names tried in a directory.
    pub index: Vec<String>,
    /// Served instead of 404, relative to `root`.
    pub fallback: Option<String>,
    /// Sent with every file.
    pub cache_control: Option<String>,
    /// The edge may compress.
    pub compress: bool,
    /// None: no identity in this site.
    pub access: Option<Access>,
}

/// A fixed redirect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// Absolute URL or path.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Append the path under the mount and the query.
    pub keep_path: bool,
    /// None: no identity in this site.
    pub access: Option<Access>,
}

fn unlimited<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.unwrap_or(u64::MAX))
}

impl App {
    /// What the app asks of its visitors; none in a site without identity.
    pub fn access(&self) -> Option<&Access> {
        match self {
            App::Pool(pool) => pool.access.as_ref(),
            App::Static(files) => files.access.as_ref(),
            App::Redirect(redirect) => redirect.access.as_ref(),
        }
    }
}
