//! Decisions of the edge: pure functions over plain data, tested without a socket.
//!
//! Place: the server crate opens sockets, reads the clock and draws random numbers; it asks this crate what to do.
//! Rule: nothing here does I/O, reads a clock, draws a random number, waits, or panics on any input.

pub mod accept;
pub mod admission;
pub mod affinity;
pub mod cache;
pub mod choose;
pub mod cookie;
pub mod digits;
pub mod files;
pub mod forwarded;
pub mod headers;
pub mod health;
pub mod host;
pub mod identity;
pub mod prefix;
pub mod range;
pub mod retry;
pub mod router;
pub mod snapshot;
pub mod sticky;
pub mod strict;
pub mod target;
pub mod trace;

/// Time since an arbitrary fixed start in the past; never runs backwards. The server passes `started.elapsed()`.
pub type Moment = std::time::Duration;
