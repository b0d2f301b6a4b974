//! The decisions of identity, each against its table and against anything at all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod guard;
