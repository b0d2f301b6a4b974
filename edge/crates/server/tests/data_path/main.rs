//! The data path over real sockets: what a client sees and what reaches a worker.
#![allow(clippy::unwrap_used, missing_docs)]

mod bounds;
mod drain;
mod identity;
mod places;
mod proxy;
mod retry;
mod snapshots;
mod stand;
mod tunnels;
