//! Decisions of a shared cache: what may be kept, for how long, for whom, and when it may be used.
//!
//! Place: asked by the server's `cache`, which keeps the bodies and speaks to the hub.
//! Rule: RFC 9111, 9110, 9211, 9213, 9875 and 5861 as far as they concern a shared cache, stricter where a database
//!       says what has changed; every function is total and reads no clock.

pub mod coherence;
pub mod conditional;
pub mod control;
pub mod cookies;
pub mod feed;
pub mod freshness;
pub mod invalidation;
pub mod key;
pub mod said;
pub mod status;
pub mod storing;
pub mod tags;
pub mod vary;
