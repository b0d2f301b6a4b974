//! Session tokens: compact JWS with Ed25519 (RFC 7515, RFC 7519, RFC 8037), read strictly.
//!
//! Place: asked once for every token that `sessions` does not know yet.
//! Rule: one algorithm, one type, keys by name only; the payload is not looked at before the signature holds.

use std::collections::HashMap;
use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use ring::signature::{UnparsedPublicKey, ED25519};
use serde::Deserialize;

use super::claims::{Claims, LIFE_S_MAX};
use crate::snapshot::KEY_BYTES;

/// Longest token.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// Most keys of one ring; the oldest beyond are not taken.
pub const KEYS_MAX: usize = 64;
/// Characters of an Ed25519 signature in base64url.
const SIGNATURE_CHARACTERS: usize = 86;
/// Longest name of a key.
const KID_BYTES_MAX: usize = 64;

/// Why a token proves nobody. `as_str` is what `stats` counts under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenError {
    /// Longer than `TOKEN_BYTES_MAX`.
    TooLong,
    /// Not three parts of base64url without padding, in its one spelling.
    Form,
    /// The header is no JSON of exactly `alg`, `typ` and `kid`.
    Header,
    /// Another algorithm than EdDSA.
    Algorithm,
    /// Another type than the one expected.
    Type,
    /// No key of that name, or one that has ended.
    Key,
    /// The signature does not hold.
    Signature,
    /// The payload is not what a token of ours says.
    Claims,
    /// Signed by another issuer.
    Issuer,
    /// Meant for another site.
    Audience,
    /// Issued in the future.
    Future,
    /// Ended, and for so long that nothing can hold it up.
    Ended,
}

impl TokenError {
    /// A stable name for counters.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenError::TooLong => "too_long",
            TokenError::Form => "form",
            TokenError::Header => "header",
            TokenError::Algorithm => "algorithm",
            TokenError::Type => "type",
            TokenError::Key => "key",
            TokenError::Signature => "signature",
            TokenError::Claims => "claims",
            TokenError::Issuer => "issuer",
            TokenError::Audience => "audience",
            TokenError::Future => "future",
            TokenError::Ended => "ended",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for TokenError {}

/// The public keys that session tokens may be signed with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(HashMap<String, Key>);

#[derive(Clone, PartialEq, Eq)]
struct Key {
    x: [u8; KEY_BYTES],
    not_after_ms: u64,
}

/// What a token must say, beside being signed.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `typ` of the header.
    pub typ: &'a str,
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// The present, in Unix seconds.
    pub now_s: f64,
    /// How far `iat` may lie in the future.
    pub skew_s: f64,
    /// How long a token is still read beyond `exp`; `Claims::freshness` says what it is worth then.
    pub stale_s: f64,
}

/// `typ` of session tokens.
pub const SESSION_TYPE: &str = "mps+jwt";

impl Keys {
    /// A ring of `(kid, public key, last moment in Unix seconds)`; of two with one name the first counts.
    pub fn new<'k>(keys: impl IntoIterator<Item = (&'k str, [u8; KEY_BYTES], f64)>) -> Keys {
        let mut ring = HashMap::new();
        for (kid, x, not_after_s) in keys.into_iter().take(KEYS_MAX) {
            if is_kid(kid) {
                // Saturates: a key may well be good for ever.
                let not_after_ms = (not_after_s * 1000.0) as u64;
                ring.entry(kid.to_owned())
                    .or_insert(Key { x, not_after_ms });
            }
        }
        Keys(ring)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing can be verified.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims of a token that is signed by one of these keys and says what is expected.
    ///
    /// # Errors
    /// The first reason why it proves nobody.
    pub fn verify(&self, token: &str, expected: &Expected<'_>) -> Result<Claims, TokenError> {
        let parts = Parts::split(token)?;
        let kid = parts.kid(expected.typ)?;
        let key = self.0.get(kid.as_str()).ok_or(TokenError::Key)?;
        if expected.now_s * 1000.0 > key.not_after_ms as f64 {
            return Err(TokenError::Key);
        }
        let signature = decode(parts.signature)?;
        UnparsedPublicKey::new(&ED25519, &key.x)
            .verify(parts.signed.as_bytes(), &signature)
            .map_err(|_| TokenError::Signature)?;
        payload(&decode(parts.payload)?, expected)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether a text can name a key: 1 to 64 of letters, digits, `.`, `_` and `-`.
pub fn is_kid(kid: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !kid.is_empty() && kid.len() <= KID_BYTES_MAX && kid.bytes().all(plain)
}

struct Parts<'t> {
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
    signed: &'t str,
}

/// Nothing else is taken in a header: no `crit`, and no key or address of a key that the token brings along.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Deserialize)]
struct Ends {
    iss: String,
    aud: String,
}

impl<'t> Parts<'t> {
    fn split(token: &'t str) -> Result<Parts<'t>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Form)?;
        if payload.contains('.') || signature.len() != SIGNATURE_CHARACTERS {
            return Err(TokenError::Form);
        }
        Ok(Parts {
            header,
            payload,
            signature,
            signed,
        })
    }

    fn kid(&self, typ: &str) -> Result<String, TokenError> {
        let header: Header =
            serde_json::from_slice(&decode(self.header)?).map_err(|_| TokenError::Header)?;
        if header.alg != "EdDSA" {
            return Err(TokenError::Algorithm);
        }
        if header.typ != typ {
            return Err(TokenError::Type);
        }
        Ok(header.kid)
    }
}

/// The engine refuses padding, foreign letters and bits left over, so every part has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form)
}

fn payload(json: &[u8], expected: &Expected<'_>) -> Result<Claims, TokenError> {
    let ends: Ends = serde_json::from_slice(json).map_err(|_| TokenError::Claims)?;
    if ends.iss != expected.issuer {
        return Err(TokenError::Issuer);
    }
    if ends.aud != expected.audience {
        return Err(TokenError::Audience);
    }
    let claims: Claims = serde_json::from_slice(json).map_err(|_| TokenError::Claims)?;
    let claims = claims.checked()?;
    // Revocations are kept for a certain time, so no token may live for longer.
    if claims.sid.is_empty() || claims.exp - claims.iat > LIFE_S_MAX {
        return Err(TokenError::Claims);
    }
    if claims.iat > expected.now_s + expected.skew_s {
        return Err(TokenError::Future);
    }
    if claims.exp + expected.stale_s <= expected.now_s {
        return Err(TokenError::Ended);
    }
    Ok(claims)
}
