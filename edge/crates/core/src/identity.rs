//! Who asks, and what they may do: the decisions of identity.
//!
//! Place: the server calls accounts, keeps connections and reads the clock; it asks these modules what to believe,
//! what to refuse and what to tell an app. Section 5 of docs/reference/contracts.md.
//! Rule: whatever is not surely proven is not proven; no secret, token or key is ever part of an error or of `Debug`.

pub mod challenge;
pub mod claims;
pub mod cookies;
pub mod credentials;
pub mod csrf;
pub mod feed;
pub mod guard;
pub mod issue;
pub mod known_credentials;
pub mod permissions;
pub mod recent;
pub mod refused_tokens;
pub mod remote;
pub mod requirement;
pub mod revocations;
pub mod sessions;
pub mod set_cookie;
pub mod token;

pub use claims::{Claims, Freshness, Kind};
pub use guard::Verdict;
pub use issue::Issuer;
pub use known_credentials::KnownCredentials;
pub use permissions::Roles;
pub use requirement::Requirement;
pub use revocations::Revocations;
pub use sessions::Sessions;
pub use token::{Keys, TokenError};
