//! What the snapshot says about identity: keys, bounds, roles, and what each app asks of its visitors.
//!
//! Place: part of the snapshot's types; `identity` of the document and `access` of every app.
//! Rule: mirrors section 5 of docs/reference/contracts.md; both are absent or null where a site has no identity.

use std::collections::BTreeMap;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde::{Deserialize, Deserializer};

use super::Secret;
use crate::identity::Requirement;

/// Bytes of an Ed25519 seed and of a public key.
pub const KEY_BYTES: usize = 32;

/// Who proves people on this site, and within which bounds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The app that signs sessions; a key of `apps`.
    pub app: String,
    /// Where that app is mounted.
    pub mount: String,
    /// `iss` of every token.
    pub issuer: String,
    /// The key that signs what apps see.
    pub signing: Signing,
    /// Earlier keys that apps may still meet.
    pub published: Vec<PublicKey>,
    /// A token with less than this left is renewed on the way.
    pub refresh_before_s: f64,
    /// How long a token and the feed stay good while the accounts app cannot be asked.
    pub stale_s: f64,
    /// How far the clocks may differ.
    pub skew_s: f64,
    /// Between two reads of the feed.
    pub poll_s: f64,
    /// Patience of one call to the accounts app.
    pub call_s: f64,
    /// Verified tokens remembered.
    pub sessions_max: usize,
    /// Checked credentials remembered.
    pub credentials_max: usize,
    /// How long a checked credential is remembered.
    pub credential_s: f64,
    /// Revocations remembered.
    pub revocations_max: usize,
    /// Permissions of every role, flattened.
    pub roles: BTreeMap<String, Vec<String>>,
}

/// The key of the edge; its seed is never printed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// Names the key in tokens.
    pub kid: String,
    /// Ed25519 seed.
    pub seed: Secret,
}

/// A key that verifies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKey {
    /// Names the key in tokens.
    pub kid: String,
    /// Ed25519 public key.
    #[serde(deserialize_with = "key_bytes")]
    pub x: [u8; KEY_BYTES],
}

/// What an app asks of its visitors, and what it is told about them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Met by any one term; holds where no guard matches.
    pub require: Vec<Requirement>,
    /// Paths that ask something else.
    pub guards: Vec<Guard>,
    /// Paths whose unsafe requests need no proof of origin.
    pub csrf_exempt: Vec<String>,
    /// Whether cookies stay below the mount.
    pub cookies: CookiePolicy,
    /// Fields beside the standard ones that tell who asks.
    pub headers: BTreeMap<String, RemoteField>,
    /// What becomes of an Authorization that was ours.
    pub authorization: AuthorizationPolicy,
}

/// What one path asks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Below the mount, decoded, on whole segments.
    pub path: String,
    /// Empty: all.
    pub methods: Vec<String>,
    /// Met by any one term.
    pub require: Vec<Requirement>,
}

/// Whether cookies of an app stay below its mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CookiePolicy {
    /// They do.
    Confine,
    /// They go where the app says.
    Share,
}

/// What becomes of an Authorization that was ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationPolicy {
    /// The app does not see it.
    Consume,
    /// The app sees it.
    Pass,
}

/// What an additional field carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemoteField {
    /// The name to log in with.
    User,
    /// The name to show.
    Name,
    /// The address of mail.
    Email,
    /// Groups alone, joined by commas.
    Groups,
    /// Roles alone, joined by commas.
    Roles,
}

pub(crate) fn key_bytes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<[u8; KEY_BYTES], D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "is not {KEY_BYTES} bytes in base64url without padding"
            ))
        })
}
