//! The client's side: connections, their timeouts, and requests as hyper reads them.
//!
//! Place: listeners -> [client] -> exchange.rs
//! Rule:  a slow or dead client costs bounded memory and bounded time.

pub mod accept;
pub mod connection;
pub mod io;
pub mod registry;
pub mod serve;
pub mod watch;
