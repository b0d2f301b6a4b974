//! Answers of `edge/check` that still hold.
//!
//! Place: asked before accounts is, told after; the server keeps it behind a lock.
//! Rule: keeps no credential, only its hash under a key of this process; a refusal is short, and refusals cannot push
//! out what was proven.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::sync::Arc;

use ring::hmac;

use super::claims::Claims;
use super::credentials::{AuthScheme, Credential};
use super::recent::Recent;

/// How long a refused credential is refused without asking.
pub const REFUSED_S: f64 = 5.0;
/// Bytes of the key of the process.
pub const HASH_KEY_BYTES: usize = 32;

/// The keyed hash of a credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CredentialHash([u8; 32]);

impl fmt::Debug for CredentialHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialHash(hidden)")
    }
}

/// What is known of a credential.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It proves this.
    Proven(Arc<Claims>),
    /// It was wrong a moment ago.
    Refused,
    /// Ask accounts.
    Unknown,
}

#[derive(Debug)]
struct Proven {
    claims: Arc<Claims>,
    until_s: f64,
}

/// Answers that still hold. Times in Unix seconds.
#[derive(Debug)]
pub struct KnownCredentials {
    key: hmac::Key,
    credential_s: f64,
    proven: Recent<CredentialHash, Proven, RandomState>,
    refused: Recent<CredentialHash, f64, RandomState>,
}

impl KnownCredentials {
    /// None yet, of at most `max` proven and as many refused: `credentials_max` and `credential_s` of the snapshot.
    pub fn new(max: usize, credential_s: f64, key: &[u8; HASH_KEY_BYTES]) -> KnownCredentials {
        KnownCredentials {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            credential_s,
            proven: Recent::new(max, RandomState::new()),
            refused: Recent::new(max, RandomState::new()),
        }
    }

    /// Under what a credential is remembered. The same token with another name or scheme is another credential.
    pub fn hash(&self, credential: &Credential) -> CredentialHash {
        let scheme = match credential.scheme {
            AuthScheme::Bearer => b"r",
            AuthScheme::Basic => b"s",
        };
        let mut context = hmac::Context::with_key(&self.key);
        context.update(scheme);
        context.update(credential.user.as_bytes());
        // No user name holds a control character.
        context.update(b"\0");
        context.update(credential.secret.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        CredentialHash(hash)
    }

    /// What is known of a credential now.
    pub fn get(&mut self, hash: &CredentialHash, now_s: f64) -> Known {
        match self.proven.get(hash) {
            Some(proven) if now_s < proven.until_s => {
                return Known::Proven(Arc::clone(&proven.claims))
            }
            Some(_) => self.proven.remove(hash),
            None => {}
        }
        match self.refused.get(hash) {
            Some(until_s) if now_s < *until_s => Known::Refused,
            Some(_) => {
                self.refused.remove(hash);
                Known::Unknown
            }
            None => Known::Unknown,
        }
    }

    /// Remembers whom a credential proves, for `credential_s` and never beyond `expires_s`.
    pub fn prove(&mut self, hash: CredentialHash, claims: Arc<Claims>, expires_s: f64, now_s: f64) {
        self.refused.remove(&hash);
        let until_s = expires_s.min(now_s + self.credential_s);
        if now_s < until_s {
            self.proven.put(hash, Proven { claims, until_s });
        }
    }

    /// Remembers that a credential is wrong, for a moment.
    pub fn refuse(&mut self, hash: CredentialHash, now_s: f64) {
        self.proven.remove(&hash);
        self.refused.put(hash, now_s + REFUSED_S);
    }

    /// Forgets one that was revoked, so that accounts is asked again.
    pub fn forget(&mut self, hash: &CredentialHash) {
        self.proven.remove(hash);
    }

    /// How many are known to be good.
    pub fn len(&self) -> usize {
        self.proven.len()
    }

    /// Whether none is known to be good.
    pub fn is_empty(&self) -> bool {
        self.proven.is_empty()
    }
}
