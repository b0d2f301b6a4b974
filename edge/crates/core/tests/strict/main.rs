//! Which requests are let in.
#![allow(clippy::unwrap_used)]

mod any;
mod fields;
mod framing;
mod place;
mod request;
