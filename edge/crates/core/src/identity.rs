//! Who asks, and what they may do: the decisions of identity.
//!
//! Place: the server calls accounts, keeps connections and reads the clock; it asks these modules what to believe,
//! what to refuse and what to tell an app. Section 5 of docs/reference/contracts.md.
//! Rule: whatever is not surely proven is not proven; no secret, token or key is ever part of an error or of `Debug`.

pub mod claims;
pub mod guard;
pub mod permissions;
pub mod requirement;
pub mod token;

pub use claims::{Claims, Freshness, Kind};
pub use guard::Verdict;
pub use permissions::Roles;
pub use requirement::Requirement;
pub use token::{Keys, TokenError};
