//! Session tokens that proved nobody a moment ago, though it took a signature to find out.
//!
//! Place: asked before `token::Keys::verify`, told after it; the server keeps it behind a lock, and clears it when keys,
//! revocations or the snapshot change.
//! Rule: keeps no token, only its hash under a key of this process; only what time cannot heal is remembered, and
//! nothing for longer than `REFUSED_S`.

use std::collections::hash_map::RandomState;
use std::fmt;

use ring::hmac;

use super::known_credentials::HASH_KEY_BYTES;
use super::recent::Recent;
use super::token::{Expected, TokenError, TOKEN_BYTES_MAX};

/// How long a token is refused without looking at it again.
pub const REFUSED_S: f64 = 60.0;
/// Tokens kept; one more pushes out some that were not brought for a while.
pub const REFUSED_MAX: usize = 4_096;

/// The keyed hash of a token and of what was expected of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct TokenHash([u8; 32]);

#[derive(Debug, Clone, Copy)]
struct Refused {
    why: TokenError,
    at_s: f64,
}

/// Tokens that proved nobody a moment ago. Times in Unix seconds.
pub struct RefusedTokens {
    key: hmac::Key,
    refused: Recent<TokenHash, Refused, RandomState>,
}

impl fmt::Debug for RefusedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefusedTokens({})", self.refused.len())
    }
}

impl RefusedTokens {
    /// None yet, of at most `max`.
    pub fn new(max: usize, key: &[u8; HASH_KEY_BYTES]) -> RefusedTokens {
        RefusedTokens {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            refused: Recent::new(max, RandomState::new()),
        }
    }

    /// Why this token was refused a moment ago, by somebody who expected the same of it.
    pub fn get(&mut self, token: &str, expected: &Expected<'_>) -> Option<TokenError> {
        if self.refused.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let hash = self.hash(token, expected);
        let refused = self.refused.copy(&hash)?;
        // A clock that was set back must not make it longer.
        let holds = (refused.at_s..refused.at_s + REFUSED_S).contains(&expected.now_s);
        if !holds {
            self.refused.remove(&hash);
        }
        holds.then_some(refused.why)
    }

    /// Remembers a token that was just refused, if to find out again would take a signature and end the same.
    pub fn put(&mut self, token: &str, expected: &Expected<'_>, why: TokenError) {
        if is_lasting(why) {
            let hash = self.hash(token, expected);
            let at_s = expected.now_s;
            self.refused.put(hash, Refused { why, at_s });
        }
    }

    /// Forgets everything: for when keys, revocations or the snapshot change.
    pub fn clear(&mut self) {
        self.refused.clear();
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.refused.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty()
    }

    /// A request that began under an earlier snapshot may expect something else of the same token.
    fn hash(&self, token: &str, expected: &Expected<'_>) -> TokenHash {
        let mut context = hmac::Context::with_key(&self.key);
        for text in [expected.typ, expected.issuer, expected.audience] {
            context.update(&text.len().to_le_bytes());
            context.update(text.as_bytes());
        }
        for number in [expected.skew_s, expected.stale_s] {
            context.update(&number.to_le_bytes());
        }
        context.update(token.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        TokenHash(hash)
    }
}

/// A token from the future is good when its time has come, and one without a key when the key is known; the other
/// reasons that are missing here are found without a signature.
fn is_lasting(why: TokenError) -> bool {
    match why {
        TokenError::Signature
        | TokenError::Claims
        | TokenError::Issuer
        | TokenError::Audience
        | TokenError::Ended => true,
        TokenError::Future
        | TokenError::Key
        | TokenError::TooLong
        | TokenError::Form
        | TokenError::Header
        | TokenError::Algorithm
        | TokenError::Type => false,
    }
}
