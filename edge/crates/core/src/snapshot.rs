//! The snapshot: the whole configuration of the edge as one checked document.
//!
//! Place: parsed by the server from the file or the `apply` verb; written by `mergepoint.edge.compile`.
//! Rule: the types mirror sections 1, 5 and 7 of docs/reference/contracts.md; unknown fields are refused; a value of
//! `Snapshot` that came out of `parse` satisfies every check in `snapshot/check*.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

mod address;
mod app;
mod cache;
mod check;
mod check_app;
mod check_cache;
mod check_identity;
mod diagnose;
mod identity;

pub use address::Address;
pub use app::{
    Abandon, App, Balance, BalanceBy, Failure, Group, Health, Pool, PrefixMode, Queue, Redirect,
    Retry, Slot, SlotState, StaticFiles, Timeouts,
};
pub use cache::{AppCache, Cache, CacheMode};
pub(crate) use check::host_name;
pub(crate) use identity::key_bytes;
pub use identity::{
    Access, AuthorizationPolicy, CookiePolicy, Guard, Identity, PublicKey, RemoteField, Signing,
    KEY_BYTES,
};

/// The only schema this edge understands.
pub const SCHEMA: u32 = 1;

/// Why a snapshot was refused: every problem found, each with its JSON path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotError {
    /// In the order of the document; never empty.
    pub problems: Vec<Problem>,
}

/// One reason for refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// For example `apps.tickets.slots[0].address`; `$` is the document itself.
    pub path: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{}: {}", problem.path, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for SnapshotError {}

/// Bytes that sign, of cookies or of tokens; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(crate) Vec<u8>);

impl Secret {
    /// The bytes themselves, for a MAC.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A secret from raw bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine as _;
        let text = String::deserialize(deserializer)?;
        // The text is a secret, so no error may repeat it.
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .map(Secret)
            .map_err(|_| serde::de::Error::custom("is not base64"))
    }
}

/// The whole configuration under one generation number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Always `SCHEMA`.
    pub schema: u32,
    /// Grows with every change.
    pub generation: u64,
    /// Name of the site.
    pub site: String,
    /// Development or production.
    pub mode: Mode,
    /// Signs sticky cookies.
    pub secret: Secret,
    /// By descriptor name.
    pub listeners: BTreeMap<String, Listener>,
    /// For TLS listeners; chosen by SNI.
    pub certificates: Vec<Certificate>,
    /// Networks whose forwarding headers are believed.
    #[serde(deserialize_with = "address::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds of connections and requests.
    pub limits: Limits,
    /// Format of the access log.
    pub access_log: AccessLog,
    /// Site-wide compression.
    pub compression: Compression,
    /// Which host and path lead to which app.
    pub hosts: Vec<Host>,
    /// By name.
    pub apps: BTreeMap<String, App>,
    /// None: this site proves nobody.
    pub identity: Option<Identity>,
    /// How long browsers are told to come by https:// alone (RFC 6797), 0 not at all.
    #[serde(default)]
    pub hsts_s: u32,
    /// None: this site keeps nothing.
    pub cache: Option<Cache>,
}

/// How talkative errors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Errors name files and commands.
    Development,
    /// Errors tell visitors nothing of the inside.
    Production,
}

/// Format of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// One JSON object a line.
    Json,
    /// Combined log format.
    Combined,
    /// None.
    Off,
}

/// What a listening descriptor serves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Speaks TLS.
    pub tls: bool,
    /// Expects the PROXY protocol from trusted proxies.
    pub proxy_protocol: bool,
    /// Serves the operator, not visitors.
    pub admin: bool,
    /// Sends whoever comes over plain HTTP to https:// on this port.
    #[serde(default)]
    pub https_port: Option<u16>,
}

/// A certificate chain and its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Chain, leaf first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Bounds of connections and requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Sum of names and values of one head.
    pub header_bytes_max: usize,
    /// Fields of one head.
    pub headers_max: usize,
    /// Path and query.
    pub target_bytes_max: usize,
    /// From the first byte of a head to its last.
    pub header_timeout_s: f64,
    /// Between requests of one connection.
    pub idle_timeout_s: f64,
    /// Between two pieces of a request body.
    pub body_idle_timeout_s: f64,
    /// At once, over all listeners.
    pub connections_max: usize,
    /// At once, of one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// Given to requests in flight when the edge ends.
    pub drain_s: f64,
}

/// Site-wide compression.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compression {
    /// Off means never.
    pub enabled: bool,
    /// Smaller answers of known length are left alone.
    pub bytes_min: u64,
}

/// The routes of one host name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Lower case without port, `*.example.org`, or `*`.
    pub name: String,
    /// In any order; the longest prefix wins.
    pub routes: Vec<Route>,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// `/` or `/a/b` without a final slash.
    pub prefix: String,
    /// A key of `apps`.
    pub app: String,
    /// File and line of the manifest.
    pub origin: String,
}

impl Snapshot {
    /// The checked snapshot.
    ///
    /// # Errors
    /// Every problem with its JSON path.
    pub fn parse(document: &[u8]) -> Result<Snapshot, SnapshotError> {
        let snapshot = diagnose::decode(document)?;
        let problems = check::problems(&snapshot);
        if problems.is_empty() {
            Ok(snapshot)
        } else {
            Err(SnapshotError { problems })
        }
    }
}
