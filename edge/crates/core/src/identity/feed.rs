//! What the accounts app answers to the edge.
//!
//! Place: bodies of `edge/feed`, `edge/refresh` and `edge/check`, read from bytes.
//! Rule: a body that does not fit is refused as a whole; fields that are not known are left for later versions.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::claims::Claims;
use super::token::{Keys, TokenError};
use crate::snapshot::key_bytes;

/// Longest answer that is read.
pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The answer of `GET edge/feed`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Feed {
    /// Changes whenever positions begin anew.
    #[serde(deserialize_with = "epoch")]
    pub epoch: String,
    /// Of the last revocation.
    pub position: u64,
    /// The rest is the whole.
    pub reset: bool,
    /// Keys that session tokens are signed with.
    pub keys: Vec<FeedKey>,
    /// In the order of their positions.
    pub revocations: Vec<Revocation>,
}

/// A key of accounts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FeedKey {
    /// Names the key in tokens.
    pub kid: String,
    /// Ed25519 public key.
    #[serde(deserialize_with = "key_bytes")]
    pub x: [u8; 32],
    /// Unix seconds; none: as long as it is told.
    pub not_after: Option<f64>,
}

/// What was ended.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Revocation {
    /// Its place in the feed.
    pub position: u64,
    /// What `id` is.
    pub kind: RevocationKind,
    /// Of a session, an account or an API token; without meaning for the site.
    #[serde(default)]
    pub id: String,
    /// Proofs issued earlier than this have ended; Unix seconds.
    pub before: f64,
    /// When it was decided; Unix seconds.
    pub at: f64,
}

/// What a revocation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevocationKind {
    /// One session.
    Session,
    /// Everything of one account.
    Subject,
    /// One API token.
    Token,
    /// Everything.
    Site,
}

impl Revocation {
    /// Whether it ends this proof.
    pub fn ends(&self, claims: &Claims) -> bool {
        let meant = match self.kind {
            RevocationKind::Session => claims.sid == self.id,
            RevocationKind::Subject => claims.sub == self.id,
            RevocationKind::Token => claims.token.as_deref() == Some(self.id.as_str()),
            RevocationKind::Site => true,
        };
        meant && claims.iat < self.before
    }
}

impl Feed {
    /// A feed from the body of an answer.
    ///
    /// # Errors
    /// What does not fit, for the log.
    pub fn parse(body: &[u8]) -> Result<Feed, String> {
        serde_json::from_slice(body).map_err(|error| format!("edge/feed: {error}"))
    }

    /// The keys to verify session tokens with.
    pub fn key_ring(&self) -> Keys {
        let keys = self.keys.iter();
        Keys::new(keys.map(|key| (key.kid.as_str(), key.x, key.not_after.unwrap_or(f64::MAX))))
    }
}

/// The answer of `POST edge/refresh`, with status 200 or 401.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Refreshed {
    /// The new session token; none: the session has ended.
    pub token: Option<String>,
    /// Fields for the browser.
    #[serde(default)]
    pub set_cookie: Vec<String>,
}

impl Refreshed {
    /// An answer from its body.
    ///
    /// # Errors
    /// The kind of fault; nothing of the body is repeated, because it holds tokens.
    pub fn parse(body: &[u8]) -> Result<Refreshed, &'static str> {
        serde_json::from_slice(body).map_err(|_| "edge/refresh: the answer is not what it must be")
    }
}

/// The answer of `POST edge/check`, with status 200.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Who the credential proves.
    pub claims: Claims,
    /// When it ends by itself; Unix seconds.
    pub expires_s: f64,
}

impl Checked {
    /// An answer from its body.
    ///
    /// # Errors
    /// As `Claims::from_check`.
    pub fn parse(body: &[u8]) -> Result<Checked, TokenError> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            claims: &'a RawValue,
            expires: Option<f64>,
        }
        let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| TokenError::Claims)?;
        let claims = Claims::from_check(answer.claims.get().as_bytes())?;
        let expires_s = answer.expires.unwrap_or(claims.exp).min(claims.exp);
        Ok(Checked { claims, expires_s })
    }
}

/// A number or a text: to the edge it is only a name.
fn epoch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Number(number) => number.to_string(),
        Either::Text(text) => text,
    })
}
