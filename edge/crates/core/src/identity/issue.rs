//! What the edge signs: who asks, for one app and one minute, and the keys to verify it with.
//!
//! Place: made once per snapshot from its `identity`; asked for every request of a proven visitor, and for jwks.json.
//! Rule: an app never learns the id of a session, only a hash of it; the edge's seed appears nowhere.

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use ring::digest;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Serialize;

use super::claims::Claims;
use super::permissions::Roles;
use crate::snapshot::Identity;

/// How long an app may believe a token.
pub const LIFE_S: f64 = 60.0;
/// Longest token; roles and permissions beyond it are a mistake in the manifest.
pub const IDENTITY_BYTES_MAX: usize = 16 * 1024;
/// `typ` of what apps receive.
pub const IDENTITY_TYPE: &str = "mpi+jwt";
/// Bytes of the hash of a session that an app sees: 22 characters.
const SESSION_HASH_BYTES: usize = 16;

/// Why nothing could be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The seed is no seed.
    #[error("the signing key of the edge cannot be used")]
    Key,
    /// The token would be longer than any app takes.
    #[error("the identity of this visitor takes more than {IDENTITY_BYTES_MAX} bytes")]
    TooLong,
}

/// The signing key of the edge and what it signs with it.
pub struct Issuer {
    pair: Ed25519KeyPair,
    header: String,
    issuer: String,
    stale_s: f64,
    jwks: String,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    session: &'a str,
    iat: u64,
    exp: u64,
    auth_time: u64,
    amr: &'a [String],
    kind: &'static str,
    user: &'a str,
    name: &'a str,
    email: &'a str,
    lang: &'a str,
    roles: &'a [String],
    groups: &'a [String],
    permissions: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

#[derive(Serialize)]
struct Jwk<'a> {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    r#use: &'static str,
    kid: &'a str,
    x: String,
}

impl Issuer {
    /// The issuer of a checked snapshot.
    ///
    /// # Errors
    /// `IssueError::Key`, which no checked snapshot causes.
    pub fn new(identity: &Identity) -> Result<Issuer, IssueError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(identity.signing.seed.bytes())
            .map_err(|_| IssueError::Key)?;
        let header = serde_json::json!({
            "alg": "EdDSA", "kid": identity.signing.kid, "typ": IDENTITY_TYPE
        });
        let jwks = jwks(identity, pair.public_key().as_ref());
        Ok(Issuer {
            pair,
            header: URL_SAFE_NO_PAD.encode(header.to_string()),
            issuer: identity.issuer.clone(),
            stale_s: identity.stale_s,
            jwks,
        })
    }

    /// The body of `/.well-known/mergepoint/jwks.json` (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> &str {
        &self.jwks
    }

    /// The value of `Mergepoint-Identity` for one app.
    ///
    /// # Errors
    /// `IssueError::TooLong`.
    pub fn issue(
        &self,
        claims: &Claims,
        roles: &Roles,
        app: &str,
        now_s: f64,
    ) -> Result<String, IssueError> {
        let session = session_hash(claims);
        let payload = Payload {
            iss: &self.issuer,
            aud: app,
            sub: &claims.sub,
            session: &session,
            // Whole seconds, rounded down: some libraries take nothing else.
            iat: now_s as u64,
            exp: (now_s + LIFE_S).min(self.end_s(claims, now_s)) as u64,
            auth_time: claims.auth_time as u64,
            amr: &claims.amr,
            kind: claims.kind.as_str(),
            user: &claims.user,
            name: &claims.name,
            email: &claims.email,
            lang: &claims.lang,
            roles: &claims.roles,
            groups: &claims.groups,
            permissions: &claims.flattened(roles),
            token: claims.token.as_deref(),
        };
        let payload = serde_json::to_vec(&payload).map_err(|_| IssueError::TooLong)?;
        let token = self.sign(&payload);
        if token.len() > IDENTITY_BYTES_MAX {
            return Err(IssueError::TooLong);
        }
        Ok(token)
    }

    /// A proof that is only held up because accounts cannot be asked ends when that does.
    fn end_s(&self, claims: &Claims, now_s: f64) -> f64 {
        if now_s < claims.exp {
            claims.exp
        } else {
            claims.exp + self.stale_s
        }
    }

    fn sign(&self, payload: &[u8]) -> String {
        let mut token = String::with_capacity(self.header.len() + payload.len() * 4 / 3 + 96);
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }
}

/// 22 characters that are the same for every request of one session, or of one API token.
pub fn session_hash(claims: &Claims) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    match (&claims.token, claims.sid.as_str()) {
        (Some(token), "") => {
            context.update(b"token:");
            context.update(token.as_bytes());
        }
        (_, sid) => context.update(sid.as_bytes()),
    }
    let hash = context.finish();
    URL_SAFE_NO_PAD.encode(hash.as_ref().get(..SESSION_HASH_BYTES).unwrap_or_default())
}

fn jwks(identity: &Identity, own: &[u8]) -> String {
    let kid = identity.signing.kid.as_str();
    let earlier = identity
        .published
        .iter()
        .filter(|key| key.kid != kid)
        .map(|key| (key.kid.as_str(), &key.x[..]));
    let keys: Vec<Jwk<'_>> = std::iter::once((kid, own))
        .chain(earlier)
        .map(|(kid, x)| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            r#use: "sig",
            kid,
            x: URL_SAFE_NO_PAD.encode(x),
        })
        .collect();
    serde_json::json!({ "keys": keys }).to_string()
}
