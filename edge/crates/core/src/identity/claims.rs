//! What is known of a proven visitor.
//!
//! Place: the payload of a session token, or the answer of `edge/check`; what guards judge and apps are told.
//! Rule: a value of `Claims` has every shape that section 5 of docs/reference/contracts.md names.

use serde::{Deserialize, Deserializer};

use super::permissions::{covers, flatten, Roles};
use super::token::TokenError;

/// Longest JSON of claims, from wherever it comes.
pub const CLAIMS_BYTES_MAX: usize = 16 * 1024;
/// Longest name to log in with.
pub const USER_BYTES_MAX: usize = 64;
/// Longest life of a session token; accounts gives at most so much.
pub const LIFE_S_MAX: f64 = 1_800.0;
/// Latest time taken for one, in Unix seconds: the year 5138.
const TIME_MAX_S: f64 = 1e11;

/// Who or what a visitor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A human being.
    Person,
    /// A program.
    Service,
}

impl Kind {
    /// `person` or `service`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Person => "person",
            Kind::Service => "service",
        }
    }
}

/// What is known of a proven visitor. Times are Unix seconds and may have a fraction.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Claims {
    /// Stable random id of the account.
    pub sub: String,
    /// Id of the session; empty for a credential.
    #[serde(default)]
    pub sid: String,
    /// When this proof was issued.
    pub iat: f64,
    /// When this proof ends.
    pub exp: f64,
    /// When the visitor last proved who they are.
    #[serde(default)]
    pub auth_time: f64,
    /// How they proved it.
    #[serde(default)]
    pub amr: Vec<String>,
    /// Person or service.
    pub kind: Kind,
    /// Name to log in with.
    pub user: String,
    /// Name to show; may be empty.
    #[serde(default, deserialize_with = "or_empty")]
    pub name: String,
    /// May be empty.
    #[serde(default, deserialize_with = "or_empty")]
    pub email: String,
    /// May be empty.
    #[serde(default, deserialize_with = "or_empty")]
    pub lang: String,
    /// Roles held.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Groups belonged to.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Id of the API token, for a credential.
    #[serde(default)]
    pub token: Option<String>,
    /// What a credential may do beside what its roles grant; accounts narrows both to its scopes.
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// How much a token is still worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Good.
    Fresh,
    /// Good, and to be renewed on the way.
    Renew,
    /// Ended: to be renewed first, and good only if nobody can be asked.
    Stale,
    /// Ended for good.
    Ended,
}

impl Claims {
    /// The claims in the answer of `edge/check`.
    ///
    /// # Errors
    /// `TokenError::Claims` for what is no claims of ours.
    pub fn from_check(json: &[u8]) -> Result<Claims, TokenError> {
        if json.len() > CLAIMS_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let claims: Claims = serde_json::from_slice(json).map_err(|_| TokenError::Claims)?;
        claims.checked()
    }

    /// Whether the visitor may do this, by a role or by name.
    pub fn may(&self, roles: &Roles, wanted: &str) -> bool {
        self.granted(roles).any(|granted| covers(granted, wanted))
    }

    /// Everything the visitor may do, sorted, without what a wildcard among it covers.
    pub fn flattened<'a>(&'a self, roles: &'a Roles) -> Vec<&'a str> {
        flatten(self.granted(roles))
    }

    /// A role the site does not know grants nothing.
    fn granted<'a>(&'a self, roles: &'a Roles) -> impl Iterator<Item = &'a String> {
        let by_role = self.roles.iter().filter_map(|role| roles.get(role));
        by_role.flatten().chain(&self.permissions)
    }

    /// How much these claims are worth at a moment.
    pub fn freshness(&self, now_s: f64, refresh_before_s: f64, stale_s: f64) -> Freshness {
        if now_s + refresh_before_s < self.exp {
            Freshness::Fresh
        } else if now_s < self.exp {
            Freshness::Renew
        } else if now_s < self.exp + stale_s {
            Freshness::Stale
        } else {
            Freshness::Ended
        }
    }

    /// The claims if every field has the shape it must have.
    pub(super) fn checked(self) -> Result<Claims, TokenError> {
        let time = |at_s: f64| (0.0..=TIME_MAX_S).contains(&at_s);
        let times = time(self.iat) && time(self.exp) && time(self.auth_time);
        if times && self.iat <= self.exp && !self.sub.is_empty() && is_user(&self.user) {
            Ok(self)
        } else {
            Err(TokenError::Claims)
        }
    }
}

/// `[a-z0-9][a-z0-9._-]{0,63}`.
pub fn is_user(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let begins = name.bytes().next().is_some_and(letter);
    let plain = |b: u8| letter(b) || matches!(b, b'.' | b'_' | b'-');
    begins && name.len() <= USER_BYTES_MAX && name.bytes().all(plain)
}

fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}
